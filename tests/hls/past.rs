//! HLS of the past out of the ring of the real daemon: which frames a range holds, over gaps,
//! B-frames, parameter changes, restarts and the end of a lap. And without the daemon, in a ring
//! with a clock of its own: a day, and a clock that is set later.

mod ring;

mod client;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use holdfast::base::time::{Clock, SystemClock, WallTime};
use holdfast::dvr;
use holdfast::playback::hls::{PlaylistError, RecordedPlaylist};

use crate::harness::camera::{aac_frames, raw_aac};
use crate::harness::daemon::Daemon;
use crate::harness::frames::{self, Sums};
use crate::harness::{ffmpeg, need, run_well, wait_for};
use crate::playlist::{Media, Segment};
use client::{
    ask, date, get, later, list, named, pictures, push, push_all, range_path, recorded, sections,
    since, sums,
};
use ring::{BOOT_SECS, RIGHT_SECS, Ring, TestClock};

/// Pictures per second of the test media.
const RATE: usize = 25;
const PATTERN: &str =
    "[stream.gate]\nsource = { kind = \"pattern\", width = 640, height = 360, fps = 10 }\n";
const PUSHED: &str = "[stream.gate]\nsource = { kind = \"rtsp_push\" }\n";

#[test]
fn a_range_holds_exactly_its_frames_over_b_frames_and_a_gap() {
    let medium = frames::of_medium("bframes.mp4");
    let daemon = Daemon::start_new("256MiB", PUSHED);
    let begun = SystemClock.wall();
    let mut pushing = push(&daemon, "bframes.mp4", 10);
    // While it is being recorded: what is there so far, from the first picture on.
    let early = recorded(&daemon, begun, 5.0);
    let part = sections(&daemon, &early);
    assert_eq!(frames::assert_unbroken("while recording", &sums(&part[0]), &medium), 0);
    assert!(pushing.ended_within(Duration::from_secs(60)).success());
    std::thread::sleep(Duration::from_secs(4));
    push_all(&daemon, "bframes.mp4", 6);
    let told = recorded(&daemon, begun, 16.0);
    assert!(told.discontinuities() >= 1 && told.maps().len() >= 2, "{told:?}");
    assert!(told.ended && told.independent && told.playlist_type.as_deref() == Some("VOD"));
    let both = sections(&daemon, &told);
    assert_eq!(both.len(), 2, "{told:?}");
    assert_eq!(sums(&both[0]), medium[..10 * RATE]);
    assert_eq!(sums(&both[1]), medium[..6 * RATE]);
    let is_behind = |pair: &[Segment]| since(date(&pair[0]), date(&pair[1])) > pair[0].secs + 2.0;
    let seam = told.segments.windows(2).position(is_behind).unwrap() + 1;

    // Parts of it: whole segments, and no other.
    let first = date(&told.segments[0]);
    for (from, until) in [(0.0, 1.0), (3.3, 6.9), (5.0, 5.1), (0.5, 9.5), (8.7, 9.9)] {
        let (start, end) = (later(first, from), later(first, until));
        let answer = get(&daemon, &range_path(start, end));
        let part = crate::playlist::media(answer.text());
        let (head, tail) = (&part.segments[0], part.segments.last().unwrap());
        assert!(date(head) <= start && start < later(date(head), head.secs), "{from}: {head:?}");
        assert!(date(tail) < end && end <= later(date(tail), tail.secs + 0.1), "{tail:?}");
        let offset: f64 = part.start.as_ref().unwrap()["TIME-OFFSET"].parse().unwrap();
        assert!((offset - since(date(head), start)).abs() < 0.002, "{offset}");
        let [shown] = &sections(&daemon, &part)[..] else { panic!("{part:?}") };
        let shown = sums(shown);
        let at = frames::assert_unbroken("a part", &shown, &medium);
        let before = told.segments.iter().take_while(|segment| segment.uri != head.uri);
        assert_eq!(at, pictures(before.map(|it| it.secs).sum()), "{from} to {until}");
        assert_eq!(shown.len(), pictures(part.secs()), "{from} to {until}");
    }
    // Over the gap, and beginning in it.
    let behind = date(&told.segments[seam]);
    let over = list(&daemon, &range_path(later(first, 8.5), later(behind, 3.0)));
    let both = sections(&daemon, &over);
    let kept = sums(&both[0]);
    assert_eq!(kept, medium[10 * RATE - kept.len()..10 * RATE]);
    let kept = sums(&both[1]);
    assert_eq!(kept, medium[..kept.len()]);
    let from_gap = list(&daemon, &range_path(later(behind, -1.0), later(behind, 3.0)));
    assert_eq!(date(&from_gap.segments[0]), behind);
    let gap = get(&daemon, &range_path(later(behind, -2.0), later(behind, -1.0))).error();
    assert_eq!((gap.0, gap.1.as_str()), (404, "no_footage"));
    assert!(gap.2.contains(&behind.to_rfc3339()), "the next footage is named: {}", gap.2);

    // Foreign players show each picture once, over the gap.
    let url = daemon.http(&range_path(begun, SystemClock.wall()));
    let wanted: Sums = medium[..10 * RATE].iter().chain(&medium[..6 * RATE]).cloned().collect();
    let mut player = ffmpeg();
    player.args(["-xerror", "-i", &url]).args(frames::SUMS);
    assert_eq!(frames::parse(&run_well(&mut player, Duration::from_secs(60))), wanted);
    assert_eq!(gstreamer(&url), wanted);
}

