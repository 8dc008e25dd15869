//! Streams as cameras send them, beside those whose entry points differ (`export/entries`): the real
//! daemon, and ffmpeg as encoder, publisher and reader.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, run_well, wait_for};
use holdfast::dvr::RingReader;
use holdfast::media::nal::annex_b;

const MOST: Duration = Duration::from_secs(60);

/// Half a minute of H.264 of this size and level, ten pictures a second, in groups of ten.
fn groups(size: &str, level: &str) -> Vec<Vec<u8>> {
    let mut encode = ffmpeg();
    encode.args(["-f", "lavfi", "-i", &format!("testsrc2=s={size}:r=10:d=30")]);
    encode.args([
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-level",
        level,
    ]);
    encode.args(["-x264-params", "keyint=10:scenecut=0:bframes=0", "-f", "h264", "-"]);
    let mut groups: Vec<Vec<u8>> = Vec::new();
    for nal in annex_b(&run_well(&mut encode, MOST)) {
        if nal[0] & 31 == 7 {
            groups.push(Vec::new());
        }
        let group = groups.last_mut().expect("a parameter set comes first");
        group.extend_from_slice(&[&[0, 0, 0, 1], nal].concat());
    }
    assert_eq!(groups.len(), 30);
    groups
}

/// Pushes a film in which the groups of `a` and `b` alternate.
fn push_alternating(daemon: &Daemon, name: &str, a: &[Vec<u8>], b: &[Vec<u8>]) -> Running {
    let film: Vec<u8> =
        (0..a.len()).flat_map(|at| if at % 2 == 0 { &a[at] } else { &b[at] }.clone()).collect();
    let file = daemon.data_dir().with_extension(format!("{name}.h264"));
    std::fs::write(&file, film).unwrap();
    let mut push = ffmpeg();
    push.args(["-re", "-r", "10", "-f", "h264", "-i"]).arg(&file).args(["-c", "copy"]);
    publish(push, daemon, name)
}

fn publish(mut push: Command, daemon: &Daemon, name: &str) -> Running {
    push.args(["-f", "rtsp", "-rtsp_transport", "tcp"]).arg(daemon.rtsp(name));
    Running::start(push.stdin(Stdio::null()))
}

/// What ffprobe says of some seconds of a live list.
fn probed(daemon: &Daemon, name: &str, what: [&str; 4]) -> String {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-of", "csv=p=0", "-read_intervals", "%+4"]).args(what);
    probe.arg(daemon.http(&format!("/live/{name}/index.m3u8")));
    String::from_utf8(run_well(&mut probe, MOST)).unwrap()
}

fn discontinuities(daemon: &Daemon, name: &str) -> usize {
    let url = daemon.http(&format!("/live/{name}/media.m3u8"));
    let list = ureq::get(&url).call().unwrap().into_body().read_to_string().unwrap();
    // The rules of dates do not hold on a machine without time for its publishers.
    crate::playlist::read_media(&list).discontinuities()
}

/// How many slots hold footage of a stream.
fn slots(daemon: &Daemon, name: &str) -> usize {
    let ring = RingReader::open(&daemon.data_dir()).unwrap();
    let laps = ring.laps().iter().filter_map(|lap| ring.contents(*lap).ok().flatten());
    laps.filter(|(header, _)| header.stream.as_str() == name).count()
}

#[test]
fn slow_pictures_changing_sets_and_sound_that_stops_are_recorded_told_and_played() {
    let stream = |name: &str| format!("[stream.{name}]\nsource = {{ kind = \"rtsp_push\" }}\n");
    let daemon =
        Daemon::start_new("128MiB", &["slow", "flips", "sizes", "stops"].map(stream).concat());
    let (small, other, large) =
        (groups("320x180", "1.3"), groups("320x180", "3.0"), groups("352x240", "3.0"));
    let mut slow = ffmpeg();
    slow.args(["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=1/4", "-pix_fmt", "yuv420p"]);
    slow.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "1"]);
    let mut stops = ffmpeg();
    stops.args(["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10"]);
    stops.args(["-f", "lavfi", "-i", "sine=sample_rate=16000:duration=5", "-pix_fmt", "yuv420p"]);
    stops.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-c:a", "aac"]);
    stops.args(["-max_interleave_delta", "100000"]);
    let _pushed = [
        publish(slow, &daemon, "slow"),
        publish(stops, &daemon, "stops"),
        push_alternating(&daemon, "flips", &small, &other),
        push_alternating(&daemon, "sizes", &small, &large),
    ];
    let until = |name: &str, what: &str, holds: &dyn Fn(&serde_json::Value) -> bool| {
        wait_for(what, MOST, || holds(&daemon.stream(name)).then_some(()));
    };
    let counts = |field: &'static str| {
        move |told: &serde_json::Value| told[field].as_u64().is_some_and(|changes| changes >= 10)
    };
    until("flips", "sets that changed are counted", &counts("params_changes"));
    until("sizes", "sizes that changed are counted", &counts("shape_changes"));
    until("stops", "sound that stopped is told", &|told| told["audio"]["state"] == "stopped");
    // All sets are in the samples: one slot, and a second where another size was described once.
    assert_eq!((slots(&daemon, "flips"), discontinuities(&daemon, "flips")), (1, 0));
    assert!(slots(&daemon, "sizes") <= 2);
    let both = ["-select_streams", "v", "-show_entries", "frame=width"];
    for (name, widths) in [("flips", &["320"][..]), ("sizes", &["320", "352"])] {
        let seen = probed(&daemon, name, both);
        let seen: std::collections::BTreeSet<&str> =
            seen.split([',', '\n']).filter(|word| !word.is_empty()).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), widths, "{name}");
    }
    // Silence takes the place of sound that stopped: a browser shows no picture without.
    let sound = ["-select_streams", "a", "-show_entries", "packet=pts"];
    assert!(probed(&daemon, "stops", sound).lines().count() > 16);
    let list = wait_for("five pictures in twenty seconds", MOST, || {
        let list = daemon.get("/api/v1/recordings/slow");
        (list["runs"][0]["fragments"].as_u64()? >= 5).then_some(list)
    });
    let count = |name: &str| list[name].as_array().map(Vec::len);
    assert_eq!((count("runs"), count("gaps")), (Some(1), Some(0)), "{list}");
    assert_eq!(discontinuities(&daemon, "slow"), 0);
    let apart = daemon.stream("slow")["entry_interval_ms"].as_u64();
    assert!(apart.is_some_and(|apart| (3_500..4_500).contains(&apart)), "{apart:?}");
}
