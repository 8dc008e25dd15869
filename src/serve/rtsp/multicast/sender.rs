//! What sends one stream to its group: a reader like any other whose peer is the group.
//!
//! Owns: its sockets and those on which the members' reports come in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::DropGuard;
use tracing::debug;

use super::super::play::{PacketSink, Play, PlayNext, PlaySource};
use super::super::send_queue::SendQueue;
use super::super::udp::UdpPair;
use super::rtcp_receivers::RtcpReceivers;
use super::{GroupKey, MulticastState};
use crate::base::Stop;
use crate::base::limits::TRACKS_MAX;
use crate::base::time::SharedClock;
use crate::live::StreamOutputs;
use crate::media::TrackId;
use crate::wire::rtsp::{Group, Route, Routed};

/// The sender of one stream.
#[derive(Debug)]
pub(super) struct GroupSender {
    play: Play,
    udp: UdpPair,
    receivers: RtcpReceivers,
    key: GroupKey,
    shared: Arc<MulticastState>,
    clock: SharedClock,
}

impl GroupSender {
    /// Opens the sockets; all tracks go out, each to its own ports from `group.port` on.
    pub(super) fn open(
        outputs: &StreamOutputs,
        group: Group,
        (key, shared): (GroupKey, Arc<MulticastState>),
        clock: SharedClock,
    ) -> io::Result<Self> {
        let udp = UdpPair::open_multicast(key.local, group.address, group.ttl)?;
        let receivers = RtcpReceivers::open(key.local, group, udp.ports().1);
        let routed = |(track, rtp): (u8, u16)| Routed {
            track: TrackId(track),
            route: Route::Udp { rtp, rtcp: rtp + 1 },
        };
        let ports = (group.port..).step_by(2);
        let routes: Vec<Routed> = (0u8..).zip(ports).take(TRACKS_MAX).map(routed).collect();
        let cname = format!("{}@holdfast", outputs.stream.name());
        let play = Play::new(PlaySource::Live(outputs.rtsp.join()), &routes, cname);
        Ok(Self { play, udp, receivers, key, shared, clock })
    }

    /// Sends until `ended`, or until the stream ends or becomes another. `_told` notifies the
    /// members, also when the task is dropped.
    pub(super) async fn run(mut self, ended: Stop, _told: DropGuard) {
        // Nothing goes by TCP, but what sends wants to know where it would.
        let mut nowhere = SendQueue::new(self.clock.boot());
        loop {
            let now = self.clock.boot();
            self.udp.send(now);
            let until = self.udp.deadline().map(|until| until.since(now));
            let next = tokio::select! {
                biased;
                () = ended.cancelled() => break,
                next = self.play.next(), if until.is_none() => next,
                () = tokio::time::sleep(until.unwrap_or(Duration::ZERO)), if until.is_some() => {
                    continue;
                }
                peer = self.receivers.next() => {
                    self.shared.hear(now, &self.key, peer);
                    continue;
                }
            };
            match next {
                PlayNext::Unit(unit) => {
                    let sink = PacketSink { tcp: &mut nowhere, udp: Some(&mut self.udp) };
                    if self.play.send(self.clock.boot(), &unit, sink).is_err() {
                        break;
                    }
                }
                // Counted where it lags; the next unit is a key frame.
                PlayNext::Lagged(_) | PlayNext::RangeOver => {}
                PlayNext::Ended => break,
            }
        }
        debug!(part = "multicast", lost = self.udp.refused(), "sender ended");
    }
}
