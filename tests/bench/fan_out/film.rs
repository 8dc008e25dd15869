//! The film that all servers send: ten seconds of H.264, round and round, every picture stamped
//! with its number and the moment it was published.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::base::time::{BootTime, Clock, MediaTime, SystemClock};
use holdfast::media::nal::{annex_b, length_prefixed};
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId};

use crate::harness::{ffmpeg, media, run_well};

/// Pictures per second.
pub const RATE: u32 = 25;
/// Marks our SEI message: `user_data_unregistered`, ITU-T H.264 §D.1.7.
pub const UUID: &[u8; 16] = b"holdfast-fan-out";
/// Behind the UUID: a number of 8 and a moment of 16 hexadecimal digits. Text, so that it cannot
/// contain a start code.
pub const STAMP_BYTES: usize = 24;

/// Pictures without parameter sets and delimiters.
pub struct Film {
    pub params: Arc<CodecParams>,
    pictures: Vec<(bool, Vec<Vec<u8>>)>,
}

/// 4 Mbit/s, 1080p, a key frame every two seconds.
fn file() -> PathBuf {
    let file = media().join("fan_out.h264");
    if !file.exists() {
        let mut command = ffmpeg();
        let picture = "testsrc2=size=1920x1080:rate=25:duration=10,noise=alls=8:allf=t";
        command.args(["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "veryfast"]);
        command.args(["-pix_fmt", "yuv420p", "-g", "50", "-keyint_min", "50", "-bf", "0"]);
        command.args(["-sc_threshold", "0", "-b:v", "4M", "-maxrate", "4M", "-bufsize", "4M"]);
        command.args(["-x264-params", "aud=1", "-f", "h264"]).arg(&file);
        run_well(&mut command, Duration::from_secs(300));
    }
    file
}

impl Film {
    /// Makes the film unless it is there.
    pub fn load() -> Self {
        let bytes = std::fs::read(file()).unwrap();
        let kind = |nal: &[u8]| nal[0] & 0x1f;
        let set = |wanted| annex_b(&bytes).find(|nal| kind(nal) == wanted).unwrap();
        let params = Arc::new(CodecParams::from_h264_sets(set(7), set(8)).unwrap());
        let mut pictures: Vec<(bool, Vec<Vec<u8>>)> = Vec::new();
        for nal in annex_b(&bytes) {
            match kind(nal) {
                9 => pictures.push((false, Vec::new())),
                1 | 5 => {
                    let (key, nals) = pictures.last_mut().unwrap();
                    *key |= kind(nal) == 5;
                    nals.push(nal.to_vec());
                }
                _ => {}
            }
        }
        Self { params, pictures }
    }

    /// The picture with `number`, stamped with this moment.
    pub fn unit(&self, number: u32, run: RunId) -> AccessUnit {
        let (key, nals) = &self.pictures[number as usize % self.pictures.len()];
        let now = SystemClock.boot();
        let sei = stamp(number, now);
        let nals = std::iter::once(&sei[..]).chain(nals.iter().map(|nal| &nal[..]));
        let rate = self.params.clock_rate;
        let time = MediaTime { ticks: i64::from(number) * i64::from(rate.get() / RATE), rate };
        AccessUnit {
            run,
            arrived: now,
            captured: Captured { wall: SystemClock.wall(), source: ClockSource::Arrival },
            entry: Entry::key_frame(*key),
            ..AccessUnit::new(Arc::clone(&self.params), time, length_prefixed(nals))
        }
    }

    /// Calls `publish` with every number, at the pace of life, for ever.
    pub fn play(mut publish: impl FnMut(u32)) -> ! {
        let begun = std::time::Instant::now();
        for number in 0.. {
            let due = Duration::from_secs(1) * number / RATE;
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            publish(number);
        }
        unreachable!("there are enough numbers for five years")
    }
}

fn stamp(number: u32, now: BootTime) -> Bytes {
    let mut sei = vec![6, 5, u8::try_from(UUID.len() + STAMP_BYTES).unwrap()];
    sei.extend_from_slice(UUID);
    sei.extend_from_slice(format!("{number:08x}{:016x}", now.as_nanos()).as_bytes());
    sei.push(0x80);
    sei.into()
}

/// Number and moment of the stamp in `packet`, which is one of the first of its picture.
pub fn read_stamp(packet: &[u8]) -> Option<(u32, u64)> {
    let at = packet.windows(UUID.len()).position(|window| window == UUID)? + UUID.len();
    let text = std::str::from_utf8(packet.get(at..at + STAMP_BYTES)?).ok()?;
    let (number, moment) = text.split_at(8);
    Some((u32::from_str_radix(number, 16).ok()?, u64::from_str_radix(moment, 16).ok()?))
}
