//! How much the ring holds and how long that will be.
//!
//! Owns: the measured bit rates and the forecast made from them.

use crate::dvr::catalogue::continuity::Extent;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::name::StreamName;
use crate::base::time::{Trust, WallTime};
use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::catalogue::pin;
use crate::dvr::catalogue::shrink_plan::Proposal;
use crate::dvr::store::shrink;
use crate::dvr::store::state::{DvrState, DvrStatus};

/// A bit rate is measured over the newest footage of this length, as far as there is any.
const MEASURED_SECS: f64 = 3_600.0;
/// Less footage than this tells no bit rate.
const MEASURED_SECS_MIN: f64 = 10.0;

/// Everything about the storage in one answer.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct StorageReport {
    /// The ring, and how each stream's recording goes.
    #[serde(flatten)]
    pub status: DvrStatus,
    /// How far the content of the slots is known after a start.
    pub index: IndexProgress,
    /// What is protected.
    pub protected: Protected,
    /// What the ring will hold.
    pub forecast: Forecast,
    /// What the ring holds of each stream, configured or not.
    pub holdings: BTreeMap<StreamName, Holding>,
    /// How far the date is believed.
    pub clock: ClockView,
    /// What shrinking the ring to its configured size would delete; `None` when it is not larger.
    pub shrink: Option<Proposal>,
}

/// How far the content of the slots is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct IndexProgress {
    /// Slots whose content is known.
    pub known_slots: u64,
    /// Slots that hold footage.
    pub held_slots: u64,
    /// Both are the same.
    pub complete: bool,
}

/// What is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Protected {
    /// Ranges.
    pub ranges: usize,
    /// Bytes of the slots that they hold.
    pub bytes: u64,
    /// Bytes that may be protected.
    pub max_bytes: u64,
}

/// What the ring will hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Forecast {
    /// Measured bit rate of all streams that are recorded; those without footage count nothing.
    pub bitrate_bps: u64,
    /// Days that the part of the ring holds that is not protected; `None` without a bit rate.
    pub days: Option<f64>,
}

/// What the ring holds of one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Holding {
    /// Slots.
    pub slots: u64,
    /// Bytes of footage in those that are known.
    pub bytes: u64,
    /// Date of the oldest footage that is known.
    pub oldest: Option<WallTime>,
    /// Date at which the newest ends.
    pub newest: Option<WallTime>,
    /// Measured over the newest hour.
    pub bitrate_bps: Option<u64>,
    /// Slots reused for newer footage, as far as it is written down.
    pub evicted_slots: u64,
    /// Bytes of footage that went with them.
    pub evicted_bytes: u64,
}

/// How far the date is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ClockView {
    /// Who vouches for it.
    pub trust: Trust,
    /// Largest error that is known, in milliseconds.
    pub error_ms: Option<u64>,
}

/// Looks at everything.
pub(crate) fn storage(shared: &DvrState) -> StorageReport {
    let (status, shrink) = (shared.status(), shrink::propose(shared));
    let (facts, table) = (shared.facts(), shared.table());
    let mut held: BTreeMap<&StreamName, Vec<&LapInfo>> = BTreeMap::new();
    for (_, lap) in table.held() {
        held.entry(&lap.stream).or_default().push(lap);
    }
    let mut holdings = BTreeMap::new();
    for (stream, mut laps) in held {
        laps.sort_by_key(|lap| lap.generation);
        let placed = |lap: &&LapInfo| {
            lap.stretches.iter().map(|s| s.placed(&facts.clock, lap.boot)).collect::<Vec<_>>()
        };
        let dates: Vec<_> = laps.iter().flat_map(placed).collect();
        let noted = facts.evicted.get(stream).copied().unwrap_or_default();
        // What the journal has not heard of yet counts as well.
        let since = shared.evicted().get(stream).copied().unwrap_or_default();
        let (evicted_slots, evicted_bytes) = (noted.0 + since.0, noted.1 + since.1);
        let holding = Holding {
            slots: laps.len() as u64,
            bytes: laps.iter().map(|lap| lap.bytes).sum(),
            oldest: dates.iter().map(|(start, _)| *start).min(),
            newest: dates.iter().map(|(_, end)| *end).max(),
            bitrate_bps: bitrate(&laps),
            evicted_slots,
            evicted_bytes,
        };
        holdings.insert(stream.clone(), holding);
    }
    let protected = Protected {
        ranges: facts.pins.len(),
        bytes: pin::held_bytes(&table, facts.pins.values(), status.slot_bytes),
        max_bytes: pin::bytes_max(status.size_bytes),
    };
    let recorded = status.streams.keys().filter_map(|name| holdings.get(name)?.bitrate_bps);
    let forecast = forecast(recorded.sum(), status.size_bytes.saturating_sub(protected.bytes));
    let quality = shared.clock.quality();
    let error_ms = quality.error_max.map(|max| u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
    let index = IndexProgress {
        known_slots: status.indexed_slots,
        held_slots: status.held_slots,
        complete: status.indexed_slots == status.held_slots,
    };
    let clock = ClockView { trust: quality.trust, error_ms };
    StorageReport { status, index, protected, forecast, holdings, clock, shrink }
}

/// Bits per second of the newest footage; `laps` are in order.
fn bitrate(laps: &[&LapInfo]) -> Option<u64> {
    let (mut bytes, mut secs) = (0, 0.0);
    let newest = laps.iter().rev().flat_map(|lap| lap.stretches.iter().rev());
    for (more, longer) in newest.map(Extent::measure) {
        (bytes, secs) = (bytes + more, secs + longer);
        if secs >= MEASURED_SECS {
            break;
        }
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // A ring's bytes and a bit rate are far inside what a double holds exactly.
    let bps = || (bytes as f64 * 8.0 / secs) as u64;
    (secs >= MEASURED_SECS_MIN).then(bps)
}

fn forecast(bitrate_bps: u64, bytes: u64) -> Forecast {
    #[allow(clippy::cast_precision_loss)] // as above
    let days = |bps: u64| (bytes as f64 * 8.0 / bps as f64 / 86_400.0 * 100.0).round() / 100.0;
    Forecast { bitrate_bps, days: (bitrate_bps > 0).then(|| days(bitrate_bps)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_holds_as_long_as_its_streams_let_it() {
        // 4 × 4 Mbit/s are 172.8 GB a day.
        let held = forecast(16_000_000, 345_600_000_000);
        assert_eq!(held.days, Some(2.0));
        assert_eq!(forecast(0, 1).days, None);
    }
}
