//! Where fragments end, and what the recorder does when its stream falls silent.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::fragmenter::{CutFragment, Fragmenter};
use super::*;
use crate::base::Stop;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, MediaTime, SystemClock, WallTime};
use crate::dvr::{RecordingState, RingSizing};
use crate::media::codec::Law;
use crate::media::nal::Nals;
use crate::media::{Captured, ClockSource, CodecParams, Entry, RunId, TrackId, Tracks};
use crate::wire::mp4::init_segment;

const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

fn video(level: u8) -> Arc<CodecParams> {
    let sps = [0x67, 0x64, 0x00, level, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    Arc::new(CodecParams::from_h264_sets(&sps, PPS).unwrap())
}

/// High 10 in place of High.
fn other_profile() -> Arc<CodecParams> {
    let sps = [0x67, 0x6e, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    Arc::new(CodecParams::from_h264_sets(&sps, PPS).unwrap())
}

fn audio() -> Arc<CodecParams> {
    Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1))
}

fn unit(run: u32, track: u8, params: &Arc<CodecParams>, ms: u64, key: bool) -> Arc<AccessUnit> {
    let arrived = BootTime::from_millis(1_000 + ms);
    let nanos = i64::try_from(arrived.as_nanos()).unwrap();
    let decode = MediaTime::from_nanos(nanos, params.clock_rate);
    Arc::new(AccessUnit {
        track: TrackId(track),
        run: RunId(run),
        arrived,
        captured: Captured { wall: WallTime::from_unix_nanos(nanos), source: ClockSource::Arrival },
        entry: Entry::key_frame(key),
        ..AccessUnit::new(Arc::clone(params), decode, Bytes::from_static(&[0, 0, 0, 1, 0x65]))
    })
}

/// A picture other than a key frame that arrived at `at`.
pub(super) fn arrived(at: BootTime) -> Arc<AccessUnit> {
    let ms = at.as_nanos() / 1_000_000 - 1_000;
    unit(1, 0, &video(0x33), ms, false)
}

/// Cuts units given as (run, milliseconds, key) and tells each fragment's samples.
fn told(units: &[(u32, u64, bool)]) -> Vec<(u32, bool)> {
    let (mut cutter, params) = (Fragmenter::default(), video(0x33));
    let mut cuts: Vec<CutFragment> = Vec::new();
    for &(run, ms, key) in units {
        cuts.extend(cutter.push(unit(run, 0, &params, ms, key), None));
    }
    cuts.extend(cutter.flush(None));
    cuts.iter().map(|cut| (cut.fragment.samples, cut.run_start)).collect()
}

#[test]
fn a_run_begins_at_a_key_frame() {
    assert_eq!(told(&[(1, 0, false), (1, 40, false), (1, 80, true), (1, 120, false)]), [(2, true)]);
}

#[test]
fn a_fragment_ends_at_a_key_frame_and_after_a_second() {
    let units: Vec<_> = (0..100).map(|at| (1, at * 40, at % 50 == 0)).collect();
    assert_eq!(told(&units), [(25, true), (25, false), (25, false), (25, false)]);
    let units: Vec<_> = (0..30).map(|at| (1, at * 40, at % 10 == 0)).collect();
    assert_eq!(told(&units), [(10, true), (10, false), (10, false)]);
}

#[test]
fn a_new_run_ends_the_fragment() {
    let units = [(1, 0, true), (1, 40, false), (2, 80, false), (2, 120, true), (2, 160, false)];
    assert_eq!(told(&units), [(2, true), (2, true)]);
}

