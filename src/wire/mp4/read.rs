//! Init segments and fragments read back: tracks and samples out of what we wrote.
//!
//! Owns: the way back. Reads what this module writes, and refuses what it does not; every length
//! is checked against the bytes that are there.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use super::track_id;
use crate::media::codec::{ParamsError, boxes};
use crate::media::{CodecParams, RunId, TrackId, Tracks};

/// Bit of `sample_flags` that says "not a sync sample" (ISO/IEC 14496-12 §8.8.3.1).
const NOT_SYNC: u32 = 0x0001_0000;
const TRUN_DATA_OFFSET: u32 = 0x001;
const TRUN_FIRST_FLAGS: u32 = 0x004;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;

/// Why bytes are not ours.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A box is missing or ends early.
    #[error("{what} is missing or damaged")]
    Damaged {
        /// Which.
        what: &'static str,
    },
    /// A track's codec cannot be read.
    #[error("a track cannot be read")]
    Params(#[from] ParamsError),
}

/// One sample of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Decoding time in ticks of the track.
    pub decode_ticks: i64,
    /// Presentation time in ticks of the track.
    pub present_ticks: i64,
    /// Decoding can begin here.
    pub is_sync: bool,
    /// Its bytes, which share the fragment's memory.
    pub data: Bytes,
}

fn damaged(what: &'static str) -> impl Fn() -> ReadError {
    move || ReadError::Damaged { what }
}

fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |inside, wanted| {
        boxes(inside).find(|(kind, _)| kind == *wanted).map(|(_, content)| content)
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The tracks that an init segment describes.
pub fn read_init(init: &[u8]) -> Result<Tracks, ReadError> {
    let movie = find(init, &[b"moov"]).ok_or_else(damaged("moov"))?;
    let mut params = Vec::new();
    for (_, track) in boxes(movie).filter(|(kind, _)| kind == b"trak") {
        let id = find(track, &[b"tkhd"]).and_then(|tkhd| u32_at(tkhd, 12));
        let expected = u8::try_from(params.len()).ok().map(|at| track_id(TrackId(at)));
        if id != expected {
            return Err(damaged("tkhd")());
        }
        let media = find(track, &[b"mdia", b"mdhd"]).and_then(|mdhd| u32_at(mdhd, 12));
        let rate = media.and_then(NonZeroU32::new).ok_or_else(damaged("mdhd"))?;
        let table = find(track, &[b"mdia", b"minf", b"stbl", b"stsd"]);
        let entry = table.and_then(|table| table.get(8..)).ok_or_else(damaged("stsd"))?;
        params.push(Arc::new(CodecParams::from_sample_entry(entry, rate)?));
    }
    if params.is_empty() {
        return Err(damaged("trak")());
    }
    Ok(Tracks::new(RunId::default(), params))
}

/// The samples of a `moof` and its `mdat`, track by track, each in decoding order.
pub fn read_fragment(fragment: &Bytes) -> Result<Vec<(TrackId, Vec<Sample>)>, ReadError> {
    let runs = read_runs(fragment)?;
    let with_data = |run: SampleRun| {
        let track = run.track;
        run.samples(fragment).map(|samples| (track, samples)).ok_or_else(damaged("mdat"))
    };
    runs.into_iter().map(with_data).collect()
}

/// What a sample table says of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// How long it lasts, in ticks of the track.
    pub ticks: u32,
    /// Its bytes.
    pub bytes: u32,
    /// Presentation time behind decoding time, in ticks.
    pub composition: i32,
    /// Decoding can begin here.
    pub is_sync: bool,
    /// Decoding that begins here is right after so many pictures; zero where nothing says so.
    pub roll: u16,
}

/// The samples of one track in a fragment, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRun {
    /// The track.
    pub track: TrackId,
    /// Decoding time of the first one, in ticks of the track.
    pub decode_ticks: i64,
    /// Where the first one begins, from the beginning of the `moof`.
    pub at: u32,
    /// All of them, in decoding order.
    pub rows: Vec<Row>,
}

impl SampleRun {
    /// Where the last one ends, from the beginning of the `moof`.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::from(self.at) + self.rows.iter().map(|row| u64::from(row.bytes)).sum::<u64>()
    }

    fn samples(&self, fragment: &Bytes) -> Option<Vec<Sample>> {
        let mut at = usize::try_from(self.at).ok()?;
        let mut decode_ticks = self.decode_ticks;
        let sample = |row: &Row| {
            let end = at.checked_add(usize::try_from(row.bytes).ok()?)?;
            let data = (end <= fragment.len()).then(|| fragment.slice(at..end))?;
            at = end;
            let sample = Sample {
                decode_ticks,
                present_ticks: decode_ticks.checked_add(i64::from(row.composition))?,
                is_sync: row.is_sync,
                data,
            };
            decode_ticks = decode_ticks.checked_add(i64::from(row.ticks))?;
            Some(sample)
        };
        self.rows.iter().map(sample).collect()
    }
}

/// What the `moof` that `bytes` begins with says of its samples; the `mdat` need not be there.
pub fn read_runs(bytes: &[u8]) -> Result<Vec<SampleRun>, ReadError> {
    let movie = find(bytes, &[b"moof"]).ok_or_else(damaged("moof"))?;
    boxes(movie).filter(|(kind, _)| kind == b"traf").map(|(_, track)| read_track(track)).collect()
}

