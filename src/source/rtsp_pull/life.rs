//! From retina's frames to published access units, until something ends the run.
//!
//! Owns: the tracks of the run, what was lost before the next unit, the deadlines of frames.
//! Waiting is in [`read`]; deciding is in [`Life`], which reads no clock.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use retina::client::Demuxed;
use retina::codec::{CodecItem, ParametersRef};
use tokio::time::Instant;
use tracing::{info, warn};

use super::clock::{Now, RunClock, Stamp, WALL_TRUST};
use super::decode_time::DecodeTimes;
use super::error::{PullError, Step, Whom, from_retina};
use super::flood::FloodGate;
use super::ledger::{Ledger, Overfull};
use super::session::{Link, Wanted};
use super::{Bounds, Config, Memory, reorder};
use crate::base::limits::ACCESS_UNIT_BYTES_MAX;
use crate::base::time::{BootTime, MediaTime};
use crate::bus::{State, Stream};
use crate::media::{AccessUnit, CodecParams, Kind, RunId, TrackId, Tracks, nal};
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
    mut life: Life<'_>,
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

/// Whether the picture (or the sound, where there is no picture) went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Frame,
    Other,
}

struct Life<'a> {
    stream: &'a Stream,
    memory: &'a Memory,
    run: RunId,
    lanes: Vec<Lane>,
    clock: RunClock,
    gate: FloodGate,
    bounds: Bounds,
    /// A key frame was published, or a unit of a stream without video.
    begun: bool,
    /// Anything came at all.
    heard: bool,
}

/// One track.
struct Lane {
    source: usize,
    id: TrackId,
    kind: Kind,
    params: Option<Arc<CodecParams>>,
    times: DecodeTimes,
    /// Units lost since the last one published.
    lost: u16,
}

/// What a frame is, whichever kind it came as.
struct Frame {
    stamp: Stamp,
    loss: u16,
    random_access: bool,
    data: Bytes,
}

impl<'a> Life<'a> {
    fn new(stream: &'a Stream, wanted: &[Wanted], config: &'a Config) -> Self {
        let floor = *config.memory.end();
        let bounds = config.bounds;
        Self {
            stream,
            memory: &config.memory,
            run: stream.begin_run(),
            lanes: (0u8..).zip(wanted).map(|(id, track)| Lane::new(id, track, floor)).collect(),
            clock: RunClock::new(floor, wanted.iter().map(|track| track.clock_rate)),
            gate: FloodGate::new(bounds.bytes_per_sec, bounds.rate_window),
            bounds,
            begun: false,
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
        if self.begun {
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
                if video.has_new_parameters() || self.lanes[index].params.is_none() {
                    self.reshape(index, &streams[video.stream_id()])?;
                }
                let frame = Frame {
                    stamp: stamp(video.timestamp()),
                    // Loss is counted in packets; a picture is many, so it cost at least one.
                    loss: video.loss().min(1),
                    random_access: video.is_random_access_point(),
                    data: Bytes::from(video.into_data()),
                };
                Ok(self.place(index, frame, now))
            }
            CodecItem::AudioFrame(audio) => {
                let Some(index) = self.lane(audio.stream_id()) else { return Ok(Progress::Other) };
                self.weigh(now, audio.data().len())?;
                let frame = Frame {
                    stamp: stamp(audio.timestamp()),
                    loss: audio.loss(),
                    random_access: self.lanes[0].kind == Kind::Audio,
                    data: Bytes::copy_from_slice(audio.data()),
                };
                Ok(self.place(index, frame, now))
            }
            CodecItem::Rtcp(packets) => {
                self.report(&packets, now);
                Ok(Progress::Other)
            }
            _ => Ok(Progress::Other),
        }
    }