#[test]
fn a_fragment_does_not_outgrow_its_limit() {
    let (mut cutter, params) = (Fragmenter::default(), video(0x33));
    cutter.set_bytes_max(12);
    let cuts: Vec<_> =
        (0..6).filter_map(|at| cutter.push(unit(1, 0, &params, at, at == 0), None)).collect();
    assert_eq!(cuts.iter().map(|cut| cut.fragment.samples).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn new_parameters_bring_a_new_init_segment_at_a_key_frame() {
    let mut cutter = Fragmenter::default();
    let (old, new) = (video(0x33), other_profile());
    assert!(cutter.push(unit(1, 0, &old, 0, true), None).is_none());
    let first = cutter.push(unit(1, 0, &new, 40, false), None).unwrap();
    assert!(cutter.push(unit(1, 0, &new, 80, true), None).is_none());
    let second = cutter.flush(None).unwrap();
    assert_eq!((first.fragment.samples, second.fragment.samples), (1, 1));
    assert_ne!(first.init, second.init);
    assert!(first.run_start && !second.run_start);
}

#[test]
fn sets_that_change_within_a_group_skip_no_picture() {
    let (mut cutter, first) = (Fragmenter::default(), video(0x33));
    let higher = video(0x34);
    assert_ne!(first, higher);
    let mut cuts: Vec<CutFragment> = Vec::new();
    for (at, params) in [&first, &first, &higher, &higher, &first].into_iter().enumerate() {
        let at = u64::try_from(at).unwrap();
        cuts.extend(cutter.push(unit(1, 0, params, at * 40, at % 4 == 0), None));
    }
    cuts.extend(cutter.flush(None));
    let told: Vec<_> = cuts.iter().map(|cut| (cut.fragment.samples, cut.run_start)).collect();
    assert_eq!(told, [(2, true), (2, false), (1, false)]);
    assert!(cuts.iter().all(|cut| cut.init == cuts[0].init && !cut.loss_before));
}

#[test]
fn sets_that_change_with_every_key_frame_are_carried_by_the_samples() {
    let mut cutter = Fragmenter::default();
    let sps = [0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    let other: &[u8] = &[0x68, 0xee, 0x3c, 0x80];
    let sets = [PPS, other].map(|pps| Arc::new(CodecParams::from_h264_sets(&sps, pps).unwrap()));
    let mut cuts: Vec<CutFragment> = Vec::new();
    for at in 0..6u64 {
        let params = &sets[usize::try_from(at % 2).unwrap()];
        cuts.extend(cutter.push(unit(1, 0, params, at * 40, true), None));
    }
    cuts.extend(cutter.flush(None));
    assert_eq!(cuts.len(), 6);
    assert!(cuts.iter().all(|cut| cut.init == cuts[0].init), "one decoder, one init segment");
    for (at, cut) in cuts.iter().enumerate() {
        let nals: Vec<_> = crate::media::nal::Nals::new(&cut.fragment.data[0]).collect();
        let pps = if at % 2 == 0 { PPS } else { other };
        let wanted: &[&[u8]] = if at == 0 { &[&[0x65]] } else { &[&sps, pps, &[0x65]] };
        assert_eq!(nals, wanted, "what the init segment does not say any more goes in front");
    }
}

#[test]
fn a_decoder_that_changes_with_every_key_frame_takes_a_slot_a_minute_at_most() {
    let mut cutter = Fragmenter::default();
    let kinds = [video(0x33), other_profile()];
    let mut cuts: Vec<CutFragment> = Vec::new();
    // One of either a second for a minute and a half, then one kind alone.
    for second in 0..200u64 {
        let kind = if second < 90 { second % 2 } else { 1 };
        let params = &kinds[usize::try_from(kind).unwrap()];
        cuts.extend(cutter.push(unit(1, 0, params, second * 1_000, true), None));
    }
    cuts.extend(cutter.flush(None));
    assert_eq!(cuts.len(), 200);
    let seams: Vec<usize> = (1..200).filter(|&at| cuts[at].init != cuts[at - 1].init).collect();
    assert_eq!(seams.len(), 3, "{seams:?}");
    assert!(seams.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{seams:?}");
    // Whatever the init segment says, each picture begins with its own sets.
    let sets = Nals::new(&cuts[50].fragment.data[0]).count();
    assert_eq!(sets, 3, "SPS, PPS and the picture");
    assert_eq!(cuts[199].init, init_segment(&Tracks::new(RunId(1), [Arc::clone(&kinds[1])])));
}

#[test]
fn a_lone_picture_lasts_as_long_as_those_before_it() {
    let (mut cutter, params) = (Fragmenter::default(), video(0x33));
    let mut spans = Vec::new();
    for at in 0..4 {
        // A picture every four seconds, each closed before the next one comes.
        let _ = cutter.push(unit(1, 0, &params, at * 4_000, true), None);
        spans.push(cutter.flush(None).unwrap().fragment.span);
    }
    assert_eq!(spans[1..], [Duration::from_secs(4); 3]);
}

#[test]
fn sound_comes_along_and_does_not_end_a_fragment() {
    let (video, audio) = (video(0x33), audio());
    let tracks = Tracks::new(RunId(1), [Arc::clone(&video), Arc::clone(&audio)]);
    let mut cutter = Fragmenter::default();
    assert!(cutter.push(unit(1, 1, &audio, 0, false), Some(&tracks)).is_none());
    for at in 0..10 {
        assert!(cutter.push(unit(1, 0, &video, at * 40, at == 0), Some(&tracks)).is_none());
        assert!(cutter.push(unit(1, 1, &audio, at * 40 + 20, false), Some(&tracks)).is_none());
    }
    // The unit of sound before the first key frame is skipped.
    assert_eq!(cutter.flush(None).unwrap().fragment.samples, 20);
}

#[test]
fn a_track_that_nobody_announced_is_passed_over() {
    let mut cutter = Fragmenter::default();
    assert!(cutter.push(unit(1, 3, &audio(), 0, true), None).is_none());
    assert!(cutter.flush(None).is_none());
}

#[test]
fn a_loss_is_told_and_followed_by_a_key_frame() {
    let (mut cutter, params) = (Fragmenter::default(), video(0x33));
    cutter.push(unit(1, 0, &params, 0, true), None);
    assert!(!cutter.lose().unwrap().loss_before);
    assert!(cutter.push(unit(1, 0, &params, 40, false), None).is_none());
    assert!(cutter.push(unit(1, 0, &params, 80, true), None).is_none());
    let cut = cutter.flush(None).unwrap();
    assert!(cut.loss_before && !cut.run_start && cut.fragment.samples == 1);
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A stream that is recorded into a small ring.
struct RecorderBench {
    dvr: Dvr,
    supervisor: Supervisor,
    stream: Arc<Stream>,
    recorder: Recorder,
}

impl RecorderBench {
    /// Opens the ring below `dir`, and waits until the recorder listens.
    async fn open(dir: &std::path::Path) -> Self {
        let config = crate::dvr::RingConfig {
            data_dir: dir.to_owned(),
            size: RingSizing::Bytes(1 << 20),
            slot_bytes: Some(64 << 10),
        };
        let dvr = Dvr::open(config, Arc::new(SystemClock), None).unwrap();
        let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
        let stream = Stream::new(StreamName::parse("gate").unwrap(), "test", WallTime::default());
        let recorder = Recorder::keep(Arc::clone(&stream), &dvr, &supervisor, Retention::default());
        until("subscribing", || stream.bus().readers() == 1).await;
        Self { dvr, supervisor, stream, recorder }
    }
}

/// A camera that counts its ticks too slowly never fills a second by its own timeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_timeline_does_not_hold_footage_back() {
    let dir = tempfile::tempdir().unwrap();
    let RecorderBench { dvr, supervisor, stream, recorder } = RecorderBench::open(dir.path()).await;
    let params = video(0x33);
    stream.set_tracks(Arc::new(Tracks::new(RunId(1), [Arc::clone(&params)])));
    let mut ms = 0;
    // Never silent: a unit each five milliseconds, a fifth of a millisecond apart on its timeline.
    until("durability", || {
        stream.publish(Arc::unwrap_or_clone(unit(1, 0, &params, ms / 5, ms == 0)));
        ms += 1;
        recorder.durable().borrow().is_some()
    })
    .await;
    assert!(ms / 5 < 1_000, "the stream's own second is over");
    supervisor.stop().await;
    drop(recorder);
    assert!(dvr.close(Duration::from_secs(20)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_second_of_a_dead_camera_becomes_durable() {
    let dir = tempfile::tempdir().unwrap();
    let RecorderBench { dvr, supervisor, stream, recorder } = RecorderBench::open(dir.path()).await;
    let params = video(0x33);
    stream.set_tracks(Arc::new(Tracks::new(RunId(1), [Arc::clone(&params)])));
    for at in 0..5 {
        stream.publish(Arc::unwrap_or_clone(unit(1, 0, &params, at * 40, at == 0)));
    }
    // Nothing follows, and the recorder is not stopped.
    until("durability", || recorder.durable().borrow().is_some()).await;
    assert_eq!(recorder.totals().units, 5, "also what came after its last look");
    // Why nothing follows is noted for the gap.
    let reason = "connection refused".to_owned();
    stream.set_state(crate::stream::StreamState::Offline { reason }, WallTime::default());
    until("the note", || !dvr.facts().troubles.is_empty()).await;
    assert_eq!(dvr.facts().troubles[0].cause, Cause::CameraUnreachable);
    assert!(dvr.facts().troubles[0].text.contains("refused"));
    assert_eq!(recorder.status().state, RecordingState::Recording);
    assert_eq!(dvr.listing(stream.name()).runs.len(), 1);
    assert_eq!(recorder.totals().lost, 0);
    supervisor.stop().await;
    drop(recorder);
    assert!(dvr.close(Duration::from_secs(20)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_was_is_known_before_its_camera_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let params = [video(0x33), audio()];
    for camera_is_there in [true, false] {
        let RecorderBench { dvr, supervisor, stream, recorder } =
            RecorderBench::open(dir.path()).await;
        if camera_is_there {
            stream.set_tracks(Arc::new(Tracks::new(RunId(1), params.iter().map(Arc::clone))));
            for at in 0..5 {
                stream.publish(Arc::unwrap_or_clone(unit(1, 0, &params[0], at * 40, at == 0)));
            }
            until("durability", || recorder.durable().borrow().is_some()).await;
        } else {
            until("the recall", || stream.tracks().borrow().is_some()).await;
            let tracks = stream.tracks().borrow().clone().unwrap();
            let known: Vec<_> = tracks.list.iter().map(|track| &track.params.codec).collect();
            assert_eq!(known, [&params[0].codec, &params[1].codec]);
            // Whatever a run says stays.
            let newer = Arc::new(Tracks::new(RunId(2), [video(0x28)]));
            stream.set_tracks(Arc::clone(&newer));
            stream.recall_tracks(tracks);
            assert_eq!(stream.tracks().borrow().as_ref(), Some(&newer));
        }
        supervisor.stop().await;
        drop(recorder);
        assert!(dvr.close(Duration::from_secs(20)));
    }
}

#[test]
fn a_silence_that_ends_by_itself_is_told_with_its_length() {
    let params = video(0x33);
    let mut silence = silence::Silence::default();
    let fast = Some(Duration::from_millis(40));
    let mut at = |run, ms, interval| silence.ended(&unit(run, 0, &params, ms, false), interval);
    assert_eq!(at(1, 0, fast), None);
    assert_eq!(at(1, 40, fast), None);
    let (from, text) = at(1, 3_340, fast).unwrap();
    assert_eq!(from, BootTime::from_millis(1_040));
    assert_eq!(text, "no picture came for 3.3 s");
    assert_eq!(at(1, 6_340, Some(Duration::from_secs(3))), None, "it is slow on purpose");
    assert_eq!(at(2, 60_000, fast), None, "another run tells its own reason");
}
