//! The test picture: colour bars, a moving block, the wall clock and a frame counter.
//!
//! Owns: drawing and pace. It is a source like any other, so that everything behind it can be
//! seen, and measured, without a camera: the counter and the clock are also drawn as bars of
//! 8-pixel blocks, which a program can read back from any copy of the picture.

mod draw;

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::info;

use crate::base::fault::{Class, Fault};
use crate::base::time::{BootTime, MediaTime, SharedClock, WallTime};
use crate::bus::{State, Stream};
use crate::encode::{EncodeError, Encoded, Encoder, EncoderConfig};
use crate::media::codec::ParamsError;
use crate::media::{AccessUnit, Captured, ClockSource, CodecParams, RunId, TrackId, Tracks};
use crate::supervise::TaskContext;
use draw::Scene;

/// What the test picture looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Pixels across, 160 to 3840.
    pub width: u32,
    /// Pixels down, 120 to 2160.
    pub height: u32,
    /// Frames per second, 1 to 60.
    pub fps: u16,
    /// Bits per second.
    pub bitrate_bps: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 1280, height: 720, fps: 25, bitrate_bps: 2_000_000 }
    }
}

/// Why the test picture stopped.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The encoder failed.
    #[error("the test picture could not be encoded")]
    Encode(#[from] EncodeError),
    /// What the encoder says of itself cannot be read.
    #[error("the encoder's parameter sets are unusable")]
    Params(#[from] ParamsError),
    /// It was told to.
    #[error("stopped")]
    Stopped,
    /// The drawing thread ended by itself.
    #[error("the drawing thread ended")]
    ThreadEnded,
    /// No thread could be made.
    #[error("no thread for drawing")]
    Thread(#[source] std::io::Error),
}

impl Fault for PatternError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// Pictures that may wait between the drawing thread and the bus; past it the thread waits,
/// falls behind its clock and leaves pictures out.
const DRAWN_MAX: usize = 2;

/// One picture as the drawing thread hands it over.
struct Drawn {
    number: u64,
    arrived: BootTime,
    wall: WallTime,
    skipped: u16,
    encoded: Encoded,
}

/// One run of the test picture; the supervisor calls it for every life of the source.
pub async fn run(
    config: Config,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, PatternError> {
    let (to_bus, mut drawn) = mpsc::channel(DRAWN_MAX);
    let begun = context.clock.boot();
    let clock = Arc::clone(&context.clock);
    let pace = config.clone();
    thread::Builder::new()
        .name(format!("draw-{}", stream.name()))
        .spawn(move || paint(&pace, begun, &clock, &to_bus))
        .map_err(PatternError::Thread)?;
    let mut run = Run { config, id: stream.begin_run(), begun, stream, params: None };
    loop {
        let picture = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(PatternError::Stopped),
            picture = drawn.recv() => picture.ok_or(PatternError::ThreadEnded)??,
        };
        context.heartbeat.beat();
        run.publish(picture)?;
    }
}

struct Run {
    config: Config,
    id: RunId,
    begun: BootTime,
    stream: Arc<Stream>,
    params: Option<Arc<CodecParams>>,
}

impl Run {
    fn publish(&mut self, picture: Drawn) -> Result<(), PatternError> {
        if let Some((sps, pps)) = &picture.encoded.sets {
            self.describe(sps, pps)?;
        }
        // The first picture is a key frame and brings its sets; before it there is nothing to say.
        let Some(params) = self.params.clone() else { return Ok(()) };
        let at = self.begun.after(frame_time(picture.number, self.config.fps));
        let nanos = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
        let present = MediaTime::from_nanos(nanos, params.clock_rate);
        self.stream.publish(AccessUnit {
            track: TrackId(0),
            run: self.id,
            decode: present,
            present,
            arrived: picture.arrived,
            captured: Captured { wall: picture.wall, source: ClockSource::Sender },
            random_access: picture.encoded.key,
            lost_before: picture.skipped,
            params,
            data: picture.encoded.data,
        });
        self.stream.set_state(State::Live, picture.wall);
        Ok(())
    }

    fn describe(&mut self, sps: &Bytes, pps: &Bytes) -> Result<(), PatternError> {
        let params = CodecParams::from_h264_sets(sps, pps)?;
        if self.params.as_deref() != Some(&params) {
            info!(stream = %self.stream.name(), codec = params.codec_name(), "test picture begins");
            let params = Arc::new(params);
            self.stream.set_tracks(Arc::new(Tracks::new(self.id, [Arc::clone(&params)])));
            self.params = Some(params);
        }
        Ok(())
    }
}

/// When frame `number` is due, counted from the first.
fn frame_time(number: u64, fps: u16) -> Duration {
    Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(fps.max(1)))
}

/// The drawing thread: draws, encodes, hands over, until nobody takes the pictures any more.
fn paint(
    config: &Config,
    begun: BootTime,
    clock: &SharedClock,
    to_bus: &mpsc::Sender<Result<Drawn, PatternError>>,
) {
    let mut painter = match Painter::new(config) {
        Ok(painter) => painter,
        Err(error) => return drop(to_bus.blocking_send(Err(error))),
    };
    let mut number = 0;
    loop {
        let due = begun.after(frame_time(number, config.fps));
        thread::sleep(due.since(clock.boot()));
        // Too slow: pictures are left out, so that the delay does not grow.
        let late = clock.boot().since(due).as_nanos() / frame_time(1, config.fps).as_nanos().max(1);
        let skipped = u16::try_from(late).unwrap_or(u16::MAX);
        number += u64::from(skipped);
        let drawn = painter.picture(number, skipped, clock);
        if let Some(drawn) = drawn.transpose()
            && to_bus.blocking_send(drawn).is_err()
        {
            return;
        }
        number += 1;
    }
}

struct Painter {
    fps: u16,
    scene: Scene,
    encoder: Encoder,
}

impl Painter {
    fn new(config: &Config) -> Result<Self, PatternError> {
        let encoder = Encoder::new(EncoderConfig {
            fps: config.fps,
            bitrate_bps: config.bitrate_bps,
            gop_frames: u32::from(config.fps),
        })?;
        Ok(Self { fps: config.fps, scene: Scene::new(config.width, config.height), encoder })
    }

    fn picture(
        &mut self,
        number: u64,
        skipped: u16,
        clock: &SharedClock,
    ) -> Result<Option<Drawn>, PatternError> {
        let (arrived, wall) = (clock.boot(), clock.wall());
        let picture = self.scene.draw(number, wall);
        let encoded = self.encoder.encode(picture, frame_time(number, self.fps))?;
        Ok(encoded.map(|encoded| Drawn { number, arrived, wall, skipped, encoded }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Stop;
    use crate::base::name::StreamName;
    use crate::base::time::SystemClock;
    use crate::bus::{Allowance, Next};
    use crate::supervise::{Supervisor, TaskSpec};

    #[tokio::test]
    async fn the_test_picture_has_a_key_frame_each_second_and_no_time_goes_back() {
        let clock: SharedClock = Arc::new(SystemClock);
        let supervisor = Supervisor::new(Stop::new(), Arc::clone(&clock));
        let stream = Stream::new(StreamName::parse("t").unwrap(), "pattern", clock.wall());
        let mut reader = stream.bus().subscribe(Allowance::Viewer);
        let config = Config { width: 320, height: 180, fps: 10, bitrate_bps: 300_000 };
        let source = Arc::clone(&stream);
        supervisor.keep(TaskSpec::new("t/source"), move |context| {
            run(config.clone(), Arc::clone(&source), context)
        });
        let mut last = None;
        let mut since_key = 0;
        for _ in 0..25 {
            let Next::Item(unit) = reader.next().await else { panic!("reader lagged") };
            assert!(last.is_none_or(|last| unit.decode.ticks > last));
            last = Some(unit.decode.ticks);
            since_key = if unit.random_access { 0 } else { since_key + 1 };
            assert!(since_key < 10, "no key frame for a second");
        }
        assert_eq!(stream.state().0, State::Live);
        supervisor.stop().await;
    }
}
