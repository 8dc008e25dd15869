//! Streams that come into being with their first publisher.

use std::time::Duration;

use super::{RATE, assert_recorded, pushing};
use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, frames, run, run_well, wait_for};

/// A daemon with streams that publishers may begin, of which the names are `cam-*`.
fn with_pattern(keys: &str) -> Daemon {
    Daemon::start_new("512MiB", &format!("[publish.\"cam-*\"]\n{keys}\n"))
}

fn wait_begun(daemon: &Daemon, name: &str) {
    wait_for("the stream's beginning", Duration::from_secs(20), || {
        stream_names(daemon).iter().any(|there| there == name).then_some(())
    });
    daemon.wait_state(name, "live", Duration::from_secs(20));
}

fn stream_names(daemon: &Daemon) -> Vec<String> {
    let told = daemon.get("/api/v1/streams");
    let streams = told["streams"].as_array().unwrap().iter();
    streams.map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_stream_begins_with_its_first_publisher_and_ends_when_none_comes_back() {
    let _alone = crate::harness::alone();
    let medium = frames::of_medium("h264.mp4");
    let mut daemon = with_pattern("streams_max = 2\nlinger = \"3s\"");
    assert!(stream_names(&daemon).is_empty());
    // The path that some apps impose leads there too.
    let url = daemon.rtsp("live/cam-north");
    let mut encoder = Running::start(&mut pushing("h264.mp4", 6, "tcp", &url));
    wait_begun(&daemon, "cam-north");
    let mut reader = ffmpeg();
    reader.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("cam-north"), "-t", "2"]);
    let seen = frames::parse(&run_well(reader.args(frames::SUMS), Duration::from_secs(40)));
    frames::assert_unbroken("what was read", &seen, &medium);
    assert!(encoder.ended_within(Duration::from_secs(60)).success());
    wait_for("the stream's end", Duration::from_secs(20), || {
        stream_names(&daemon).is_empty().then_some(())
    });
    // What was recorded of it stays, and a reload does not bring it back.
    daemon.reload();
    let told = daemon.get("/api/v1/recordings/cam-north").to_string();
    assert!(told.contains("fragments"), "{told}");
    assert!(stream_names(&daemon).is_empty());
    assert!(daemon.stop().success());
    assert_recorded(&daemon, &medium, 6 * RATE);
}

#[test]
fn no_more_streams_begin_than_may_and_a_reload_leaves_them_alone() {
    let _alone = crate::harness::alone();
    let daemon = with_pattern("streams_max = 2\nrecord = false");
    let mut encoders = ["cam-1", "cam-2"]
        .map(|name| Running::start(&mut pushing("h264.mp4", 30, "tcp", &daemon.rtsp(name))));
    for name in ["cam-1", "cam-2"] {
        wait_begun(&daemon, name);
    }
    for (name, status) in [("cam-3", "503"), ("dog-1", "404"), ("cam-", "404")] {
        let refused =
            run(&mut pushing("h264.mp4", 3, "tcp", &daemon.rtsp(name)), Duration::from_secs(20));
        assert!(!refused.status.success(), "{name}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(status), "{name}: {said}");
    }
    let failed = daemon.get("/api/v1/rtsp/failures").to_string();
    assert!(failed.contains("raise `streams_max`"), "{failed}");
    daemon.reload();
    std::thread::sleep(Duration::from_secs(1));
    for name in ["cam-1", "cam-2"] {
        assert_eq!(daemon.stream(name)["state"], "live");
        assert_nothing_lost_live(&daemon, name);
    }
    assert!(encoders.iter_mut().all(|encoder| encoder.child().try_wait().unwrap().is_none()));
}

fn assert_nothing_lost_live(daemon: &Daemon, stream: &str) {
    let told = daemon.stream(stream);
    assert_eq!((&told["totals"]["lost"], &told["totals"]["restarts"]), (&0.into(), &0.into()));
}
