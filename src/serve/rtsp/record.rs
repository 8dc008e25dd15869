//! One peer that publishes: its place as the stream's publisher, and the ports it sends to.
//!
//! Owns: the way of packets from the sockets to the source, and of receiver reports back. Does not
//! own: what happens to the packets (`source::rtsp_push`).

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::send_queue::SendQueue;
use super::udp::{DATAGRAM_BYTES_MAX, UdpPair};
use crate::base::time::BootTime;
use crate::ingest::rtsp_push::{
    Carriage, PublishPoint, PublishRefused, PushError, PushPublisher, TrackPacket,
};
use crate::media::TrackId;
use crate::wire::rtp::interleaved;
use crate::wire::rtsp::{Medium, Refusal, Route, Routed, SessionDescription};

/// Datagrams taken at once, before anything else gets its turn.
const DATAGRAMS_AT_ONCE: usize = 64;

/// How often what waits at the ports is checked when a publisher takes leave.
const DRAIN_ROUNDS_MAX: usize = 32;

/// What publishing needs of a connection.
#[derive(Debug, Default)]
pub(super) struct Record {
    publisher: Option<PushPublisher>,
    routes: Vec<Routed>,
    /// Ports of our own, a pair per track over UDP.
    ports: Vec<(TrackId, UdpPair)>,
    /// Room for one datagram, once there are ports.
    buffer: Vec<u8>,
}

/// What a publisher's sockets had.
#[derive(Debug)]
pub(super) enum PublisherInput {
    /// A datagram of this track; more may wait.
    Datagram(TrackId, Medium, Bytes),
    /// The publisher has its publish point no more.
    Displaced(PushError),
}

/// The answer to a peer that may not publish now.
pub(super) fn refusal(why: PublishRefused) -> Refusal {
    match why {
        PublishRefused::Taken => Refusal::Taken,
        PublishRefused::Closed => Refusal::NotReady(why.to_string()),
        PublishRefused::NotCarried { .. } => Refusal::NotCarried(why.to_string()),
    }
}

impl Record {
    /// Opens ports of our own for `track` over UDP.
    pub(super) fn set_up(
        &mut self,
        track: TrackId,
        route: Route,
        local: IpAddr,
        peer: IpAddr,
    ) -> Result<Option<(u16, u16)>, Refusal> {
        self.ports.retain(|(other, _)| *other != track);
        if !matches!(route, Route::Udp { .. }) {
            return Ok(None);
        }
        let pair = UdpPair::open(local, peer).map_err(|_| Refusal::NoPorts)?;
        pair.make_room_for_input();
        self.buffer.resize(DATAGRAM_BYTES_MAX, 0);
        let ports = pair.ports();
        self.ports.push((track, pair));
        Ok(Some(ports))
    }

    /// Takes the publish point and lets packets in.
    pub(super) fn begin(
        &mut self,
        point: &Arc<PublishPoint>,
        offer: &SessionDescription,
        routes: Vec<Routed>,
        seed: u64,
    ) -> Result<(), Refusal> {
        let carriage = |routed: &Routed| match routed.route {
            // Publishing by multicast is not offered.
            Route::Udp { .. } | Route::Multicast => Carriage::Udp,
            Route::Tcp { .. } => Carriage::Tcp,
        };
        let tracks: Vec<_> = routes.iter().map(|r| (r.track, carriage(r))).collect();
        self.publisher = Some(point.acquire(offer, &tracks, seed).map_err(refusal)?);
        self.routes = routes;
        Ok(())
    }

    /// Lets no more packets in, for this reason; the ports stay. Packets that the peer sent before
    /// may still wait at them, because sockets are read in no particular order.
    pub(super) fn pause(&mut self, why: PushError) {
        let said_so = matches!(why, PushError::Left | PushError::Paused);
        for _ in 0..if said_so { DRAIN_ROUNDS_MAX } else { 0 } {
            let rest = self.try_next();
            let is_last = rest.is_empty();
            for (track, medium, packet) in rest {
                // It ends in any case.
                let _ = self.take(track, medium, packet);
            }
            if is_last {
                break;
            }
        }
        if let Some(mut publisher) = self.publisher.take() {
            publisher.ends(why);
        }
    }

    /// Hands a packet on. An error ends the publisher.
    pub(super) fn take(
        &mut self,
        track: TrackId,
        medium: Medium,
        packet: Bytes,
    ) -> Result<(), PushError> {
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        let packet = match medium {
            Medium::Rtp => TrackPacket::Rtp(packet),
            Medium::Rtcp => TrackPacket::Rtcp(packet),
        };
        publisher.receive(track, packet)
    }

    /// When [`tick`](Self::tick) wants to be called.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        let own = self.publisher.as_ref().map(PushPublisher::deadline);
        let unsent = self.ports.iter().filter_map(|(_, pair)| pair.deadline()).min();
        own.into_iter().chain(unsent).min()
    }

    /// Does what is due: late packets, deadlines, receiver reports.
    pub(super) fn tick(&mut self, now: BootTime, out: &mut SendQueue) -> Result<(), PushError> {
        if self.deadline().is_none_or(|at| at > now) {
            return Ok(());
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.advance()?;
            for (track, report) in publisher.reports() {
                let route = self.routes.iter().find(|routed| routed.track == track);
                let pair = self.ports.iter_mut().find(|(own, _)| *own == track);
                match (route.map(|routed| routed.route), pair) {
                    (Some(Route::Tcp { rtcp, .. }), _) => {
                        out.push(now, interleaved(rtcp, &report));
                    }
                    (Some(Route::Udp { rtcp, .. }), Some((_, pair))) => {
                        pair.push_report(report, rtcp);
                    }
                    _ => {}
                }
            }
        }
        for (_, pair) in &mut self.ports {
            pair.send(now);
        }
        Ok(())
    }

    /// Waits for a datagram, or for the loss of the publish point. Cancel safe.
    pub(super) async fn next(&mut self) -> PublisherInput {
        let Some(publisher) = &mut self.publisher else { return std::future::pending().await };
        let (ports, buffer) = (&self.ports, &mut self.buffer);
        tokio::select! {
            biased;
            why = publisher.displaced() => PublisherInput::Displaced(why),
            arrival = std::future::poll_fn(|cx| poll_ports(ports, cx, buffer)) => arrival,
        }
    }

    /// Datagrams that are there already, up to a fair share.
    pub(super) fn try_next(&mut self) -> Vec<(TrackId, Medium, Bytes)> {
        let mut there = Vec::new();
        for (track, pair) in &self.ports {
            let media = std::iter::from_fn(|| pair.try_receive(&mut self.buffer));
            let media = media.take(DATAGRAMS_AT_ONCE);
            there.extend(media.map(|(medium, packet)| (*track, medium, packet)));
        }
        there
    }
}

fn poll_ports(
    ports: &[(TrackId, UdpPair)],
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<PublisherInput> {
    for (track, pair) in ports {
        if let Poll::Ready((medium, packet)) = pair.poll_receive(cx, buffer) {
            return Poll::Ready(PublisherInput::Datagram(*track, medium, packet));
        }
    }
    Poll::Pending
}
