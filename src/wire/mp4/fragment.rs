//! One `moof` + `mdat` out of access units.
//!
//! Owns: the sample tables of a fragment. Does not own: when a fragment ends; the caller that fills
//! it decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::boxes::{put_box, put_full_box};
use super::{SAMPLE_FLAGS_DELTA, SAMPLE_FLAGS_SYNC, put_roll_description, track_id};
use crate::base::time::{BootTime, MediaTime};
use crate::media::{AccessUnit, Captured, Entry, Kind, Leading, PictureCost, RunId, TrackId};

/// `tfhd`: offsets count from the start of the `moof` (ISO/IEC 14496-12 §8.8.7.1).
const TFHD_DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// `trun` flags, §8.8.8.1.
const TRUN_DATA_OFFSET: u32 = 0x001;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;
/// `is_leading` of `sample_flags`, §8.8.3.1: shown before the entry point that it follows in the file,
/// and not to be decoded by one who begins there, or to be decoded all the same.
const FLAGS_LEADING_UNDECODABLE: u32 = 1 << 26;
const FLAGS_LEADING_DECODABLE: u32 = 3 << 26;
/// A description of the fragment's own, the first of them (§8.9.2).
const OWN_DESCRIPTION: u32 = 0x1_0001;
/// Length of a box header: size and type.
const BOX_HEADER_BYTES: usize = 8;

/// Units of one fragment in the making: any tracks, in decode order within each.
#[derive(Debug)]
pub struct FragmentBuilder {
    sequence: u32,
    units: Vec<Arc<AccessUnit>>,
    bytes: usize,
    /// How far apart a track's units are, in its ticks, where that is known.
    learned: BTreeMap<TrackId, u32>,
    cost: PictureCost,
}

/// The times of a fragment's first unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentTimes {
    /// Decoding time on the stream's timeline.
    pub decode: MediaTime,
    /// Presentation time.
    pub present: MediaTime,
    /// When it arrived or was made here.
    pub arrived: BootTime,
    /// When the camera took it.
    pub captured: Captured,
}

/// A `moof` and its `mdat`.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// The `moof` and the header of the `mdat`.
    pub head: Bytes,
    /// The samples, in the order of the `mdat`.
    pub data: Vec<Bytes>,
    /// Whether a reader can begin here: the first video sample is an entry point, or the stream has
    /// no video.
    pub starts_with_key: bool,
    /// Which kind of entry point that is.
    pub entry: Option<Entry>,
    /// Number of samples over all tracks.
    pub samples: u32,
    /// The times of the first unit that was pushed.
    pub first: FragmentTimes,
    /// When the unit that was pushed last arrived.
    pub last_arrived: BootTime,
    /// The run of the first unit.
    pub run: RunId,
    /// How long the longest track plays.
    pub span: Duration,
    /// Units known to be lost before or between its units, over all tracks.
    pub lost: u32,
    /// `mfhd` sequence number.
    pub sequence: u32,
    /// What its pictures took, where that was measured.
    pub cost: PictureCost,
}

/// One sample of a track: its duration in ticks, and the unit.
struct Sample<'a> {
    ticks: u32,
    unit: &'a AccessUnit,
}

impl FragmentBuilder {
    /// Begins fragment number `sequence` (§8.8.5; counts from one within a file, and may wrap).
    #[must_use]
    pub fn new(sequence: u32) -> Self {
        Self {
            sequence,
            units: Vec::with_capacity(96),
            bytes: 0,
            learned: BTreeMap::new(),
            cost: PictureCost::default(),
        }
    }

    /// Adds `unit`, which is not before the last one of its track.
    pub fn push(&mut self, unit: Arc<AccessUnit>) {
        self.bytes += unit.data.len();
        self.units.push(unit);
    }

    /// Says how far apart the units of `track` are, in its ticks: how long the last one lasts when
    /// nothing else tells.
    pub fn set_interval(&mut self, track: TrackId, ticks: u32) {
        self.learned.insert(track, ticks);
    }

