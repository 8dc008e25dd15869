//! What the tests with real peers share: the camera, the daemon, programs with a bound.
//!
//! A test whose peer program is missing fails with the name of the Debian package; nothing is
//! skipped. Whatever is started here is killed by its own process id when its value is dropped.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part of the harness

pub mod bad_wire;
pub mod block_log;
pub mod camera;
pub mod daemon;
pub mod firefox;
pub mod frames;
pub mod nginx;
pub mod players;
pub mod process;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

#[allow(unused_imports)] // as above
pub use process::*;

/// A film of 4 Mbit/s, 90 s long, made at the first call.
pub fn bulk() -> PathBuf {
    let file = media().join("bulk.mp4");
    if !file.exists() {
        let mut command = ffmpeg();
        let picture = "testsrc2=size=1280x720:rate=25:duration=90,noise=alls=8:allf=t";
        command.args(["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast"]);
        command.args(["-pix_fmt", "yuv420p", "-g", "25", "-bf", "0", "-b:v", "4M"]);
        command.args(["-maxrate", "4M", "-bufsize", "4M"]).arg(&file);
        run_well(&mut command, Duration::from_secs(600));
    }
    file
}

/// The directory of the test media, made at the first call.
pub fn media() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        need("ffmpeg", "ffmpeg");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let made = tests.join("data/made");
        std::fs::create_dir_all(&made).unwrap();
        let mut script = Command::new("sh");
        script.arg(tests.join("camera/make_media.sh")).arg(&made);
        run_well(&mut script, Duration::from_secs(300));
        made
    })
}
