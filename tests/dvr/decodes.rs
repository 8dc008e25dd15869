//! The recorder and the ring with footage from ffmpeg: every slot plays on its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{Dvr, Retention, RingConfig, RingReader, RingSizing, tool};
use holdfast::live::recorder::Recorder;
use holdfast::media::{AccessUnit, RunId, Tracks};
use holdfast::stream::Stream;
use holdfast::supervise::Supervisor;

const CLOSE: Duration = Duration::from_secs(20);

fn config(dir: &Path, slot_bytes: u64) -> RingConfig {
    RingConfig {
        data_dir: dir.to_owned(),
        size: RingSizing::Bytes(slot_bytes * 10),
        slot_bytes: Some(slot_bytes),
    }
}

fn stream() -> Arc<Stream> {
    let name = StreamName::parse("gate").unwrap();
    Stream::new(name, "test", WallTime::from_unix_nanos(0))
}

/// The footage once more, `by` later, as `run`.
fn later(units: &[Arc<AccessUnit>], by: Duration, run: RunId) -> Vec<AccessUnit> {
    let nanos = i64::try_from(by.as_nanos()).unwrap();
    let shift = |time: MediaTime| MediaTime {
        ticks: time.ticks + MediaTime::from_nanos(nanos, time.rate).ticks,
        rate: time.rate,
    };
    let mut shifted = Vec::new();
    for unit in units {
        let mut unit = AccessUnit::clone(unit);
        (unit.decode, unit.present) = (shift(unit.decode), shift(unit.present));
        unit.arrived = BootTime::from_nanos(unit.arrived.as_nanos()).after(by);
        unit.captured.wall = unit.captured.wall.offset_nanos(nanos);
        unit.run = run;
        shifted.push(unit);
    }
    shifted
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < CLOSE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Publishes `rounds` of `footage`, one behind the other, in one run each, `pause` apart.
async fn publish(
    stream: &Stream,
    recorder: &Recorder,
    footage: &crate::footage::Footage,
    rounds: std::ops::Range<u32>,
    round: Duration,
) {
    until("the recorder's start", || stream.bus().readers() > 0).await;
    for at in rounds {
        let run = stream.begin_run();
        let params = footage.tracks.list.iter().map(|track| Arc::clone(&track.params));
        stream.set_tracks(Arc::new(Tracks::new(run, params)));
        let units = later(&footage.units, round * at, run);
        let before = recorder.totals().units;
        let wanted = before + units.len() as u64;
        for (at, unit) in units.into_iter().enumerate() {
            stream.publish(unit);
            if at == 0 {
                // A reader begins at the newest key frame: let it have the first.
                until("the recorder's beginning", || recorder.totals().units > before).await;
            }
        }
        until("the recorder's reading", || recorder.totals().units >= wanted).await;
    }
}

fn slot_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir.join("ring")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "mp4"));
    files.sort();
    files
}

/// Every slot with footage decodes without a complaint; returns the frames in them.
fn every_slot_decodes(dir: &Path) -> usize {
    let laps: Vec<_> = RingReader::open(dir).unwrap().laps().iter().map(|lap| lap.slot).collect();
    let mut frames = 0;
    for path in slot_files(dir) {
        let number: u32 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        if laps.contains(&number) {
            crate::footage::decodes(&path)
                .unwrap_or_else(|said| panic!("{}: {said}", path.display()));
            frames += crate::footage::count_frames(&path);
            assert_begins_at_zero(&path);
        }
    }
    frames
}

/// A slot is a film of its own: players begin at zero, show its length, and know its date.
fn assert_begins_at_zero(path: &Path) {
    let mut probe = std::process::Command::new("ffprobe");
    probe.args(["-v", "error", "-of", "default=nw=1:nk=1", "-show_entries"]);
    probe.arg("format=start_time,duration:format_tags=creation_time").arg(path);
    let told = String::from_utf8(probe.output().unwrap().stdout).unwrap();
    let [start, duration, created] = told.lines().collect::<Vec<_>>()[..] else {
        panic!("{}: {told}", path.display())
    };
    let (start, duration): (f64, f64) = (start.parse().unwrap(), duration.parse().unwrap());
    // Two rounds and what is between them at most; times since boot are far larger. Reordered pictures are
    // shown some frames behind their decoding.
    assert!(start < 0.5 && duration < 40.0, "{}: {told}", path.display());
    assert!(created.starts_with("20"), "{}: {created}", path.display());
}