    /// Says what its pictures took, which only a recording keeps.
    pub fn set_cost(&mut self, cost: PictureCost) {
        self.cost = cost;
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Media bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Units so far.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// The first unit that was pushed.
    #[must_use]
    pub fn first(&self) -> Option<&Arc<AccessUnit>> {
        self.units.first()
    }

    /// Ends the fragment.
    ///
    /// The duration of a track's last sample reaches to `next` when that is of the same track
    /// and run; else it is that of the sample before, what was learned of the track, or what is
    /// typical of the codec.
    ///
    /// # Panics
    /// When nothing was pushed: an empty fragment has no times.
    #[must_use]
    pub fn build(self, next: Option<&AccessUnit>) -> Fragment {
        let first = Arc::clone(self.units.first().expect("a fragment is built from units"));
        let tracks = by_track(&self.units, next, &self.learned);
        let head = head(self.sequence, &tracks, self.bytes);
        let samples = || tracks.values().flatten();
        Fragment {
            head,
            data: samples().map(|sample| sample.unit.data.clone()).collect(),
            starts_with_key: entry(&tracks).is_some(),
            entry: entry(&tracks),
            samples: u32::try_from(self.units.len()).unwrap_or(u32::MAX),
            first: FragmentTimes {
                decode: first.decode,
                present: first.present,
                arrived: first.arrived,
                captured: first.captured,
            },
            last_arrived: self.units.last().map_or(first.arrived, |unit| unit.arrived),
            run: first.run,
            span: tracks.values().map(|track| span(track)).max().unwrap_or_default(),
            lost: samples().map(|sample| u32::from(sample.unit.lost_before)).sum(),
            sequence: self.sequence,
            cost: self.cost,
        }
    }
}

impl Fragment {
    /// Bytes of `moof` and `mdat` together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.data.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether it is empty, which never happens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes in order, without copying the samples.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.head).chain(&self.data)
    }

    /// Its bytes in one buffer, with one copy of the samples.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.len());
        for piece in self.pieces() {
            out.extend_from_slice(piece);
        }
        out.into()
    }
}

/// The samples of each track with their durations.
fn by_track<'a>(
    units: &'a [Arc<AccessUnit>],
    next: Option<&AccessUnit>,
    learned: &BTreeMap<TrackId, u32>,
) -> BTreeMap<TrackId, Vec<Sample<'a>>> {
    let mut tracks: BTreeMap<TrackId, Vec<Sample<'a>>> = BTreeMap::new();
    for unit in units {
        let samples = tracks.entry(unit.track).or_default();
        if let Some(last) = samples.last_mut() {
            last.ticks = ticks_between(last.unit, unit);
        }
        samples.push(Sample { ticks: 0, unit });
    }
    for samples in tracks.values_mut() {
        let before = samples.iter().rev().nth(1).map(|sample| sample.ticks);
        if let Some(last) = samples.last_mut() {
            let follows = next.filter(|n| n.track == last.unit.track && n.run == last.unit.run);
            last.ticks = follows
                .map(|next| ticks_between(last.unit, next))
                .or(before)
                .or_else(|| learned.get(&last.unit.track).copied())
                .unwrap_or_else(|| last.unit.params.typical_ticks(last.unit.data.len()));
        }
    }
    tracks
}

/// At least one tick, because decode times grow strictly (§8.6.1.2.1).
fn ticks_between(earlier: &AccessUnit, later: &AccessUnit) -> u32 {
    let ticks = later.decode.ticks.saturating_sub(earlier.decode.ticks);
    u32::try_from(ticks.max(1)).unwrap_or(u32::MAX)
}

