//! A daemon that records what is pushed, and a client of its recorded playlists.

use std::time::Duration;

use holdfast::base::time::{Clock, SystemClock, WallTime};

use super::RATE;
use crate::harness::daemon::Daemon;
use crate::harness::frames::{self, Sums};
use crate::harness::{ffmpeg, media, wait_for};
use crate::playlist::{Media, Segment};

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: ureq::http::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of an error, which says what to do in words.
    pub(super) fn error(&self) -> (u16, String, String) {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let field = |name: &str| json["error"][name].as_str().unwrap().to_owned();
        (self.status, field("code"), field("message"))
    }
}

pub(super) fn ask(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(&daemon.http(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.call().unwrap();
    let body = answer.body_mut().read_to_vec().unwrap();
    Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
}

pub(super) fn get(daemon: &Daemon, path: &str) -> Answer {
    ask(daemon, path, &[])
}

/// The playlist of a range, by the path at which it is.
pub(super) fn range_path(from: WallTime, until: WallTime) -> String {
    format!("/vod/gate/index.m3u8?start={}&end={}", from.to_rfc3339(), until.to_rfc3339())
}

pub(super) fn list(daemon: &Daemon, path: &str) -> Media {
    let answer = get(daemon, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
    crate::playlist::media(answer.text())
}

pub(super) fn date(segment: &Segment) -> WallTime {
    WallTime::from_unix_nanos(segment.date.unwrap().try_into().unwrap())
}

pub(super) fn later(at: WallTime, secs: f64) -> WallTime {
    #[allow(clippy::cast_possible_truncation)] // seconds of a test
    at.offset_nanos((secs * 1e9) as i64)
}

/// Seconds from one date to a later one.
pub(super) fn since(from: WallTime, until: WallTime) -> f64 {
    let nanos = until.as_unix_nanos() - from.as_unix_nanos();
    Duration::from_nanos(nanos.unsigned_abs()).as_secs_f64() * if nanos < 0 { -1.0 } else { 1.0 }
}

/// The pictures of so many seconds.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(super) fn pictures(secs: f64) -> usize {
    // Seconds of a test.
    (secs * RATE as f64).round() as usize
}

/// What a playlist in `/vod/gate/` or `/live/gate/` names.
pub(super) fn named(daemon: &Daemon, uri: &str) -> Answer {
    let uri = uri.strip_prefix("../../live/gate/").unwrap_or(uri);
    get(daemon, &format!("/live/gate/{uri}"))
}

/// The sections of a list, each as one file that plays: its map and its segments.
pub(super) fn sections(daemon: &Daemon, told: &Media) -> Vec<Vec<u8>> {
    let fetch = |uri: &str| {
        let answer = named(daemon, uri);
        assert_eq!(answer.status, 200, "{uri}");
        assert_eq!(answer.header("content-type"), "video/mp4");
        answer.body
    };
    let mut sections: Vec<Vec<u8>> = Vec::new();
    let mut before: Option<&Segment> = None;
    for segment in &told.segments {
        // A date that the encoder corrects is a discontinuity in which nothing is missing.
        let joins = before.is_some_and(|before| {
            let hole = since(later(date(before), before.secs), date(segment));
            !segment.discontinuity || before.map == segment.map && hole.abs() < 1.5
        });
        if !joins {
            sections.push(fetch(segment.map.as_deref().unwrap()));
        }
        sections.last_mut().unwrap().extend(fetch(&segment.uri));
        before = Some(segment);
    }
    sections
}

/// Checksums of the pictures of a file in memory; a single error fails.
pub(super) fn sums(file: &[u8]) -> Sums {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("part.mp4");
    std::fs::write(&path, file).unwrap();
    frames::of_file(path)
}

/// ffmpeg pushes the first `secs` of the medium `file` as fast as it plays.
pub(super) fn push(daemon: &Daemon, file: &str, secs: usize) -> crate::harness::Running {
    let mut command = ffmpeg();
    command.args(["-re", "-i"]).arg(media().join(file));
    command.args(["-t", &secs.to_string(), "-frames:v", &(secs * RATE).to_string(), "-c", "copy"]);
    command.args(["-f", "rtsp", "-rtsp_transport", "tcp", &daemon.rtsp("gate")]);
    crate::harness::Running::start(&mut command)
}

pub(super) fn push_all(daemon: &Daemon, file: &str, secs: usize) {
    let mut pushing = push(daemon, file, secs);
    assert!(pushing.ended_within(Duration::from_secs(60)).success(), "{}", daemon.logs());
}

/// Waits until the range from `from` to now holds so many seconds, and is not growing.
pub(super) fn recorded(daemon: &Daemon, from: WallTime, secs: f64) -> Media {
    wait_for("all of it is on the medium", Duration::from_secs(20), || {
        let answer = get(daemon, &range_path(from, SystemClock.wall()));
        let told = (answer.status == 200).then(|| crate::playlist::media(answer.text()))?;
        (told.secs() > secs - 0.1).then_some(told)
    })
}
