//! Streams whose key frames are no IDR pictures, pushed by ffmpeg: each can be joined by RTSP and HLS
//! within its first entry point, gives a picture of now, and exports what was asked for and little more.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, run, run_well, wait_for};
use holdfast::base::time::{Clock, SystemClock, WallTime};
use holdfast::media::nal::annex_b;

/// Pictures a second, and at most from one entry point to the next: in open groups two lead each.
const RATE: usize = 10;
const GROUP: usize = 12;
const MOST: Duration = Duration::from_secs(60);

/// Name, what the API calls its entry points, and how ffmpeg makes it.
const KINDS: [(&str, &str, &[&str]); 6] = [
    ("closed", "closed", &["-c:v", "libx264", "-x264-params", "keyint=10:scenecut=0"]),
    (
        "open",
        "open",
        &["-c:v", "libx264", "-x264-params", "keyint=12:open-gop=1:bframes=2:b-adapt=0:scenecut=0"],
    ),
    (
        "bare",
        "intra",
        &[
            "-c:v",
            "libx264",
            "-x264-params",
            "keyint=12:open-gop=1:bframes=2:b-adapt=0:scenecut=0",
            "-bsf:v",
            "filter_units=remove_types=6",
        ],
    ),
    (
        "refresh",
        "gradual",
        &["-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=10:bframes=0"],
    ),
    (
        "cra",
        "open",
        &[
            "-c:v",
            "libx265",
            "-x265-params",
            "keyint=12:min-keyint=12:open-gop=1:bframes=2:b-adapt=0:log-level=none",
        ],
    ),
    // Neither its one IDR picture nor any recovery point is sent.
    (
        "none",
        "none",
        &[
            "-c:v",
            "libx264",
            "-x264-params",
            "intra-refresh=1:keyint=10:bframes=0",
            "-bsf:v",
            "filter_units=remove_types=5|6",
        ],
    ),
];

/// Places to begin in a stream that has none are two seconds apart.
const BLIND_GROUP: usize = 2 * RATE;

