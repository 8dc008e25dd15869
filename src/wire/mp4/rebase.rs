//! Moves recorded fragments to the beginning of time, so that a file of them begins at zero.
//!
//! Owns: the decoding times (`tfdt`, ISO/IEC 14496-12 §8.8.12) and the length of the whole (`mehd`,
//! §8.8.2). The distance of the tracks stays, and no sample is touched.

use bytes::{BufMut, Bytes};

use super::look::{inside, number, within};
use super::progressive::EPOCH_1904_SECS;
use super::{read_runs, track_id};
use crate::base::time::MediaTime;
use crate::media::Tracks;

/// Where `tfhd` names its track (§8.8.7), and a `tfdt` of version 1 its time.
const TFHD_TRACK_AT: usize = 12;
const TFDT_TIME_AT: usize = 12;
/// Where the `tkhd` and the `mdhd` of version 0 name the track and its ticks per second, and where these and
/// `mvhd` have their times.
const TKHD_TRACK_AT: usize = 20;
const MDHD_SCALE_AT: usize = 20;
const TIMES_AT: usize = 12;
const BOX_HEADER_BYTES: usize = 8;
/// Bytes of an `mehd` of version 0, and the position of the length in it.
const MEHD_BYTES: u32 = 16;
const MEHD_LENGTH_AT: usize = 12;

/// Where the first fragment of a file begins, in each track's ticks.
#[derive(Clone, Debug)]
pub struct Origin(Vec<(u32, u64)>);

impl Origin {
    /// The place of the first sample of `fragment`, for all of `tracks`.
    #[must_use]
    pub fn of(tracks: &Tracks, fragment: &[u8]) -> Option<Self> {
        let runs = read_runs(fragment).ok()?;
        let place = |id, ticks| {
            let rate = tracks.get(id)?.params.clock_rate;
            Some(MediaTime { ticks, rate }.as_nanos())
        };
        let begun = runs.iter().filter(|run| !run.rows.is_empty());
        let first = begun
            .filter_map(|run| Some((place(run.track, run.decode_ticks)?, run)))
            .min_by_key(|(at, _)| *at);
        let (nanos, first) = first?;
        let ticks = tracks.list.iter().map(|track| {
            let exact = first.decode_ticks;
            let near = MediaTime::from_nanos(nanos, track.params.clock_rate).ticks;
            let ticks = if track.id == first.track { exact } else { near };
            (track_id(track.id), u64::try_from(ticks).unwrap_or(0))
        });
        Some(Self(ticks.collect()))
    }

    /// Moves the decoding times of `fragment` there.
    pub fn rebase(&self, fragment: &mut [u8]) {
        let origin = |track| self.0.iter().find(|(known, _)| *known == track);
        shift_decode_times(fragment, |track, time| {
            time.saturating_sub(origin(track).map_or(0, |(_, ticks)| *ticks))
        });
    }
}

/// Gives each track of the `moof` that `fragment` begins with the decoding time that `shifted` makes of
/// its `track_ID` and the time that it has.
pub fn shift_decode_times(fragment: &mut [u8], shifted: impl Fn(u32, u64) -> u64) {
    let tracks: Vec<_> = times(fragment).collect();
    for (track, at, time) in tracks {
        if let Some(field) = fragment.get_mut(at..at + 8) {
            field.copy_from_slice(&shifted(track, time).to_be_bytes());
        }
    }
}

/// `track_ID` and decoding time of each track of the `moof` that `fragment` begins with.
#[must_use]
pub fn decode_times(fragment: &[u8]) -> Vec<(u32, u64)> {
    times(fragment).map(|(track, _, time)| (track, time)).collect()
}

/// As [`decode_times`], with the place of each time.
fn times(fragment: &[u8]) -> impl Iterator<Item = (u32, usize, u64)> + '_ {
    within(fragment, b"moof").filter(|(kind, _)| kind == b"traf").filter_map(|(_, at)| {
        let header = inside(fragment, &at, &[b"tfhd"])?;
        let time = inside(fragment, &at, &[b"tfdt"])?;
        let track = number(fragment, &header, TFHD_TRACK_AT)?;
        let at = time.start + TFDT_TIME_AT;
        let field = fragment.get(at..time.end)?.first_chunk::<8>()?;
        Some((track, at, u64::from_be_bytes(*field)))
    })
}

/// `track_ID` and ticks per second of each track of `init`.
#[must_use]
pub fn timescales(init: &[u8]) -> Vec<(u32, u32)> {
    let tracks = within(init, b"moov").filter(|(kind, _)| kind == b"trak");
    let scale = |(_, at): ([u8; 4], std::ops::Range<usize>)| {
        let header = inside(init, &at, &[b"tkhd"])?;
        let media = inside(init, &at, &[b"mdia", b"mdhd"])?;
        Some((number(init, &header, TKHD_TRACK_AT)?, number(init, &media, MDHD_SCALE_AT)?))
    };
    tracks.filter_map(scale).collect()
}

