//! What a viewer of the past may ask for, on the open socket.
//!
//! Owns: the JSON of one message, and what makes sense in it. Pure.

use serde::Deserialize;

use crate::base::time::WallTime;
use crate::dvr::Direction;
use crate::serve::http::request::parse_date;

/// Slower or faster than these no browser plays.
const FACTORS: std::ops::RangeInclusive<f64> = 0.25..=16.0;
/// From here on only key frames are played: no browser decodes all of them.
const KEYS_FROM: f64 = 8.0;

/// One message; all of its fields may be left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PlayerMessage {
    /// The date to go to.
    seek: Option<String>,
    /// How fast; negative is backwards.
    speed: Option<f64>,
    /// Send nothing more, or send again.
    pub(super) pause: Option<bool>,
    /// What is shown now, in seconds of the media timeline.
    pub(super) at: Option<f64>,
    /// Comes back with what is sent from there on, once something else is.
    pub(super) serial: Option<u32>,
}

/// How fast, and which way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speed(f64);

/// Why a message, or an address, makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error(
        "A message is a JSON object with `seek`, `speed`, `pause`, `at` and `serial`, or some of them."
    )]
    Message,
    #[error("A date is a time in RFC 3339, such as 2026-11-22T14:05:00Z, or Unix seconds.")]
    Date,
    #[error("`speed` is a number from 0.25 to 16, or from -0.25 to -16.")]
    Speed,
}

impl PlayerMessage {
    pub(super) fn parse(text: &str) -> Result<Self, MessageError> {
        // An array would do for serde, one field after the other.
        let object = text.trim_start().starts_with('{');
        object.then(|| serde_json::from_str(text).ok()).flatten().ok_or(MessageError::Message)
    }

    pub(super) fn seek(&self) -> Result<Option<WallTime>, MessageError> {
        self.seek.as_deref().map(date).transpose()
    }

    pub(super) fn speed(&self) -> Result<Option<Speed>, MessageError> {
        self.speed.map(Speed::new).transpose()
    }
}

fn date(text: &str) -> Result<WallTime, MessageError> {
    parse_date(text).ok_or(MessageError::Date)
}

impl Speed {
    pub(super) const ONE: Self = Self(1.0);

    pub(super) fn new(factor: f64) -> Result<Self, MessageError> {
        if FACTORS.contains(&factor.abs()) { Ok(Self(factor)) } else { Err(MessageError::Speed) }
    }

    pub(super) fn parse(text: &str) -> Result<Self, MessageError> {
        text.parse().map_err(|_| MessageError::Speed).and_then(Self::new)
    }

    /// With its sign.
    pub(super) fn factor(self) -> f64 {
        self.0
    }

    pub(super) fn way(self) -> Direction {
        if self.0 < 0.0 { Direction::Backward } else { Direction::Forward }
    }

    /// Whether only key frames are shown.
    pub(super) fn is_keys(self) -> bool {
        self.0 < 0.0 || self.0 >= KEYS_FROM
    }

    /// Whether what is sent for one serves for the other.
    pub(super) fn is_like(self, other: Self) -> bool {
        (self.way(), self.is_keys()) == (other.way(), other.is_keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_sense_is_heard() {
        let ask =
            PlayerMessage::parse(r#"{"seek":"2026-11-22T14:05:00+02:00","speed":-8,"serial":3}"#);
        let ask = ask.unwrap();
        let wall = WallTime::parse_rfc3339("2026-11-22T12:05:00Z");
        assert_eq!((ask.seek().unwrap(), ask.serial), (wall, Some(3)));
        assert_eq!(ask.speed().unwrap().map(Speed::factor), Some(-8.0));
        assert_eq!(PlayerMessage::parse("{}").unwrap(), PlayerMessage::default());
        for text in ["", "[]", "1", "{\"seek\":1}", "{\"sneek\":1}", "{\"serial\":-1}", "\u{0}"] {
            assert_eq!(PlayerMessage::parse(text), Err(MessageError::Message), "{text}");
        }
        for speed in ["0", "0.1", "17", "-17", "1e300"] {
            let ask = PlayerMessage::parse(&format!("{{\"speed\":{speed}}}")).unwrap();
            assert_eq!(ask.speed(), Err(MessageError::Speed), "{speed}");
        }
        for seek in ["", "yesterday", "2026-11-22", "99999-01-01T00:00:00Z"] {
            let ask = PlayerMessage { seek: Some(seek.to_owned()), ..PlayerMessage::default() };
            assert_eq!(ask.seek(), Err(MessageError::Date), "{seek}");
        }
    }

    #[test]
    fn what_is_sent_changes_with_the_way_and_the_frames_only() {
        let speed = |factor| Speed::new(factor).unwrap();
        assert!(speed(0.25).is_like(speed(4.0)));
        assert!(speed(8.0).is_like(speed(16.0)));
        assert!(speed(-1.0).is_like(speed(-16.0)));
        assert!(!speed(4.0).is_like(speed(8.0)));
        assert!(!speed(8.0).is_like(speed(-8.0)));
    }
}
