//! Changes a configuration text the way a careful person would: what is not changed stays, byte for
//! byte, with its comments, its order and its line ends.
//!
//! Owns: how a change (a JSON merge patch, RFC 7396) becomes splices of the text. The text is never
//! printed anew: a value is replaced where it is, a key is added behind the last of its table, a
//! section at the end of the file, and what is removed takes the comments right above it with it.
//! The resulting text is read again and must mean what was requested, so that an unforeseen form of
//! TOML cannot change anything else. Pure: no files.

mod place;
mod render;
mod value;

use serde_json::Value as Json;
use toml::{Table, Value};
use toml_edit::{Document, Item};

use place::{Splice, apply_splices};

/// Keys below which each key is a name with a section of its own.
const GROUPS: [&str; 4] = ["account", "input", "publish", "stream"];

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not TOML.
    #[error("the file is not valid TOML")]
    NotToml,
    /// The change has a value that TOML cannot hold.
    #[error("`{path}` has a value that the file cannot hold")]
    Unrepresentable {
        /// Where.
        path: String,
    },
    /// The text that came out means something else.
    #[error("the file is written in a form that cannot be changed here")]
    Mismatch,
}

/// Applies the merge patch `patch` to `text`: objects are merged, null removes, all else replaces.
///
/// # Errors
///
/// The text cannot be changed so; nothing was.
pub fn apply(text: &str, patch: &Json) -> Result<String, EditError> {
    let before: Table = text.parse().map_err(|_| EditError::NotToml)?;
    let wanted = merged(before, patch)?;
    let Json::Object(keys) = patch else {
        return Err(EditError::Unrepresentable { path: String::new() });
    };
    let mut text = text.to_owned();
    for (key, value) in keys {
        text = change(text, &mut vec![key.clone()], value)?;
    }
    let after: Table = text.parse().map_err(|_| EditError::Mismatch)?;
    if is_same(after, wanted) { Ok(text) } else { Err(EditError::Mismatch) }
}

/// Whether two texts say the same: a section without keys, such as that of the streams once the last
/// of them went, says nothing.
#[must_use]
pub fn is_same(one: Table, other: Table) -> bool {
    let telling = |mut table: Table| {
        table.retain(|_, value| value.as_table().is_none_or(|section| !section.is_empty()));
        table
    };
    telling(one) == telling(other)
}

/// What `table` means once `patch` is applied to it.
///
/// # Errors
///
/// The patch has a value that TOML cannot hold.
pub fn merged(mut table: Table, patch: &Json) -> Result<Table, EditError> {
    merge(&mut table, patch, &mut Vec::new())?;
    Ok(table)
}

fn merge(table: &mut Table, patch: &Json, path: &mut Vec<String>) -> Result<(), EditError> {
    let Json::Object(keys) = patch else { return Err(unrepresentable(path)) };
    for (key, value) in keys {
        path.push(key.clone());
        match (value, table.get_mut(key)) {
            (Json::Null, _) => drop(table.remove(key)),
            (Json::Object(_), Some(Value::Table(inner))) => merge(inner, value, path)?,
            (Json::Object(_), _) => {
                let mut inner = Table::new();
                merge(&mut inner, value, path)?;
                table.insert(key.clone(), Value::Table(inner));
            }
            _ => drop(table.insert(key.clone(), render::typed(value, path)?)),
        }
        path.pop();
    }
    Ok(())
}

fn unrepresentable(path: &[String]) -> EditError {
    EditError::Unrepresentable { path: path.join(".") }
}

/// Makes the value at `path` what `patch` says.
fn change(mut text: String, path: &mut Vec<String>, patch: &Json) -> Result<String, EditError> {
    let doc = Document::parse(text.as_str()).map_err(|_| EditError::Mismatch)?;
    match place::find(&doc, path) {
        // Inside a value: the value is changed as a whole.
        place::Located::Inside { outer, rest } => {
            let span = outer.span().ok_or(EditError::Mismatch)?;
            let changed = value::change(&text[span.clone()], rest, patch)?;
            text.replace_range(span, &changed);
            Ok(text)
        }
        place::Located::Item(Item::Value(old)) => {
            let span = old.span().ok_or(EditError::Mismatch)?;
            if patch.is_null() {
                let line = place::lines_of(&text, span);
                text.replace_range(line, "");
                return Ok(text);
            }
            let changed = value::change(&text[span.clone()], &[], patch)?;
            text.replace_range(span, &changed);
            Ok(text)
        }
        place::Located::Item(item) => {
            if let Json::Object(keys) = patch {
                drop(doc);
                for (key, value) in keys {
                    path.push(key.clone());
                    text = change(text, path, value)?;
                    path.pop();
                }
                return Ok(text);
            }
            let splices = place::removal(item, &text);
            text = apply_splices(text, splices);
            if patch.is_null() { Ok(text) } else { add(&text, path, patch) }
        }
        place::Located::Nothing if patch.is_null() => Ok(text),
        // Each of them is a section of its own.
        place::Located::Nothing if is_group(path) && patch.is_object() => {
            let keys = patch.as_object().into_iter().flatten();
            for (key, value) in keys.filter(|(_, value)| !value.is_null()) {
                text = add(&text, &[path[0].clone(), key.clone()], value)?;
            }
            Ok(text)
        }
        place::Located::Nothing => add(&text, path, patch),
    }
}