/// Writes creation and modification time into the headers of `init` (§8.2.2, §8.3.2, §8.4.2), in
/// seconds since 1970; `None` takes them out. What 32 bits do not hold is left out.
pub fn set_dates(init: &mut [u8], unix_secs: Option<i64>) {
    let secs = unix_secs.and_then(|secs| u32::try_from(secs.checked_add(EPOCH_1904_SECS)?).ok());
    let secs = secs.unwrap_or(0).to_be_bytes();
    let mut headers = Vec::new();
    for (kind, at) in within(init, b"moov") {
        match &kind {
            b"mvhd" => headers.push(at),
            b"trak" => {
                headers.extend(inside(init, &at, &[b"tkhd"]));
                headers.extend(inside(init, &at, &[b"mdia", b"mdhd"]));
            }
            _ => {}
        }
    }
    for at in headers {
        // Of version 0, which is what is written here.
        let is_short = init.get(at.start + BOX_HEADER_BYTES) == Some(&0);
        let field = init.get_mut(at.start + TIMES_AT..at.end).and_then(|rest| rest.get_mut(..8));
        if let Some(field) = field.filter(|_| is_short) {
            field[..4].copy_from_slice(&secs);
            field[4..].copy_from_slice(&secs);
        }
    }
}

/// `init` with room for the length of the whole, and the position of that room: 32 bits in the
/// units of the movie header, which are milliseconds in what is written here. `None` for an input
/// without `mvex`.
#[must_use]
pub fn with_length(init: &Bytes) -> Option<(Vec<u8>, usize)> {
    let (_, extends) = within(init, b"moov").find(|(kind, _)| kind == b"mvex")?;
    // `moov` follows `ftyp`.
    let movie = number(init, &(0..init.len()), 0)? as usize;
    let inner = extends.start + BOX_HEADER_BYTES;
    let mut out = init[..inner].to_vec();
    out.put_u32(MEHD_BYTES);
    out.put_slice(b"mehd");
    out.put_u64(0); // version, flags, fragment_duration
    out.extend_from_slice(&init[inner..]);
    for at in [movie, extends.start] {
        let field = out.get_mut(at..at + 4)?.first_chunk_mut::<4>()?;
        *field = u32::from_be_bytes(*field).checked_add(MEHD_BYTES)?.to_be_bytes();
    }
    Some((out, inner + MEHD_LENGTH_AT))
}

#[cfg(test)]
mod tests {
    use super::super::read::tests::{fragment, tracks};
    use super::super::{init_segment, read_init};
    use super::*;

    #[test]
    fn a_file_begins_at_zero_and_its_tracks_stay_together() {
        let (tracks, (_, bytes)) = (tracks(), fragment());
        let before = read_runs(&bytes).unwrap();
        let origin = Origin::of(&tracks, &bytes).unwrap();
        let mut moved = bytes.to_vec();
        origin.rebase(&mut moved);
        let after = read_runs(&moved).unwrap();
        let nanos = |runs: &[super::super::SampleRun]| -> Vec<i64> {
            let rate = |id| tracks.get(id).unwrap().params.clock_rate;
            let at = |run: &super::super::SampleRun| MediaTime {
                ticks: run.decode_ticks,
                rate: rate(run.track),
            };
            runs.iter().map(|run| at(run).as_nanos()).collect()
        };
        let (old, new) = (nanos(&before), nanos(&after));
        assert_eq!(new.iter().min(), Some(&0));
        for (old_at, new_at) in old.iter().zip(&new) {
            let moved_by = old_at - new_at - old.iter().min().unwrap();
            assert!(moved_by.abs() < 1_000_000, "{moved_by} ns");
        }
        assert_eq!(moved.len(), bytes.len());
    }

    #[test]
    fn dates_are_written_and_taken_out_again() {
        let init = init_segment(&tracks());
        let mut dated = init.to_vec();
        set_dates(&mut dated, Some(1_795_000_000));
        let secs = 3_877_844_800u32.to_be_bytes();
        let count = dated.windows(4).filter(|four| *four == secs).count();
        // Both times of the movie, and of two tracks and their media.
        assert_eq!(count, 10);
        assert_eq!(read_init(&dated).unwrap(), read_init(&init).unwrap());
        set_dates(&mut dated, None);
        assert_eq!(dated, init);
        assert_eq!(timescales(&init), [(1, 90_000), (2, 8_000)]);
    }

    #[test]
    fn an_init_gets_room_for_its_length() {
        let init = init_segment(&tracks());
        let (longer, at) = with_length(&init).unwrap();
        assert_eq!(longer.len(), init.len() + 16);
        assert_eq!(&longer[at - 8..at - 4], b"mehd");
        assert_eq!(read_init(&longer).unwrap(), read_init(&init).unwrap());
    }
}
