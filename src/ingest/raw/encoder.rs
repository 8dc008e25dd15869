//! The thread that encodes one stream's raw pictures and publishes them.
//!
//! Owns: which encoder there is for the pictures that come, and telling how it is doing.

use std::sync::Arc;

use tracing::{info, warn};

use super::encoder_queue::{EncoderQueue, QueuedFrame};
use super::pace::Change;
use super::{EncodeJob, RawError};
use crate::base::fault::Fault;
use crate::base::time::{BootTime, SharedClock};
use crate::encode::{Colours, Encoded, Picture, RawFormat, Scaler, VideoEncoder, scaled_height};
use crate::ingest::run::{CaptureRun, CaptureStamp};
use crate::stream::{Encoding, Stream};
use crate::supervise::{Heartbeat, TaskContext};

/// One run of an encoder.
pub(super) struct EncoderRun {
    job: EncodeJob,
    feed: EncoderQueue,
    stream: Arc<Stream>,
    run: CaptureRun,
    clock: SharedClock,
    heartbeat: Heartbeat,
    bench: Option<EncoderBench>,
}

/// What is made for pictures of one size in the same colours.
struct EncoderBench {
    kind: PictureShape,
    scaler: Option<Scaler>,
    encoder: VideoEncoder,
    /// When the first of them was taken.
    begun: BootTime,
}

/// Pixels across and down, and how they are meant.
type PictureShape = (usize, usize, Colours);

fn kind(picture: &Picture) -> PictureShape {
    (picture.width(), picture.height(), picture.colours())
}

impl EncoderRun {
    pub(super) fn new(
        job: EncodeJob,
        feed: EncoderQueue,
        stream: Arc<Stream>,
        context: &TaskContext,
    ) -> Self {
        Self {
            job,
            feed,
            run: CaptureRun::new(Arc::clone(&stream)),
            stream,
            clock: Arc::clone(&context.clock),
            heartbeat: context.heartbeat.clone(),
            bench: None,
        }
    }

    /// Encodes until the feed is closed or something fails.
    pub(super) fn run<E: Fault>(mut self) -> RawError<E> {
        while let Some(next) = self.feed.next() {
            if let Err(error) = self.one(next) {
                return error;
            }
        }
        RawError::Stopped
    }

    fn one<E: Fault>(&mut self, next: QueuedFrame) -> Result<(), RawError<E>> {
        self.heartbeat.beat();
        let begun = self.clock.boot();
        let encoded = self.encode(&next)?;
        if !self.feed.is_closed() {
            self.run
                .publish(encoded, CaptureStamp { lost_before: next.lost, ..next.shot.taken })?;
        }
        if let Some(change) = self.feed.encoded(begun) {
            self.adjust(change)?;
        }
        Ok(())
    }

    fn encode<E: Fault>(&mut self, next: &QueuedFrame) -> Result<Option<Encoded>, RawError<E>> {
        let picture = &next.shot.picture;
        let bench = match self.bench.take() {
            Some(bench) if bench.kind == kind(picture) => bench,
            _ => self.furnish(picture, next.shot.taken.at)?,
        };
        let bench = self.bench.insert(bench);
        let picture = bench.scaler.as_mut().map_or(picture, |scaler| scaler.scale(picture));
        let encoded = bench.encoder.encode(picture, next.shot.taken.at.since(bench.begun))?;
        self.tell();
        Ok(encoded)
    }

    /// Makes what pictures of this kind need.
    fn furnish<E: Fault>(
        &self,
        first: &Picture,
        begun: BootTime,
    ) -> Result<EncoderBench, RawError<E>> {
        let kind @ (width, height, colours) = kind(first);
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let from = (side(width), side(height));
        let small = self.job.width.filter(|&width| width < from.0);
        let to = small.map_or(from, |width| (width & !1, scaled_height(from, width & !1)));
        let format = RawFormat { width: to.0, height: to.1, fps: self.fps(), colours };
        let encoder = VideoEncoder::open(self.job.settings.clone(), format)?;
        Ok(EncoderBench { kind, scaler: small.map(|_| Scaler::new(from, to)), encoder, begun })
    }

    /// Pictures per second as they are taken now.
    fn fps(&self) -> f32 {
        let divisor = u16::try_from(self.feed.divisor()).unwrap_or(u16::MAX);
        self.job.fps / f32::from(divisor.max(1))
    }

    /// Changes to another rate, and reports it.
    fn adjust<E: Fault>(&mut self, change: Change) -> Result<(), RawError<E>> {
        let (stream, one_in) = (self.stream.name(), change.to);
        if change.to > change.from {
            warn!(%stream, one_in, "no time to encode every picture, rate lowered");
        } else {
            info!(%stream, one_in, "time to encode more pictures, rate raised");
        }
        let fps = self.fps();
        let Some(bench) = &mut self.bench else { return Ok(()) };
        bench.encoder.retune(fps, self.job.settings.bitrate_bps)?;
        self.tell();
        Ok(())
    }

    /// Says how it is doing, for the API.
    fn tell(&self) {
        let Some(bench) = &self.bench else { return };
        self.stream.set_encoding(Some(Encoding {
            encoder: bench.encoder.name(),
            instead: bench.encoder.instead().map(str::to_owned),
            one_in: self.feed.divisor(),
        }));
    }
}
