//! One RTSP connection: waits for socket, stream, reports and timer, and does what its
//! [`Session`] says.
//!
//! Owns: what one peer has here. Waiting is in `wait`, deciding in `act`, requests to the
//! stream in `setup`, `past` and `publish`; `role` says whether the peer reads or publishes. The
//! [`Transport`] carries the bytes.

mod act;
mod input;
mod past;
mod publish;
mod role;
mod setup;
mod wait;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tracing::debug;

use super::super::places::Place;
use super::multicast::{Membership, Multicast};
use super::registry::{SessionHandle, SessionRegistry};
use super::send_queue::SendQueue;
use super::transport::Transport;
use super::udp::UdpPair;
use crate::base::time::{BootTime, SharedClock};
use crate::ingest::Ingest;
use crate::live::StreamOutputs;
use crate::media::{TrackId, Tracks};
use crate::playback::Playback;
use crate::serve::publish_desk::PublishDesk;
use crate::stream::{Directory, Viewing};
use crate::supervise::Supervisor;
use crate::wire::rtsp::{Channels, Command, Session};
use role::ConnectionRole;
use setup::PendingReply;

/// The shared services that every connection uses.
#[derive(Clone, Debug)]
pub(super) struct RtspServices {
    pub(super) streams: Arc<Directory<StreamOutputs>>,
    pub(super) ingests: Arc<Directory<Ingest>>,
    pub(super) multicast: Multicast,
    pub(super) supervisor: Supervisor,
    pub(super) registry: SessionRegistry,
    /// What is recorded, if it is played.
    pub(super) archive: Option<Playback>,
    /// Where streams are asked for that begin with their publisher, if that is configured.
    pub(super) publish_desk: Option<PublishDesk>,
    pub(super) clock: SharedClock,
}

/// One RTSP connection.
#[derive(Debug)]
pub(super) struct Connection {
    peer: Peer,
    services: RtspServices,
    session: Session,
    handle: SessionHandle,
    /// When the session wants to be polled again.
    wake: Option<BootTime>,
    pending: Option<PendingReply>,
    chosen: Chosen,
    role: ConnectionRole,
    /// Why the connection ends once the replies are out.
    end: Option<&'static str>,
}

/// The peer: its address, its place among the connections, and the bytes to and from it.
#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    /// Our address, as the peer reached it.
    local: IpAddr,
    place: Arc<Place>,
    /// It has signed in.
    proven: bool,
    transport: Transport,
    out: SendQueue,
    /// Nothing waits between `out` and the peer's socket.
    flushed: bool,
    /// It has closed its direction.
    half_closed: bool,
}

/// The stream that a reader described and set up.
#[derive(Debug, Default)]
struct Chosen {
    outputs: Option<Arc<StreamOutputs>>,
    /// Keeps a camera that is pulled on demand.
    viewing: Option<Viewing>,
    /// The tracks of a recording, as they were described.
    described: Option<Arc<Tracks>>,
    /// Tracks that a publisher offers and that are not carried, and what they are.
    left_out: Vec<(TrackId, String)>,
    /// Our ports, if a track goes by UDP.
    udp: Option<UdpPair>,
}

impl Connection {
    /// A connection that `peer` opened.
    pub(super) fn new(
        transport: Transport,
        peer: SocketAddr,
        services: RtspServices,
        place: Arc<Place>,
    ) -> io::Result<Self> {
        let RtspServices { streams, multicast, registry, clock, .. } = &services;
        let local = transport.local_ip()?;
        let (now, wall) = (clock.boot(), clock.wall());
        let ip = peer.ip().to_canonical();
        let session = Session::new(now, wall, ip, fastrand::u64(..))
            .secured(transport.is_secure())
            .authorized_by(Arc::clone(registry.authorizer()))
            .with_timeout(registry.session_timeout())
            .with_channels(Arc::clone(streams) as Arc<dyn Channels>)
            .with_multicast(multicast.is_on() && local.is_ipv4() && !transport.is_secure());
        Ok(Self {
            session,
            handle: registry.enter(peer, transport.is_secure()),
            peer: Peer {
                address: peer,
                local,
                place,
                proven: false,
                transport,
                out: SendQueue::new(now),
                flushed: true,
                half_closed: false,
            },
            services,
            wake: None,
            pending: None,
            chosen: Chosen::default(),
            role: ConnectionRole::Idle,
            end: None,
        })
    }

    /// Serves the peer, of which `first` was read already, until either side, or a request to the
    /// API, ends it.
    pub(super) async fn run(mut self, first: &[u8]) {
        let (peer, end) = (self.peer.address, self.handle.end());
        debug!(part = "rtsp", %peer, "connected");
        self.session.receive(self.services.clock.boot(), first);
        // A task is as large as its future, twice; a connection is large.
        let served = Box::pin(self.serve());
        if end.run_until_cancelled(served).await.is_none() {
            debug!(part = "rtsp", %peer, "disconnected on request");
        }
    }

    async fn serve(mut self) {
        let reason = loop {
            if let Some(heard) = self.role.member().and_then(Membership::heard) {
                self.session.command(heard, Command::Alive);
            }
            self.settle();
            let now = self.services.clock.boot();
            self.tick(now);
            if let Err(error) = self.peer.write(now) {
                break error.to_string();
            }
            if let Some(udp) = &mut self.chosen.udp {
                udp.send(now);
            }
            if let Some(reason) = self.end.filter(|_| self.peer.out.is_empty()) {
                self.peer.transport.part().await;
                break reason.to_owned();
            }
            if self.peer.out.deadline().is_some_and(|at| at <= now) {
                let reason = "the peer takes nothing";
                self.peer.transport.cut();
                self.session.cut(now, reason);
                self.handle.see(self.services.clock.wall(), &mut self.session);
                break reason.to_owned();
            }
            let input = self.next(now).await;
            if let Err(error) = self.apply(input) {
                break error.to_string();
            }
        };
        let lost = self.chosen.udp.as_ref().map_or(0, UdpPair::refused);
        debug!(part = "rtsp", peer = %self.peer.address, lost, error = reason, "disconnected");
    }
}

impl Peer {
    /// Its IP address, IPv4 also where the socket is IPv6.
    fn ip(&self) -> IpAddr {
        self.address.ip().to_canonical()
    }

    /// Writes what waits, as far as the socket takes it.
    fn write(&mut self, now: BootTime) -> io::Result<()> {
        self.out.write(now, |slices| self.transport.try_write_vectored(slices))?;
        self.flushed = self.transport.flush()?;
        Ok(())
    }
}
