//! Rings with known footage: what ffmpeg encodes, put where a test wants it.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, MediaTime, WallTime};
use holdfast::dvr::{self, Dvr, Retention, RingSizing, Writer};
use holdfast::media::{
    AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, TrackId, Tracks,
};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

use crate::clock::LongOn;
use crate::harness::{ffmpeg, frames, need, run_well};

/// Pictures of a group, which is a second.
pub const GOP: u32 = 25;
const SECOND_NANOS: i64 = 1_000_000_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// One coded picture or frame of sound: times in ticks from the beginning.
#[derive(Clone, Debug)]
pub struct Packet {
    pub decode: i64,
    pub present: i64,
    pub key: bool,
    pub data: Bytes,
}

/// Pictures, or sound.
#[derive(Clone, Debug)]
pub struct Film {
    pub params: Arc<CodecParams>,
    pub packets: Vec<Packet>,
    /// A checksum of each decoded picture, as they are shown.
    pub sums: Vec<String>,
}

impl Film {
    /// `secs` of pictures in groups of [`GOP`] at 25 a second, coded as `more` says.
    pub fn pictures(size: &str, secs: u32, more: &str) -> Self {
        let input = format!("testsrc2=size={size}:rate=25:duration={secs}");
        let line =
            format!("-f lavfi -i {input} -pix_fmt yuv420p {more} -video_track_timescale 90000");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film.mp4");
        let mut film = Self::of(&line, &path, 90_000);
        film.sums = frames::of_file(&path);
        assert_eq!(film.sums.len(), (secs * GOP) as usize);
        film
    }

    /// H.264 with two B-frames between others.
    pub fn reordered(size: &str, secs: u32) -> Self {
        let film = Self::pictures(
            size,
            secs,
            "-c:v libx264 -preset ultrafast -x264-params \
             keyint=25:min-keyint=25:scenecut=0:open-gop=0:bframes=2:b-adapt=0",
        );
        assert!(film.packets.iter().any(|it| it.decode != it.present), "no B-frames");
        film
    }

    /// H.264 without B-frames.
    pub fn plain(size: &str, secs: u32) -> Self {
        let more = "-c:v libx264 -preset ultrafast -tune zerolatency -x264-params \
                    keyint=25:min-keyint=25:scenecut=0:bframes=0";
        Self::pictures(size, secs, more)
    }

    /// H.265.
    pub fn h265(size: &str, secs: u32) -> Self {
        let more = "-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params \
                    log-level=none:keyint=25:min-keyint=25:scenecut=0:bframes=0:open-gop=0";
        Self::pictures(size, secs, more)
    }

    /// Sound at `rate`, coded as `more` says.
    pub fn sound(secs: u32, rate: u32, more: &str) -> Self {
        let input = format!("sine=frequency=440:sample_rate={rate}:duration={secs}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sound.mp4");
        Self::of(&format!("-f lavfi -i {input} -ac 1 {more}"), &path, rate)
    }

    fn of(line: &str, path: &Path, rate: u32) -> Self {
        run_well(ffmpeg().args(line.split_whitespace()).arg(path), PATIENCE);
        need("ffprobe", "ffmpeg");
        let mut probe = std::process::Command::new("ffprobe");
        probe.args(["-v", "error", "-show_entries", "packet=pts,dts,size,pos,flags"]);
        let told = run_well(probe.args(["-of", "csv=p=0"]).arg(path), PATIENCE);
        let bytes = std::fs::read(path).unwrap();
        let packet = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |at: usize| fields[at].parse::<i64>().unwrap();
            let (size, at) =
                (usize::try_from(number(2)).unwrap(), usize::try_from(number(3)).unwrap());
            let data = Bytes::copy_from_slice(&bytes[at..at + size]);
            Packet { decode: number(1), present: number(0), key: fields[4].starts_with('K'), data }
        };
        let told = String::from_utf8(told).unwrap();
        // Side data of a packet are on a line of their own.
        let lines = told.lines().filter(|line| line.split(',').count() >= 5);
        let packets = lines.map(packet).collect();
        let stsd = bytes.windows(4).position(|it| it == b"stsd").unwrap();
        let entry = &bytes[stsd + 12..];
        let length = u32::from_be_bytes(*entry.first_chunk().unwrap()) as usize;
        let rate = NonZeroU32::new(rate).unwrap();
        let params = CodecParams::from_sample_entry(&entry[..length], rate).unwrap();
        Self { params: Arc::new(params), packets, sums: Vec::new() }
    }

    /// G.711 in frames of 20 ms.
    pub fn g711(secs: u32, law: holdfast::media::codec::Law) -> Self {
        let rate = NonZeroU32::new(8_000).unwrap();
        let packet = |at: u32| Packet {
            decode: i64::from(at) * 160,
            present: i64::from(at) * 160,
            key: true,
            // A tone would be better, but silence can be counted as well.
            data: Bytes::from(vec![0xd5; 160]),
        };
        Self {
            params: Arc::new(CodecParams::g711(law, rate, 1)),
            packets: (0..secs * 50).map(packet).collect(),
            sums: Vec::new(),
        }
    }
}