/// Checksums of the pictures that GStreamer's `hlsdemux2` shows of what is at `url`.
fn gstreamer(url: &str) -> Sums {
    need("gst-launch-1.0", "gstreamer1.0-tools");
    let mut player = Command::new("gst-launch-1.0");
    // The older demuxer of the same name must not step in.
    player.env("GST_PLUGIN_FEATURE_RANK", "hlsdemux2:512,hlsdemux:NONE");
    player.args(["-q", "uridecodebin3", &format!("uri={url}"), "!", "videoconvert"]);
    player.args(["!", "video/x-raw,format=I420", "!", "checksumsink", "hash=md5", "sync=false"]);
    let told = run_well(&mut player, Duration::from_secs(90));
    let lines = String::from_utf8_lossy(&told).into_owned();
    let sum = |line: &str| line.split_whitespace().last().map(str::to_owned);
    lines.lines().filter_map(sum).filter(|sum| sum.len() == 32).collect()
}

#[test]
fn other_codecs_and_parameters_come_with_their_own_map_and_sound() {
    let daemon = Daemon::start_new("256MiB", PUSHED);
    let begun = SystemClock.wall();
    let media = ["h264.mp4", "h265.mp4", "bframes.mp4"];
    for file in media {
        push_all(&daemon, file, 6);
    }
    let told = recorded(&daemon, begun, 18.0);
    let mut maps = told.maps();
    maps.dedup();
    assert_eq!(maps.len(), 3, "{told:#?}");
    let parts = sections(&daemon, &told);
    assert_eq!(parts.len(), 3, "{told:#?}");
    for (file, part) in media.iter().zip(&parts) {
        assert_eq!(sums(part), frames::of_medium(file)[..6 * RATE], "{file}");
    }
    // The sound of the first one goes with its pictures.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound.mp4");
    std::fs::write(&path, &parts[0]).unwrap();
    let mut sound = ffmpeg();
    sound.arg("-i").arg(&path).args(["-map", "0:a", "-c", "copy", "-f", "adts", "-"]);
    let heard = raw_aac(&run_well(&mut sound, Duration::from_secs(30)));
    let source = aac_frames("h264.mp4");
    let at = source.iter().position(|frame| *frame == heard[0]).expect("its own sound");
    assert!(heard.len() > 270 && source[at..].starts_with(&heard), "{} frames", heard.len());
    // A stream that the configuration no longer names can be seen all the same.
    let path = range_path(begun, SystemClock.wall());
    daemon.configure("256MiB", "");
    daemon.reload();
    wait_for("the stream is gone", Duration::from_secs(10), || {
        (get(&daemon, "/live/gate/dvr.m3u8").status == 404).then_some(())
    });
    assert_eq!(sections(&daemon, &list(&daemon, &path)), parts);
}

