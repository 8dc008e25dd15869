//! A pattern of stream names, such as `cam-*`.
//!
//! Owns: what a pattern may look like, and which names it matches.

use std::sync::Arc;

use super::limits::STREAM_NAME_BYTES_MAX;
use super::name::StreamName;

/// A stream name, or one with a `*` in it for one or more characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(Arc<str>);

impl NamePattern {
    /// Checks `text` and keeps it: with a character in the place of its star, if it has one, it has
    /// to be a stream name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= STREAM_NAME_BYTES_MAX && text.matches('*').count() <= 1;
        let is_name = fits && StreamName::parse(&text.replace('*', "x")).is_ok();
        is_name.then(|| Self(text.into()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has a star.
    #[must_use]
    pub fn has_star(&self) -> bool {
        self.0.contains('*')
    }

    /// Whether the stream `name` is one of those that are meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((before, behind)) = self.0.split_once('*') else { return *self.0 == *name };
        let rest = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
        rest.is_some_and(|rest| !rest.is_empty())
    }

    /// Whether every name that `other` matches is matched here too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // A star is no character of a name, so one only fits where there is one here.
        self == other || self.matches(other.as_str())
    }
}

impl From<StreamName> for NamePattern {
    fn from(name: StreamName) -> Self {
        Self(name.as_str().into())
    }
}

impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_is_one_or_more_characters() {
        for (text, matching, others) in [
            ("cam-*", &["cam-1", "cam-north-2"][..], &["cam-", "cam", "xcam-1", "CAM-1"][..]),
            ("*-phone", &["a-phone"], &["-phone", "phone", "a-phones"]),
            ("a*b", &["axb"], &["ab", "ax", "xb"]),
            ("*", &["gate"], &[""]),
            ("gate", &["gate"], &["gates", ""]),
        ] {
            assert!(matching.iter().all(|name| pattern(text).matches(name)), "{text}");
            assert!(others.iter().all(|name| !pattern(text).matches(name)), "{text}");
        }
    }

    #[test]
    fn what_no_name_could_match_is_no_pattern() {
        for text in ["", "a**", "*a*", "-*", "Cam-*", "a/*", "a.*", &"x".repeat(33)] {
            assert!(NamePattern::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_narrower_pattern_is_covered_by_a_wider_one() {
        assert!(pattern("cam-*").covers(&pattern("cam-1*")));
        assert!(pattern("cam-*").covers(&pattern("cam-*")));
        assert!(pattern("cam-*").covers(&pattern("cam-1")));
        assert!(!pattern("cam-1*").covers(&pattern("cam-*")));
        assert!(!pattern("cam-1").covers(&pattern("cam-*")));
    }
}
