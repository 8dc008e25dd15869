//! A daemon with a filled ring, and what players and probes make of its exports.

use std::process::Command;

use holdfast::base::time::WallTime;

use super::{MIB, OTHER, PATIENCE};
use crate::capture::Ring;
use crate::harness::daemon::Daemon;
use crate::harness::{ffmpeg, frames, need, run, run_well};

/// A daemon on a ring that `fill` has filled.
pub(super) fn serve(fill: impl FnOnce(&mut Ring)) -> Daemon {
    let mut daemon = Daemon::new("64MiB", OTHER);
    let mut ring = Ring::make(&daemon.data_dir(), 64 * MIB, MIB);
    fill(&mut ring);
    ring.close();
    daemon.start();
    crate::harness::wait_for("the ring is open", PATIENCE, || {
        (daemon.get("/api/v1/recordings/gate")["complete"] == true).then_some(())
    });
    daemon
}

pub(super) fn export(daemon: &Daemon, from: WallTime, until: WallTime) -> String {
    let (from, until) = (from.to_rfc3339(), until.to_rfc3339());
    daemon.http(&format!("/export/gate.mp4?start={from}&end={until}"))
}

/// A file with what is at `url`.
pub(super) fn fetch(url: &str) -> tempfile::NamedTempFile {
    need("curl", "curl");
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    let mut curl = Command::new("curl");
    run_well(curl.args(["-sSf", "-o"]).arg(file.path()).arg(url), PATIENCE);
    file
}

/// Status and headers of an answer, and its body.
pub(super) fn ask(url: &str, more: &[&str]) -> (u16, String, Vec<u8>) {
    need("curl", "curl");
    let head = tempfile::NamedTempFile::new().unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-D"]).arg(head.path()).args(more).arg(url);
    let body = run_well(&mut curl, PATIENCE);
    let head = std::fs::read_to_string(head.path()).unwrap().to_lowercase();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, head, body)
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut values = head.lines().filter_map(|line| line.split_once(": "));
    values.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} in {head}")).1.trim()
}

/// Checksums of the pictures of `input` that ffmpeg shows, in the size of each.
pub(super) fn shown(input: &str, track: usize) -> Vec<String> {
    shown_as(&["-xerror", "-err_detect", "explode"], input, track)
}

pub(super) fn shown_as(how: &[&str], input: &str, track: usize) -> Vec<String> {
    let mut command = ffmpeg();
    command.args(how).args(["-i", input]);
    command.args(["-map", &format!("0:v:{track}"), "-autoscale", "0", "-fps_mode", "passthrough"]);
    // In the file's own ticks, not in those of a frame rate guessed over gaps.
    command.args(["-enc_time_base", "-1"]);
    frames::parse(&run_well(command.args(["-f", "framemd5", "-"]), PATIENCE))
}

/// The same with GStreamer.
pub(super) fn shown_by_gstreamer(file: &str) -> Vec<String> {
    need("gst-launch-1.0", "gstreamer1.0-tools");
    let mut command = Command::new("gst-launch-1.0");
    let line = format!(
        "-q filesrc location={file} ! qtdemux name=d d.video_0 ! queue ! h264parse ! avdec_h264 \
         ! videoconvert ! video/x-raw,format=I420 ! checksumsink hash=md5 sync=false"
    );
    let told = run_well(command.args(line.split_whitespace()), PATIENCE);
    let told = String::from_utf8(told).unwrap();
    told.lines().filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned())).collect()
}

/// Fails with the numbers of the pictures rather than with their checksums.
pub(super) fn assert_same(seen: &[String], wanted: &[String], what: &str) {
    let number = |sum: &String| wanted.iter().position(|wanted| wanted == sum);
    let seen: Vec<_> = seen.iter().map(number).collect();
    let wanted: Vec<_> = (0..wanted.len()).map(Some).collect();
    assert_eq!(seen, wanted, "{what}");
}

/// As before, but the end may be missing.
pub(super) fn assert_begins(seen: &[String], wanted: &[String], what: &str) {
    let number = |sum: &String| wanted.iter().position(|wanted| wanted == sum);
    let seen: Vec<_> = seen.iter().map(number).collect();
    assert_eq!(seen, (0..seen.len()).map(Some).collect::<Vec<_>>(), "{what}");
}

/// What ffprobe says of `entries`.
pub(super) fn probe(input: &str, entries: &str) -> String {
    need("ffprobe", "ffmpeg");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", entries, "-of", "csv=p=0", input]);
    let output = run(&mut command, PATIENCE);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Fails if ffprobe has anything to say of it.
pub(super) fn assert_clean(input: &str) {
    let mut command = Command::new("ffprobe");
    let output = run(command.args(["-v", "warning", "-show_format", input]), PATIENCE);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

pub(super) fn duration(input: &str) -> f64 {
    probe(input, "format=duration").parse().unwrap()
}
