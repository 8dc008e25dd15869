//! Makes a fragment anew with one track in another coding.
//!
//! Owns: the sizes and offsets that change with it. Everything else in the `moof` stays unchanged,
//! and the samples of the other tracks are not copied.

use std::ops::Range;

use bytes::{BufMut, Bytes};

use super::look::{Found, inside, number, within};
use super::track_id;
use crate::media::TrackId;

const TRUN_SIZE_AT: usize = 4;
/// Where `trun` tells its number of samples, the offset of their data, and the first of them
/// (§8.8.8), in the form in which `fragment` writes it.
const TRUN_COUNT_AT: usize = 12;
const TRUN_OFFSET_AT: usize = 16;
const TRUN_SAMPLES_AT: usize = 20;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;
/// Where `tfhd` names its track (§8.8.7), and a `tfdt` of version 1 its time (§8.8.12).
const TFHD_TRACK_AT: usize = 12;
const TFDT_TIME_AT: usize = 12;
const BOX_HEADER_BYTES: usize = 8;

/// A track of a fragment as found.
struct Run {
    id: u32,
    decode: u64,
    /// Position of its `trun`, and the length of a sample's record there.
    at: usize,
    record: usize,
    /// Position of each sample, and its duration in ticks.
    samples: Vec<(Range<usize>, u32)>,
}

/// The `moof` and `mdat` of `fragment`, in pieces, with each sample of `track` replaced by what
/// `make` makes of its decoding time in ticks and its bytes. What is behind them, such as a seal,
/// is left out. `None` when the fragment is not ours, or `make` makes nothing.
pub fn repack(
    fragment: &Bytes,
    track: TrackId,
    mut make: impl FnMut(i64, &[u8]) -> Option<Bytes>,
) -> Option<Vec<Bytes>> {
    let tracks = within(fragment, b"moof").filter(|(kind, _)| kind == b"traf");
    let runs: Vec<Run> = tracks.map(|found| run(fragment, &found)).collect::<Option<_>>()?;
    let movie = number(fragment, &(0..fragment.len()), 0)? as usize;
    let mut head = fragment.get(..movie)?.to_vec();
    let mut data = Vec::new();
    let mut data_at = head.len() + BOX_HEADER_BYTES;
    for run in runs {
        patch(&mut head, run.at + TRUN_OFFSET_AT, data_at)?;
        let first = data.len();
        if run.id == track_id(track) {
            let mut ticks = i64::try_from(run.decode).ok()?;
            for (n, (at, lasts)) in run.samples.iter().enumerate() {
                let made = make(ticks, fragment.get(at.clone())?)?;
                let size_at = run.at + TRUN_SAMPLES_AT + n * run.record + TRUN_SIZE_AT;
                patch(&mut head, size_at, made.len())?;
                ticks = ticks.checked_add(i64::from(*lasts))?;
                data.push(made);
            }
        } else if let (Some((first, _)), Some((last, _))) =
            (run.samples.first(), run.samples.last())
        {
            data.push(fragment.slice(first.start..last.end));
        }
        data_at += data[first..].iter().map(Bytes::len).sum::<usize>();
    }
    head.put_u32(u32::try_from(data_at - movie).ok()?);
    head.put_slice(b"mdat");
    data.insert(0, head.into());
    Some(data)
}

fn patch(head: &mut [u8], at: usize, value: usize) -> Option<()> {
    let value = u32::try_from(value).ok()?;
    head.get_mut(at..at + 4)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

fn run(fragment: &Bytes, (_, at): &Found) -> Option<Run> {
    let header = inside(fragment, at, &[b"tfhd"])?;
    let time = inside(fragment, at, &[b"tfdt"])?.start + TFDT_TIME_AT;
    let table = inside(fragment, at, &[b"trun"])?;
    let flags = number(fragment, &table, BOX_HEADER_BYTES)?;
    let record = 8
        + 4 * usize::from(flags & TRUN_FLAGS != 0)
        + 4 * usize::from(flags & TRUN_COMPOSITION != 0);
    let count = number(fragment, &table, TRUN_COUNT_AT)? as usize;
    let mut data_at = number(fragment, &table, TRUN_OFFSET_AT)? as usize;
    // So that the count is no more than what is there.
    let records = fragment.get(table.start + TRUN_SAMPLES_AT..table.end)?;
    let records = records.get(..record.checked_mul(count)?)?;
    let sample = |record: &[u8]| {
        let field = |at: usize| Some(u32::from_be_bytes(*record.get(at..)?.first_chunk()?));
        let end = data_at.checked_add(field(TRUN_SIZE_AT)? as usize)?;
        let at = std::mem::replace(&mut data_at, end)..end;
        (end <= fragment.len()).then_some((at, field(0)?))
    };
    Some(Run {
        id: number(fragment, &header, TFHD_TRACK_AT)?,
        decode: u64::from_be_bytes(*fragment.get(time..)?.first_chunk()?),
        at: table.start,
        record,
        samples: records.chunks_exact(record).map(sample).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::read::tests::fragment;
    use super::super::read_fragment;
    use super::*;

    #[test]
    fn only_the_track_in_question_changes() {
        let (_, bytes) = fragment();
        let sealed = Bytes::from([&bytes[..], b"a seal"].concat());
        let mut asked = Vec::new();
        let made = repack(&sealed, TrackId(1), |ticks, sample| {
            asked.push(ticks);
            Some([b"longer ", sample].concat().into())
        });
        assert_eq!(asked, [80_000, 80_320]);
        let made: Bytes = made.unwrap().concat().into();
        let (before, after) = (read_fragment(&bytes).unwrap(), read_fragment(&made).unwrap());
        assert_eq!(after[0], before[0]);
        for (old, new) in before[1].1.iter().zip(&after[1].1) {
            assert_eq!(new.data, [b"longer ", &old.data[..]].concat());
            assert_eq!(new.decode_ticks, old.decode_ticks);
        }
        assert!(repack(&bytes, TrackId(1), |_, _| None).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(flips: Vec<(usize, u8)>, cut: usize) {
            let mut bytes = fragment().1.to_vec();
            bytes.truncate(bytes.len() - cut % bytes.len());
            let length = bytes.len();
            for (at, byte) in &flips {
                bytes[at % length] = *byte;
            }
            let _ = repack(&bytes.into(), TrackId(1), |_, sample| Some(Bytes::copy_from_slice(sample)));
        }
    }
}
