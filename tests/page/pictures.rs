//! Pictures of now and of the past, MJPEG, and what a decoder that fails costs: the real daemon
//! with its test picture, whose frames say their number and date.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::barcode::{Grey, Said, decode};
use crate::harness::daemon::Daemon;
use crate::harness::{alone, ffmpeg, run, run_well, wait_for};
use holdfast::base::time::WallTime;
use rustix::process::{Pid, Signal, kill_process};

const QUICK: Duration = Duration::from_secs(30);
/// A key frame a second.
const DEMO: &str = "[stream.demo]\n\
    source = { kind = \"pattern\", width = 640, height = 360, fps = 10, bitrate_bps = 1000000 }";

/// An answer.
struct Reply {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The date in a header, in milliseconds since 1970.
    fn millis(&self, name: &str) -> i64 {
        let at = WallTime::parse_rfc3339(self.header(name));
        at.unwrap_or_else(|| panic!("{name}: {:?}", self.header(name))).as_unix_millis()
    }

    fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        json["error"]["code"].as_str().unwrap().to_owned()
    }

    fn picture(&self) -> Grey {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "image/jpeg");
        decode(&self.body)
    }
}

fn get_with(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> Reply {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(daemon.http(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.call().unwrap();
    let mut body = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut body).unwrap();
    Reply { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
}

fn get(daemon: &Daemon, path: &str) -> Reply {
    get_with(daemon, path, &[])
}

fn live() -> Daemon {
    let daemon = Daemon::start_new("256MiB", DEMO);
    wait_for("a first picture", QUICK, || {
        (get(&daemon, "/snap/demo.jpg").status == 200).then_some(())
    });
    daemon
}

/// Milliseconds since 1970 of the runs of `demo`: from and until.
fn runs(daemon: &Daemon) -> Vec<(i64, i64)> {
    let list = daemon.get("/api/v1/recordings/demo");
    let date = |at: &serde_json::Value| {
        WallTime::parse_rfc3339(at.as_str().unwrap()).unwrap().as_unix_millis()
    };
    let runs = list["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    runs.iter().map(|run| (date(&run["start"]), date(&run["end"]))).collect()
}

fn at(millis: i64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

/// The picture at a moment shows the frame that its header says, and none of before or behind.
fn assert_shows(daemon: &Daemon, millis: i64) -> Said {
    let reply = get(daemon, &format!("/snap/demo.jpg?t={}", at(millis)));
    let said = reply.picture().said();
    let told = reply.millis("x-frame-time");
    assert_eq!(said.millis.cast_signed(), told, "asked for {millis}");
    // A busy machine leaves pictures out, and the next key frame comes later.
    assert!(told <= millis && millis - told < 4_000, "{told} is not the picture of {millis}");
    said
}

#[test]
fn pictures_of_now_and_of_the_past_show_what_their_headers_say() {
    let _alone = alone();
    let mut daemon = live();
    let now = get(&daemon, "/snap/demo.jpg");
    let said = now.picture().said();
    assert_eq!(said.millis.cast_signed(), now.millis("x-frame-time"));
    let age: f64 = now.header("x-frame-age").parse().unwrap();
    assert!(age < 10.0 && now.header("last-modified").ends_with(" GMT"));
    assert_eq!(now.header("cache-control"), "no-store");
    let tag = now.header("etag").to_owned();
    let again = get_with(&daemon, "/snap/demo.jpg", &[("If-None-Match", &tag)]);
    assert!([200, 304].contains(&again.status));
    let small = get(&daemon, "/snap/demo.jpg?width=320").picture();
    assert_eq!((small.width, small.height), (320, 180));
    assert!(small.said().number >= said.number);
    assert_eq!(get(&daemon, "/snap/demo.jpg?width=3840").picture().width, 640);
    for nonsense in ["width=0", "width=5000", "width=wide", "widht=320", "t=yesterday", "t=-1"] {
        let reply = get(&daemon, &format!("/snap/demo.jpg?{nonsense}"));
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_request"), "{nonsense}");
    }
    let (start, end) = wait_for("five seconds are recorded", QUICK, || {
        runs(&daemon).first().copied().filter(|(start, end)| end - start > 5_000)
    });
    let first = assert_shows(&daemon, start);
    for millis in [start + 999, start + 1_700, start + 3_333, end - 1] {
        let said = assert_shows(&daemon, millis);
        // Ten frames a second, numbered.
        let (frames, passed) = (said.number - first.number, said.millis - first.millis);
        assert!((frames * 100).abs_diff(passed) < 1_000, "{frames} frames in {passed} ms");
    }
    let text = WallTime::from_unix_nanos((start + 1_700) * 1_000_000).to_rfc3339();
    let by_date = get(&daemon, &format!("/snap/demo.jpg?width=160&t={text}"));
    let by_secs = get(&daemon, &format!("/snap/demo.jpg?t={}", at(start + 1_700)));
    assert_eq!(by_date.millis("x-frame-time"), by_secs.millis("x-frame-time"));
    assert_eq!(by_date.picture().width, 160);
    over_a_gap(&mut daemon);
}

fn over_a_gap(daemon: &mut Daemon) {
    daemon.kill();
    std::thread::sleep(Duration::from_secs(5));
    daemon.start();
    let (before, behind) = wait_for("it records again", QUICK, || {
        let runs = runs(daemon);
        let behind = runs.get(1).filter(|(start, end)| end - start > 2_500)?;
        Some((runs[0], *behind))
    });
    let reply = get(daemon, &format!("/snap/demo.jpg?t={}", at(i64::midpoint(before.1, behind.0))));
    assert_eq!((reply.status, reply.code().as_str()), (404, "no_footage"));
    let next = reply.millis("x-next-footage");
    assert_eq!(next, behind.0);
    assert!(String::from_utf8_lossy(&reply.body).contains("next footage begins at"));
    assert_shows(daemon, before.1 - 1);
    assert_shows(daemon, next);
    let reply = get(daemon, &format!("/snap/demo.jpg?t={}", at(before.0 - 60_000)));
    assert_eq!((reply.status, reply.millis("x-next-footage")), (404, before.0));
    let reply = get(daemon, &format!("/snap/demo.jpg?t={}", at(behind.0 + 3_600_000)));
    assert_eq!((reply.status, reply.code().as_str()), (400, "in_the_future"));
    let reply = get(daemon, "/snap/nobody.jpg?t=1000");
    assert_eq!((reply.status, reply.code().as_str()), (404, "stream_unknown"));
}

/// The decoder children of a daemon.
fn children(daemon: &Daemon) -> Vec<u32> {
    let read = |pid: u32, what: &str| std::fs::read(format!("/proc/{pid}/{what}")).ok();
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let status = read(*pid, "status").unwrap_or_default();
        let parent = format!("PPid:\t{}\n", daemon.pid());
        let words = read(*pid, "cmdline").unwrap_or_default();
        String::from_utf8_lossy(&status).contains(&parent)
            && String::from_utf8_lossy(&words).contains("decode-still\0pictures")
    };
    pids.filter(ours).collect()
}

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Asks for a picture of a key frame that was not decoded yet.
fn fresh(daemon: &Daemon) -> Reply {
    std::thread::sleep(Duration::from_millis(2_100));
    get(daemon, "/snap/demo.jpg")
}

#[test]
fn a_decoder_that_crashes_or_hangs_costs_one_picture_and_is_told() {
    let _alone = alone();
    let daemon = live();
    let child = children(&daemon)[0];
    let limits = std::fs::read_to_string(format!("/proc/{child}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[26..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max address space"), (1_u64 << 30).to_string());
    assert_eq!((limit("Max open files").as_str(), limit("Max file size").as_str()), ("3", "0"));
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let score = std::fs::read_to_string(format!("/proc/{child}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "500");

    // Between two pictures: the change goes unnoticed.
    send(child, Signal::SEGV);
    wait_for("it is told", QUICK, || daemon.logs().contains("signal: 11").then_some(()));
    assert_eq!(fresh(&daemon).status, 200);

    // In the middle of one.
    let child = children(&daemon)[0];
    send(child, Signal::STOP);
    let lost = std::thread::scope(|scope| {
        let asked = scope.spawn(|| fresh(&daemon));
        std::thread::sleep(Duration::from_millis(3_000));
        send(child, Signal::SEGV);
        send(child, Signal::CONT);
        asked.join().unwrap()
    });
    assert_eq!((lost.status, lost.code().as_str()), (503, "no_picture"));
    assert!(String::from_utf8_lossy(&lost.body).contains("signal: 11"));
    assert_eq!(fresh(&daemon).status, 200);

    // One that hangs is replaced.
    let child = children(&daemon)[0];
    send(child, Signal::STOP);
    let begun = Instant::now();
    let lost = fresh(&daemon);
    assert_eq!((lost.status, lost.code().as_str()), (503, "no_picture"));
    assert!(String::from_utf8_lossy(&lost.body).contains("longer than 5 s"));
    assert!(begun.elapsed() < QUICK);
    assert_eq!(fresh(&daemon).status, 200);
    assert!(!children(&daemon).contains(&child), "the one that hung is still there");
    assert_eq!(daemon.stream("demo")["state"], "live");
}

#[test]
fn ffmpeg_reads_mjpeg_and_every_picture_of_it_is_another() {
    let _alone = alone();
    let daemon = live();
    let url = daemon.http("/live/demo/mjpeg?width=320");
    let mut command = ffmpeg();
    command.args(["-f", "mpjpeg", "-i", &url, "-frames:v", "4", "-fps_mode", "passthrough"]);
    command.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    let out = run_well(&mut command, Duration::from_secs(60));
    assert_eq!(out.len(), 4 * 320 * 180);
    let said = out
        .chunks(320 * 180)
        .map(|samples| Grey { width: 320, height: 180, samples: samples.to_vec() }.said());
    let said: Vec<_> = said.collect();
    // Key frames only: ten frames apart, more on a machine that is too busy.
    assert!(said.windows(2).all(|pair| pair[0].number + 10 <= pair[1].number), "{said:?}");
    let viewers: Vec<_> = (0..16).map(|_| ureq::get(&url).call().unwrap()).collect();
    assert_eq!(daemon.stream("demo")["readers"]["mjpeg"], 16);
    let reply = get(&daemon, "/live/demo/mjpeg");
    assert_eq!((reply.status, reply.code().as_str()), (503, "viewers_full"));
    drop(viewers);
    wait_for("their places are free again", QUICK, || {
        (daemon.stream("demo")["readers"]["mjpeg"] == 0).then_some(())
    });
    let reply = get(&daemon, "/live/nobody/mjpeg");
    assert_eq!((reply.status, reply.code().as_str()), (404, "stream_unknown"));
    // A browser or curl: three seconds of it have a boundary behind every picture.
    crate::harness::need("curl", "curl");
    let mut curl = std::process::Command::new("curl");
    let out = run(curl.args(["--silent", "--max-time", "4", "--include", &url]), QUICK);
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("content-type: multipart/x-mixed-replace; boundary=frame"), "{text}");
    let parts = text.matches("--frame\r\nContent-Type: image/jpeg\r\n").count();
    assert!(parts >= 2, "{parts} pictures");
    assert!(text.ends_with("--frame\r\n"));
}
