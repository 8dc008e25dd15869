//! Protected ranges: footage that is never given to newer footage.
//!
//! Owns: what a pin is, which slots it holds, and how much may be protected. A pin holds laps
//! of slots by their numbers, not by their dates, so that a clock that is set later cannot
//! unprotect anything; while its range reaches into the future it takes in what is recorded.

use serde::{Deserialize, Serialize};

use crate::base::limits::{
    PIN_AHEAD_MAX, PIN_OWNER_BYTES_MAX, PIN_REASON_BYTES_MAX, PIN_SHARE_PERCENT_MAX, PINS_MAX,
};
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::catalogue::table::Catalogue;
use crate::dvr::format::form;

/// A protected range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its name for programs.
    pub id: u64,
    /// The stream.
    pub stream: StreamName,
    /// From when.
    #[serde(with = "form::nanos")]
    pub from: WallTime,
    /// Until when.
    #[serde(with = "form::nanos")]
    pub until: WallTime,
    /// Why, for people.
    pub reason: String,
    /// Name of the person who asked for it, for display.
    pub owner: String,
    /// When it ends by itself; only a trusted clock ends it.
    #[serde(with = "form::nanos_or_none", default)]
    pub expires: Option<WallTime>,
    /// When it was made.
    #[serde(with = "form::nanos")]
    pub made: WallTime,
    /// The first and last lap of the stream that it holds; none before anything is recorded.
    pub laps: Option<(u64, u64)>,
}

/// The range and its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPin {
    /// The stream.
    pub stream: StreamName,
    /// From when.
    pub from: WallTime,
    /// Until when.
    pub until: WallTime,
    /// Why.
    pub reason: String,
    /// Who.
    pub owner: String,
    /// When it ends by itself.
    pub expires: Option<WallTime>,
}

/// Why a range is not protected, or a note not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The range is empty, too far ahead, or its texts are too long.
    #[error("{0}")]
    Wrong(String),
    /// Nothing is recorded there, and nothing will be.
    #[error("nothing of '{stream}' is recorded between these times")]
    Empty {
        /// The stream.
        stream: StreamName,
    },
    /// Too much would be protected.
    #[error(
        "{wanted_bytes} bytes would be protected, at most {max_bytes} may be ({percent} % of the \
         ring); remove another protected range first", percent = PIN_SHARE_PERCENT_MAX
    )]
    Full {
        /// With this one.
        wanted_bytes: u64,
        /// At most.
        max_bytes: u64,
    },
    /// Too many ranges are protected.
    #[error("{max} ranges are protected already; remove another one first", max = PINS_MAX)]
    TooMany,
    /// No pin has that name.
    #[error("no protected range has this id")]
    Unknown,
    /// Not now: the ring is not open, its content is not known yet, or the disk does not take
    /// the note.
    #[error("{0}")]
    NotNow(String),
}

impl NewPin {
    /// Checks everything that needs no look at the ring.
    pub fn check(&self, now: WallTime) -> Result<(), PinError> {
        let wrong = |text: String| Err(PinError::Wrong(text));
        if self.until <= self.from {
            return wrong("`to` must be later than `from`.".to_owned());
        }
        let ahead = i64::try_from(PIN_AHEAD_MAX.as_nanos()).unwrap_or(i64::MAX);
        if self.until > now.offset_nanos(ahead) {
            let hours = PIN_AHEAD_MAX.as_secs() / 3_600;
            return wrong(format!("`to` may be at most {hours} hours ahead."));
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return wrong("`expires` has passed already.".to_owned());
        }
        if self.reason.is_empty() || self.reason.len() > PIN_REASON_BYTES_MAX {
            return wrong(format!("`reason` must have 1 to {PIN_REASON_BYTES_MAX} bytes."));
        }
        if self.owner.len() > PIN_OWNER_BYTES_MAX {
            return wrong(format!("`owner` may have at most {PIN_OWNER_BYTES_MAX} bytes."));
        }
        Ok(())
    }
}

/// Bytes of the slots that any of `pins` holds.
pub(crate) fn held_bytes<'a>(
    table: &Catalogue,
    pins: impl Iterator<Item = &'a Pin> + Clone,
    slot_bytes: u64,
) -> u64 {
    let is_held = |stream: &StreamName, generation: u64| {
        pins.clone().any(|pin| pin.stream == *stream && holds(pin, generation))
    };
    let held = table.held().filter(|(_, held)| is_held(&held.stream, held.generation));
    held.count() as u64 * slot_bytes
}

/// Bytes that `pins` take of what may be protected: slots that cannot be read now may hold
/// protected laps, and are read again later.
pub(crate) fn bytes_taken<'a>(
    table: &Catalogue,
    pins: impl Iterator<Item = &'a Pin> + Clone,
    slot_bytes: u64,
) -> u64 {
    held_bytes(table, pins, slot_bytes) + table.unreadable() * slot_bytes
}

/// Whether the pin holds this lap of its stream.
pub(crate) fn holds(pin: &Pin, generation: u64) -> bool {
    pin.laps.is_some_and(|(first, last)| (first..=last).contains(&generation))
}

/// Bytes of a ring that may be protected.
#[must_use]
pub(crate) fn bytes_max(ring_bytes: u64) -> u64 {
    ring_bytes.saturating_mul(PIN_SHARE_PERCENT_MAX) / 100
}
