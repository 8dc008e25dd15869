//! The whole path with a real camera server and real readers: pull, ring, RTSP, HLS.
//!
//! What is compared is the checksum of every decoded picture, so one picture missing, doubled or
//! damaged on the way fails.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::camera::{Camera, PASSWORD, USER, aac_frames, alaw_octets, raw_aac};
use crate::harness::daemon::{Daemon, assert_slots_decode};
use crate::harness::{Running, ffmpeg, frames, run, run_well, wait_for};

/// How long a reader reads in the long test.
const LONG_SECS: u32 = 60;
/// How long a reader reads in the others.
const SHORT_SECS: u32 = 12;

/// The configuration of a stream that pulls `mount` of `camera`.
fn pulled(name: &str, camera: &Camera, mount: &str, transport: &str) -> String {
    format!(
        "[stream.{name}]\n\
         source = {{ kind = \"rtsp_pull\", url = \"{}\", username = \"{USER}\", \
         password = \"{PASSWORD}\", transport = \"{transport}\" }}\n",
        camera.url(mount)
    )
}

/// ffmpeg as an RTSP reader of `url`.
fn rtsp_reader(url: &str, transport: &str) -> Command {
    let mut command = ffmpeg();
    command.args(["-rtsp_transport", transport, "-i", url]);
    command
}

/// Reads `secs` of pictures and holds them against `medium`.
fn assert_read_whole(what: &str, mut reader: Command, secs: u32, medium: &[String]) {
    reader.args(["-t", &secs.to_string()]).args(frames::SUMS);
    let most = Duration::from_secs(u64::from(secs) * 2 + 30);
    let seen = frames::parse(&run_well(&mut reader, most));
    frames::assert_unbroken(what, &seen, medium);
    let wanted = usize::try_from(secs * 25 - 25).unwrap();
    assert!(seen.len() >= wanted, "{what}: only {} pictures in {secs} s", seen.len());
}

/// Holds what every slot keeps against `medium`, and the slots against each other.
fn assert_recorded_whole(daemon: &Daemon, medium: &[String]) {
    let slots = daemon.slots();
    assert_slots_decode(&slots);
    let mut parts: Vec<_> = slots
        .iter()
        .map(|slot| {
            let seen = frames::of_file(slot);
            let begin = frames::assert_unbroken(&slot.display().to_string(), &seen, medium);
            (begin, begin + seen.len())
        })
        .collect();
    parts.sort_unstable();
    assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0), "pictures lost: {parts:?}");
}

#[test]
fn a_camera_is_served_and_recorded_whole_for_a_minute() {
    let _alone = crate::harness::alone();
    let camera = Camera::start();
    let medium = frames::of_medium("h264.mp4");
    let mut daemon = Daemon::start_new("512MiB", &pulled("gate", &camera, "h264", "tcp"));
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    std::thread::scope(|readers| {
        for transport in ["tcp", "udp"] {
            let (url, medium) = (daemon.rtsp("gate"), &medium);
            readers.spawn(move || {
                let what = format!("RTSP by {transport}");
                assert_read_whole(&what, rtsp_reader(&url, transport), LONG_SECS, medium);
            });
        }
        readers.spawn(|| {
            let mut sound = rtsp_reader(&daemon.rtsp("gate"), "tcp");
            sound.args(["-t", "20", "-map", "0:a", "-c", "copy", "-f", "adts", "-"]);
            let seen = raw_aac(&run_well(&mut sound, Duration::from_secs(60)));
            let source = aac_frames("h264.mp4");
            let begin = source.iter().position(|frame| *frame == seen[0]).expect("its own sound");
            assert!(seen.len() > 800 && source[begin..].starts_with(&seen), "sound is damaged");
        });
        readers.spawn(|| {
            std::thread::sleep(Duration::from_secs(8)); // until a playlist has three segments
            let mut hls = ffmpeg();
            hls.arg("-i").arg(daemon.http("/live/gate/index.m3u8"));
            assert_read_whole("HLS", hls, 20, &medium);
        });
    });
    let stream = daemon.stream("gate");
    assert_eq!(stream["totals"]["lost"], 0, "{stream}");
    assert_eq!(stream["recording"]["lost"], 0, "{stream}");
    assert!(daemon.stop().success());
    assert_recorded_whole(&daemon, &medium);
}

