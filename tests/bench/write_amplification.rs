//! How many bytes reach the disk for each byte of media that is recorded.
//!
//! `cargo bench --bench write_amplification`, as root: cameras are recorded in real time onto an
//! ext4 of their own on a loop device, and what the kernel counts as written to that device, all
//! of it (fragments, seals, the index, the journal, ext4's own), is compared with the media.
//! Twice each: into slots that were never written, and into a ring that has turned. The media is
//! made here: key frames each second, sizes of a constant bit rate.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::base::Stop;
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{Dvr, Retention, RingConfig, RingSizing};
use holdfast::live::recorder::Recorder;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};
use holdfast::stream::Stream;
use holdfast::supervise::Supervisor;
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
const FRAMES_PER_SEC: u32 = 25;
/// A key frame is so many times as large as another.
const KEY_FRAMES_LARGER: usize = 6;
/// The slots of a ring of 16 GiB and more.
const SLOT_BYTES: u64 = 64 << 20;
const SLOTS: u64 = 16;
const IMAGE_BYTES: u64 = 1_536 << 20;
const SECS: u32 = 60;
const PATIENCE: Duration = Duration::from_secs(120);
/// proc(5), `/sys/block/*/stat`: sectors are of 512 bytes whatever the device has.
const SECTOR_BYTES: u64 = 512;

/// Cameras of one kind, and how much may be written for a byte of theirs.
struct Load {
    cameras: u32,
    mbit: f64,
    aim: f64,
}

const LOADS: [Load; 2] =
    [Load { cameras: 4, mbit: 4.0, aim: 1.05 }, Load { cameras: 1, mbit: 1.0, aim: 1.15 }];

/// An ext4 on a loop device; both go when it is dropped.
struct Volume {
    dir: tempfile::TempDir,
    device: String,
}

fn main() {
    // `cargo test --benches` runs this to see that it starts; a measurement takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let volume = Volume::make();
    let config = RingConfig {
        data_dir: volume.mount(),
        size: RingSizing::Bytes(SLOT_BYTES * SLOTS),
        slot_bytes: Some(SLOT_BYTES),
    };
    let dvr = Dvr::open(config, Arc::new(SystemClock), None).expect("threads");
    let made = || {
        let slots = std::fs::read_dir(volume.mount().join("ring")).map_or(0, Iterator::count);
        slots as u64 > SLOTS
    };
    until("the ring", made);
    for load in &LOADS {
        measure("new slots", load, &dvr, &volume);
    }
    fill(&dvr);
    for load in &LOADS {
        measure("a ring that has turned", load, &dvr, &volume);
    }
    assert!(dvr.close(PATIENCE), "the DVR does not end");
}

