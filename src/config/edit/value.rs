//! Changes inside one value: an inline table or a list, with the comments that may be in it.
//!
//! Owns: what happens to the decor of what is replaced, added and removed there.

use serde_json::Value as Json;
use toml_edit::{Array, Value};

use super::{EditError, render};

/// `text`, which is one value, with what is at `path` in it made what `patch` says.
pub(super) fn change(text: &str, path: &[String], patch: &Json) -> Result<String, EditError> {
    let mut value: Value = text.parse().map_err(|_| EditError::Mismatch)?;
    value.decor_mut().clear();
    change_in(&mut value, path, patch)?;
    value.decor_mut().clear();
    Ok(value.to_string())
}

fn change_in(value: &mut Value, path: &[String], patch: &Json) -> Result<(), EditError> {
    let Some((key, rest)) = path.split_first() else { return replace(value, patch) };
    let table = value.as_inline_table_mut().ok_or(EditError::Mismatch)?;
    match table.get_mut(key) {
        Some(inner) if !(rest.is_empty() && patch.is_null()) => change_in(inner, rest, patch),
        Some(_) => {
            let last = table.iter().last().is_some_and(|(last, _)| last == key);
            table.remove(key);
            // The blank before the brace was behind the value that left.
            if last && let Some((_, value)) = table.iter_mut().last() {
                value.decor_mut().set_suffix(" ");
            }
            Ok(())
        }
        None if patch.is_null() => Ok(()),
        None => {
            let added = rest.iter().rev().fold(patch.clone(), |inner, key| {
                Json::Object([(key.clone(), inner)].into_iter().collect())
            });
            let added = render::editable(&added, path)?;
            if let Some((_, last)) = table.iter_mut().last()
                && last.decor().suffix().and_then(|suffix| suffix.as_str()) == Some(" ")
            {
                last.decor_mut().set_suffix("");
            }
            table.insert(key, added);
            if let Some(added) = table.get_mut(key) {
                added.decor_mut().set_suffix(" ");
            }
            Ok(())
        }
    }
}

fn replace(value: &mut Value, patch: &Json) -> Result<(), EditError> {
    if let (Value::InlineTable(_), Json::Object(keys)) = (&*value, patch) {
        for (key, inner) in keys {
            change_in(value, std::slice::from_ref(key), inner)?;
        }
        return Ok(());
    }
    if let (Value::Array(list), Json::Array(wanted)) = (&mut *value, patch) {
        return replace_items(list, wanted);
    }
    let wanted = render::editable(patch, &[])?;
    if same(value, patch) {
        return Ok(());
    }
    let decor = value.decor().clone();
    *value = wanted;
    *value.decor_mut() = decor;
    Ok(())
}

/// Whether a value is written already, perhaps in another form (`1_000`, `'text'`).
fn same(value: &Value, wanted: &Json) -> bool {
    match (value, wanted) {
        (Value::String(text), Json::String(wanted)) => text.value() == wanted,
        (Value::Integer(number), Json::Number(wanted)) => Some(*number.value()) == wanted.as_i64(),
        (Value::Boolean(flag), Json::Bool(wanted)) => flag.value() == wanted,
        _ => false,
    }
}

/// Item by item, so that the comments beside those that stay do so too.
fn replace_items(list: &mut Array, wanted: &[Json]) -> Result<(), EditError> {
    for (at, wanted) in wanted.iter().enumerate() {
        match list.get_mut(at) {
            Some(item) => replace(item, wanted)?,
            None => push(list, render::editable(wanted, &[])?),
        }
    }
    while list.len() > wanted.len() {
        let Some(gone) = list.iter().last() else { break };
        // A comment after the comma of the item before belongs to that one.
        let prefix = gone.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        let kept = prefix.rfind('\n').map_or("", |end| &prefix[..end]).to_owned();
        let trailing = list.trailing().as_str().unwrap_or_default().to_owned();
        list.set_trailing(kept + &trailing);
        list.remove(list.len() - 1);
    }
    Ok(())
}

/// Adds an item in the form of the last one: on a line of its own if that is.
fn push(list: &mut Array, mut item: Value) {
    let indent = list.iter().last().and_then(|last| {
        let prefix = last.decor().prefix()?.as_str()?.to_owned();
        prefix.rfind('\n').map(|line| prefix[line..].to_owned())
    });
    match indent {
        Some(indent) => {
            // A comment behind the last item stays behind it.
            let trailing = list.trailing().as_str().unwrap_or_default().to_owned();
            let (before, after) = trailing.rsplit_once('\n').unwrap_or(("", ""));
            item.decor_mut().set_prefix(format!("{before}{indent}"));
            list.set_trailing(format!("\n{after}"));
            list.set_trailing_comma(true);
            list.push_formatted(item);
        }
        None => list.push(item),
    }
}
