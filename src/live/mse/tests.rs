//! Parts, and viewers that fall behind.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::*;
use crate::base::limits::{MSE_QUEUE_BYTES_MAX, MSE_VIEWERS_MAX};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, MediaTime, SystemClock, WallTime};
use crate::live::mse::{Viewer, ViewerEvent};
use crate::media::codec::Law;
use crate::media::{CodecParams, Entry, RunId, TrackId, Tracks};
use crate::stream::Stream;
use crate::supervise::Supervisor;

const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

struct Camera {
    stream: Arc<Stream>,
    video: Arc<CodecParams>,
    sound: Option<Arc<CodecParams>>,
    run: RunId,
    frame: u64,
    unit_bytes: usize,
}

impl Camera {
    fn new() -> Self {
        let name = StreamName::parse("gate").unwrap();
        let stream = Stream::new(name, "pattern", WallTime::default());
        let video = Arc::new(CodecParams::from_h264_sets(SPS, PPS).unwrap());
        let run = RunId(0);
        let mut camera = Self { stream, video, sound: None, run, frame: 0, unit_bytes: 100 };
        camera.connect();
        camera
    }

    /// One that announces sound.
    fn with_sound() -> Self {
        let mut camera = Self::new();
        let rate = NonZeroU32::new(8_000).unwrap();
        camera.sound = Some(Arc::new(CodecParams::g711(Law::A, rate, 1)));
        camera.connect();
        camera
    }