    fn lane(&self, source: usize) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.source == source)
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
        let params = CodecParams::from_video(video)?;
        let lane = &mut self.lanes[index];
        if lane.params.as_deref() == Some(&params) {
            return Ok(());
        }
        lane.times.reshape(reorder::depth(&params), reorder::frame_ticks(&params));
        lane.params = Some(Arc::new(params));
        if self.begun {
            self.tell_tracks();
        }
        Ok(())
    }

    /// Says what the tracks are, if all are known.
    fn tell_tracks(&self) -> bool {
        let params: Option<Vec<_>> = self.lanes.iter().map(|lane| lane.params.clone()).collect();
        let Some(params) = params else { return false };
        self.stream.set_tracks(Arc::new(Tracks::new(self.run, params)));
        true
    }

    fn place(&mut self, index: usize, frame: Frame, now: Now) -> Progress {
        let lane = &mut self.lanes[index];
        lane.lost = lane.lost.saturating_add(frame.loss);
        if !usable(&frame.data, lane.kind) {
            lane.lost = lane.lost.saturating_add(1);
            return Progress::Other;
        }
        if !self.begun && !self.begin(frame.random_access, now) {
            return Progress::Other;
        }
        self.publish(index, frame, now);
        if index == 0 { Progress::Frame } else { Progress::Other }
    }

    /// Begins the run if a reader can begin here.
    fn begin(&mut self, random_access: bool, now: Now) -> bool {
        if !random_access || !self.tell_tracks() {
            return false;
        }
        self.begun = true;
        for lane in &mut self.lanes {
            lane.lost = 0; // what was lost before the beginning is no loss of this run
        }
        self.stream.set_state(State::Live, now.wall);
        info!(stream = %self.stream.name(), run = self.run.0, "camera is live");
        true
    }

    fn publish(&mut self, index: usize, frame: Frame, now: Now) {
        let placed = self.clock.place(index, frame.stamp, now);
        if self.clock.take_wall_refused() {
            warn!(
                stream = %self.stream.name(),
                elapsed_ms = WALL_TRUST.as_millis(),
                "camera's clock is off by more than this, using the time of arrival"
            );
        }
        let lane = &mut self.lanes[index];
        let Some(params) = lane.params.clone() else { return };
        if placed.leapt {
            lane.times.leap();
        }
        let times = lane.times.place(placed.present);
        let rate = params.clock_rate;
        let decode = MediaTime { ticks: times.decode, rate };
        self.stream.publish(AccessUnit {
            track: lane.id,
            run: self.run,
            decode,
            present: MediaTime { ticks: times.present, rate },
            arrived: now.boot,
            captured: placed.captured,
            random_access: frame.random_access,
            lost_before: std::mem::take(&mut lane.lost),
            params,
            data: frame.data,
        });
        // One tick later, because nanoseconds round down and the next run must stand behind.
        let end = MediaTime { ticks: times.decode.saturating_add(1), rate };
        let end = BootTime::from_nanos(end.as_nanos().max(0).unsigned_abs());
        let mut last = self.memory.end();
        *last = end.max(*last);
    }

    fn report(&mut self, packets: &retina::rtcp::ReceivedCompoundPacket, now: Now) {
        let Some(index) = self.lane(packets.stream_id()) else { return };
        let Some(at) = packets.rtp_timestamp() else { return };
        let Some(report) = packets.pkts().find_map(|packet| {
            packet.as_sender_report().ok().flatten().map(|report| report.ntp_timestamp().0)
        }) else {
            return;
        };
        self.clock.report(index, at.timestamp(), report, now);
    }
}

impl Lane {
    fn new(id: u8, track: &Wanted, floor: BootTime) -> Self {
        let (depth, ticks) = track
            .params
            .as_deref()
            .map_or((0, 1), |params| (reorder::depth(params), reorder::frame_ticks(params)));
        let floor_nanos = i64::try_from(floor.as_nanos()).unwrap_or(i64::MAX);
        let floor = MediaTime::from_nanos(floor_nanos, track.clock_rate).ticks;
        Self {
            source: track.source,
            id: TrackId(id),
            kind: track.kind,
            params: track.params.clone(),
            times: DecodeTimes::new(depth, ticks, Some(floor)),
            lost: 0,
        }
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

/// Whether a frame is whole and no larger than any frame may be.
fn usable(data: &Bytes, kind: Kind) -> bool {
    let fits = !data.is_empty() && data.len() <= ACCESS_UNIT_BYTES_MAX;
    fits && (kind == Kind::Audio || nal::is_whole(data))
}

fn stamp(at: retina::Timestamp) -> Stamp {
    Stamp { ticks: at.timestamp(), elapsed: at.elapsed() }
}
