//! Which events a reader wants.
//!
//! Owns: how kinds and streams are named, in a query and in the configuration.

use super::Event;
use super::kind::{Kind, is_word};
use crate::base::limits::EVENT_FILTER_LEN_MAX;
use crate::base::name::StreamName;

/// Which kinds of which streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Empty means all.
    kinds: Vec<Pattern>,
    /// Empty means all, and events without a stream.
    streams: Vec<StreamName>,
}

/// A kind, or an area of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Kind(String),
    /// With its trailing dot.
    Area(String),
}

/// Why a text does not name a kind of event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a kind of event")]
pub struct FilterError {
    /// The text.
    pub text: String,
}

impl Filter {
    /// What is expected where a [`FilterError`] is reported.
    pub const EXPECTED: &'static str =
        "a kind such as \"stream.offline\", or an area such as \"stream.*\"";

    /// A filter for `kinds` (none: all) of `streams` (none: all, and what has no stream).
    pub fn new<'a>(
        kinds: impl Iterator<Item = &'a str>,
        streams: Vec<StreamName>,
    ) -> Result<Self, FilterError> {
        let kinds: Vec<_> =
            kinds.take(EVENT_FILTER_LEN_MAX).map(pattern).collect::<Result<_, _>>()?;
        Ok(Self { kinds, streams })
    }

    /// Whether `event` is wanted.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let name = event.kind.as_str();
        let kind = self.kinds.is_empty()
            || self.kinds.iter().any(|pattern| match pattern {
                Pattern::Kind(kind) => kind == name,
                Pattern::Area(area) => name.starts_with(area),
            });
        let stream = self.streams.is_empty()
            || event.stream.as_ref().is_some_and(|stream| self.streams.contains(stream));
        kind && stream
    }

    /// The streams it is limited to; empty if it is not limited.
    #[must_use]
    pub fn streams(&self) -> &[StreamName] {
        &self.streams
    }

    /// The kinds as they were given.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let text = |pattern: &Pattern| match pattern {
            Pattern::Kind(kind) => kind.clone(),
            Pattern::Area(area) => format!("{area}*"),
        };
        self.kinds.iter().map(text).collect()
    }
}

fn pattern(text: &str) -> Result<Pattern, FilterError> {
    let unknown = || FilterError { text: text.chars().take(64).collect() };
    if let Some(area) = text.strip_suffix('*') {
        let known = Kind::ALL.iter().any(|kind| kind.as_str().starts_with(area));
        let named = area.ends_with('.') && (known || area == Kind::MARK);
        return named.then(|| Pattern::Area(area.to_owned())).ok_or_else(unknown);
    }
    let known = Kind::ALL.iter().any(|kind| kind.as_str() == text)
        || text.strip_prefix(Kind::MARK).is_some_and(is_word);
    known.then(|| Pattern::Kind(text.to_owned())).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::time::{Trust, WallTime};
    use crate::event::{Audience, Severity};

    fn event(kind: Kind, stream: Option<&str>) -> Event {
        Event {
            id: String::new(),
            seq: 1,
            kind,
            time: WallTime::from_unix_nanos(0),
            clock: Trust::None,
            stream: stream.map(|name| StreamName::parse(name).unwrap()),
            severity: Severity::Info,
            audience: Audience::Live,
            data: json!({}),
        }
    }

    #[test]
    fn kinds_areas_and_streams_are_wanted_as_named() {
        let gate = || vec![StreamName::parse("gate").unwrap()];
        let motion = Kind::of_mark("motion").unwrap();
        let all = Filter::default();
        assert!(all.wants(&event(motion.clone(), None)));
        let some = Filter::new(["stream.*", "mark.motion"].into_iter(), gate()).unwrap();
        assert!(some.wants(&event(Kind::STREAM_LIVE, Some("gate"))));
        assert!(some.wants(&event(motion, Some("gate"))));
        assert!(!some.wants(&event(Kind::STREAM_LIVE, Some("yard"))));
        assert!(!some.wants(&event(Kind::CONFIG_CHANGED, None)));
        assert!(!some.wants(&event(Kind::of_mark("door").unwrap(), Some("gate"))));
        assert_eq!(some.kinds(), ["stream.*", "mark.motion"]);
    }

    #[test]
    fn what_is_no_kind_is_refused() {
        for wrong in ["", "*", "stream", "stream.gone", "stream*", "mark.", "mark.a.b", "x.*"] {
            assert!(Filter::new([wrong].into_iter(), Vec::new()).is_err(), "{wrong}");
        }
        assert!(Filter::new(["mark.*"].into_iter(), Vec::new()).is_ok());
    }
}