    /// 40 ms of sound that belong beside the next picture.
    fn sound(&self) {
        let params = self.sound.as_ref().unwrap();
        let arrived = BootTime::from_millis(10_000 + self.frame * 40);
        let nanos = i64::try_from(arrived.as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(nanos, params.clock_rate);
        self.stream.publish(AccessUnit {
            track: TrackId(1),
            run: self.run,
            arrived,
            ..AccessUnit::new(Arc::clone(params), decode, Bytes::from(vec![0x55; 320]))
        });
    }

    fn connect(&mut self) {
        self.run = self.stream.begin_run();
        let sound = self.sound.clone();
        let tracks =
            Tracks::new(self.run, [Some(Arc::clone(&self.video)), sound].into_iter().flatten());
        self.stream.set_tracks(Arc::new(tracks));
    }

    fn frames(&mut self, count: u64, gop: u64) {
        for _ in 0..count {
            let arrived = BootTime::from_millis(10_000 + self.frame * 40);
            let nanos = i64::try_from(arrived.as_nanos()).unwrap();
            let decode = MediaTime::from_nanos(nanos, self.video.clock_rate);
            self.stream.publish(AccessUnit {
                run: self.run,
                arrived,
                entry: Entry::key_frame(self.frame.is_multiple_of(gop)),
                ..AccessUnit::new(
                    Arc::clone(&self.video),
                    decode,
                    Bytes::from(vec![1; self.unit_bytes]),
                )
            });
            self.frame += 1;
        }
    }
}

fn mse(camera: &Camera) -> Mse {
    let supervisor = Supervisor::new(Stop::new(), Arc::new(SystemClock));
    Mse::new(Arc::clone(&camera.stream), supervisor)
}

/// Reads until nothing comes for a (virtual) second, and writes down the events.
async fn read(viewer: &mut Viewer) -> Vec<String> {
    let mut all = Vec::new();
    let pause = std::time::Duration::from_secs(1);
    while let Ok(told) = tokio::time::timeout(pause, viewer.next()).await {
        all.push(match told {
            ViewerEvent::Format(part) => format!("format {}", part.format.codecs),
            ViewerEvent::Part(part) => part.number.to_string(),
            ViewerEvent::Dropped(parts) => format!("dropped {parts}"),
            ViewerEvent::Ended => break,
        });
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_viewer_gets_the_format_and_the_gop_so_far() {
    let mut camera = Camera::new();
    camera.frames(8, 5);
    let mse = mse(&camera);
    let mut viewer = mse.view().unwrap();
    assert_eq!(read(&mut viewer).await, ["format avc1.640033", "0", "1", "2"]);
    let mut second = mse.view().unwrap();
    assert_eq!(read(&mut second).await, ["format avc1.640033", "0", "1", "2"]);
    assert_eq!(mse.meter().totals().units, 3, "built once for both");
    camera.frames(1, 5);
    assert_eq!(read(&mut viewer).await, ["3"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_run_is_a_new_format() {
    let mut camera = Camera::new();
    camera.frames(2, 5);
    let mse = mse(&camera);
    let mut viewer = mse.view().unwrap();
    assert_eq!(read(&mut viewer).await, ["format avc1.640033", "0", "1"]);
    camera.connect();
    // The rest of a GOP without its key frame is of no use.
    camera.frames(4, 5);
    assert_eq!(read(&mut viewer).await, ["format avc1.640033", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_far_behind_in_bytes_goes_on_at_the_newest_key_frame() {
    let mut camera = Camera::new();
    camera.unit_bytes = MSE_QUEUE_BYTES_MAX / 8;
    camera.frames(1, 10);
    let mse = mse(&camera);
    let mut viewer = mse.view().unwrap();
    assert_eq!(read(&mut viewer).await, ["format avc1.640033", "0"]);
    camera.frames(20, 10);
    // The builder needs a turn.
    let mut witness = mse.view().unwrap();
    read(&mut witness).await;
    assert_eq!(read(&mut viewer).await, ["dropped 19", "20"]);
}

#[tokio::test(start_paused = true)]
async fn the_window_lives_only_while_somebody_watches() {
    let mut camera = Camera::new();
    camera.frames(3, 5);
    let mse = mse(&camera);
    let viewers: Vec<_> = (0..MSE_VIEWERS_MAX).map(|_| mse.view().unwrap()).collect();
    assert!(mse.view().is_err());
    assert_eq!(mse.readers(), MSE_VIEWERS_MAX);
    drop(viewers);
    assert_eq!(mse.readers(), 0);
    assert_eq!(camera.stream.bus().readers(), 0);
    let mut viewer = mse.view().unwrap();
    assert_eq!(read(&mut viewer).await.len(), 4);
}

#[test]
fn a_part_lasts_as_long_as_its_predecessor_and_never_over_a_hole() {
    let camera = Camera::new();
    let mut durations = Durations::default();
    let mut at = |ticks: i64| {
        let decode = MediaTime { ticks, rate: camera.video.clock_rate };
        let unit = AccessUnit {
            entry: Entry::key_frame(true),
            ..AccessUnit::new(Arc::clone(&camera.video), decode, Bytes::from_static(b"x"))
        };
        durations.successor(&unit).decode.ticks - ticks
    };
    at(0);
    assert_eq!([at(3_000), at(6_001), at(9_000_000), at(9_003_000)], [3_000, 3_001, 3_001, 3_000]);
}

fn formats(told: &[String]) -> Vec<&String> {
    told.iter().filter(|told| told.starts_with("format")).collect()
}

#[tokio::test(start_paused = true)]
async fn sound_that_is_announced_and_never_comes_is_left_out_and_taken_in_once_it_comes() {
    let mut camera = Camera::with_sound();
    camera.frames(30, 25);
    let mse = mse(&camera);
    let mut viewer = mse.view().unwrap();
    assert_eq!(read(&mut viewer).await, [""; 0], "1.5 s of pictures are waited for");
    camera.frames(40, 25);
    let told = read(&mut viewer).await;
    assert_eq!(formats(&told), ["format avc1.640033"]);
    assert_eq!(told.len(), 1 + 20, "from the newest key frame on");
    camera.sound();
    camera.frames(2, 25);
    assert_eq!(formats(&read(&mut viewer).await), [""; 0], "not in the middle of a group");
    camera.sound();
    camera.frames(10, 25);
    assert_eq!(formats(&read(&mut viewer).await), ["format avc1.640033,fLaC"]);
}

#[tokio::test(start_paused = true)]
async fn sound_that_stops_goes_on_as_silence() {
    let mut camera = Camera::with_sound();
    for _ in 0..5 {
        camera.frames(1, 25);
        camera.sound();
    }
    let mse = mse(&camera);
    let mut viewer = mse.view().unwrap();
    let begun = read(&mut viewer).await;
    assert_eq!(begun[0], "format avc1.640033,fLaC");
    camera.frames(50, 25);
    let told = read(&mut viewer).await;
    // Two seconds of pictures, and silence up to half a second behind them.
    let silence = told.len() - 50;
    assert!((36..=39).contains(&silence), "{silence} frames of 40 ms");
    assert_eq!(formats(&told), [""; 0]);
}
