//! Our boxes, read by `mp4-atom`.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::{Any, Decode};

use super::*;
use crate::base::time::{BootTime, MediaTime};
use crate::media::codec::Law;
use crate::media::{AccessUnit, CodecParams, Entry, RunId, TrackId, Tracks};

const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
const BEGIN_TICKS: i64 = 90_000 * 1_000_000;

fn video() -> Arc<CodecParams> {
    Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap())
}

fn audio() -> Arc<CodecParams> {
    Arc::new(CodecParams::g711(Law::Mu, NonZeroU32::new(8_000).unwrap(), 1))
}

fn unit(track: u8, ticks: i64, shift: i64, key: bool, bytes: usize) -> Arc<AccessUnit> {
    let params = if track == 0 { video() } else { audio() };
    let rate = params.clock_rate;
    Arc::new(AccessUnit {
        track: TrackId(track),
        present: MediaTime { ticks: ticks + shift, rate },
        arrived: BootTime::from_millis(5),
        entry: Entry::key_frame(key),
        ..AccessUnit::new(params, MediaTime { ticks, rate }, Bytes::from(vec![track; bytes]))
    })
}

fn two_tracks() -> FragmentBuilder {
    let mut builder = FragmentBuilder::new(7);
    builder.push(unit(0, BEGIN_TICKS, 7_200, true, 300));
    builder.push(unit(1, 8_000_000_000, 0, false, 160));
    builder.push(unit(0, BEGIN_TICKS + 3_600, 0, false, 40));
    builder.push(unit(0, BEGIN_TICKS + 7_500, 3_600, false, 50));
    builder
}

fn moof(fragment: &Fragment) -> mp4_atom::Moof {
    let bytes = fragment.to_bytes();
    match Any::decode(&mut &bytes[..]).unwrap() {
        Any::Moof(moof) => moof,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_second_reader_understands_the_init_segment() {
    let init = init_segment(&Tracks::new(RunId(1), [video(), audio()]));
    let mut rest = &init[..];
    let Any::Ftyp(ftyp) = Any::decode(&mut rest).unwrap() else { panic!("no ftyp") };
    assert!(ftyp.compatible_brands.contains(&b"iso6".into()));
    let Any::Moov(moov) = Any::decode(&mut rest).unwrap() else { panic!("no moov") };
    assert!(rest.is_empty());
    let timescales: Vec<_> = moov.trak.iter().map(|t| t.mdia.mdhd.timescale).collect();
    assert_eq!(timescales, [90_000, 8_000]);
    let ids: Vec<_> = moov.trak.iter().map(|t| t.tkhd.track_id).collect();
    assert_eq!(ids, [1, 2]);
    let extended: Vec<_> = moov.mvex.unwrap().trex.iter().map(|t| t.track_id).collect();
    assert_eq!(extended, [1, 2]);
}

#[test]
fn a_second_reader_finds_times_sizes_and_places() {
    let fragment = two_tracks().build(Some(&unit(0, BEGIN_TICKS + 11_000, 0, true, 1)));
    let moof = moof(&fragment);
    assert_eq!(moof.mfhd.sequence_number, 7);
    let [video, audio] = &moof.traf[..] else { panic!("two tracks") };
    let decode = video.tfdt.as_ref().unwrap().base_media_decode_time;
    assert_eq!(decode, BEGIN_TICKS.unsigned_abs());
    assert_eq!(video.tfhd.base_data_offset, None);
    let entries: Vec<_> = video.trun[0].samples.iter().collect();
    let durations: Vec<_> = entries.iter().map(|e| e.duration.unwrap()).collect();
    assert_eq!(durations, [3_600, 3_900, 3_500]);
    assert_eq!(entries.iter().map(|e| e.cts.unwrap()).collect::<Vec<_>>(), [7_200, 0, 3_600]);
    let flags: Vec<_> = entries.iter().map(|e| e.flags.unwrap()).collect();
    assert_eq!(flags, [SAMPLE_FLAGS_SYNC, SAMPLE_FLAGS_DELTA, SAMPLE_FLAGS_DELTA]);
    // Each track's offset, counted from the moof, is the position of its first byte.
    let bytes = fragment.to_bytes();
    for (traf, mark) in [(video, 0u8), (audio, 1)] {
        let at = usize::try_from(traf.trun[0].data_offset.unwrap()).unwrap();
        assert_eq!((bytes[at - 1] == mark, bytes[at]), (false, mark), "{mark}");
    }
    // One octet per sample: 160 ticks, although nothing follows.
    assert_eq!(audio.trun[0].samples.get(0).unwrap().duration, Some(160));
}

#[test]
fn the_mdat_is_as_long_as_its_samples() {
    let fragment = two_tracks().build(None);
    let head = &fragment.head[fragment.head.len() - 8..];
    assert_eq!(u32::from_be_bytes(head[..4].try_into().unwrap()), 550 + 8);
    assert_eq!(&head[4..], b"mdat");
    assert_eq!(fragment.len(), fragment.head.len() + 550);
    assert_eq!((fragment.samples, fragment.starts_with_key), (4, true));
    // 3,600 + 3,900 and, for want of a neighbour, 3,900 again.
    assert_eq!(fragment.span.as_nanos(), 11_400 * 1_000_000_000 / 90_000);
}

#[test]
fn a_unit_of_another_run_ends_nothing_here() {
    let next = Arc::unwrap_or_clone(unit(0, BEGIN_TICKS + 900_000, 0, true, 1));
    let next = AccessUnit { run: RunId(2), ..next };
    let fragment = two_tracks().build(Some(&next));
    let last = moof(&fragment).traf[0].trun[0].samples.get(2).unwrap();
    assert_eq!(last.duration, Some(3_900));
}

#[test]
fn sound_before_the_key_frame_does_not_hide_it() {
    let mut builder = FragmentBuilder::new(1);
    builder.push(unit(1, 8_000_000_000, 0, false, 160));
    builder.push(unit(0, BEGIN_TICKS, 0, true, 300));
    assert!(builder.build(None).starts_with_key);
    let mut builder = FragmentBuilder::new(1);
    builder.push(unit(0, BEGIN_TICKS, 0, false, 300));
    assert!(!builder.build(None).starts_with_key);
}
