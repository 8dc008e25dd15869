//! Moves recorded fragments to the beginning of time, so that a file of them begins at zero.
//!
//! Owns: the decoding times (`tfdt`, ISO/IEC 14496-12 §8.8.12) and the length of the whole (`mehd`,
//! §8.8.2). The distance of the tracks stays, and no sample is touched.

use bytes::{BufMut, Bytes};

use super::look::{inside, number, within};
use super::{read_runs, track_id};
use crate::base::time::MediaTime;
use crate::media::Tracks;

/// Where `tfhd` names its track (§8.8.7), and a `tfdt` of version 1 its time.
const TFHD_TRACK_AT: usize = 12;
const TFDT_TIME_AT: usize = 12;
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
        let mut moves = Vec::new();
        for (_, at) in within(fragment, b"moof").filter(|(kind, _)| kind == b"traf") {
            let header = inside(fragment, &at, &[b"tfhd"]);
            let id = header.and_then(|header| number(fragment, &header, TFHD_TRACK_AT));
            let origin = self.0.iter().find(|(track, _)| Some(*track) == id);
            if let (Some(time), Some((_, origin))) = (inside(fragment, &at, &[b"tfdt"]), origin) {
                moves.push((time.start + TFDT_TIME_AT, *origin));
            }
        }
        for (at, origin) in moves {
            if let Some(field) = fragment.get_mut(at..at + 8).and_then(|f| f.first_chunk_mut::<8>())
            {
                *field = u64::from_be_bytes(*field).saturating_sub(origin).to_be_bytes();
            }
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
    fn an_init_gets_room_for_its_length() {
        let init = init_segment(&tracks());
        let (longer, at) = with_length(&init).unwrap();
        assert_eq!(longer.len(), init.len() + 16);
        assert_eq!(&longer[at - 8..at - 4], b"mehd");
        assert_eq!(read_init(&longer).unwrap(), read_init(&init).unwrap());
    }
}
