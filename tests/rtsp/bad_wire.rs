//! A camera behind a wire that loses, doubles and delays packets: what is recorded has no gap that
//! ffmpeg does not have, which records the same stream at the same time.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::harness::bad_wire::{BadWire, CAMERA};
use crate::harness::camera::{Camera, PASSWORD, USER};
use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, frames, need, run, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds of recording that are compared.
const SECS: u32 = 15;
const TRANSPORTS: [&str; 2] = ["tcp", "udp"];

/// What `daemon` answers at `path`, asked from its own network.
fn get(wire: &BadWire, daemon: &Daemon, path: &str) -> Option<Value> {
    let told = run(wire.at_box("curl").args(["-s", &daemon.http(path)]), PATIENCE).stdout;
    serde_json::from_slice(&told).ok()
}

/// ffmpeg recording the camera's pictures at the box's end.
fn ffmpeg_records(wire: &BadWire, url: &str, transport: &str, file: &Path) -> Running {
    need("ffmpeg", "ffmpeg");
    let url = url.replace("://", &format!("://{USER}:{PASSWORD}@"));
    let mut command = wire.at_box("ffmpeg");
    command.args(["-loglevel", "error", "-nostdin", "-rtsp_transport", transport, "-i", &url]);
    command.args(["-map", "0:v", "-c", "copy", "-t", &SECS.to_string()]).arg(file);
    Running::start(command.stdin(Stdio::null()).stderr(Stdio::null()))
}

/// Whether a time without pictures is a gap, for both recorders.
fn is_gap(secs: f64) -> bool {
    secs > 2.0
}

/// Gaps that a listing has from `since` on, when ffmpeg began.
fn gaps(listing: &Value, since: Timestamp) -> usize {
    let at = |gap: &Value, end: &str| -> Timestamp {
        gap[end].as_str().and_then(|text| text.parse().ok()).expect("a gap has dates")
    };
    let is_one = |gap: &&Value| {
        let (start, end) = (at(gap, "start"), at(gap, "end"));
        start >= since && is_gap(end.duration_since(start).as_secs_f64())
    };
    listing["gaps"].as_array().unwrap().iter().filter(is_one).count()
}

/// Gaps from one picture of `file` to the next.
fn holes(file: &Path) -> usize {
    let mut command = std::process::Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time"]);
    let told = run_well(command.args(["-of", "csv=p=0"]).arg(file), PATIENCE);
    let told = String::from_utf8(told).unwrap();
    let mut times: Vec<f64> =
        told.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    assert!(times.len() > 100, "ffmpeg recorded {} pictures", times.len());
    times.sort_by(f64::total_cmp);
    times.windows(2).filter(|pair| is_gap(pair[1] - pair[0])).count()
}

/// How many pictures of `file` are exactly as the camera filmed them.
fn intact(file: &Path, source: &HashSet<String>) -> usize {
    let mut command = ffmpeg();
    command.args(["-loglevel", "quiet", "-i"]).arg(file).args(frames::SUMS);
    let sums: HashSet<_> = frames::parse(&run(&mut command, PATIENCE).stdout).into_iter().collect();
    sums.intersection(source).count()
}

#[test]
fn a_bad_wire_makes_no_gap_that_ffmpeg_does_not_have() {
    need("curl", "curl");
    let Some(wire) = BadWire::start("--loss 0.005 --double 0.01 --late 0.02") else { return };
    let camera = Camera::start_in(CAMERA, |program| wire.at_camera(program));
    let url = camera.url("h264");
    let stream = |transport: &str| {
        format!(
            "[stream.{transport}]\nsource = {{ kind = \"rtsp_pull\", url = \"{url}\", \
             username = \"{USER}\", password = \"{PASSWORD}\", transport = \"{transport}\" }}\n"
        )
    };
    let mut daemon = Daemon::new("256MiB", &TRANSPORTS.map(stream).concat());
    daemon.start_in(|program| wire.at_box(program));
    wait_for("both streams are live", PATIENCE, || {
        let all = get(&wire, &daemon, "/api/v1/streams")?;
        let live = |stream: &Value| stream["state"] == "live";
        all["streams"].as_array()?.iter().all(live).then_some(())
    });
    let dir = tempfile::tempdir().unwrap();
    let files = TRANSPORTS.map(|transport| dir.path().join(format!("{transport}.mp4")));
    let since = Timestamp::now();
    let recorders: Vec<Running> = TRANSPORTS
        .iter()
        .zip(&files)
        .map(|(transport, file)| ffmpeg_records(&wire, &url, transport, file))
        .collect();
    for mut recorder in recorders {
        recorder.ended_within(PATIENCE);
    }
    // At once: the film ends, too.
    let ours = TRANSPORTS.map(|transport| exported(&wire, &daemon, transport, dir.path()));
    let lost = daemon_lost(&wire, &daemon);
    let did = wire.end();
    let source: HashSet<String> = frames::of_medium("h264.mp4").into_iter().collect();
    for ((transport, theirs), (ours, listing)) in TRANSPORTS.iter().zip(&files).zip(&ours) {
        assert!(gaps(listing, since) <= holes(theirs), "{transport}: {listing}\n{}", daemon.logs());
        // Each lost others, so neither has all that the other has.
        let (ours, theirs) = (intact(ours, &source), intact(theirs, &source));
        println!("{transport}: {ours} pictures are whole, of ffmpeg's {theirs}");
        assert!(ours * 3 >= theirs * 2, "{transport}: {ours} pictures, ffmpeg has {theirs}");
    }
    println!("lost on the wire: {}, units lost over UDP: {lost}", did("lost"));
    for what in ["lost", "doubled", "late"] {
        assert!(did(what) > 10, "the wire was too good: {} {what}", did(what));
    }
    assert!(lost > 0, "nothing was lost over UDP, so nothing was tried");
}

/// What was recorded by `transport`, as one file, and the listing of it.
fn exported(wire: &BadWire, daemon: &Daemon, transport: &str, dir: &Path) -> (PathBuf, Value) {
    let listing = get(wire, daemon, &format!("/api/v1/recordings/{transport}")).unwrap();
    let (first, last) = (&listing["runs"][0], listing["runs"].as_array().unwrap().last().unwrap());
    let range = format!("start={}&end={}", first["start"], last["end"]).replace('"', "");
    let file = dir.join(format!("{transport}-ours.mp4"));
    let from = daemon.http(&format!("/export/{transport}.mp4?{range}"));
    run_well(wire.at_box("curl").args(["-sfo"]).arg(&file).arg(&from), PATIENCE);
    (file, listing)
}

/// Units of the stream over UDP that were not whole.
fn daemon_lost(wire: &BadWire, daemon: &Daemon) -> u64 {
    let all = get(wire, daemon, "/api/v1/streams").unwrap();
    let udp = all["streams"].as_array().unwrap().iter().find(|stream| stream["name"] == "udp");
    udp.and_then(|stream| stream["totals"]["lost"].as_u64()).expect("it is counted")
}