fn read_track(track: &[u8]) -> Result<SampleRun, ReadError> {
    let id = find(track, &[b"tfhd"]).and_then(|tfhd| u32_at(tfhd, 4));
    let id = id.and_then(|id| u8::try_from(id.checked_sub(1)?).ok()).ok_or_else(damaged("tfhd"))?;
    let base = find(track, &[b"tfdt"])
        .and_then(|tfdt| i64::try_from(u64::from_be_bytes(*tfdt.get(4..)?.first_chunk()?)).ok());
    let decode_ticks = base.ok_or_else(damaged("tfdt"))?;
    let run = find(track, &[b"trun"]).ok_or_else(damaged("trun"))?;
    let (at, mut rows) = read_rows(run).ok_or_else(damaged("trun"))?;
    if let (Some(first), Some(roll)) = (rows.first_mut(), read_roll(track)) {
        first.roll = roll;
    }
    Ok(SampleRun { track: TrackId(id), decode_ticks, at, rows })
}

/// After how many pictures decoding that begins with the fragment is right, where it says so.
fn read_roll(track: &[u8]) -> Option<u16> {
    let description = find(track, &[b"sgpd"])?;
    if description.get(4..8)? != b"roll" {
        return None;
    }
    let distance = i16::from_be_bytes(*description.get(16..)?.first_chunk()?);
    u16::try_from(distance).ok()
}

/// Where the samples of a `trun` (§8.8.8) begin, and what it says of each.
fn read_rows(run: &[u8]) -> Option<(u32, Vec<Row>)> {
    let flags = u32_at(run, 0)? & 0x00ff_ffff;
    let count = usize::try_from(u32_at(run, 4)?).ok()?;
    let needed = TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE;
    if flags & needed != needed || flags & TRUN_FIRST_FLAGS != 0 {
        return None;
    }
    let (flagged, composed) = (flags & TRUN_FLAGS != 0, flags & TRUN_COMPOSITION != 0);
    let record = 8 + 4 * usize::from(flagged) + 4 * usize::from(composed);
    // So that the count is no more than what is there.
    let records = run.get(12..)?.get(..record.checked_mul(count)?)?;
    let row = |record: &[u8]| {
        let composition =
            if composed { u32_at(record, record.len() - 4)?.cast_signed() } else { 0 };
        Some(Row {
            ticks: u32_at(record, 0)?,
            bytes: u32_at(record, 4)?,
            composition,
            is_sync: !flagged || u32_at(record, 8)? & NOT_SYNC == 0,
            roll: 0,
        })
    };
    let rows = records.chunks_exact(record).map(row).collect::<Option<_>>()?;
    Some((u32_at(run, 8)?, rows))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{FragmentBuilder, init_segment};
    use super::*;
    use crate::base::time::{MediaTime, WallTime};
    use crate::media::codec::Law;
    use crate::media::{AccessUnit, Captured, ClockSource};

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    pub(in super::super) fn tracks() -> Tracks {
        let video = CodecParams::from_h264_sets(SPS, PPS).unwrap();
        let audio = CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1);
        Tracks::new(RunId::default(), [Arc::new(video), Arc::new(audio)])
    }

    fn unit(tracks: &Tracks, track: u8, ticks: (i64, i64), key: bool, data: &[u8]) -> AccessUnit {
        let params = Arc::clone(&tracks.get(TrackId(track)).unwrap().params);
        let rate = params.clock_rate;
        let wall = WallTime::default();
        AccessUnit {
            track: TrackId(track),
            run: RunId::default(),
            present: MediaTime { ticks: ticks.1, rate },
            captured: Captured { wall, source: ClockSource::Arrival },
            entry: crate::media::Entry::key_frame(key),
            ..AccessUnit::new(
                params,
                MediaTime { ticks: ticks.0, rate },
                Bytes::copy_from_slice(data),
            )
        }
    }

    pub(in super::super) fn fragment() -> (Vec<AccessUnit>, Bytes) {
        let tracks = tracks();
        let units = vec![
            unit(&tracks, 0, (900_000, 907_200), true, b"key"),
            unit(&tracks, 1, (80_000, 80_000), false, b"sound"),
            unit(&tracks, 0, (903_600, 918_000), false, b"p"),
            unit(&tracks, 0, (907_200, 910_800), false, b""),
            unit(&tracks, 1, (80_320, 80_320), false, b"more"),
        ];
        let mut builder = FragmentBuilder::new(1);
        for unit in &units {
            builder.push(Arc::new(unit.clone()));
        }
        (units, builder.build(None).to_bytes())
    }

    #[test]
    fn what_was_written_is_read_back() {
        assert_eq!(read_init(&init_segment(&tracks())).unwrap(), tracks());
        let (units, bytes) = fragment();
        for (track, samples) in read_fragment(&bytes).unwrap() {
            let written = units.iter().filter(|unit| unit.track == track);
            let written = written.map(|unit| Sample {
                decode_ticks: unit.decode.ticks,
                present_ticks: unit.present.ticks,
                is_sync: unit.random_access() || track == TrackId(1),
                data: unit.data.clone(),
            });
            assert_eq!(samples, written.collect::<Vec<_>>());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(flips: Vec<(usize, u8)>, cut: usize) {
            let flip = |bytes: &[u8]| {
                let mut bytes = bytes[..bytes.len() - cut % bytes.len()].to_vec();
                let length = bytes.len();
                for (at, byte) in &flips {
                    bytes[at % length] = *byte;
                }
                bytes
            };
            let _ = read_init(&flip(&init_segment(&tracks())));
            let _ = read_fragment(&flip(&fragment().1).into());
        }
    }
}