fn push(daemon: &Daemon, name: &str, coder: &[&str]) -> Running {
    let mut command = ffmpeg();
    command.args(["-re", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10", "-pix_fmt", "yuv420p"]);
    command.args(["-preset", "ultrafast"]).args(coder);
    command.args(["-f", "rtsp", "-rtsp_transport", "tcp"]).arg(daemon.rtsp(name));
    Running::start(command.stdin(Stdio::null()))
}

/// Pictures in a file or at an address, as ffprobe counts them.
fn pictures(source: &str, more: &[&str]) -> usize {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error"]).args(more).args(["-select_streams", "v", "-count_packets"]);
    probe.args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", source]);
    let told = String::from_utf8(run_well(&mut probe, MOST)).unwrap();
    // Of a playlist it tells programs, too.
    let count = told.lines().map(|line| line.trim_end_matches(',')).find(|line| !line.is_empty());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{source}: {told}"))
}

fn fetch(daemon: &Daemon, path: &str) -> (u16, Vec<u8>) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut reply = agent.get(daemon.http(path)).call().unwrap();
    let body = reply.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    (reply.status().as_u16(), body)
}

#[test]
fn a_stream_of_every_kind_of_entry_point_is_joined_shown_and_exported() {
    let stream = |name: &str| format!("[stream.{name}]\nsource = {{ kind = \"rtsp_push\" }}\n");
    let streams: Vec<String> = KINDS.iter().map(|(name, ..)| stream(name)).collect();
    let daemon = Daemon::start_new("128MiB", &streams.concat());
    let pushed: Vec<Running> =
        KINDS.iter().map(|(name, _, coder)| push(&daemon, name, coder)).collect();
    for (name, entry, _) in KINDS {
        wait_for(&format!("{name} is known as {entry}"), MOST, || {
            (daemon.stream(name)["entry"] == entry).then_some(())
        });
    }
    // The first IDR picture is long past.
    std::thread::sleep(Duration::from_secs(8));
    assert_joined_without_undecodable_pictures(&daemon, "cra");
    for (name, entry, _) in KINDS {
        let (status, picture) = fetch(&daemon, &format!("/snap/{name}.jpg"));
        let words = String::from_utf8_lossy(&picture).into_owned();
        let is_jpeg = status == 200 && picture.starts_with(&[0xff, 0xd8]);
        let says_why = status == 501 && words.contains("sends no key pictures (entry: none)");
        assert!(if entry == "none" { says_why } else { is_jpeg }, "{name}: {status} {words}");
        let live =
            pictures(&daemon.rtsp(name), &["-rtsp_transport", "tcp", "-read_intervals", "%+2"]);
        assert!((RATE..6 * RATE).contains(&live), "{name}: {live} pictures by RTSP");
        let hls = daemon.http(&format!("/live/{name}/index.m3u8"));
        let live = pictures(&hls, &["-read_intervals", "%+3"]);
        assert!(live >= RATE, "{name}: {live} pictures by HLS");
        let now = SystemClock.wall();
        let date = |secs: i64| now.offset_nanos(secs * 1_000_000_000).to_rfc3339();
        let path = format!("/export/{name}.mp4?start={}&end={}", date(-6), date(-4));
        let (status, film) = fetch(&daemon, &path);
        assert_eq!(status, 200, "{name}: {}", String::from_utf8_lossy(&film));
        let file = daemon.data_dir().with_extension(format!("{name}.mp4"));
        std::fs::write(&file, &film).unwrap();
        let count = pictures(file.to_str().unwrap(), &[]);
        // Two seconds, and at most the two groups before them: a refresh is whole after one.
        let before = if entry == "none" { BLIND_GROUP } else { 2 * GROUP };
        assert!((2 * RATE - 2..=2 * RATE + before + 3).contains(&count), "{name}: {count}");
        if entry != "none" {
            assert_past_picture(&daemon, name, &date(-5));
        }
        let has_rolls = film.windows(4).any(|word| word == b"sgpd");
        assert_eq!(has_rolls, name == "refresh", "{name}: a recovery distance in the file");
        let _ = std::fs::remove_file(file);
    }
    drop(pushed);
}

/// A film of H.265 in gradual refresh, which x265 does not mark by itself: a recovery point before every
/// tenth picture, nine pictures ahead.
fn refresh_of_h265(path: &std::path::Path) {
    /// Prefix SEI (39): `recovery_poc_cnt` 9 as se(v), exact match, no broken link (ITU-T H.265 §D.2.8).
    const RECOVERY: [u8; 7] = [0x4e, 1, 6, 2, 0x09, 0x50, 0x80];
    let mut encode = ffmpeg();
    encode.args(["-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=60", "-pix_fmt", "yuv420p"]);
    encode.args(["-preset", "ultrafast", "-c:v", "libx265", "-x265-params"]);
    encode.args(["intra-refresh=1:keyint=10:bframes=0:slices=1:log-level=none", "-f", "hevc", "-"]);
    let film = run_well(&mut encode, MOST);
    let (mut marked, mut pictures) = (Vec::new(), 0);
    for nal in annex_b(&film) {
        if nal[0] >> 1 & 0x3f < 32 {
            if pictures % 10 == 5 {
                marked.extend_from_slice(&[&[0, 0, 0, 1], &RECOVERY[..]].concat());
            }
            pictures += 1;
        }
        marked.extend_from_slice(&[&[0, 0, 0, 1], nal].concat());
    }
    assert_eq!(pictures, 600);
    std::fs::write(path, marked).unwrap();
}

/// No decoder here begins in it: that is said in a sentence, of now and of the past. It is joined all the
/// same.
#[test]
fn h265_in_gradual_refresh_is_joined_and_says_why_there_is_no_picture() {
    let daemon = Daemon::start_new("64MiB", "[stream.gate]\nsource = { kind = \"rtsp_push\" }\n");
    let film = daemon.data_dir().with_extension("refresh.h265");
    refresh_of_h265(&film);
    let mut push = ffmpeg();
    push.args(["-re", "-r", "10", "-f", "hevc", "-i"]).arg(&film).args(["-c", "copy"]);
    push.args(["-f", "rtsp", "-rtsp_transport", "tcp"]).arg(daemon.rtsp("gate"));
    let pushed = Running::start(push.stdin(Stdio::null()));
    wait_for("it is known as gradual", MOST, || {
        (daemon.stream("gate")["entry"] == "gradual").then_some(())
    });
    std::thread::sleep(Duration::from_secs(4));
    let (status, words) = fetch(&daemon, "/snap/gate.jpg");
    let words = String::from_utf8(words).unwrap();
    assert!(status == 501 && words.contains("sends no key pictures (entry: gradual)"), "{words}");
    let at = SystemClock.wall().offset_nanos(-1_000_000_000).to_rfc3339();
    let (status, words) = fetch(&daemon, &format!("/snap/gate.jpg?at={at}"));
    let words = String::from_utf8(words).unwrap();
    assert!(status == 501 && words.contains("H.265 with gradual refresh"), "{words}");
    let live =
        pictures(&daemon.rtsp("gate"), &["-rtsp_transport", "tcp", "-read_intervals", "%+2"]);
    assert!((RATE..6 * RATE).contains(&live), "{live} pictures by RTSP");
    drop(pushed);
    std::fs::remove_file(film).unwrap();
}

/// The picture of a moment of the past is the one that an export of that moment begins with.
fn assert_past_picture(daemon: &Daemon, name: &str, at: &str) {
    let reply = ureq::get(daemon.http(&format!("/snap/{name}.jpg?at={at}"))).call();
    let mut reply = reply.unwrap_or_else(|error| panic!("{name} at {at}: {error}"));
    let shown = reply.headers()["x-frame-time"].to_str().unwrap().to_owned();
    let date = |text: &str| WallTime::parse_rfc3339(text).unwrap();
    let ahead = date(at).as_unix_millis() - date(&shown).as_unix_millis();
    assert!((0..2_000).contains(&ahead), "{name}: {shown} for {at}");
    let picture = reply.body_mut().read_to_vec().unwrap();
    let until = date(&shown).offset_nanos(1_000_000_000).to_rfc3339();
    let (status, film) = fetch(daemon, &format!("/export/{name}.mp4?start={shown}&end={until}"));
    assert_eq!(status, 200, "{name}");
    let grey = |bytes: &[u8], kind: &str| {
        let file = daemon.data_dir().with_extension(format!("{name}.{kind}"));
        std::fs::write(&file, bytes).unwrap();
        let mut decode = ffmpeg();
        decode.arg("-i").arg(&file).args(["-frames:v", "1", "-f", "rawvideo"]);
        let grey = run_well(decode.args(["-pix_fmt", "gray", "-"]), MOST);
        std::fs::remove_file(file).unwrap();
        grey
    };
    let (still, first) = (grey(&picture, "jpg"), grey(&film, "first.mp4"));
    assert_eq!((still.len(), first.len()), (160 * 90, 160 * 90), "{name}");
    let away: u64 = still.iter().zip(&first).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = away / still.len() as u64;
    assert!(mean < 12, "{name}: the picture differs by {mean} on average");
}

/// A reader of an open group of H.265 gets none of the pictures that lead the first one and refer to
/// pictures before it (RASL), gets those of later groups, and sees no hole where they were.
fn assert_joined_without_undecodable_pictures(daemon: &Daemon, name: &str) {
    let mut reader = ffmpeg();
    reader.args(["-v", "warning", "-rtsp_transport", "tcp", "-i"]).arg(daemon.rtsp(name));
    reader.args(["-t", "3", "-c", "copy", "-f", "hevc", "-"]);
    let read = run(&mut reader, MOST);
    let words = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success() && !words.contains("missed"), "{words}");
    let kinds: Vec<u8> =
        annex_b(&read.stdout).map(|nal| nal[0] >> 1 & 0x3f).filter(|kind| *kind < 32).collect();
    let cra = kinds.iter().position(|kind| *kind == 21).expect("a CRA picture");
    let is_rasl = |kind: &u8| matches!(kind, 8 | 9);
    let behind = kinds[cra + 1..].iter().position(|kind| *kind < 6).expect("a picture behind it");
    let (first, later) = kinds.split_at(cra + 1 + behind);
    assert!(!first.iter().any(is_rasl), "{kinds:?}");
    assert!(later.iter().any(is_rasl), "the stream has such pictures: {kinds:?}");
}
