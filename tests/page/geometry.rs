//! Pictures that are not square pixels, and those that no decoder here draws: the real daemon, and
//! ffmpeg as encoder, publisher and judge.

use std::process::Command;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, run_well, wait_for};

const QUICK: Duration = Duration::from_secs(30);

/// A daemon with a stream of each of `names`, which an encoder may push.
fn daemon(names: &[&str]) -> Daemon {
    let stream = |name: &&str| format!("[stream.{name}]\nsource = {{ kind = \"rtsp_push\" }}\n");
    Daemon::start_new("256MiB", &names.iter().map(stream).collect::<String>())
}

/// Pushes ten seconds of a test picture again and again, coded as `options` say.
fn push(daemon: &Daemon, name: &str, options: &[&str]) -> Running {
    let mut command = ffmpeg();
    command
        .args(["-re", "-f", "lavfi", "-i", "testsrc2=s=352x240:r=10"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-bf", "0"])
        .args(options)
        .args(["-f", "rtsp", "-rtsp_transport", "tcp"])
        .arg(daemon.rtsp(name));
    Running::start(&mut command)
}

/// Status and body of an answer.
fn get(daemon: &Daemon, path: &str) -> (u16, Vec<u8>) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(daemon.http(path)).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
}

/// What ffprobe says of the picture in `file`.
fn probe(file: &std::path::Path, entries: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-of", "csv=p=0"]);
    command.args(["-show_entries", &format!("stream={entries}")]).arg(file);
    String::from_utf8(run_well(&mut command, QUICK)).unwrap().trim().trim_matches(',').to_owned()
}

#[test]
fn pixels_that_are_not_square_are_shown_in_their_shape_everywhere() {
    let daemon = daemon(&["wide"]);
    let _encoder = push(&daemon, "wide", &["-vf", "setsar=40/33", "-pix_fmt", "yuv420p"]);
    daemon.wait_state("wide", "live", QUICK);
    let jpeg = wait_for("a picture", QUICK, || {
        let (status, body) = get(&daemon, "/snap/wide.jpg");
        (status == 200).then_some(body)
    });
    let still = daemon.data_dir().with_file_name("still.jpg");
    std::fs::write(&still, jpeg).unwrap();
    // 352 * 40 / 33, to the nearest.
    assert_eq!(probe(&still, "width,height"), "427,240");
    let track = daemon.stream("wide")["tracks"][0].clone();
    for (field, wanted) in [("width", 352), ("height", 240), ("display_width", 427)] {
        assert_eq!(track[field], wanted, "{track}");
    }
    assert_eq!((&track["sar"], &track["undrawable"]), (&"40:33".into(), &serde_json::Value::Null));
    let list = wait_for("a variant", QUICK, || {
        let (status, body) = get(&daemon, "/live/wide/index.m3u8");
        (status == 200).then(|| String::from_utf8(body).unwrap())
    });
    assert!(list.contains("RESOLUTION=427x240"), "{list}");
    let runs = wait_for("three seconds are recorded", QUICK, || {
        let list = daemon.get("/api/v1/recordings/wide");
        (list["runs"][0]["fragments"].as_u64()? >= 4).then_some(list)
    });
    let date = |name: &str| runs["runs"][0][name].as_str().unwrap().to_owned();
    let path = format!("/export/wide.mp4?start={}&end={}", date("start"), date("end"));
    let (status, film) = get(&daemon, &path);
    assert_eq!(status, 200);
    let text = |needle: &[u8]| film.windows(needle.len()).any(|bytes| bytes == needle);
    assert!(text(&[b"pasp", &40u32.to_be_bytes()[..], &33u32.to_be_bytes()].concat()));
    let size = [427u32 << 16, 240 << 16].map(u32::to_be_bytes).concat();
    assert!(text(&size), "the track header tells the size on the screen");
}

#[test]
fn what_no_decoder_draws_is_refused_at_once_in_plain_words() {
    let cases = [
        ("fields", "interlaced", &["-pix_fmt", "yuv420p", "-x264-params", "interlaced=1"][..]),
        ("deep", "10 bits", &["-pix_fmt", "yuv420p10le"]),
        ("colours", "4:2:2", &["-pix_fmt", "yuv422p"]),
    ];
    let daemon = daemon(&cases.map(|(name, ..)| name));
    let _encoders = cases.map(|(name, _, options)| push(&daemon, name, options));
    for (name, words, _) in cases {
        daemon.wait_state(name, "live", QUICK);
        let answer = wait_for("an answer that stays", QUICK, || {
            let (status, body) = get(&daemon, &format!("/snap/{name}.jpg"));
            let text = String::from_utf8(body).unwrap();
            assert_ne!(status, 200, "{name}");
            (status == 501).then_some(text)
        });
        assert!(answer.to_lowercase().contains(words), "{answer}");
        assert!(answer.contains("set the camera to"), "{answer}");
        let track = daemon.stream(name)["tracks"][0].clone();
        assert!(track["undrawable"].as_str().unwrap().contains(words), "{track}");
        // It is recorded all the same.
        wait_for("a second is recorded", QUICK, || {
            let list = daemon.get(&format!("/api/v1/recordings/{name}"));
            (list["runs"][0]["fragments"].as_u64()? >= 1).then_some(())
        });
    }
}
