//! What an export says of itself: `manifest.json`, which the device key signs.
//!
//! Owns: the shape, for its writers and for its checkers. A sum precedes its name, one line each,
//! so that `VERIFY.txt` can hand both to sha256sum.

use serde::{Deserialize, Serialize};

use super::archive::Written;
use crate::base::device::PublicKey;
use crate::base::name::StreamName;
use crate::base::time::{ClockQuality, Trust, WallTime};
use crate::dvr::{Cause, ClockRow, Discontinuity, Gap, Listing, Reason};

/// Which shape it is.
pub(super) const FORMAT: &str = "holdfast-export-1";
/// Names of the members other than footage.
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const SIGNATURE: &str = "manifest.sig";
pub(super) const PUBLIC_KEY: &str = "device-key.pem";
pub(super) const HOW_TO: &str = "VERIFY.txt";
/// What [`HOW_TO`] says.
pub(super) const HOW_TO_TEXT: &str = include_str!("verify.txt");

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Manifest {
    pub(super) format: &'static str,
    pub(super) id: String,
    /// When the export was asked for; the date of every member.
    pub(super) made: WallTime,
    pub(super) note: String,
    pub(super) software: Software,
    pub(super) device: Device,
    pub(super) range: ManifestRange,
    pub(super) clock: Clock,
    pub(super) streams: Vec<Contents>,
    pub(super) files: Vec<Listed>,
}

#[derive(Debug, Serialize)]
pub(super) struct Software {
    pub(super) program: &'static str,
    pub(super) version: &'static str,
}

/// Which box it was.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) host: String,
    pub(super) key_sha256: String,
    pub(super) public_key: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ManifestRange {
    pub(super) start: String,
    pub(super) end: String,
}

/// How far the date can be believed: when the export was made, and in the boots of the footage.
#[derive(Debug, Serialize)]
pub(super) struct Clock {
    trust: Trust,
    error_ms: Option<u64>,
    rows: Vec<Row>,
}

/// From here on in a boot this was the date.
#[derive(Debug, Serialize)]
struct Row {
    boot: String,
    at_secs: f64,
    date: WallTime,
    trust: Trust,
    error_ms: Option<u64>,
}

impl Clock {
    pub(super) fn new<'a>(quality: ClockQuality, rows: impl Iterator<Item = &'a ClockRow>) -> Self {
        let millis = |max: std::time::Duration| u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        let row = |row: &ClockRow| Row {
            boot: crate::base::device::hex(&row.boot),
            at_secs: std::time::Duration::from_nanos(row.at.as_nanos()).as_secs_f64(),
            date: row.utc,
            trust: row.trust,
            error_ms: row.error_ms,
        };
        let error_ms = quality.error_max.map(millis);
        Self { trust: quality.trust, error_ms, rows: rows.map(row).collect() }
    }
}

/// What there is of one stream.
#[derive(Debug, Serialize)]
pub(super) struct Contents {
    pub(super) stream: StreamName,
    /// The file, unless nothing is recorded in the range.
    pub(super) file: Option<String>,
    /// Date of the first picture that is shown.
    pub(super) start: Option<WallTime>,
    /// Date at which the last one ends.
    pub(super) end: Option<WallTime>,
    /// The boots in which it was recorded; `clock` says how far their dates can be believed.
    pub(super) boots: Vec<String>,
    /// What is missing between start and end of the range, and why.
    pub(super) gaps: Vec<Gap>,
    /// Where the date leapt.
    pub(super) seams: Vec<Discontinuity>,
}

/// A file in the archive.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) sha256: String,
    pub(super) name: String,
    pub(super) bytes: u64,
}

impl From<Written> for Listed {
    fn from(Written { name, bytes, sha256 }: Written) -> Self {
        Self { sha256, name, bytes }
    }
}

impl Device {
    pub(super) fn new(key: &PublicKey) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            host: host.trim().to_owned(),
            key_sha256: key.fingerprint(),
            public_key: key.to_pem(),
        }
    }
}

/// All that is missing between two dates: the gaps of a range, cut to it, and the time before the
/// first and after the last known footage.
pub(super) fn gaps(listing: &Listing, start: WallTime, end: WallTime) -> Vec<Gap> {
    let cut = |gap: &Gap| Gap { start: gap.start.max(start), end: gap.end.min(end), ..gap.clone() };
    let mut gaps: Vec<Gap> = listing.gaps.iter().map(cut).collect();
    let known = listing.runs.iter().map(|run| (run.start, run.end));
    let known: Vec<_> = known.chain(gaps.iter().map(|gap| (gap.start, gap.end))).collect();
    let first = known.iter().map(|(from, _)| *from).min();
    let last = known.iter().map(|(_, until)| *until).max();
    let (Some(first), Some(last)) = (first, last) else {
        return vec![unknown(start, end, "This stream has no recording in this range.")];
    };
    gaps.insert(0, unknown(start, first, "The ring has nothing older of this stream."));
    gaps.push(unknown(last, end, "This stream recorded nothing newer before the export."));
    gaps.retain(|gap| gap.start < gap.end);
    gaps
}

fn unknown(start: WallTime, end: WallTime, message: &str) -> Gap {
    let (reason, message) = (Cause::Unknown, message.to_owned());
    Gap { start, end, reason, message: message.clone(), reasons: vec![Reason { reason, message }] }
}

/// What a check of an export reads of its manifest.
#[derive(Debug, Deserialize)]
pub(super) struct Claim {
    pub(super) format: String,
    pub(super) made: String,
    pub(super) note: String,
    pub(super) device: Device,
    pub(super) range: ManifestRange,
    pub(super) streams: Vec<ClaimedStream>,
    pub(super) files: Vec<Listed>,
}

/// Of one stream.
#[derive(Debug, Deserialize)]
pub(super) struct ClaimedStream {
    pub(super) stream: String,
    pub(super) gaps: Vec<ClaimedGap>,
}

/// Of one gap.
#[derive(Debug, Deserialize)]
pub(super) struct ClaimedGap {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dvr::Recording;

    fn at(secs: i64) -> WallTime {
        WallTime::from_unix_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn all_that_is_missing_is_told_up_to_the_ends_of_the_range() {
        let run =
            |from, until| Recording { start: at(from), end: at(until), bytes: 1, fragments: 1 };
        let mut listing = Listing { runs: vec![run(10, 20), run(30, 40)], ..Listing::default() };
        listing.gaps.push(unknown(at(20), at(30), "away"));
        let told = |start: i64, end: i64| {
            let gaps = gaps(&listing.clone().between(at(start), at(end)), at(start), at(end));
            let secs = |at: WallTime| at.as_unix_millis() / 1_000;
            gaps.iter().map(|gap| (secs(gap.start), secs(gap.end))).collect::<Vec<_>>()
        };
        assert_eq!(told(0, 50), [(0, 10), (20, 30), (40, 50)]);
        assert_eq!(told(12, 38), [(20, 30)]);
        assert_eq!(told(25, 38), [(25, 30)]);
        assert_eq!(told(60, 70), [(60, 70)]);
    }
}
