//! H.264 of a camera that encodes: published as it comes.
//!
//! Owns: the way from a buffer (ITU-T H.264 Annex B, one access unit) to the bus. A run begins with a
//! key frame whose parameter sets are known; what comes before is dropped.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;
use tracing::info;

use super::Held;
use super::error::CameraError;
use super::reel::{Reel, Seen};
use crate::base::limits::{ACCESS_UNIT_BYTES_MAX, CAMERA_CODED_UNITS_MAX};
use crate::base::time::{MediaTime, SharedClock};
use crate::bus::{State, Stream};
use crate::encode::Encoded;
use crate::encode::convert::ConvertError;
use crate::media::{AccessUnit, CodecParams, RunId, TrackId, Tracks};
use crate::source::raw::Taken;
use crate::supervise::TaskContext;

/// One picture on its way to the bus.
type Coded = (Encoded, Taken);

/// Publishes until something ends it.
pub(super) async fn run(
    held: Held,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, CameraError> {
    let (to_bus, mut coded) = mpsc::channel(CAMERA_CODED_UNITS_MAX);
    let clock = Arc::clone(&context.clock);
    let taking = thread::Builder::new().name(format!("takes-{}", stream.name()));
    let taking = taking.spawn(move || {
        let Err(error) = film(held, &to_bus, clock);
        // Nobody listens when it was told to stop.
        let _ = to_bus.blocking_send(Err(error));
    });
    taking.map_err(CameraError::Thread)?;
    let mut run = Run::new(stream);
    loop {
        let coded = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(CameraError::Stopped),
            coded = coded.recv() => coded,
        };
        let panicked = || CameraError::Driver { detail: "reading it panicked".to_owned() };
        let (encoded, taken) = coded.ok_or_else(panicked)??;
        context.heartbeat.beat();
        run.publish(encoded, taken)?;
    }
}

fn film(
    held: Held,
    to_bus: &mpsc::Sender<Result<Coded, CameraError>>,
    clock: SharedClock,
) -> Result<Infallible, CameraError> {
    let Held { camera, seat: _seat, pulse } = held;
    let mut reel = Reel::new(camera, clock, Some(pulse));
    while !to_bus.is_closed() {
        let mut next = None;
        reel.turn(|planes, taken| {
            next = Some((unit(planes.first().copied().unwrap_or_default())?, taken));
            Ok(Seen::Taken)
        })?;
        // Full: we wait here, the driver runs out of buffers, and counts what it drops.
        if let Some(next) = next
            && to_bus.blocking_send(Ok(next)).is_err()
        {
            break;
        }
    }
    Err(CameraError::Stopped)
}

/// What stands in one buffer.
fn unit(bytes: &[u8]) -> Result<Encoded, ConvertError> {
    let short = ConvertError::Short { got: bytes.len(), wanted: 5 };
    if bytes.len() > ACCESS_UNIT_BYTES_MAX {
        return Err(ConvertError::TooLarge { got: bytes.len(), max: ACCESS_UNIT_BYTES_MAX });
    }
    Encoded::from_annex_b(bytes).ok_or(short)
}

/// One run on the stream's timeline.
struct Run {
    stream: Arc<Stream>,
    id: RunId,
    params: Option<Arc<CodecParams>>,
    /// Whether the key frame that it begins with has come.
    begun: bool,
    /// Decoding time of the unit before, in ticks.
    last: Option<i64>,
}

impl Run {
    fn new(stream: Arc<Stream>) -> Self {
        Self { id: stream.begin_run(), stream, params: None, begun: false, last: None }
    }

    fn publish(&mut self, encoded: Encoded, taken: Taken) -> Result<(), CameraError> {
        if let Some((sps, pps)) = &encoded.sets {
            self.describe(CodecParams::from_h264_sets(sps, pps)?);
        }
        self.begun |= encoded.key && self.params.is_some();
        let Some(params) = self.params.clone().filter(|_| self.begun) else { return Ok(()) };
        let nanos = i64::try_from(taken.at.as_nanos()).unwrap_or(i64::MAX);
        let mut time = MediaTime::from_nanos(nanos, params.clock_rate);
        time.ticks = self.last.map_or(time.ticks, |last| time.ticks.max(last.saturating_add(1)));
        self.last = Some(time.ticks);
        self.stream.publish(AccessUnit {
            track: TrackId(0),
            run: self.id,
            decode: time,
            present: time,
            arrived: taken.at,
            captured: taken.captured,
            random_access: encoded.key,
            lost_before: taken.lost_before,
            params,
            data: encoded.data,
        });
        self.stream.set_state(State::Live, taken.captured.wall);
        Ok(())
    }

    fn describe(&mut self, params: CodecParams) {
        if self.params.as_deref() == Some(&params) {
            return;
        }
        if self.params.is_none() {
            info!(stream = %self.stream.name(), run = self.id.0, "stream is live");
        }
        let params = Arc::new(params);
        self.stream.set_tracks(Arc::new(Tracks::new(self.id, [Arc::clone(&params)])));
        self.params = Some(params);
    }
}
