//! Takes keys out of a TOML table one by one and writes down what is wrong with each.
//!
//! Owns: the key path of every fault. serde's `deny_unknown_fields` stops at the first fault; a
//! person who edits a file over a bad connection wants all of them, so each key is taken by name
//! here and what is left over at the end is unknown.

use std::fmt;

use super::secret;
use crate::base::secret::Secret;
use toml::{Table, Value};

/// One thing wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    /// Where, such as `stream.gate.source.url`.
    pub path: String,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; expected {}", self.path, self.wrong, self.right)
    }
}

impl KeyFault {
    /// The fault of a text that is not TOML; `file` names it unless it is the first one.
    pub(super) fn syntax(error: &toml::de::Error, text: &str, file: Option<&str>) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Self {
            path: match file {
                None => format!("line {line}"),
                Some(file) => format!("{file}, line {line}"),
            },
            wrong: error.message().replace('\n', ", "),
            right: "TOML, see https://toml.io".to_owned(),
        }
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Section {
    path: String,
    rest: Table,
    /// The keys that were asked for: the ones that exist, as far as this table knows.
    asked: Vec<String>,
}

impl Section {
    pub(super) fn root(table: Table) -> Self {
        Self { path: String::new(), rest: table, asked: Vec::new() }
    }

    fn path_of(&self, key: &str) -> String {
        let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let key = if plain { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    /// A fault at `key`, or at the section itself.
    pub(super) fn fault(&self, key: Option<&str>, wrong: String, right: String) -> KeyFault {
        let path = key.map_or_else(|| self.path.clone(), |key| self.path_of(key));
        KeyFault { path, wrong, right }
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.rest.keys().cloned().collect()
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.push(key.to_owned());
        self.rest.remove(key)
    }

    /// A table that was found under `key`.
    pub(super) fn inner(&self, key: &str, rest: Table) -> Self {
        Self { path: self.path_of(key), rest, asked: Vec::new() }
    }

    /// The table under `key`.
    pub(super) fn section(&mut self, key: &str, faults: &mut Vec<KeyFault>) -> Option<Self> {
        match self.take(key)? {
            Value::Table(rest) => Some(self.inner(key, rest)),
            other => {
                let wrong = format!("{} found", other.type_str());
                faults.push(self.fault(Some(key), wrong, "a table".to_owned()));
                None
            }
        }
    }

    /// The text under `key`.
    pub(super) fn text(&mut self, key: &str, faults: &mut Vec<KeyFault>) -> Option<String> {
        self.parsed(key, |text| Ok(text.to_owned()), faults)
    }

    /// The text under `key`, through `parse`, whose error is (what is wrong, what would be right).
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, (String, &'static str)>,
        faults: &mut Vec<KeyFault>,
    ) -> Option<T> {
        let path = self.path_of(key);
        let value = self.take(key)?;
        parse_at(path, &value, parse).map_err(|fault| faults.push(fault)).ok()
    }

    /// The secret under `key`: its text, or where it is.
    pub(super) fn secret(&mut self, key: &str, faults: &mut Vec<KeyFault>) -> Option<Secret> {
        match secret::read(&self.take(key)?) {
            Ok(secret) => Some(secret),
            Err(wrong) => {
                faults.push(self.fault(Some(key), wrong, secret::RIGHT.to_owned()));
                None
            }
        }
    }

    /// The list of texts under `key`, each through `parse`.
    pub(super) fn parsed_list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, (String, &'static str)>,
        faults: &mut Vec<KeyFault>,
    ) -> Option<Vec<T>> {
        let path = self.path_of(key);
        let values = match self.take(key)? {
            Value::Array(values) => values,
            single @ Value::String(_) => vec![single],
            other => {
                let wrong = format!("{} found", other.type_str());
                faults.push(KeyFault { path, wrong, right: "a list of texts".to_owned() });
                return None;
            }
        };
        let before = faults.len();
        let items = values
            .iter()
            .enumerate()
            .filter_map(|(i, value)| {
                let at = format!("{path}[{i}]");
                parse_at(at, value, &parse).map_err(|fault| faults.push(fault)).ok()
            })
            .collect();
        (faults.len() == before).then_some(items)
    }

    /// The whole number under `key`, inside `range`.
    pub(super) fn number(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
        faults: &mut Vec<KeyFault>,
    ) -> Option<i64> {
        let right = format!("a whole number from {} to {}", range.start(), range.end());
        match self.take(key)? {
            Value::Integer(number) if range.contains(&number) => Some(number),
            other => {
                faults.push(self.fault(Some(key), shown(&other), right));
                None
            }
        }
    }

    /// The yes or no under `key`.
    pub(super) fn flag(&mut self, key: &str, faults: &mut Vec<KeyFault>) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(flag) => Some(flag),
            other => {
                faults.push(self.fault(Some(key), shown(&other), "true or false".to_owned()));
                None
            }
        }
    }

    /// Reports every unknown key.
    pub(super) fn finish(self, faults: &mut Vec<KeyFault>) {
        for key in self.rest.keys() {
            let right = match self.asked.iter().min_by_key(|known| distance(known, key)) {
                Some(known) if distance(known, key) <= 2 => format!("did you mean {known:?}?"),
                _ => format!("one of {}", self.asked.join(", ")),
            };
            faults.push(self.fault(Some(key), "unknown key".to_owned(), right));
        }
    }
}

fn parse_at<T>(
    path: String,
    value: &Value,
    parse: impl Fn(&str) -> Result<T, (String, &'static str)>,
) -> Result<T, KeyFault> {
    let Value::String(text) = value else {
        let wrong = format!("{} found", value.type_str());
        return Err(KeyFault { path, wrong, right: "a text in quotes".to_owned() });
    };
    parse(text).map_err(|(wrong, right)| KeyFault { path, wrong, right: right.to_owned() })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Integer(number) => format!("{number}"),
        other => format!("{} found", other.type_str()),
    }
}

/// How many single-character edits lie between two keys (Levenshtein), for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
