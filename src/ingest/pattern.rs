//! The test picture: colour bars, a moving block, the wall clock and a frame counter.
//!
//! Owns: drawing and its pace. It is a source like any other, so that everything behind it can be
//! seen, and measured, without a camera: the counter and the clock are also drawn as bars of
//! 8-pixel blocks, which a program can read back from any copy of the picture.

mod draw;

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::raw::{self, Closed, EncodeJob, EncoderQueue, RawError, RawTee};
use super::run::CaptureStamp;
use crate::base::fault::{Class, Fault};
use crate::base::time::{BootTime, SharedClock};
use crate::encode::EncoderSettings;
use crate::media::{Captured, ClockSource};
use crate::stream::Stream;
use crate::supervise::TaskContext;
use draw::Scene;

/// What the test picture looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternConfig {
    /// Pixels across, 160 to 3840.
    pub width: u32,
    /// Pixels down, 120 to 2160.
    pub height: u32,
    /// Frames per second, 1 to 60.
    pub fps: u16,
    /// How it is encoded.
    pub encode: EncoderSettings,
}

impl Default for PatternConfig {
    fn default() -> Self {
        Self { width: 1280, height: 720, fps: 25, encode: EncoderSettings::default() }
    }
}

/// Why no more test pictures are drawn.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PatternError(#[from] Closed);

impl Fault for PatternError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// One run of the test picture; the supervisor calls it for every life of the source.
pub(super) async fn run(
    config: PatternConfig,
    tee: Arc<RawTee>,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<PatternError>> {
    let job = EncodeJob { settings: config.encode.clone(), fps: config.fps.into(), width: None };
    let clock = Arc::clone(&context.clock);
    let begun = clock.boot();
    let take = move |feed: &EncoderQueue| paint(&config, begun, &clock, feed);
    raw::run(job, tee, stream, context, take).await
}

/// When frame `number` is due, counted from the first.
fn frame_time(number: u64, fps: u16) -> Duration {
    Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(fps.max(1)))
}

/// Draws until the queue closes.
fn paint(
    config: &PatternConfig,
    begun: BootTime,
    clock: &SharedClock,
    feed: &EncoderQueue,
) -> Result<Infallible, PatternError> {
    let scene = Scene::new(config.width, config.height);
    let mut number = 0;
    loop {
        let due = begun.after(frame_time(number, config.fps));
        thread::sleep(due.since(clock.boot()));
        if feed.is_closed() {
            return Err(Closed.into());
        }
        // Too late: pictures are left out, so that the delay does not grow.
        let late = clock.boot().since(due).as_nanos() / frame_time(1, config.fps).as_nanos().max(1);
        let lost_before = u16::try_from(late).unwrap_or(u16::MAX);
        number += u64::from(lost_before);
        if feed.wants() {
            let wall = clock.wall();
            let mut picture = feed.canvas(config.width, config.height);
            scene.draw(&mut picture, number, wall);
            let captured = Captured { wall, source: ClockSource::Sender };
            let at = begun.after(frame_time(number, config.fps));
            feed.put(picture, CaptureStamp { at, captured, lost_before })?;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Stop;
    use crate::base::name::StreamName;
    use crate::base::time::SystemClock;
    use crate::ingest::SharedSources;
    use crate::stream::{Allowance, Next, StreamState};
    use crate::supervise::Supervisor;

    #[tokio::test]
    async fn the_test_picture_has_a_key_frame_each_second_and_no_time_goes_back() {
        let clock: SharedClock = Arc::new(SystemClock);
        let supervisor = Supervisor::new(Stop::new(), Arc::clone(&clock));
        let stream = Stream::new(StreamName::parse("t").unwrap(), "pattern", clock.wall());
        let mut reader = stream.bus().subscribe(Allowance::Viewer);
        let encode = EncoderSettings { bitrate_bps: 300_000, ..EncoderSettings::default() };
        let config = PatternConfig { width: 320, height: 180, fps: 10, encode };
        let source = super::super::SourceConfig::Pattern(config);
        super::super::keep(source, Arc::clone(&stream), &SharedSources::default(), &supervisor);
        let mut last = None;
        let mut since_key = 0;
        for _ in 0..25 {
            let Next::Item(unit) = reader.next().await else { panic!("reader lagged") };
            assert!(last.is_none_or(|last| unit.decode.ticks > last));
            last = Some(unit.decode.ticks);
            since_key = if unit.random_access() { 0 } else { since_key + 1 };
            assert!(since_key < 10, "no key frame for a second");
        }
        assert_eq!(stream.state().0, StreamState::Live);
        supervisor.stop().await;
    }
}
