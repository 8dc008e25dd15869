//! The name of a stream, which is also its URL and its identity on disk.
//!
//! Owns: what a name may look like.

use std::sync::Arc;

use super::limits::STREAM_NAME_BYTES_MAX;

/// A stream's name: 1 to 32 of `a-z`, `0-9` and `-`, never beginning with `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// Why a text is not a stream name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there, or more than the limit.
    #[error("a stream name has 1 to {max} characters, this one has {got}", max = STREAM_NAME_BYTES_MAX)]
    Length {
        /// Bytes found.
        got: usize,
    },
    /// A character that would need quoting in a URL, a log or a file name.
    #[error(
        "a stream name is made of a-z, 0-9 and '-' and does not begin with '-'; {character:?} is not allowed there"
    )]
    Character {
        /// The first character that is not allowed there.
        character: char,
    },
}

impl StreamName {
    /// Checks `text` and keeps it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > STREAM_NAME_BYTES_MAX {
            return Err(NameError::Length { got: text.len() });
        }
        let bad = text.char_indices().find(|&(at, c)| match c {
            'a'..='z' | '0'..='9' => false,
            '-' => at == 0,
            _ => true,
        });
        match bad {
            Some((_, character)) => Err(NameError::Character { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl schemars::JsonSchema for StreamName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StreamName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl serde::Serialize for StreamName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for StreamName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_pass() {
        for name in ["gate", "yard-2", "0"] {
            assert_eq!(StreamName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for name in ["", "../x", "a/b", "Gate", "-x", "a b", "ü", &"x".repeat(33)] {
            assert!(StreamName::parse(name).is_err(), "{name:?}");
        }
    }
}
