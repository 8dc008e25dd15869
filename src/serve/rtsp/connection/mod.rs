//! One RTSP connection: waits for socket, stream, reports and timer, and does what its
//! [`Session`] says.
//!
//! Owns: what one peer has here. Waiting is in `wait`, deciding in `act`, requests to the
//! stream in `setup` and `publish`. The [`Transport`] carries the bytes.

mod act;
mod past;
mod publish;
mod setup;
mod wait;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tracing::debug;

use super::super::places::Place;
use super::inline::InlineHandle;
use super::multicast::{Membership, Multicast};
use super::play::Play;
use super::record::Record;
use super::registry::{SessionHandle, SessionRegistry};
use super::send_queue::SendQueue;
use super::transport::Transport;
use super::udp::UdpPair;
use crate::base::time::{BootTime, SharedClock};
use crate::ingest::Ingest;
use crate::live::StreamOutputs;
use crate::media::Tracks;
use crate::playback::Playback;
use crate::stream::Directory;
use crate::supervise::Supervisor;
use crate::wire::rtsp::{Channels, Command, Session};
use setup::PendingReply;

/// The shared services that every connection uses.
#[derive(Clone, Debug)]
pub(super) struct RtspServices {
    pub(super) outlets: Arc<Directory<StreamOutputs>>,
    pub(super) ingests: Arc<Directory<Ingest>>,
    pub(super) multicast: Multicast,
    pub(super) supervisor: Supervisor,
    pub(super) registry: SessionRegistry,
    /// What is recorded, if it is played.
    pub(super) archive: Option<Playback>,
    pub(super) clock: SharedClock,
}

/// One RTSP connection.
#[derive(Debug)]
pub(super) struct Connection {
    transport: Transport,
    peer: SocketAddr,
    local: IpAddr,
    services: RtspServices,
    session: Session,
    handle: SessionHandle,
    place: Arc<Place>,
    /// The peer has signed in.
    proven: bool,
    out: SendQueue,
    /// Nothing waits between `out` and the peer's socket.
    flushed: bool,
    /// When the session wants to be polled again.
    wake: Option<BootTime>,
    /// The peer has closed its direction.
    half_closed: bool,
    pending: Option<PendingReply>,
    outlet: Option<Arc<StreamOutputs>>,
    /// The tracks of a recording, as they were described.
    described: Option<Arc<Tracks>>,
    play: Option<Play>,
    /// Where `play` goes while this task sleeps.
    inline: Option<InlineHandle>,
    /// Plays by multicast instead.
    member: Option<Membership>,
    udp: Option<UdpPair>,
    record: Record,
    end: Option<&'static str>,
}

impl Connection {
    /// A connection that `peer` opened.
    pub(super) fn new(
        transport: Transport,
        peer: SocketAddr,
        services: RtspServices,
        place: Arc<Place>,
    ) -> io::Result<Self> {
        let RtspServices { outlets, multicast, registry, clock, .. } = &services;
        let local = transport.local_ip()?;
        let (now, wall) = (clock.boot(), clock.wall());
        let ip = peer.ip().to_canonical();
        let session = Session::new(now, wall, ip, fastrand::u64(..))
            .secured(transport.is_secure())
            .authorized_by(Arc::clone(registry.authorizer()))
            .with_timeout(registry.session_timeout())
            .with_channels(Arc::clone(outlets) as Arc<dyn Channels>)
            .with_multicast(multicast.is_on() && local.is_ipv4() && !transport.is_secure());
        Ok(Self {
            local,
            session,
            handle: registry.enter(peer, transport.is_secure()),
            place,
            proven: false,
            out: SendQueue::new(now),
            flushed: true,
            wake: None,
            half_closed: false,
            pending: None,
            outlet: None,
            described: None,
            play: None,
            inline: None,
            member: None,
            udp: None,
            record: Record::default(),
            end: None,
            transport,
            peer,
            services,
        })
    }

    /// Serves the peer, of which `first` was read already, until either side, or a request to the
    /// API, ends it.
    pub(super) async fn run(mut self, first: &[u8]) {
        let (peer, end) = (self.peer, self.handle.end());
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
            if let Some(heard) = self.member.as_ref().and_then(Membership::heard) {
                self.session.command(heard, Command::Alive);
            }
            self.settle();
            let now = self.services.clock.boot();
            self.tick(now);
            let written = self.out.write(now, |slices| self.transport.try_write_vectored(slices));
            let written = written.and_then(|()| self.transport.flush());
            match written {
                Ok(flushed) => self.flushed = flushed,
                Err(error) => break error.to_string(),
            }
            if let Some(udp) = &mut self.udp {
                udp.send(now);
            }
            if let Some(reason) = self.end.filter(|_| self.out.is_empty()) {
                self.transport.part().await;
                break reason.to_owned();
            }
            if self.out.deadline().is_some_and(|at| at <= now) {
                let reason = "the peer takes nothing";
                self.transport.cut();
                self.session.cut(now, reason);
                self.handle.see(self.services.clock.wall(), &mut self.session);
                break reason.to_owned();
            }
            let input = self.next(now).await;
            if let Err(error) = self.apply(input) {
                break error.to_string();
            }
        };
        let lost = self.udp.as_ref().map_or(0, UdpPair::refused);
        debug!(part = "rtsp", peer = %self.peer, lost, error = reason, "disconnected");
    }
}
