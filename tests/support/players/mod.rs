//! Players of HLS that other people wrote: VLC, GStreamer's `hlsdemux2`, and in browsers hls.js and
//! Shaka Player. Each tells which pictures of the test picture it showed.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

pub mod browser;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::barcode::{Grey, Said};
use crate::harness::{Running, ffmpeg, need, run_well};

/// The size in which pictures are read.
const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// How far a player may go back there: Shaka begins again within the segment.
const SWITCH_MS_MAX: u64 = 3_000;
/// No test picture has that number.
const MORE_THAN_ANY: u64 = 1 << 32;

/// A program that plays and leaves its pictures in a directory.
#[derive(Debug)]
pub struct Program {
    running: Running,
    dir: tempfile::TempDir,
    leaves: Leaves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// A JPEG of what is on the screen, again and again.
    Jpegs,
    /// Every picture, in shades of grey.
    Grey,
}

impl Program {
    /// VLC at `url`. It refuses to be root, and ends with what it plays.
    pub fn vlc(url: &str) -> Self {
        need("cvlc", "vlc-bin vlc-plugin-base");
        let dir = writable();
        let mut command = if rustix::process::geteuid().is_root() {
            need("setpriv", "util-linux");
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "cvlc"]);
            command
        } else {
            Command::new("cvlc")
        };
        command.env("HOME", dir.path()).args([
            "-I",
            "dummy",
            "--vout=dummy",
            "--aout=dummy",
            "-vv",
        ]);
        command.args(["--no-color", "--play-and-exit", "--no-spu", "--video-filter=scene"]);
        command.args(["--scene-format=jpg", "--scene-ratio=4", "--scene-prefix=p"]);
        command.arg(format!("--scene-path={}", dir.path().display())).arg(url);
        Self::start(command, dir, Leaves::Jpegs)
    }

    /// GStreamer's `hlsdemux2` at `url`.
    pub fn gstreamer(url: &str) -> Self {
        need("gst-launch-1.0", "gstreamer1.0-tools");
        let dir = writable();
        let mut command = Command::new("gst-launch-1.0");
        // The older demuxer of the same name must not step in.
        command.env("GST_PLUGIN_FEATURE_RANK", "hlsdemux2:512,hlsdemux:NONE");
        command.args(["-q", "uridecodebin3", &format!("uri={url}"), "!", "videoconvert", "!"]);
        command.args(["videoscale", "method=nearest-neighbour", "!"]);
        command.arg(format!("video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT}"));
        // A sink of files would restart with each flush.
        command.args(["!", "fdsink", "fd=1"]);
        Self::start(command, dir, Leaves::Grey)
    }

    fn start(mut command: Command, dir: tempfile::TempDir, leaves: Leaves) -> Self {
        let [log, grey] = ["log", "grey"].map(|it| File::create(dir.path().join(it)).unwrap());
        let said = if leaves == Leaves::Grey { grey } else { log.try_clone().unwrap() };
        command.stdin(Stdio::null()).stdout(said).stderr(log);
        Self { running: Running::start(&mut command), dir, leaves }
    }

    /// What the program said, for people.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// About how many pictures it showed.
    pub fn shown(&self) -> usize {
        match self.leaves {
            // One in four that it renders, at 25 a second.
            Leaves::Jpegs => self.jpegs().len(),
            Leaves::Grey => {
                let meta = std::fs::metadata(self.dir.path().join("grey"));
                meta.map_or(0, |meta| usize::try_from(meta.len()).unwrap() / (WIDTH * HEIGHT))
            }
        }
    }

    /// Waits until it has shown so many pictures more than it had.
    pub fn goes_on(&mut self, pictures: usize, most: Duration) {
        self.shows(pictures, most).unwrap();
    }

    /// As [`Program::goes_on`]; what it says when it does not.
    pub fn shows(&mut self, pictures: usize, most: Duration) -> Result<(), String> {
        let (before, until) = (self.shown(), std::time::Instant::now() + most);
        while self.shown() < before + pictures {
            if !self.running.runs() || std::time::Instant::now() > until {
                let shown = self.shown() - before;
                return Err(format!("{shown} of {pictures} pictures\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits for the end of what it plays.
    pub fn ends(&mut self, most: Duration) {
        let status = self.running.ended_within(most);
        assert!(status.success(), "{status}\n{}", self.log());
    }

    fn jpegs(&self) -> Vec<std::path::PathBuf> {
        let entries =
            std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut jpegs: Vec<_> =
            entries.filter(|it| it.extension() == Some("jpg".as_ref())).collect();
        jpegs.sort();
        // The newest may be in the making.
        jpegs.pop();
        jpegs
    }

    /// What its pictures say, each once.
    pub fn pictures(&self) -> Vec<Said> {
        let grey = match self.leaves {
            Leaves::Jpegs => {
                let list: Vec<_> =
                    self.jpegs().iter().map(|it| format!("file '{}'\n", it.display())).collect();
                from_jpegs(self.dir.path(), &list.concat())
            }
            Leaves::Grey => std::fs::read(self.dir.path().join("grey")).unwrap(),
        };
        let whole = grey.chunks_exact(WIDTH * HEIGHT);
        let mut said: Vec<_> = whole
            .map(|it| Grey { width: WIDTH, height: HEIGHT, samples: it.to_vec() }.said())
            .collect();
        said.dedup();
        // Now and then VLC leaves one that is half white.
        said.retain(|it| self.leaves == Leaves::Grey || it.number < MORE_THAN_ANY);
        said
    }
}

/// Decodes all JPEGs of a list at once.
fn from_jpegs(dir: &Path, list: &str) -> Vec<u8> {
    let path = dir.join("list");
    std::fs::write(&path, list).unwrap();
    let mut command = ffmpeg();
    command.args(["-f", "concat", "-safe", "0", "-i"]).arg(path);
    command.arg("-vf").arg(format!("scale={WIDTH}:{HEIGHT}:flags=neighbor"));
    command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    run_well(&mut command, Duration::from_secs(60))
}

/// A directory that the player may write to.
fn writable() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// Fails unless the dates of `pictures` rise, but for where a player passes to another variant, of
/// which it may show again what it showed of the first.
pub fn assert_rising(who: &str, pictures: &[Said]) {
    let back = pictures.windows(2).find(|pair| pair[1].millis + SWITCH_MS_MAX < pair[0].millis);
    assert!(back.is_none() && !pictures.is_empty(), "{who}: {back:?} of {pictures:?}");
}

/// What a browser's pictures say.
pub fn said(pictures: &[(u64, u64)]) -> Vec<Said> {
    let mut said: Vec<_> =
        pictures.iter().map(|&(number, millis)| Said { number, millis }).collect();
    said.dedup();
    said
}