/// Records these rounds of ten seconds of pictures and sound, as far apart as `round`, into the ring below
/// `dir`. Returns how many pictures are in a round.
async fn record(dir: &Path, rounds: std::ops::Range<u32>, round: Duration) -> usize {
    let footage = crate::footage::footage(10, 25, 1_500);
    let clock = Arc::new(SystemClock);
    let dvr = Dvr::open(config(dir, 512 << 10), clock.clone(), None).unwrap();
    let supervisor = Supervisor::new(Stop::new(), clock);
    let stream = stream();
    let recorder = Recorder::keep(Arc::clone(&stream), &dvr, &supervisor, Retention::default());
    publish(&stream, &recorder, &footage, rounds, round).await;
    supervisor.stop().await;
    drop(recorder);
    assert!(dvr.close(CLOSE));
    footage.frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_that_wrapped_several_times_decodes_slot_by_slot() {
    let dir = tempfile::tempdir().unwrap();
    // Some 1.7 MiB a round, 5 MiB of ring.
    record(dir.path(), 0..16, Duration::from_secs(10)).await;

    let frames = every_slot_decodes(dir.path());
    assert!(frames > 250, "{frames} frames in the ring");
    let mut said = Vec::new();
    let verdict = tool::verify(dir.path(), &mut said).unwrap();
    assert!(verdict.is_sound() && verdict.torn_tails == 0, "{}", String::from_utf8_lossy(&said));
    let reader = RingReader::open(dir.path()).unwrap();
    assert_eq!(reader.laps().len(), 10, "every slot is in use");
    // The first lap is number 1,025; ten slots are held: the ring went round several times.
    let newest = reader.laps()[9].generation;
    assert!(newest > 1_025 + 30, "lap {newest}");
    let listing = tool::listings(&reader).unwrap().pop_first().unwrap().1;
    assert_eq!(listing.gaps.len() + 1, listing.runs.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_between_source_and_ring() {
    let dir = tempfile::tempdir().unwrap();
    let footage = crate::footage::footage(6, 50, 300);
    let clock = Arc::new(SystemClock);
    let dvr = Dvr::open(config(dir.path(), 1 << 20), clock.clone(), None).unwrap();
    let supervisor = Supervisor::new(Stop::new(), clock.clone());
    let stream = stream();
    let recorder = Recorder::keep(Arc::clone(&stream), &dvr, &supervisor, Retention::default());
    publish(&stream, &recorder, &footage, 0..1, Duration::ZERO).await;
    supervisor.stop().await;
    assert_eq!(recorder.totals().lost, 0);
    drop(recorder);
    assert!(dvr.close(CLOSE));
    assert_eq!(every_slot_decodes(dir.path()), footage.frames);

    let stream = self::stream();
    // A process that restarts in this boot continues behind it, in the same slot.
    let dvr = Dvr::open(config(dir.path(), 1 << 20), clock.clone(), None).unwrap();
    let supervisor = Supervisor::new(Stop::new(), clock);
    let recorder = Recorder::keep(Arc::clone(&stream), &dvr, &supervisor, Retention::default());
    publish(&stream, &recorder, &footage, 1..2, Duration::from_secs(16)).await;
    supervisor.stop().await;
    drop(recorder);
    assert!(dvr.close(CLOSE));
    assert_eq!(every_slot_decodes(dir.path()), footage.frames * 2);
    let reader = RingReader::open(dir.path()).unwrap();
    assert_eq!(reader.laps().len(), 1);
    let listing = tool::listings(&reader).unwrap().pop_first().unwrap().1;
    assert_eq!((listing.runs.len(), listing.gaps.len()), (2, 1));
    let gap = &listing.gaps[0];
    let gap_ms = gap.end.as_unix_millis() - gap.start.as_unix_millis();
    assert!((9_900..=10_100).contains(&gap_ms), "{gap_ms} ms");
}

/// Extracts with the real program, as a person with nothing but the disk would; returns its output.
fn extract(dir: &Path, from: WallTime, to: WallTime, target: &Path) -> (bool, String) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(["ring", "extract", "--stream", "gate", "--data-dir"])
        .arg(dir)
        .args(["--from", &from.to_rfc3339(), "--to", &to.to_rfc3339()])
        .arg(target)
        .output()
        .unwrap();
    let said = [&out.stdout[..], &out.stderr[..]].concat();
    (out.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_copied_into_files_that_play() {
    let dir = tempfile::tempdir().unwrap();
    let whole = record(dir.path(), 0..2, Duration::from_secs(16)).await;
    let reader = RingReader::open(dir.path()).unwrap();
    let runs = tool::listings(&reader).unwrap().pop_first().unwrap().1.runs;
    assert_eq!(runs.len(), 2);
    assert!(reader.laps().len() > 4, "the range goes over slots");
    let at = |run: usize, ms: i64| runs[run].start.offset_nanos(ms * 1_000_000);
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| out.path().join(name);

    // Whole fragments, from the key frame at 3 s on.
    let (done, said) = extract(dir.path(), at(0, 3_500), at(0, 6_500), &file("part.mp4"));
    assert!(done, "{said}");
    crate::footage::decodes(&file("part.mp4")).unwrap();
    let frames = crate::footage::count_frames(&file("part.mp4"));
    assert!((88..=100).contains(&frames), "{frames} frames of 3 to at least 6.5 s");
    // Over the gap: a file for each side.
    let (done, said) = extract(dir.path(), at(0, 0), at(1, 20_000), &file("all.mp4"));
    assert!(done && said.contains("several files"), "{said}");
    for name in ["all.mp4", "all-2.mp4"] {
        crate::footage::decodes(&file(name)).unwrap();
        assert_eq!(crate::footage::count_frames(&file(name)), whole, "{name}");
    }
    // Nothing is overwritten, and nothing is made of nothing.
    let (done, said) = extract(dir.path(), at(0, 0), at(0, 2_000), &file("part.mp4"));
    assert!(!done && said.contains("part.mp4"), "{said}");
    let (done, said) = extract(dir.path(), at(0, -9_000), at(0, -5_000), &file("none.mp4"));
    assert!(!done && said.contains("nothing of this stream"), "{said}");
    assert!(!file("none.mp4").exists());
    let mut status = Vec::new();
    tool::status(dir.path(), &mut status).unwrap();
    let status = String::from_utf8(status).unwrap();
    assert!(status.contains("2 runs") && status.contains("ended cleanly"), "{status}");
}
