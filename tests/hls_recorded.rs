//! Live HLS out of the ring of the real daemon: over a kill, over a disk that goes and comes
//! back, and over the end of a lap.

mod harness;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::daemon::Daemon;
use harness::wait_for;

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

fn playlist(daemon: &Daemon) -> Option<Told> {
    let (status, body) = fetch(daemon, "/live/gate/media.m3u8");
    (status == 200).then(|| Told::read(&String::from_utf8(body).unwrap()))
}

/// A media playlist as a player reads it.
#[derive(Clone, Debug)]
struct Told {
    target: f64,
    sequence: u64,
    discontinuity_sequence: u64,
    /// Name, length in seconds, date, and whether it begins with a discontinuity.
    segments: Vec<(String, f64, String, bool)>,
    maps: Vec<String>,
}

impl Told {
    fn read(text: &str) -> Self {
        let one = |tag: &str| {
            let mut found = text.lines().filter_map(|line| line.strip_prefix(tag));
            found.next().unwrap_or_else(|| panic!("{tag} in {text}")).parse::<u64>().unwrap()
        };
        let mut told = Self {
            target: f64::from(u32::try_from(one("#EXT-X-TARGETDURATION:")).unwrap()),
            sequence: one("#EXT-X-MEDIA-SEQUENCE:"),
            discontinuity_sequence: one("#EXT-X-DISCONTINUITY-SEQUENCE:"),
            segments: Vec::new(),
            maps: Vec::new(),
        };
        let (mut secs, mut date, mut breaks) = (0.0, String::new(), false);
        for line in text.lines() {
            if line == "#EXT-X-DISCONTINUITY" {
                breaks = true;
            } else if let Some(map) = line.strip_prefix("#EXT-X-MAP:URI=") {
                told.maps.push(map.trim_matches('"').to_owned());
            } else if let Some(told) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
                told.clone_into(&mut date);
            } else if let Some(told) = line.strip_prefix("#EXTINF:") {
                secs = told.trim_end_matches(',').parse().unwrap();
            } else if !line.starts_with('#') {
                told.segments.push((line.to_owned(), secs, std::mem::take(&mut date), breaks));
                breaks = false;
            }
        }
        told.check();
        told
    }

    fn check(&self) {
        assert!(self.segments.iter().all(|(_, secs, ..)| *secs <= self.target), "{self:?}");
        assert!(self.segments.iter().all(|(_, _, date, _)| !date.is_empty()), "{self:?}");
        assert!(!self.maps.is_empty(), "{self:?}");
    }

    /// Holds it against what was told before.
    fn follows(&self, before: &Self) {
        assert!((self.target - before.target).abs() < 0.1, "{before:?} then {self:?}");
        assert!(self.sequence >= before.sequence, "{before:?} then {self:?}");
        let discontinuities = (before.discontinuity_sequence, self.discontinuity_sequence);
        assert!(discontinuities.1 >= discontinuities.0, "{before:?} then {self:?}");
        // A number means the same segment each time.
        let numbered = |told: &Self| -> BTreeMap<u64, String> {
            let names = told.segments.iter().map(|segment| segment.0.clone());
            (told.sequence..).zip(names).collect()
        };
        let (old, new) = (numbered(before), numbered(self));
        assert!(
            new.iter().all(|(n, name)| old.get(n).is_none_or(|old| old == name)),
            "{old:?} {new:?}"
        );
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(|segment| segment.0.as_str())
    }
}

/// A segment of the ring is named by lap and place, one in memory by its number.
fn is_stored(name: &str) -> bool {
    name.contains('-')
}

#[test]
fn names_and_numbers_go_on_after_a_kill() {
    let _alone = harness::alone();
    let mut daemon = Daemon::start_new("64MiB", STREAM);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let before = playlist(&daemon).expect("a list");
    let bytes: Vec<_> =
        before.names().map(|name| fetch(&daemon, &format!("/live/gate/{name}"))).collect();
    assert!(bytes.iter().all(|(status, body)| *status == 200 && &body[4..8] == b"moof"));
    std::thread::sleep(Duration::from_secs(15));
    let last = playlist(&daemon).expect("a list");
    last.follows(&before);
    daemon.kill();
    daemon.start();
    let after = playlist(&daemon).expect("a list");
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
    let map = fetch(&daemon, &format!("/live/gate/{}", before.maps[0]));
    assert_eq!((map.0, &map.1[4..8]), (200, &b"ftyp"[..]));
}

#[test]
fn a_disk_that_goes_and_comes_back_does_not_end_the_live_list() {
    let _alone = harness::alone();
    let daemon = Daemon::start_new("64MiB", STREAM);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let mut told = playlist(&daemon).expect("a list");
    assert!(told.names().all(is_stored), "{told:?}");
    let (ring, away) = (daemon.data_dir().join("ring"), daemon.data_dir().join("away"));
    std::fs::rename(&ring, &away).unwrap();
    let mut until = |what: &str, done: &dyn Fn(&Told) -> bool| {
        let begun = Instant::now();
        while !done(&told) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {told:?}");
            std::thread::sleep(Duration::from_millis(500));
            let next = playlist(&daemon).expect("a list that goes on");
            next.follows(&told);
            told = next;
        }
        told.clone()
    };
    let held = until("segments in memory", &|told| !told.names().any(is_stored));
    assert_eq!(fetch(&daemon, &format!("/live/gate/{}", held.segments[0].0)).0, 200);
    std::fs::rename(&away, &ring).unwrap();
    let both = until("the ring again", &|told| told.names().any(is_stored));
    let seam = both.segments.iter().position(|segment| is_stored(&segment.0)).unwrap();
    assert!(seam == 0 || both.segments[seam].3, "a discontinuity: {both:?}");
    let stored = until("the ring alone", &|told| told.names().all(is_stored));
    let body = fetch(&daemon, &format!("/live/gate/{}", stored.segments[0].0));
    assert_eq!((body.0, &body.1[4..8]), (200, &b"moof"[..]));
}

#[test]
fn a_segment_whose_lap_has_gone_is_410() {
    let _alone = harness::alone();
    // Slots of 64 KiB: the ring turns within the minute.
    let daemon = Daemon::start_new("1MiB", STREAM);
    daemon.wait_state("gate", "live", Duration::from_secs(20));
    let told = playlist(&daemon).expect("a list");
    let path = format!("/live/gate/{}", told.segments[0].0);
    assert_eq!(fetch(&daemon, &path).0, 200);
    wait_for("the lap has gone", Duration::from_secs(120), || {
        std::thread::sleep(Duration::from_secs(1));
        let (status, body) = fetch(&daemon, &path);
        // Never another lap's bytes.
        assert!(status == 410 || &body[4..8] == b"moof", "{status}");
        (status == 410).then_some(())
    });
}