fn span(samples: &[Sample<'_>]) -> Duration {
    let ticks: u64 = samples.iter().map(|sample| u64::from(sample.ticks)).sum();
    let rate = samples.first().map_or(1, |sample| u64::from(sample.unit.decode.rate.get()));
    Duration::from_secs(ticks / rate) + Duration::from_nanos(ticks % rate * 1_000_000_000 / rate)
}

fn entry(tracks: &BTreeMap<TrackId, Vec<Sample<'_>>>) -> Option<Entry> {
    let first = |samples: &Vec<Sample<'_>>| samples.first().and_then(|s| s.unit.entry);
    let video = tracks.values().find(|samples| kind(samples) == Some(Kind::Video));
    video.map_or_else(|| tracks.values().find_map(first), first)
}

fn kind(samples: &[Sample<'_>]) -> Option<Kind> {
    samples.first().map(|sample| sample.unit.params.kind())
}

/// The `moof` (§8.8.4) and the header of the `mdat` (§8.1.1).
fn head(sequence: u32, tracks: &BTreeMap<TrackId, Vec<Sample<'_>>>, media_bytes: usize) -> Bytes {
    let samples: usize = tracks.values().map(Vec::len).sum();
    let mut out = Vec::with_capacity(64 + tracks.len() * 96 + samples * 16);
    let mut offsets = Vec::with_capacity(tracks.len());
    put_box(&mut out, b"moof", |out| {
        put_full_box(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for (&track, samples) in tracks {
            offsets.push(put_track_fragment(out, track, samples));
        }
    });
    let mut data_at = out.len() + BOX_HEADER_BYTES;
    for (offset_at, samples) in offsets.into_iter().zip(tracks.values()) {
        let offset = u32::try_from(data_at).expect("a fragment is bounded far below 4 GiB");
        out[offset_at..offset_at + 4].copy_from_slice(&offset.to_be_bytes());
        data_at += samples.iter().map(|sample| sample.unit.data.len()).sum::<usize>();
    }
    let mdat = u32::try_from(media_bytes + BOX_HEADER_BYTES).expect("bounded far below 4 GiB");
    out.put_u32(mdat);
    out.put_slice(b"mdat");
    out.into()
}

/// Appends a `traf` (§8.8.6); returns the position of its `data_offset`, to be filled in later.
fn put_track_fragment(out: &mut Vec<u8>, track: TrackId, samples: &[Sample<'_>]) -> usize {
    let decode = samples.first().map_or(0, |sample| sample.unit.decode.ticks);
    let mut offset_at = 0;
    put_box(out, b"traf", |out| {
        put_full_box(out, b"tfhd", 0, TFHD_DEFAULT_BASE_IS_MOOF, |out| {
            out.put_u32(track_id(track));
        });
        // Boot is before the first unit, so a negative time is a fault of the source; it is
        // played from zero rather than wrapped to the end of time.
        put_full_box(out, b"tfdt", 1, 0, |out| out.put_u64(u64::try_from(decode).unwrap_or(0)));
        offset_at = put_run(out, samples);
        if let Some(Entry::Gradual(pictures @ 1..)) = samples.first().and_then(|s| s.unit.entry) {
            put_roll(out, pictures, samples.len());
        }
    });
    offset_at
}

/// Says that who begins at the first of `samples` has whole pictures after so many (§10.1, §8.9.2).
fn put_roll(out: &mut Vec<u8>, pictures: u16, samples: usize) {
    put_roll_description(out, &[pictures]);
    put_full_box(out, b"sbgp", 0, 0, |out| {
        out.put_slice(b"roll");
        out.put_u32(2);
        for (count, description) in [(1, OWN_DESCRIPTION), (samples.saturating_sub(1), 0)] {
            out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
            out.put_u32(description);
        }
    });
}

/// `sample_flags` of a picture.
fn sample_flags(unit: &AccessUnit) -> u32 {
    let leading = match unit.leading {
        Some(Leading::Undecodable) => FLAGS_LEADING_UNDECODABLE,
        Some(Leading::Decodable) => FLAGS_LEADING_DECODABLE,
        None => 0,
    };
    leading | if unit.is_sync() { SAMPLE_FLAGS_SYNC } else { SAMPLE_FLAGS_DELTA }
}

/// Appends a `trun` of version 1 (§8.8.8); returns the position of its `data_offset`, to be filled
/// in later.
fn put_run(out: &mut Vec<u8>, samples: &[Sample<'_>]) -> usize {
    let composition = |unit: &AccessUnit| {
        let ticks = unit.present.ticks.saturating_sub(unit.decode.ticks);
        i32::try_from(ticks).unwrap_or(if ticks < 0 { i32::MIN } else { i32::MAX })
    };
    let reordered = samples.iter().any(|sample| composition(sample.unit) != 0);
    let video = kind(samples) == Some(Kind::Video);
    let flags = TRUN_DATA_OFFSET
        | TRUN_DURATION
        | TRUN_SIZE
        | if video { TRUN_FLAGS } else { 0 }
        | if reordered { TRUN_COMPOSITION } else { 0 };
    let mut offset_at = 0;
    put_full_box(out, b"trun", 1, flags, |out| {
        out.put_u32(u32::try_from(samples.len()).unwrap_or(u32::MAX));
        offset_at = out.len();
        out.put_u32(0); // data_offset
        for sample in samples {
            out.put_u32(sample.ticks);
            out.put_u32(u32::try_from(sample.unit.data.len()).unwrap_or(u32::MAX));
            if video {
                out.put_u32(sample_flags(sample.unit));
            }
            if reordered {
                out.put_i32(composition(sample.unit));
            }
        }
    });
    offset_at
}