#[test]
fn the_window_slides_and_its_numbers_go_on_after_a_kill() {
    let mut daemon = Daemon::start_new("64MiB", PATTERN);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let path = "/live/gate/dvr.m3u8?window=1h";
    let long = |daemon: &Daemon, segments: usize| {
        wait_for("segments", Duration::from_secs(60), || {
            std::thread::sleep(Duration::from_millis(500));
            let answer = get(daemon, path);
            let told = (answer.status == 200).then(|| crate::playlist::media(answer.text()))?;
            (told.segments.len() >= segments).then_some(told)
        })
    };
    let first = long(&daemon, 2);
    assert!(!first.ended && first.playlist_type.is_none());
    let second = long(&daemon, 4);
    second.follows(&first);
    let bytes = sections(&daemon, &second);
    daemon.kill();
    daemon.start();
    let third = long(&daemon, second.segments.len());
    third.follows(&second);
    assert_eq!(third.sequence, second.sequence, "the same numbers");
    assert!(sections(&daemon, &third)[0].starts_with(&bytes[0]));
    let fourth = long(&daemon, third.segments.len() + 7);
    fourth.follows(&third);
    assert!(fourth.discontinuities() >= 1, "the kill: {fourth:?}");

    // A client with the old part gets the rest.
    let delta = list(&daemon, "/live/gate/dvr.m3u8?window=1h&_HLS_skip=YES");
    assert_eq!(delta.sequence, fourth.sequence);
    assert!(delta.skipped > 0, "{delta:?}");
    let at = usize::try_from(delta.skipped).unwrap();
    assert_eq!(delta.segments[0].uri, fourth.segments[at].uri);
    // A shorter window has the same numbers.
    let short = list(&daemon, "/live/gate/dvr.m3u8?window=20s");
    let of = |told: &Media, uri: &str| {
        told.segments.iter().find(|segment| segment.uri == uri).map(|segment| segment.number)
    };
    let uri = &short.segments[0].uri;
    assert!(short.secs() < 30.0 && of(&short, uri) == of(&fourth, uri), "{short:?}");

    // A range that is over can be kept for a while, and asked after.
    let (from, until) = (date(&fourth.segments[0]), date(&fourth.segments[1]));
    let answer = get(&daemon, &range_path(from, until));
    assert_eq!(answer.header("cache-control"), "private, max-age=60");
    assert!(answer.header("last-modified").ends_with(" GMT"));
    let tag = answer.header("etag");
    let again = ask(&daemon, &range_path(from, until), &[("if-none-match", tag)]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    let open = get(&daemon, &range_path(from, SystemClock.wall()));
    assert_eq!(open.header("cache-control"), "no-cache");
    let packed = ask(&daemon, path, &[("accept-encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < get(&daemon, path).body.len() / 2);
}

#[test]
fn what_the_ring_was_turned_over_is_410_and_leaves_the_lists() {
    // Slots of 64 KiB: the ring turns within the minute, and laps begin between key frames.
    let daemon = Daemon::start_new("1MiB", PATTERN);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let begun = later(SystemClock.wall(), -60.0);
    let told = recorded(&daemon, begun, 8.0);
    let window = list(&daemon, "/live/gate/dvr.m3u8");
    let oldest = told.segments[0].uri.clone();
    assert_eq!(named(&daemon, &oldest).status, 200);
    let mut last = window;
    wait_for("the lap has gone", Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_secs(1));
        let next = list(&daemon, "/live/gate/dvr.m3u8");
        next.follows(&last);
        last = next;
        let answer = named(&daemon, &oldest);
        // Never another lap's bytes.
        assert!(answer.status == 410 || &answer.body[4..8] == b"moof", "{}", answer.status);
        (answer.status == 410).then(|| assert_eq!(answer.error().1, "segment_expired"))
    });
    // What is left begins with a key frame, can be fetched and decoded; its map outlives laps.
    let left = list(&daemon, &range_path(begun, SystemClock.wall()));
    assert!(date(&left.segments[0]) > date(&told.segments[0]));
    assert_eq!(left.segments[0].map, told.segments[0].map);
    let mut file = named(&daemon, left.maps()[0]).body;
    // The oldest may go this very moment.
    let fetched = left.segments.iter().skip(2).map(|it| named(&daemon, &it.uri).body);
    file.extend(fetched.flatten());
    assert!(!sums(&file).is_empty());
    let gone = get(&daemon, &range_path(begun, later(begun, 61.0))).error();
    assert_eq!((gone.0, gone.1.as_str()), (404, "no_footage"));
    assert!(gone.2.contains("begins later"), "{}", gone.2);
}

#[test]
fn what_cannot_be_answered_says_why_and_what_to_ask_for() {
    let daemon = Daemon::start_new("64MiB", PATTERN);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    recorded(&daemon, later(SystemClock.wall(), -60.0), 2.0);
    let cases = [
        ("/vod/gate/index.m3u8", 400, "bad_request", "`start` is missing"),
        ("/vod/gate/index.m3u8?start=yesterday", 400, "bad_request", "RFC 3339"),
        ("/vod/gate/index.m3u8?start=1000&end=999", 400, "bad_request", "later than `start`"),
        ("/vod/gate/index.m3u8?start=1000&end=1000", 400, "bad_request", "later than `start`"),
        ("/vod/gate/index.m3u8?start=1000&end=2000", 404, "no_footage", "/vod/gate/index.m3u8?"),
        ("/vod/gate/index.m3u8?start=9000000000", 404, "range_in_future", "/live/gate/dvr.m3u8"),
        ("/vod/nobody/index.m3u8?start=1000", 404, "stream_unknown", "/api/v1/streams"),
        ("/live/nobody/dvr.m3u8", 404, "stream_unknown", "/api/v1/streams"),
        ("/live/gate/dvr.m3u8?window=30d", 400, "bad_request", "24h at most"),
        ("/live/gate/dvr.m3u8?window=0s", 400, "bad_request", "such as"),
        ("/live/gate/1-5.m4s", 404, "not_found", ""),
        ("/live/gate/9999999-500-1000.m4s", 404, "segment_unknown", ""),
        ("/live/nobody/1-500-1000.m4s", 404, "stream_unknown", ""),
    ];
    for (path, status, code, words) in cases {
        let told = get(&daemon, path).error();
        assert_eq!((told.0, told.1.as_str()), (status, code), "{path}");
        assert!(told.2.contains(words), "{path}: {}", told.2);
    }
    // A range that reaches into the future has what is there, and is not kept.
    let now = SystemClock.wall();
    let answer = get(&daemon, &range_path(later(now, -60.0), later(now, 3_600.0)));
    assert!(crate::playlist::media(answer.text()).ended);
    assert_eq!(answer.header("cache-control"), "no-cache");
    // Reloads by the hundred are answered; seconds of the Unix clock are dates too.
    let path = format!("/vod/gate/index.m3u8?start={}", now.as_unix_nanos() / 1_000_000_000 - 60);
    let begun = Instant::now();
    assert!((0..200).all(|_| get(&daemon, &path).status == 200));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// The text of a list, which comes in pieces of bounded size.
async fn text(list: Result<RecordedPlaylist, PlaylistError>) -> Media {
    let pieces: Vec<Bytes> = list.unwrap().text(String::new()).try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.len() < 128 << 10), "one piece has all of it");
    crate::playlist::media(std::str::from_utf8(&pieces.concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_listed_at_once_in_pieces_and_the_same_after_a_restart() {
    const DAY_SECS: u64 = 86_400;
    let mut ring = Ring::new(tempfile::tempdir().unwrap(), TestClock::of(RIGHT_SECS));
    let first = BOOT_SECS - DAY_SECS;
    for at in first..BOOT_SECS {
        ring.record(at, at == first);
        if at % 256 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    ring.durable().await;
    let day = Duration::from_secs(DAY_SECS);
    let begun = Instant::now();
    let told = text(ring.past.window(day, false).await).await;
    println!("{} segments in {:?}, with their check", told.segments.len(), begun.elapsed());
    assert!(told.segments.len() > 21_000 && told.discontinuities() == 0);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let delta = text(ring.past.window(day, true).await).await;
    println!("a delta of {} segments in {:?}", delta.segments.len(), begun.elapsed());
    assert!(delta.skipped > 20_900 && delta.segments.len() < 20, "{delta:?}");
    let range = ring.past.range(Ring::date(first), Ring::date(BOOT_SECS)).await;
    let range = text(range).await;
    assert!((range.secs() - 86_400.0).abs() < 1.1, "{} s", range.secs());
    // The journal takes the numbers within about a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ring = ring.reopened().await;
    let again = text(ring.past.window(day, false).await).await;
    again.follows(&told);
    let same = |told: &Media| told.segments[told.segments.len() / 2].clone();
    let known = again.segments.iter().find(|segment| segment.number == same(&told).number);
    assert_eq!(known.unwrap().uri, same(&told).uri);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_later_moves_what_was_recorded_before() {
    // It boots in 1970; the date is set after half a minute of footage.
    let clock = TestClock::of(-i64::try_from(BOOT_SECS).unwrap());
    let mut ring = Ring::new(tempfile::tempdir().unwrap(), Arc::clone(&clock));
    let first = BOOT_SECS - 60;
    for at in first..first + 30 {
        ring.record(at, at == first);
    }
    ring.durable().await;
    // The journal's thread reads the clock once a second.
    let stream = ring.writer.stream().clone();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(ring.past.range(Ring::date(first), Ring::date(BOOT_SECS)).await.is_err());
    clock.wall_minus_boot_secs.store(RIGHT_SECS, Relaxed);
    for at in first + 30..first + 60 {
        ring.record(at, false);
    }
    ring.durable().await;
    let moved = async {
        // The two clocks are read one behind the other.
        let is_near = |at: WallTime| since(Ring::date(first), at).abs() < 0.02;
        let is_moved = |runs: &[dvr::Recording]| runs.len() == 1 && is_near(runs[0].start);
        while !is_moved(&ring.dvr.listing(&stream).runs) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), moved).await.expect("the clock is noted");
    let range = ring.past.range(Ring::date(first), Ring::date(BOOT_SECS)).await;
    let told = text(range).await;
    assert!(since(Ring::date(first), date(&told.segments[0])).abs() < 0.02, "{told:?}");
    assert!((told.secs() - 60.0).abs() < 0.01 && told.discontinuities() == 0, "{told:?}");
    let old = WallTime::from_unix_nanos(0);
    let nothing = ring.past.range(old, later(old, 90_000.0)).await;
    assert!(matches!(nothing, Err(PlaylistError::Nothing)), "{nothing:?}");
}
