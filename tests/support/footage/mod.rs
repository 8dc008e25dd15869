//! Footage for tests: access units out of what ffmpeg encodes while the test runs.
#![allow(dead_code, unreachable_pub, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // each test takes what it needs

use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use holdfast::base::time::{BootTime, MediaTime, WallTime};
use holdfast::media::codec::Law;
use holdfast::media::{
    AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, TrackId, Tracks, nal,
};

/// The date at which the footage begins.
const BEGINS_UNIX_NANOS: i64 = 1_795_000_000_000_000_000;
/// Time since boot at which the footage begins.
pub const BEGINS: BootTime = BootTime::from_millis(100_000);

/// A finite stream.
pub struct Footage {
    pub tracks: Arc<Tracks>,
    /// In order of arrival over all tracks.
    pub units: Vec<Arc<AccessUnit>>,
    pub frames: usize,
}

impl Footage {
    /// The same without its sound.
    pub fn silent(mut self) -> Self {
        self.units.retain(|unit| unit.track == TrackId(0));
        let video = Arc::clone(&self.tracks.list[0].params);
        self.tracks = Arc::new(Tracks::new(self.tracks.run, [video]));
        self
    }
}

/// Runs ffmpeg and returns what it writes.
pub fn ffmpeg(args: &[&str]) -> Vec<u8> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(args)
        .stderr(Stdio::inherit())
        .output()
        .expect("ffmpeg must be installed (Debian package ffmpeg)");
    assert!(out.status.success(), "ffmpeg {args:?}");
    out.stdout
}

/// Whether every frame of `file` decodes; what ffmpeg says otherwise.
pub fn decodes(file: &Path) -> Result<(), String> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-xerror", "-err_detect", "explode", "-i"])
        .arg(file)
        // In the file's own ticks, not in those of a frame rate guessed over gaps.
        .args(["-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg must be installed (Debian package ffmpeg)");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() && said.is_empty() { Ok(()) } else { Err(said) }
}

/// Video frames in `file` as ffprobe decodes them.
pub fn count_frames(file: &Path) -> usize {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-count_frames"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe must be installed (Debian package ffmpeg)");
    String::from_utf8_lossy(&out.stdout).trim().parse().unwrap_or(0)
}

/// `secs` of H.264 at 25 frames per second and one key frame per `gop` frames, with A-law sound
/// in units of 20 ms beside it.
pub fn footage(secs: u32, gop: u32, kbit: u32) -> Footage {
    let input = format!("testsrc2=size=320x240:rate=25:duration={secs}");
    let params = format!("keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0");
    let annex_b = ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &input,
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-b:v",
        &format!("{kbit}k"),
        "-x264-params",
        &params,
        "-bsf:v",
        "h264_metadata=aud=insert",
        "-f",
        "h264",
        "-",
    ]);
    let sound = ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &format!("sine=frequency=440:sample_rate=8000:duration={secs}"),
        "-c:a",
        "pcm_alaw",
        "-f",
        "alaw",
        "-",
    ]);
    assemble(&annex_b, &sound)
}

/// H.264 with B-frames, and the file from which it was taken.
pub fn reordered(dir: &Path) -> (Footage, std::path::PathBuf) {
    let path = dir.join("source.mp4");
    let file = path.to_str().expect("a plain path");
    let input = "testsrc2=size=320x240:rate=25:duration=4";
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        input,
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-bf",
        "3",
        "-g",
        "25",
        "-video_track_timescale",
        "90000",
        file,
    ]);
    let annex_b =
        ffmpeg(&["-i", file, "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "h264", "-"]);
    let set = |kind| nal::annex_b(&annex_b).find(|nal| nal[0] & 0x1f == kind).expect("a set");
    let params = Arc::new(CodecParams::from_h264_sets(set(7), set(8)).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=pts,dts,size,pos,flags", "-of", "csv=p=0"])
        .arg(&path)
        .output()
        .expect("ffprobe must be installed (Debian package ffmpeg)");
    let mut units = Vec::new();
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let fields: Vec<_> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<i64>().unwrap();
        let (size, at) = (number(2) as usize, number(3) as usize);
        let data = Bytes::copy_from_slice(&bytes[at..at + size]);
        let mut unit = unit(0, &params, 0, fields[4].starts_with('K'), data);
        // An hour after boot; the source begins below zero.
        unit.decode.ticks = 90_000 * 3_600 + number(1);
        unit.present.ticks = 90_000 * 3_600 + number(0);
        units.push(Arc::new(unit));
    }
    let tracks = Arc::new(Tracks::new(RunId(1), [params]));
    let frames = units.len();
    (Footage { tracks, units, frames }, path)
}

/// A checksum of each decoded picture of `file`, as they are shown.
pub fn picture_sums(file: &Path) -> Vec<String> {
    let file = file.to_str().expect("a plain path");
    let sums =
        ffmpeg(&["-i", file, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let lines = String::from_utf8(sums).unwrap();
    let sum = |line: &str| line.rsplit(',').next().map(|sum| sum.trim().to_owned());
    lines.lines().filter(|line| !line.starts_with('#')).filter_map(sum).collect()
}

fn assemble(annex_b: &[u8], sound: &[u8]) -> Footage {
    let mut pictures: Vec<Vec<&[u8]>> = Vec::new();
    let (mut sps, mut pps) = (None, None);
    for nal in nal::annex_b(annex_b) {
        match nal[0] & 0x1f {
            9 => pictures.push(Vec::new()),
            7 => sps = Some(nal),
            8 => pps = Some(nal),
            _ => pictures.last_mut().expect("an AUD comes first").push(nal),
        }
    }
    let video = Arc::new(CodecParams::from_h264_sets(sps.unwrap(), pps.unwrap()).unwrap());
    let audio = Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1));
    let mut units = Vec::new();
    for (at, nals) in (0u32..).zip(&pictures) {
        let key = nals.iter().any(|nal| nal[0] & 0x1f == 5);
        let data = nal::length_prefixed(nals.iter().copied());
        units.push(unit(0, &video, u64::from(at) * 40, key, data));
    }
    for (at, data) in (0u32..).zip(sound.chunks(160)) {
        let data = Bytes::copy_from_slice(data);
        units.push(unit(1, &audio, u64::from(at) * 20, false, data));
    }
    units.sort_by_key(|unit| unit.arrived);
    let tracks = Arc::new(Tracks::new(RunId(1), [video, audio]));
    let units = units.into_iter().map(Arc::new).collect();
    Footage { tracks, units, frames: pictures.len() }
}

fn unit(track: u8, params: &Arc<CodecParams>, ms: u64, key: bool, data: Bytes) -> AccessUnit {
    let arrived = BootTime::from_millis(BEGINS.as_nanos() / 1_000_000 + ms);
    let nanos = i64::try_from(arrived.as_nanos()).unwrap();
    let decode = MediaTime::from_nanos(nanos, params.clock_rate);
    let wall = WallTime::from_unix_nanos(BEGINS_UNIX_NANOS + nanos);
    AccessUnit {
        track: TrackId(track),
        arrived,
        captured: Captured { wall, source: ClockSource::Arrival },
        entry: Entry::key_frame(key),
        ..AccessUnit::new(Arc::clone(params), decode, data)
    }
}
