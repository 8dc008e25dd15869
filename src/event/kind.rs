//! The kinds of events.
//!
//! Owns: their names, which never change.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::base::limits::MARK_KIND_BYTES_MAX;

/// What kind of thing happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Cow<'static, str>);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
            /// Every kind whose name is fixed.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    /// The daemon started.
    BOX_STARTED = "box.started";
    /// A new configuration is in force.
    CONFIG_CHANGED = "config.changed";
    /// An export is finished.
    EXPORT_FINISHED = "export.finished";
    /// An export failed.
    EXPORT_FAILED = "export.failed";
    /// The box's health, or what is wrong with it, changed.
    HEALTH_CHANGED = "health.changed";
    /// A range is protected.
    RANGE_PROTECTED = "range.protected";
    /// A range is no longer protected.
    RANGE_RELEASED = "range.released";
    /// Footage is missing; sent when the gap ends.
    RECORDING_GAP = "recording.gap";
    /// Footage is being stored.
    RECORDING_STARTED = "recording.started";
    /// Footage is no longer being stored.
    RECORDING_STOPPED = "recording.stopped";
    /// The box repaired something.
    RECOVERY_ACTION = "recovery.action";
    /// A stream was added to the configuration.
    STREAM_ADDED = "stream.added";
    /// A stream is live.
    STREAM_LIVE = "stream.live";
    /// A stream lost its source.
    STREAM_OFFLINE = "stream.offline";
    /// A stream was removed from the configuration.
    STREAM_REMOVED = "stream.removed";
    /// A stream is being connected.
    STREAM_STARTING = "stream.starting";
    /// A stream waits for a publisher.
    STREAM_WAITING = "stream.waiting";
    /// A test event that a person asked for.
    WEBHOOK_TEST = "webhook.test";
}

impl Kind {
    /// Prefix of the kinds of marks.
    pub const MARK: &'static str = "mark.";

    /// The kind of a mark of this kind; `None` unless it is a word of `a-z`, `0-9`, `_` and `-`.
    #[must_use]
    pub fn of_mark(kind: &str) -> Option<Self> {
        is_word(kind).then(|| Self(Cow::Owned(format!("{}{kind}", Self::MARK))))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Whether a mark may be of this kind.
pub(super) fn is_word(text: &str) -> bool {
    let letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=MARK_KIND_BYTES_MAX).contains(&text.len()) && text.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_have_an_area() {
        assert!(Kind::ALL.iter().all(|kind| kind.as_str().split('.').count() == 2));
        assert_eq!(Kind::of_mark("door-2").unwrap().as_str(), "mark.door-2");
        for wrong in ["", "a.b", "Door", "ü", &"x".repeat(33)] {
            assert!(Kind::of_mark(wrong).is_none(), "{wrong}");
        }
    }
}