#[test]
fn h265_b_frames_and_g711_come_through_as_well() {
    let _alone = crate::harness::alone();
    let camera = Camera::start();
    let streams = pulled("hevc", &camera, "h265", "tcp")
        + &pulled("order", &camera, "bframes", "udp")
        + &pulled("phone", &camera, "g711", "tcp");
    let daemon = Daemon::start_new("512MiB", &streams);
    let media = [("hevc", "h265.mp4"), ("order", "bframes.mp4"), ("phone", "g711.mov")];
    for (name, _) in media {
        daemon.wait_state(name, "live", Duration::from_secs(20));
    }
    std::thread::scope(|readers| {
        for (name, medium) in media {
            let daemon = &daemon;
            readers.spawn(move || {
                let medium = frames::of_medium(medium);
                for transport in ["tcp", "udp"] {
                    let what = format!("{name} by {transport}");
                    let reader = rtsp_reader(&daemon.rtsp(name), transport);
                    assert_read_whole(&what, reader, SHORT_SECS, &medium);
                }
            });
        }
        readers.spawn(|| {
            let mut sound = rtsp_reader(&daemon.rtsp("phone"), "tcp");
            sound.args(["-t", "5", "-map", "0:a", "-c", "copy", "-f", "alaw", "-"]);
            let seen = run_well(&mut sound, Duration::from_secs(40));
            let source = alaw_octets("g711.mov");
            assert!(seen.len() > 30_000, "only {} octets in 5 s", seen.len());
            assert!(source.windows(seen.len()).any(|part| part == seen), "sound is damaged");
        });
    });
    let mut daemon = daemon;
    assert!(daemon.stop().success());
    assert_slots_decode(&daemon.slots());
}

#[test]
fn gstreamer_reads_what_it_sent() {
    let _alone = crate::harness::alone();
    crate::harness::need("gst-launch-1.0", "gstreamer1.0-tools");
    let camera = Camera::start();
    let daemon = Daemon::start_new("256MiB", &pulled("gate", &camera, "h264", "tcp"));
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let medium = frames::of_medium("h264.mp4");
    let directory = tempfile::tempdir().unwrap();
    for protocol in ["tcp", "udp"] {
        let file = directory.path().join(protocol);
        let line = format!(
            "-q rtspsrc location={} protocols={protocol} ! rtph264depay ! h264parse ! \
             video/x-h264,stream-format=byte-stream,alignment=au ! identity eos-after=125 ! \
             filesink location={}",
            daemon.rtsp("gate"),
            file.display()
        );
        // Its own PAUSE races with its own flush at the end, so its exit code says little (1.22).
        let mut reader = Command::new("gst-launch-1.0");
        let told = run(reader.args(line.split_whitespace()), Duration::from_secs(30)).stderr;
        let seen = frames::of_file(&file);
        assert!(seen.len() >= 120, "{} pictures: {}", seen.len(), String::from_utf8_lossy(&told));
        frames::assert_unbroken(protocol, &seen, &medium);
    }
}

#[test]
fn readers_and_recording_go_on_when_the_camera_comes_back() {
    let _alone = crate::harness::alone();
    let camera = Camera::start();
    let port = camera.port();
    let mut daemon = Daemon::start_new("256MiB", &pulled("gate", &camera, "h264", "tcp"));
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let sums = tempfile::NamedTempFile::new().unwrap();
    let mut reader = rtsp_reader(&daemon.rtsp("gate"), "tcp");
    reader.args(frames::SUMS).stdout(sums.reopen().unwrap()).stderr(Stdio::null());
    let mut reader = Running::start(&mut reader);
    std::thread::sleep(Duration::from_secs(8));

    camera.kill();
    daemon.wait_state("gate", "offline", Duration::from_secs(15));
    let reason = daemon.stream("gate")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("camera"), "the reason is {reason:?}");
    std::thread::sleep(Duration::from_secs(10));
    let _camera = Camera::start_on(port);
    daemon.wait_state("gate", "live", Duration::from_secs(40));
    std::thread::sleep(Duration::from_secs(8));

    assert!(reader.runs(), "the reader gave up");
    reader.signal(rustix::process::Signal::INT);
    reader.ended_within(Duration::from_secs(10));
    assert_one_seam(&frames::parse(&std::fs::read(sums.path()).unwrap()));
    let listing = wait_for("the listing shows the gap", Duration::from_secs(5), || {
        let listing = daemon.get("/api/v1/recordings/gate");
        (listing["gaps"].as_array().is_some_and(|gaps| !gaps.is_empty())).then_some(listing)
    });
    assert_eq!(listing["runs"].as_array().unwrap().len(), 2, "{listing}");
    assert_eq!(listing["gaps"].as_array().unwrap().len(), 1, "{listing}");
    let gap = span_secs(&listing["gaps"][0]);
    assert!((9.0..60.0).contains(&gap), "a gap of {gap} s: {listing}");
    assert!(span_secs(&listing["runs"][1]) > 5.0, "{listing}");
    assert!(daemon.stop().success());
    assert_slots_decode(&daemon.slots());
}

/// Two unbroken parts of the source: before the camera went and after it came back.
fn assert_one_seam(seen: &[String]) {
    let medium = frames::of_medium("h264.mp4");
    let place = |sum: &String| medium.iter().position(|known| known == sum);
    let seam = seen.windows(2).position(|pair| place(&pair[0]).map(|at| at + 1) != place(&pair[1]));
    let seam = seam.expect("the reader saw the camera come back") + 1;
    frames::assert_unbroken("before the gap", &seen[..seam], &medium);
    frames::assert_unbroken("after the gap", &seen[seam..], &medium);
    assert!(seam > 100 && seen.len() - seam > 100, "seam at {seam} of {}", seen.len());
}

/// From `start` to `end` of a run or gap, in seconds.
fn span_secs(span: &serde_json::Value) -> f64 {
    let at = |key: &str| span[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    at("end").duration_since(at("start")).as_secs_f64()
}
