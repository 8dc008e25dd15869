//! Pictures that say which they are: two bars of 48 blocks at the bottom, as the test picture has
//! them, read back out of JPEGs of any size.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::base::time::{BootTime, MediaTime, WallTime};
use holdfast::encode::{Colours, EncoderSettings, Picture, RawFormat, VideoEncoder};
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};

const BITS: usize = 48;

/// A picture in shades of grey.
#[derive(Debug)]
pub struct Grey {
    pub width: usize,
    pub height: usize,
    pub samples: Vec<u8>,
}

/// What a picture says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// The number of the frame.
    pub number: u64,
    /// When it was drawn, in milliseconds since 1970.
    pub millis: u64,
}

/// Decodes a JPEG with ffmpeg.
pub fn decode(jpeg: &[u8]) -> Grey {
    let (width, height) = size(jpeg);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("picture.jpg");
    std::fs::write(&path, jpeg).unwrap();
    let out = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(&path)
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .expect("ffmpeg must be installed (Debian package ffmpeg)");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && told.is_empty(), "{told}");
    assert_eq!(out.stdout.len(), width * height, "{width}x{height}");
    Grey { width, height, samples: out.stdout }
}

/// The sides in a JPEG's frame header (ITU-T T.81 §B.2.2).
fn size(jpeg: &[u8]) -> (usize, usize) {
    assert_eq!(jpeg[..2], [0xff, 0xd8], "no JPEG: {:?}", String::from_utf8_lossy(jpeg));
    let number = |at: usize| usize::from(u16::from_be_bytes([jpeg[at], jpeg[at + 1]]));
    let mut at = 2;
    while !(0xc0..=0xc2).contains(&jpeg[at + 1]) {
        at += 2 + number(at + 2);
    }
    (number(at + 7), number(at + 5))
}

impl Grey {
    /// What the whole picture says.
    pub fn said(&self) -> Said {
        self.said_in([0, 0, self.width, self.height])
    }

    /// What the picture in a part of this one says: left, upper edge, width, height.
    pub fn said_in(&self, [x, y, width, height]: [usize; 4]) -> Said {
        let bar = height / 45;
        let read = |row: usize| {
            (0..BITS).fold(0, |value, bit| {
                let column = x + width * (2 * bit + 1) / (2 * BITS);
                value << 1 | u64::from(self.samples[row * self.width + column] > 127)
            })
        };
        let row = |from_bottom: usize| y + height - from_bottom * bar + bar / 2;
        Said { number: read(row(2)), millis: read(row(1)) }
    }

    /// The mean of a part: left, upper edge, width, height.
    pub fn mean(&self, [x, y, width, height]: [usize; 4]) -> usize {
        let rows = self.samples.chunks(self.width).skip(y).take(height);
        let sum: usize = rows.flat_map(|row| &row[x..x + width]).map(|&s| usize::from(s)).sum();
        sum / (width * height)
    }
}

/// One frame a second, each a key frame that says its number and date.
pub struct Film {
    encoder: VideoEncoder,
    params: Option<Arc<CodecParams>>,
}

impl Film {
    pub fn new() -> Self {
        let gop = std::time::Duration::from_secs(1);
        let settings = EncoderSettings { bitrate_bps: 400_000, gop, ..EncoderSettings::default() };
        let format = RawFormat { width: 320, height: 180, fps: 1.0, colours: Colours::BT709 };
        Self { encoder: VideoEncoder::open(settings, format).unwrap(), params: None }
    }

    /// The next frame.
    pub fn unit(&mut self, number: u64, boot: BootTime, wall: WallTime) -> Arc<AccessUnit> {
        let mut picture = Picture::black(320, 180);
        let millis = wall.as_unix_millis().cast_unsigned();
        picture.fill(0, 0, 320, 170, [140, 100, 150]);
        for (value, y) in [(number, 172), (millis, 176)] {
            for bit in 0..BITS {
                let (left, right) = (320 * bit / BITS, 320 * (bit + 1) / BITS);
                let luma = if value >> (BITS - 1 - bit) & 1 == 1 { 235 } else { 16 };
                picture.fill(left, y, right - left, 4, [luma, 128, 128]);
            }
        }
        let at = std::time::Duration::from_secs(number);
        self.encoder.force_key();
        let encoded = self.encoder.encode(&picture, at).unwrap().expect("no frame is skipped");
        let (sps, pps) = encoded.sets.expect("every frame is a key frame");
        let params = CodecParams::from_h264_sets(&sps, &pps).unwrap();
        let params = Arc::clone(self.params.get_or_insert_with(|| Arc::new(params)));
        let nanos = i64::try_from(boot.as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(nanos, params.clock_rate);
        unit(params, decode, (boot, wall), encoded.data)
    }

    /// The tracks of all frames.
    pub fn tracks(&self) -> Tracks {
        Tracks::new(RunId(1), [Arc::clone(self.params.as_ref().expect("a frame was made"))])
    }
}

/// A key frame of video.
pub fn unit(
    params: Arc<CodecParams>,
    at: MediaTime,
    (arrived, wall): (BootTime, WallTime),
    data: Bytes,
) -> Arc<AccessUnit> {
    Arc::new(AccessUnit {
        arrived,
        captured: Captured { wall, source: ClockSource::Sender },
        entry: Entry::key_frame(true),
        ..AccessUnit::new(params, at, data)
    })
}

/// The first key frame of an MP4 of one video track, with its parameters.
pub fn first_of(path: &std::path::Path) -> (Arc<CodecParams>, Bytes) {
    use holdfast::media::codec::boxes;
    let bytes = std::fs::read(path).unwrap();
    let inside = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    let table = inside.iter().fold(&bytes[..], |within, wanted| {
        boxes(within).find(|(kind, _)| kind == *wanted).expect("an MP4 of ffmpeg").1
    });
    let rate = NonZeroU32::new(90_000).unwrap();
    let params = CodecParams::from_sample_entry(&table[8..], rate).unwrap();
    let out = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=size,pos", "-of", "csv=p=0"])
        .args(["-select_streams", "v:0", "-read_intervals", "%+#1"])
        .arg(path)
        .output()
        .expect("ffprobe must be installed (Debian package ffmpeg)");
    let told = String::from_utf8(out.stdout).unwrap();
    let (size, at) = told.lines().next().unwrap().split_once(',').unwrap();
    let (size, at): (usize, usize) =
        (size.parse().unwrap(), at.trim_end_matches(',').parse().unwrap());
    (Arc::new(params), Bytes::copy_from_slice(&bytes[at..at + size]))
}
