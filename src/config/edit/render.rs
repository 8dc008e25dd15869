//! Values and keys as text.
//!
//! Owns: JSON as TOML, in the one-line forms that people write into a configuration.

use serde_json::Value as Json;
use toml::{Table, Value};
use toml_edit::{InlineTable, Key};

use super::{EditError, unrepresentable};

/// A key, quoted where it has to be.
pub(super) fn key(key: &str) -> String {
    Key::new(key).display_repr().into_owned()
}

/// Keys with dots between them.
pub(super) fn path(path: &[String]) -> String {
    path.iter().map(|part| key(part)).collect::<Vec<_>>().join(".")
}

/// `json` as one line of TOML; what is null in an object is left out.
pub(super) fn value(json: &Json, path: &[String]) -> Result<String, EditError> {
    Ok(editable(json, path)?.to_string().trim().to_owned())
}

/// `json` as a value of toml_edit.
pub(super) fn editable(json: &Json, path: &[String]) -> Result<toml_edit::Value, EditError> {
    Ok(match json {
        Json::Null => return Err(unrepresentable(path)),
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) if !number.is_u64() => real.into(),
            _ => return Err(unrepresentable(path)),
        },
        Json::String(text) if text.contains(char::is_control) => escaped(text)?,
        Json::String(text) => text.as_str().into(),
        Json::Array(list) => {
            let list = list.iter().map(|item| editable(item, path)).collect::<Result<_, _>>()?;
            toml_edit::Value::Array(list)
        }
        Json::Object(keys) => {
            let mut table = InlineTable::new();
            for (key, value) in keys.iter().filter(|(_, value)| !value.is_null()) {
                table.insert(key, editable(value, path)?);
            }
            toml_edit::Value::InlineTable(table)
        }
    })
}

/// A text with control characters, on one line all the same.
fn escaped(text: &str) -> Result<toml_edit::Value, EditError> {
    let escape = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        '\n' => "\\n".to_owned(),
        letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    };
    let quoted = format!("\"{}\"", text.chars().map(escape).collect::<String>());
    quoted.parse().map_err(|_| EditError::Mismatch)
}

/// `json` as TOML.
pub(super) fn typed(json: &Json, path: &[String]) -> Result<Value, EditError> {
    Ok(match json {
        Json::Null => return Err(unrepresentable(path)),
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(real)) if !number.is_u64() => Value::Float(real),
            _ => return Err(unrepresentable(path)),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(list) => {
            Value::Array(list.iter().map(|item| typed(item, path)).collect::<Result<_, _>>()?)
        }
        Json::Object(keys) => {
            let mut table = Table::new();
            for (key, value) in keys.iter().filter(|(_, value)| !value.is_null()) {
                table.insert(key.clone(), typed(value, path)?);
            }
            Value::Table(table)
        }
    })
}
