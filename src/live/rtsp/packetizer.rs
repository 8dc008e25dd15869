//! The packetizer: units of the stream in, packets out, while there are readers.
//!
//! Owns: the RTP state of every track, which survives a restart of the task.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::inline::DeliveryRounds;
use super::{PacketPublisher, SharedRtpOutput};
use crate::base::fault::{Class, Fault};
use crate::base::limits::{RTP_LINGER_TIME, TRACKS_MAX};
use crate::media::{AccessUnit, OpenRole, TrackId, Tracks};
use crate::rtp::{Format, Rate, RtpUnit};
use crate::stream::{Allowance, Next};
use crate::supervise::TaskContext;
use crate::wire::rtp::Packetizer;
use crate::wire::rtsp::Start;

/// How often the packetizer checks whether there are still readers.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Why the packetizer ended; it never fails by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum PacketizeError {
    /// It was stopped, or has no readers.
    #[error("stopped")]
    Stopped,
}

impl Fault for PacketizeError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// RTP state of every track a stream can have.
#[derive(Debug)]
pub(super) struct StreamPacketizer {
    tracks: Vec<TrackState>,
}

#[derive(Debug)]
struct TrackState {
    packetizer: Packetizer,
    /// Decoding time of the newest unit that was packetized, before a restart of the task too.
    last_ticks: Option<i64>,
    rate: Rate,
}

impl StreamPacketizer {
    pub(super) fn new(mut seed: impl FnMut() -> u64) -> Self {
        let tracks = (0u8..)
            .take(TRACKS_MAX)
            .map(|n| TrackState {
                packetizer: Packetizer::new(TrackId(n), seed()),
                last_ticks: None,
                rate: Rate::default(),
            })
            .collect();
        Self { tracks }
    }

    pub(super) fn ssrc(&self, track: TrackId) -> Option<u32> {
        self.tracks.get(usize::from(track.0)).map(|state| state.packetizer.ssrc())
    }

    /// Forgets which units were packetized: new readers need the newest GOP from its beginning.
    pub(super) fn begin_anew(&mut self) {
        for state in &mut self.tracks {
            state.last_ticks = None;
        }
    }

    /// Packetizes `unit`; `None` when that was done before, or its track is not served.
    pub(super) fn packetize(
        &mut self,
        unit: &AccessUnit,
        tracks: Option<&Tracks>,
    ) -> Option<RtpUnit> {
        let starts = if unit.random_access() { self.starts(unit, tracks) } else { Vec::new() };
        let state = self.tracks.get_mut(usize::from(unit.track.0))?;
        let ticks = unit.decode.ticks;
        if state.last_ticks.is_some_and(|last| last >= ticks) {
            return None;
        }
        state.last_ticks = Some(ticks);
        let packets = state.packetizer.packetize(unit);
        state.rate.count(packets.len(), unit.decode);
        Some(RtpUnit {
            track: unit.track,
            run: unit.run,
            arrived: unit.arrived,
            present: unit.present,
            timestamp: state.packetizer.timestamp(unit.present),
            captured: unit.captured,
            gap: state.rate.gap(),
            format: Format::of(&unit.params),
            starts,
            role: OpenRole::of(unit),
            packets,
        })
    }

    /// Where each track begins for a reader that begins at `unit`.
    fn starts(&self, unit: &AccessUnit, tracks: Option<&Tracks>) -> Vec<Start> {
        let start = |(track, state): (TrackId, &TrackState)| {
            let rate = match tracks.and_then(|tracks| tracks.get(track)) {
                _ if track == unit.track => unit.present.rate,
                Some(track) => track.params.clock_rate,
                None => return None,
            };
            Some(Start {
                track,
                sequence: state.packetizer.next_sequence(),
                timestamp: state.packetizer.timestamp(unit.present.rescale(rate)),
            })
        };
        (0u8..).map(TrackId).zip(&self.tracks).filter_map(start).collect()
    }
}

/// Packetizes until stopped, or until there were no readers for [`RTP_LINGER_TIME`].
pub(super) async fn run(
    shared: Arc<SharedRtpOutput>,
    out: Arc<PacketPublisher>,
    context: TaskContext,
) -> Result<Infallible, PacketizeError> {
    let mut units = shared.stream.bus().subscribe(Allowance::Viewer);
    let tracks = shared.stream.tracks();
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let mut unread = Duration::ZERO;
    let mut rounds = DeliveryRounds::default();
    loop {
        let pause = rounds.next_due().map(|at| at.since(context.clock.boot()));
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(PacketizeError::Stopped),
            _ = look.tick() => {
                context.heartbeat.beat();
                let read = shared.readers.load(Relaxed) > 0;
                unread = if read { Duration::ZERO } else { unread + LOOK_INTERVAL };
                if unread > RTP_LINGER_TIME && retire(&shared) {
                    context.stop.cancel();
                }
            }
            next = units.next() => match next {
                Next::Item(unit) => {
                    let tracks = tracks.borrow().clone();
                    let packed = shared.packetizer().packetize(&unit, tracks.as_deref());
                    if let Some(packed) = packed {
                        out.publish(packed);
                        rounds.deliver_all(&shared.inline, &context.clock).await;
                    }
                }
                Next::Lagged(units) => shared.meter.lost(units),
                // The stream is gone for good; so will this task be, with its supervisor.
                Next::Ended => context.stop.cancelled().await,
            },
            () = sleep(pause) => rounds.deliver_due(context.clock.boot()),
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Retires the packetizer unless a reader has joined meanwhile; says whether it did.
fn retire(shared: &SharedRtpOutput) -> bool {
    let mut running = shared.running();
    let unread = shared.readers.load(Relaxed) == 0;
    if unread {
        *running = None;
    }
    unread
}