/// A ring in the making, with one stream.
pub struct Ring {
    pub dvr: Dvr,
    pub writer: Writer,
    fragments: u64,
}

impl Ring {
    /// A ring of a boot that began a good while ago and is over: what the daemon of the test finds.
    pub fn make(data_dir: &Path, ring_bytes: u64, slot_bytes: u64) -> Self {
        let config = dvr::RingConfig {
            data_dir: data_dir.to_owned(),
            size: RingSizing::Bytes(ring_bytes),
            slot_bytes: Some(slot_bytes),
        };
        let disk = Arc::new(dvr::RealDisk);
        Self::on(Dvr::open_on(disk, [7; 16], config, Arc::new(LongOn), None).unwrap())
    }

    /// A stream in the ring of `dvr`.
    pub fn on(dvr: Dvr) -> Self {
        let writer = dvr.writer(&StreamName::parse("gate").unwrap(), Retention::default());
        Self { dvr, writer, fragments: 0 }
    }

    /// Records some seconds of films that began together, one fragment a second. `place` is
    /// where the films begin: since boot, and by the calendar.
    pub fn record(&mut self, films: &[&Film], secs: Range<u32>, place: Place, run_start: bool) {
        let tracks = films.iter().map(|film| Arc::clone(&film.params));
        let init = init_segment(&Tracks::new(RunId(1), tracks));
        for sec in secs.clone() {
            let mut builder = FragmentBuilder::new(sec + 1);
            for (track, film) in (0u8..).zip(films) {
                for unit in place.units(film, track, sec) {
                    builder.push(Arc::new(unit));
                }
            }
            let fragment = builder.build(None);
            let first = run_start && sec == secs.start;
            while self.writer.append(&init, fragment.clone(), first, false).is_err() {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.fragments += 1;
        }
    }

    /// Waits until all of it is on the medium.
    pub fn settle(&self) {
        crate::harness::wait_for("the ring takes the films", PATIENCE, || {
            let now = *self.writer.durable().borrow();
            now.filter(|now| now.fragments >= self.fragments).map(drop)
        });
    }

    /// As [`Ring::settle`], and closes it.
    pub fn close(self) {
        self.settle();
        assert!(self.dvr.close(Duration::from_secs(30)));
    }
}

/// Where films begin.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub boot: BootTime,
    pub date: WallTime,
}

impl Place {
    /// So many seconds ago, at a whole second.
    pub fn ago(secs: u64) -> Self {
        let boot = LongOn.boot().before(Duration::from_secs(secs));
        let now = LongOn.wall().as_unix_nanos() / SECOND_NANOS;
        let date = now - i64::try_from(secs).unwrap();
        Self { boot, date: WallTime::from_unix_nanos(date * SECOND_NANOS) }
    }

    /// So much later.
    pub fn later(self, millis: i64) -> Self {
        let date = self.date.offset_nanos(millis * 1_000_000);
        Self { boot: self.boot.after(Duration::from_millis(millis.unsigned_abs())), date }
    }

    /// The date so many seconds behind it.
    pub fn at(self, secs: f64) -> WallTime {
        #[allow(clippy::cast_possible_truncation)]
        let millis = (secs * 1_000.0).round() as i64;
        self.date.offset_nanos(millis * 1_000_000)
    }

    fn units(self, film: &Film, track: u8, sec: u32) -> Vec<AccessUnit> {
        let rate = film.params.clock_rate;
        let boot_nanos = i64::try_from(self.boot.as_nanos()).unwrap();
        let zero = MediaTime::from_nanos(boot_nanos, rate).ticks;
        let of_second = |packet: &&Packet| {
            // Whole groups of pictures, and sound by its time.
            let at = film.packets.iter().position(|it| it.decode == packet.decode).unwrap();
            let by_count = u32::try_from(at).unwrap() / GOP;
            let by_time = packet.decode.max(0) / i64::from(rate.get());
            if film.sums.is_empty() { by_time == i64::from(sec) } else { by_count == sec }
        };
        let unit = |packet: &Packet| {
            let at = |ticks| MediaTime { ticks: zero + ticks, rate };
            let since = |ticks| MediaTime { ticks, rate }.as_nanos();
            let arrived = since(packet.present.max(0)).unsigned_abs();
            let wall = self.date.offset_nanos(since(packet.present));
            AccessUnit {
                track: TrackId(track),
                present: at(packet.present),
                arrived: self.boot.after(Duration::from_nanos(arrived)),
                captured: Captured { wall, source: ClockSource::Sender },
                entry: Entry::key_frame(packet.key),
                ..AccessUnit::new(Arc::clone(&film.params), at(packet.decode), packet.data.clone())
            }
        };
        film.packets.iter().filter(of_second).map(unit).collect()
    }
}
