//! Live HLS out of the ring of the real daemon: over a kill, over a disk that goes and comes
//! back, and over the end of a lap.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::capture::{Film, Place, Ring};
use crate::harness::daemon::Daemon;
use crate::harness::wait_for;
use crate::playlist::Media;
use holdfast::media::codec::Law;

const STREAM: &str = "[stream.gate]\n\
     source = { kind = \"pattern\", width = 640, height = 360, fps = 10 }\n";

/// Status and body of what is at `path`.
fn fetch(daemon: &Daemon, path: &str) -> (u16, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(25)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.get(&daemon.http(path)).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
}

fn media(daemon: &Daemon) -> Option<Media> {
    let (status, body) = fetch(daemon, "/live/gate/media.m3u8");
    (status == 200).then(|| crate::playlist::media(&String::from_utf8(body).unwrap()))
}

/// A segment of the ring is named by lap and place, one in memory by its number.
fn is_stored(name: &str) -> bool {
    name.contains('-')
}

#[test]
fn names_and_numbers_go_on_after_a_kill() {
    let _alone = crate::harness::alone();
    let mut daemon = Daemon::start_new("64MiB", STREAM);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let before = media(&daemon).expect("a list");
    let bytes: Vec<_> =
        before.names().map(|name| fetch(&daemon, &format!("/live/gate/{name}"))).collect();
    assert!(bytes.iter().all(|(status, body)| *status == 200 && &body[4..8] == b"moof"));
    std::thread::sleep(Duration::from_secs(15));
    let last = media(&daemon).expect("a list");
    last.follows(&before);
    daemon.kill();
    daemon.start();
    let after = media(&daemon).expect("a list");
    let told = last.sequence + last.segments.len() as u64;
    assert!(after.sequence >= told, "each number is told once: {last:?} then {after:?}");
    assert!(after.discontinuity_sequence >= last.discontinuity_sequence);
    assert!(!after.names().any(|name| last.names().any(|before| before == name)));
    for (name, there) in before.names().zip(bytes) {
        assert!(
            is_stored(name) && fetch(&daemon, &format!("/live/gate/{name}")) == there,
            "{name}"
        );
    }
    let map = fetch(&daemon, &format!("/live/gate/{}", before.maps()[0]));
    assert_eq!((map.0, &map.1[4..8]), (200, &b"ftyp"[..]));
}

#[test]
fn a_disk_that_goes_and_comes_back_does_not_end_the_live_list() {
    let _alone = crate::harness::alone();
    let daemon = Daemon::start_new("64MiB", STREAM);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let mut told = media(&daemon).expect("a list");
    assert!(told.names().all(is_stored), "{told:?}");
    let (ring, away) = (daemon.data_dir().join("ring"), daemon.data_dir().join("away"));
    std::fs::rename(&ring, &away).unwrap();
    let mut until = |what: &str, done: &dyn Fn(&Media) -> bool| {
        let begun = Instant::now();
        while !done(&told) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {told:?}");
            std::thread::sleep(Duration::from_millis(500));
            let next = media(&daemon).expect("a list that goes on");
            next.follows(&told);
            told = next;
        }
        told.clone()
    };
    let held = until("segments in memory", &|told| !told.names().any(is_stored));
    assert_eq!(fetch(&daemon, &format!("/live/gate/{}", held.segments[0].uri)).0, 200);
    std::fs::rename(&away, &ring).unwrap();
    let both = until("the ring again", &|told| told.names().any(is_stored));
    let seam = both.segments.iter().position(|segment| is_stored(&segment.uri)).unwrap();
    if let Some(before) = seam.checked_sub(1).map(|before| &both.segments[before]) {
        let (from, here) = (before.date.unwrap(), &both.segments[seam]);
        let apart = Duration::from_nanos_u128(from.abs_diff(here.date.unwrap())).as_secs_f64();
        let joins = (apart - before.secs).abs() < 0.1;
        assert!(
            here.discontinuity || joins,
            "neither a discontinuity nor without a hole: {both:?}"
        );
    }
    let stored = until("the ring alone", &|told| told.names().all(is_stored));
    let body = fetch(&daemon, &format!("/live/gate/{}", stored.segments[0].uri));
    assert_eq!((body.0, &body.1[4..8]), (200, &b"moof"[..]));
}

#[test]
fn a_segment_whose_lap_has_gone_is_410() {
    let _alone = crate::harness::alone();
    // Slots of 64 KiB: the ring turns within the minute.
    let daemon = Daemon::start_new("1MiB", STREAM);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let told = media(&daemon).expect("a list");
    let path = format!("/live/gate/{}", told.segments[0].uri);
    assert_eq!(fetch(&daemon, &path).0, 200);
    wait_for("the lap has gone", Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_secs(1));
        let (status, body) = fetch(&daemon, &path);
        // Never another lap's bytes.
        assert!(status == 410 || &body[4..8] == b"moof", "{status}");
        (status == 410).then_some(())
    });
}

#[test]
fn a_segment_is_read_once_for_all_who_ask_for_it() {
    let mut daemon = Daemon::new("64MiB", STREAM);
    let (film, sound) = (Film::plain("320x240", 16), Film::g711(16, Law::A));
    let place = Place::ago(600);
    let mut ring = Ring::make(&daemon.data_dir(), 64 << 20, 1 << 20);
    ring.record(&[&film, &sound], 0..16, place, true);
    ring.close();
    daemon.start();
    let range = format!(
        "/vod/gate/index.m3u8?start={}&end={}",
        place.at(0.0).to_rfc3339(),
        place.at(16.0).to_rfc3339()
    );
    let list = wait_for("the ring is read", Duration::from_secs(60), || {
        let (status, body) = fetch(&daemon, &range);
        (status == 200).then(|| String::from_utf8(body).unwrap())
    });
    let names = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names: Vec<_> = names.map(|name| name.strip_prefix("../..").unwrap()).collect();
    let (status, whole) = fetch(&daemon, names[0]);
    assert_eq!((status, &whole[4..8]), (200, &b"moof"[..]));
    // It cannot be read any more.
    for slot in daemon.slots() {
        let bytes = std::fs::read(&slot).unwrap();
        let mut broken = bytes.clone();
        let media = bytes.windows(4).enumerate().filter(|(_, at)| *at == b"mdat");
        media.for_each(|(at, _)| broken[at + 100] ^= 1);
        let mut file = std::fs::File::options().write(true).open(&slot).unwrap();
        file.write_all(&broken).unwrap();
    }
    assert!(fetch(&daemon, names[0]) == (200, whole), "held, its sound as FLAC");
    assert_ne!(fetch(&daemon, names[1]).0, 200, "not asked for before");
}
