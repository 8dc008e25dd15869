//! What the whole daemon records: test pictures, open groups, and parameter sets that flip.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use holdfast::base::name::StreamName;
use holdfast::base::time::WallTime;

use super::found::Told;
use super::{DEVICE_BYTES, Recording, STREAMS, X264};
use crate::harness::block_log::LoggedDisk;
use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, run_well};

/// Lets the real daemon record four test pictures.
pub(super) fn recorded_by_the_daemon(secs: u64) -> Recording {
    let mut disk = LoggedDisk::new(DEVICE_BYTES);
    let films = tempfile::tempdir().unwrap();
    let flips = films.path().join("flips.h264");
    film(&flips, secs + 15);
    let stream = |(at, name): (usize, &&str)| {
        let (width, height) = [(320, 180), (640, 360)][at % 2];
        let source = match at {
            0 | 1 => format!("kind = \"pattern\", width = {width}, height = {height}, fps = 10"),
            2 => "kind = \"rtsp_push\"".to_owned(),
            _ => command(&flips),
        };
        format!("[stream.{name}]\nsource = {{ {source} }}\n")
    };
    let streams: String = STREAMS.iter().enumerate().map(stream).collect();
    // Small enough to turn.
    let mut daemon = Daemon::new("1MiB", &streams);
    disk.mount(&daemon.data_dir());
    let begin = disk.position();
    let mut told = Told::default();
    daemon.start();
    let _pushed = push_open(&daemon);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(secs) {
        let durable = durable_of(&daemon);
        told.note(&mut disk, durable);
        std::thread::sleep(Duration::from_millis(20));
    }
    daemon.kill();
    Recording::new(disk, begin, told)
}

/// Makes an H.264 film whose parameter sets are others in every other second.
pub(super) fn film(path: &Path, secs: u64) {
    let second = |options: &str| {
        let mut made = ffmpeg();
        made.args(["-f", "lavfi", "-t", "1", "-i", "testsrc2=s=320x180:r=10"]).args(X264);
        made.args(["-x264-params", options, "-f", "h264", "-"]);
        run_well(&mut made, Duration::from_secs(30))
    };
    let (one, other) = (second("keyint=10:ref=1:bframes=0"), second("keyint=10:ref=2:bframes=0"));
    let turns = usize::try_from(secs / 2 + 1).unwrap();
    std::fs::write(path, [one, other].concat().repeat(turns)).unwrap();
}

/// Pushes open groups of pictures into the stream `door` until it is dropped.
pub(super) fn push_open(daemon: &Daemon) -> Running {
    let mut push = ffmpeg();
    push.args(["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10"]).args(X264);
    let options = "keyint=10:min-keyint=10:scenecut=0:open-gop=1:bframes=2:b-adapt=0";
    push.args(["-x264-params", options, "-f", "rtsp", "-rtsp_transport", "tcp"]);
    Running::start(push.arg(daemon.rtsp("door")).stdin(Stdio::null()))
}

/// A source that plays `film`.
pub(super) fn command(film: &Path) -> String {
    let film = film.display();
    format!(
        "kind = \"command\", command = [\"ffmpeg\", \"-nostdin\", \"-v\", \"error\", \"-re\", \"-r\", \
         \"10\", \"-i\", \"{film}\", \"-c\", \"copy\", \"-f\", \"h264\", \"-\"]"
    )
}

/// Until when each stream is durable, as the API tells.
pub(super) fn durable_of(daemon: &Daemon) -> Vec<(StreamName, i64)> {
    let all = daemon.get("/api/v1/streams");
    let list = all["streams"].as_array().unwrap_or_else(|| panic!("no streams in {all}"));
    let told = list.iter().filter_map(|stream| {
        let until = WallTime::parse_rfc3339(stream["recording"]["durable_until"].as_str()?)?;
        Some((StreamName::parse(stream["name"].as_str()?).unwrap(), until.as_unix_millis()))
    });
    told.collect()
}