impl Volume {
    fn make() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        let file = std::fs::File::create(&image).expect("an image");
        file.set_len(IMAGE_BYTES).expect("a sparse file");
        std::fs::create_dir(&mount).expect("a directory");
        // Nothing is put off that would be written while we measure.
        let now = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-E", now, text(&image)]);
        // `mount` gives the loop device back with the unmounting.
        run("mount", &["-o", "loop", text(&image), text(&mount)]);
        let told = run("findmnt", &["-n", "-o", "SOURCE", text(&mount)]);
        let device = told.trim().trim_start_matches("/dev/").to_owned();
        println!("ext4 of {} MiB on {device}, mounted with defaults", IMAGE_BYTES >> 20);
        Self { dir, device }
    }

    fn mount(&self) -> std::path::PathBuf {
        self.dir.path().join("mount")
    }

    /// Bytes that were ever written to the device, after all that waits was.
    fn written(&self) -> u64 {
        run("sync", &["-f", text(&self.mount())]);
        let stat = std::fs::read_to_string(format!("/sys/block/{}/stat", self.device));
        let stat = stat.expect("a block device");
        let sectors = stat.split_whitespace().nth(6).and_then(|field| field.parse::<u64>().ok());
        sectors.expect("a count of sectors") * SECTOR_BYTES
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.mount()).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.mount().display());
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output();
    let out = out.unwrap_or_else(|error| panic!("{program}: {error} (Debian: mount, e2fsprogs)"));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?} (needs root and loop devices): {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn measure(what: &str, load: &Load, dvr: &Dvr, volume: &Volume) {
    let before = volume.written();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let media = runtime.block_on(record(load, dvr));
    let written = volume.written() - before;
    #[allow(clippy::cast_precision_loss)] // both are far below 2^52
    let ratio = written as f64 / media as f64;
    println!(
        "{} x {} Mbit/s, {SECS} s, {what}: media {media} bytes, written {written}, ratio {ratio:.3} \
         (aim {:.2}: {})",
        load.cameras,
        load.mbit,
        load.aim,
        if ratio <= load.aim { "met" } else { "missed" },
    );
}

/// Records the cameras in real time; returns the bytes of media.
async fn record(load: &Load, dvr: &Dvr) -> u64 {
    let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
    let params = Arc::new(CodecParams::from_h264_sets(SPS, PPS).expect("a good pair"));
    let begin = |number: u32| {
        let name = StreamName::parse(&format!("cam{number}")).expect("a name");
        let stream = Stream::new(name, "bench", WallTime::from_unix_nanos(0));
        let recorder = Recorder::keep(Arc::clone(&stream), dvr, &supervisor, Retention::default());
        let run = stream.begin_run();
        stream.set_tracks(Arc::new(Tracks::new(run, [Arc::clone(&params)])));
        (stream, recorder, run)
    };
    let cameras: Vec<_> = (0..load.cameras).map(begin).collect();
    while cameras.iter().any(|(stream, ..)| stream.bus().readers() == 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut ticker = tokio::time::interval(Duration::from_secs(1) / FRAMES_PER_SEC);
    let mut media = 0;
    for frame in 0..SECS * FRAMES_PER_SEC {
        ticker.tick().await;
        for (stream, _, run) in &cameras {
            let unit = unit(&params, *run, frame, load.mbit);
            media += unit.data.len() as u64;
            stream.publish(unit);
        }
    }
    supervisor.stop().await;
    for (_, recorder, _) in &cameras {
        let totals = recorder.totals();
        assert_eq!((totals.lost, totals.units), (0, u64::from(SECS * FRAMES_PER_SEC)));
    }
    drop(cameras);
    // What was cut last waits for the next commit.
    tokio::time::sleep(Duration::from_secs(2)).await;
    media
}

/// The next frame of a constant bit rate.
fn unit(params: &Arc<CodecParams>, run: RunId, frame: u32, mbit: f64) -> AccessUnit {
    let is_key = frame.is_multiple_of(FRAMES_PER_SEC);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a positive small number
    let bytes_per_sec = (mbit * 125_000.0) as usize;
    let delta = bytes_per_sec / (FRAMES_PER_SEC as usize - 1 + KEY_FRAMES_LARGER);
    let (arrived, wall) = (SystemClock.boot(), SystemClock.wall());
    let nanos = i64::try_from(arrived.as_nanos()).expect("within 292 years of the boot");
    let decode = MediaTime::from_nanos(nanos, params.clock_rate);
    AccessUnit {
        run,
        arrived,
        captured: Captured { wall, source: ClockSource::Arrival },
        entry: Entry::key_frame(is_key),
        ..AccessUnit::new(
            Arc::clone(params),
            decode,
            vec![0x55; if is_key { delta * KEY_FRAMES_LARGER } else { delta }].into(),
        )
    }
}

/// Writes every slot once, so that those that come next are reused.
fn fill(dvr: &Dvr) {
    let params = Arc::new(CodecParams::from_h264_sets(SPS, PPS).expect("a good pair"));
    let init: Bytes = init_segment(&Tracks::new(RunId(1), [Arc::clone(&params)]));
    let writer = dvr.writer(&StreamName::parse("fill").expect("a name"), Retention::default());
    let held = || dvr.status().held_slots;
    let (mut at, mut more) = (0, SLOT_BYTES * (SLOTS + 1));
    while held() < SLOTS || more > 0 {
        at += 1;
        let mut builder = FragmentBuilder::new(at);
        builder.push(Arc::new(unit(&params, RunId(1), 0, 100.0)));
        let fragment = builder.build(None);
        let bytes = fragment.len() as u64;
        match writer.append(&init, fragment, at == 1, false) {
            Ok(()) => more = more.saturating_sub(bytes),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    drop(writer);
    std::thread::sleep(Duration::from_secs(3));
}
