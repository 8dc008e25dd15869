//! What it costs to make a stream of a camera's MJPEG: JPEG to I420, I420 to H.264 with openh264,
//! and the smaller picture of a sub-stream; beside ffmpeg, which decodes the same film and encodes
//! it with x264's fastest settings.
//!
//! `cargo bench --bench encode_cost`. All on one thread each, in turns; what is printed is processor
//! time per picture, the median of the rounds, and the share of each step.

#[path = "../support/harness/mod.rs"]
mod harness;

use std::path::Path;
use std::time::Duration;

use harness::run_well;
use holdfast::encode::convert::JpegReader;
use holdfast::encode::{
    Colours, EncoderChoice, EncoderSettings, Picture, RawFormat, Scaler, VideoEncoder,
    scaled_height,
};

const PICTURES: usize = 200;
const ROUNDS: usize = 5;
const FPS: u16 = 25;
const SUB_WIDTH: u32 = 320;

/// Milliseconds of processor time for one picture.
#[derive(Clone, Copy, Default)]
struct Cost {
    jpeg: f64,
    scale: f64,
    encode: f64,
}

fn main() {
    // `cargo test --benches` runs this to see that it starts; a measurement takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    for (width, height) in [(640, 480), (1_280, 720)] {
        let film = film(width, height);
        let bytes = std::fs::read(&film).unwrap();
        let pictures = jpegs(&bytes);
        assert_eq!(pictures.len(), PICTURES);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(holdfast(&pictures, width, height));
            theirs.push((ffmpeg(&film, &[]), ffmpeg(&film, &X264)));
        }
        tell(width, height, &ours, &theirs);
    }
}

fn tell(width: u32, height: u32, ours: &[Cost], theirs: &[(f64, f64)]) {
    let our = |of: fn(&Cost) -> f64| median(ours.iter().map(of).collect());
    let (jpeg, scale, encode) = (our(|c| c.jpeg), our(|c| c.scale), our(|c| c.encode));
    let whole = our(|c| c.jpeg + c.encode);
    let their_jpeg = median(theirs.iter().map(|turn| turn.0).collect());
    let their_whole = median(theirs.iter().map(|turn| turn.1).collect());
    let ratio = ours.iter().zip(theirs).map(|(our, their)| (our.jpeg + our.encode) / their.1);
    println!(
        "{width}x{height}: holdfast {whole:.2} ms a picture (JPEG to I420 {jpeg:.2}, {:.0} %; \
         openh264 {encode:.2}, {:.0} %), to {SUB_WIDTH} pixels {scale:.2} ms more; ffmpeg with \
         libx264 ultrafast {their_whole:.2} ms (of it JPEG {their_jpeg:.2}); ratio {:.2}",
        100.0 * jpeg / whole,
        100.0 * encode / whole,
        median(ratio.collect()),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A film as a UVC camera sends it: 4:2:2, each picture a JPEG of its own, with some noise.
fn film(width: u32, height: u32) -> std::path::PathBuf {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = made.join(format!("camera-{width}x{height}.mjpeg"));
    if file.exists() {
        return file;
    }
    let source = format!("testsrc2=size={width}x{height}:rate={FPS},noise=alls=6:allf=t");
    let mut command = harness::ffmpeg();
    command.args(["-f", "lavfi", "-i", &source, "-frames:v", &PICTURES.to_string()]);
    command.args(["-c:v", "mjpeg", "-pix_fmt", "yuvj422p", "-q:v", "5", "-f", "mjpeg"]).arg(&file);
    run_well(&mut command, Duration::from_secs(300));
    file
}

/// The pictures of a film: each begins with SOI, which occurs nowhere else after EOI.
fn jpegs(film: &[u8]) -> Vec<&[u8]> {
    let begins: Vec<usize> = (0..film.len() - 2)
        .filter(|&at| film[at..].starts_with(&[0xff, 0xd8, 0xff]))
        .filter(|&at| at == 0 || film[..at].ends_with(&[0xff, 0xd9]))
        .chain([film.len()])
        .collect();
    begins.windows(2).map(|pair| &film[pair[0]..pair[1]]).collect()
}

fn holdfast(pictures: &[&[u8]], width: u32, height: u32) -> Cost {
    let format = RawFormat { width, height, fps: FPS.into(), colours: Colours::BT709 };
    let settings =
        EncoderSettings { encoder: EncoderChoice::Openh264, ..EncoderSettings::default() };
    let mut encoder = VideoEncoder::open(settings, format).unwrap();
    let mut reader = JpegReader::default();
    let small = (SUB_WIDTH, scaled_height((width, height), SUB_WIDTH));
    let mut scaler = Scaler::new((width, height), small);
    let mut picture = Picture::black(width, height);
    let mut cost = Cost::default();
    for (n, jpeg) in (0u32..).zip(pictures) {
        let begun = millis();
        reader.read(jpeg, &mut picture).unwrap();
        let read = millis();
        scaler.scale(&picture);
        let scaled = millis();
        let at = Duration::from_secs(1) * n / u32::from(FPS);
        encoder.encode(&picture, at).unwrap().unwrap();
        cost.jpeg += read - begun;
        cost.scale += scaled - read;
        cost.encode += millis() - scaled;
    }
    let each = |sum: f64| sum / f64::from(u32::try_from(pictures.len()).unwrap());
    Cost { jpeg: each(cost.jpeg), scale: each(cost.scale), encode: each(cost.encode) }
}

/// Processor time of this thread.
fn millis() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let time = Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap());
    time.as_secs_f64() * 1_000.0
}

const X264: [&str; 14] = [
    "-pix_fmt",
    "yuv420p",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-b:v",
    "2M",
    "-g",
    "25",
    "-threads",
    "1",
];

/// What ffmpeg takes for a picture of the film, by its own count: decoded, and encoded with `more`.
fn ffmpeg(film: &Path, more: &[&str]) -> f64 {
    let mut command = harness::ffmpeg();
    command.args(["-v", "info", "-benchmark", "-threads", "1", "-filter_threads", "1"]);
    command.args(["-f", "mjpeg", "-i"]).arg(film);
    if more.is_empty() {
        command.args(["-pix_fmt", "yuv420p", "-c:v", "rawvideo"]);
    }
    command.args(more).args(["-f", "null", "-"]);
    let ended = harness::run(&mut command, Duration::from_secs(300));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let time = |key: &str| -> f64 {
        let (_, time) = said.rsplit_once(key).unwrap_or_else(|| panic!("no {key} in {said}"));
        time.split_once('s').unwrap().0.parse().unwrap()
    };
    (time("utime=") + time("stime=")) * 1_000.0 / f64::from(u32::try_from(PICTURES).unwrap())
}