/// Whether what is below `path` has names that people give.
fn is_group(path: &[String]) -> bool {
    matches!(path, [group] if GROUPS.contains(&group.as_str()))
}

/// Adds `patch` under `path`, where nothing is.
fn add(text: &str, path: &[String], patch: &Json) -> Result<String, EditError> {
    let means = |candidate: &String| {
        let (Ok(mut wanted), Ok(is)) = (text.parse::<Table>(), candidate.parse::<Table>()) else {
            return false;
        };
        merge(&mut wanted, &nested(path, patch), &mut Vec::new()).is_ok() && wanted == is
    };
    let doc = Document::parse(text).map_err(|_| EditError::Mismatch)?;
    let splices = [
        section_at_end(text, &doc, path, patch)?,
        line_in_table(text, &doc, path, patch)?,
        key_at_end(text, path, patch)?,
    ];
    let candidates = splices.into_iter().flatten();
    let mut texts = candidates.map(|splice| apply_splices(text.to_owned(), vec![splice]));
    texts.find(means).ok_or(EditError::Mismatch)
}

/// `patch` as it looks from the root.
fn nested(path: &[String], patch: &Json) -> Json {
    path.iter().rev().fold(patch.clone(), |inner, key| {
        Json::Object([(key.clone(), inner)].into_iter().collect())
    })
}

/// A section of its own at the end of the file, for what people write as one.
fn section_at_end(
    text: &str,
    doc: &Document<&str>,
    path: &[String],
    patch: &Json,
) -> Result<Option<Splice>, EditError> {
    let Json::Object(keys) = patch else { return Ok(None) };
    let is_section = match path {
        [_] => true,
        [parent, _] => {
            let parent = doc.as_table().get(parent);
            parent.is_none_or(|parent| parent.as_table().is_some_and(|table| !table.is_dotted()))
        }
        _ => false,
    };
    if !is_section {
        return Ok(None);
    }
    let mut lines = vec![format!("[{}]", render::path(path))];
    for (key, value) in keys.iter().filter(|(_, value)| !value.is_null()) {
        lines.push(format!("{} = {}", render::key(key), render::value(value, path)?));
    }
    Ok(Some(place::at_end(text, &lines)))
}

/// A line behind the last one of the table that is nearest.
fn line_in_table(
    text: &str,
    doc: &Document<&str>,
    path: &[String],
    patch: &Json,
) -> Result<Option<Splice>, EditError> {
    let Some(place) = place::behind_last(doc, path, text) else { return Ok(None) };
    let rendered = render::value(patch, path)?;
    let line = format!("{} = {rendered}", render::path(&path[place.depth..]));
    Ok(Some(place.line(text, &line)))
}

/// A key under a header of its own at the end of the file: its table has only sections below it.
fn key_at_end(text: &str, path: &[String], patch: &Json) -> Result<Option<Splice>, EditError> {
    let Some((key, table)) = path.split_last() else { return Ok(None) };
    if table.is_empty() {
        return Ok(None);
    }
    let line = format!("{} = {}", render::key(key), render::value(patch, path)?);
    Ok(Some(place::at_end(text, &[format!("[{}]", render::path(table)), line])))
}

/// The tables below `item`, itself included.
fn tables_of<'a>(item: &'a Item, found: &mut Vec<&'a toml_edit::Table>) {
    match item {
        Item::Table(table) => {
            found.push(table);
            table.iter().for_each(|(_, item)| tables_of(item, found));
        }
        Item::ArrayOfTables(array) => {
            for table in array {
                found.push(table);
                table.iter().for_each(|(_, item)| tables_of(item, found));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
