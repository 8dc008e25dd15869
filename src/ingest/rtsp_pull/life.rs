//! From retina's frames to published access units, until something ends the run.
//!
//! Owns: which of retina's streams is which track, the deadlines of frames. Waiting is in
//! [`read`]; deciding is in [`Life`] and [`Run`], which read no clock.

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt;
use retina::client::Demuxed;
use retina::codec::{CodecItem, ParametersRef};
use tokio::time::Instant;

use super::error::{PullError, Step, Whom, from_retina};
use super::ledger::{Ledger, Overfull};
use super::session::{Link, Wanted};
use super::{Bounds, Config};
use crate::ingest::rtp::{self, FloodGate, Now, Progress, Run};
use crate::media::CodecParams;
use crate::stream::Stream;
use crate::supervise::TaskContext;

/// Reads frames and publishes them until the run ends.
pub(super) async fn read(
    link: Link,
    ledger: Ledger,
    config: &Config,
    stream: &Arc<Stream>,
    context: &TaskContext,
    whom: &Whom,
) -> Result<Infallible, PullError> {
    let Link { mut frames, wanted } = link;
    let life = Life::new(stream, &wanted, config);
    let Err(error) = pump(&mut frames, ledger, life, context, whom).await;
    if matches!(error, PullError::Overfull | PullError::Flooded { .. }) {
        config.memory.sever(frames);
    }
    Err(error)
}

async fn pump(
    frames: &mut Demuxed,
    mut ledger: Ledger,
    mut life: Life,
    context: &TaskContext,
    whom: &Whom,
) -> Result<Infallible, PullError> {
    let mut deadline = Instant::now() + life.bounds.first_frame;
    loop {
        let next = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(PullError::Stopped),
            next = tokio::time::timeout_at(deadline, ledger.watch(frames.next())) => next,
        };
        let item = match next {
            Err(_) => return Err(life.overdue()),
            Ok(Err(Overfull)) => return Err(PullError::Overfull),
            Ok(Ok(None)) => return Err(PullError::Closed),
            Ok(Ok(Some(item))) => item.map_err(|error| from_retina(&error, Step::Read, whom))?,
        };
        context.heartbeat.beat();
        let now = Now { boot: context.clock.boot(), wall: context.clock.wall() };
        ledger.left(weight(&item), life.is_first_track(&item));
        if life.apply(item, frames.streams(), now)? == Progress::Frame {
            deadline = Instant::now() + life.bounds.idle;
        }
    }
}

/// One connection's frames on their way into a run.
struct Life {
    run: Run,
    /// retina's number of each of the run's tracks.
    sources: Vec<usize>,
    gate: FloodGate,
    bounds: Bounds,
    /// Anything came at all.
    heard: bool,
}

impl Life {
    fn new(stream: &Arc<Stream>, wanted: &[Wanted], config: &Config) -> Self {
        let bounds = config.bounds;
        let tracks: Vec<_> = wanted.iter().map(|track| track.spec.clone()).collect();
        Self {
            run: Run::new(Arc::clone(stream), config.memory.end(), &tracks),
            sources: wanted.iter().map(|track| track.source).collect(),
            gate: FloodGate::new(bounds.bytes_per_sec, bounds.rate_window),
            bounds,
            heard: false,
        }
    }

    /// Whether `item` is a frame of the first track.
    fn is_first_track(&self, item: &CodecItem) -> bool {
        let source = match item {
            CodecItem::VideoFrame(video) => video.stream_id(),
            CodecItem::AudioFrame(audio) => audio.stream_id(),
            _ => return false,
        };
        self.lane(source) == Some(0)
    }

    /// What a deadline that passed means.
    fn overdue(&self) -> PullError {
        if self.run.has_begun() {
            return PullError::Stalled { waited: self.bounds.idle };
        }
        let what = if self.heard { "key frame" } else { "media at all" };
        PullError::NoFirstFrame { what, waited: self.bounds.first_frame }
    }

    fn apply(
        &mut self,
        item: CodecItem,
        streams: &[retina::client::Stream],
        now: Now,
    ) -> Result<Progress, PullError> {
        match item {
            CodecItem::VideoFrame(video) => {
                let Some(index) = self.lane(video.stream_id()) else { return Ok(Progress::Other) };
                self.weigh(now, video.data().len())?;
                if video.has_new_parameters() || self.run.lacks_params(index) {
                    self.reshape(index, &streams[video.stream_id()])?;
                }
                Ok(self.run.place(index, rtp::from_video(video), now))
            }
            CodecItem::AudioFrame(audio) => {
                let Some(index) = self.lane(audio.stream_id()) else { return Ok(Progress::Other) };
                self.weigh(now, audio.data().len())?;
                let frame = rtp::from_audio(&audio);
                Ok(self.run.place(index, frame, now))
            }
            CodecItem::Rtcp(packets) => {
                self.report(&packets, now);
                Ok(Progress::Other)
            }
            _ => Ok(Progress::Other),
        }
    }

    fn lane(&self, source: usize) -> Option<usize> {
        self.sources.iter().position(|own| *own == source)
    }

    /// Counts what arrived; a camera that floods ends its own run.
    fn weigh(&mut self, now: Now, bytes: usize) -> Result<(), PullError> {
        self.heard = true;
        if self.gate.pass(now.boot, bytes) {
            return Ok(());
        }
        Err(PullError::Flooded { max_mib_per_sec: self.bounds.bytes_per_sec >> 20 })
    }

    /// Takes over new parameter sets.
    fn reshape(&mut self, index: usize, source: &retina::client::Stream) -> Result<(), PullError> {
        let Some(ParametersRef::Video(video)) = source.parameters() else { return Ok(()) };
        self.run.reshape(index, CodecParams::from_video(video)?);
        Ok(())
    }

    fn report(&mut self, packets: &retina::rtcp::ReceivedCompoundPacket, now: Now) {
        let Some(index) = self.lane(packets.stream_id()) else { return };
        let Some(at) = packets.rtp_timestamp() else { return };
        let Some(report) = packets.pkts().find_map(|packet| {
            packet.as_sender_report().ok().flatten().map(|report| report.ntp_timestamp().0)
        }) else {
            return;
        };
        self.run.report(index, at.timestamp(), report, now);
    }
}

/// The bytes that leave with `item`.
fn weight(item: &CodecItem) -> usize {
    match item {
        CodecItem::VideoFrame(video) => video.data().len(),
        CodecItem::AudioFrame(audio) => audio.data().len(),
        CodecItem::MessageFrame(message) => message.data().len(),
        CodecItem::Rtcp(packets) => packets.raw().len(),
        _ => 0,
    }
}
