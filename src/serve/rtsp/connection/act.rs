//! What a connection does with what came: the session decides, this obeys.

use std::io;
use std::sync::Arc;

use super::super::super::places::Holder;
use super::super::play::{PacketSink, Play, PlayNext};
use super::super::udp::UdpPair;
use super::input::Input;
use super::role::ConnectionRole;
use super::setup::PendingReply;
use super::{Chosen, Connection};
use crate::base::limits::{RTSP_BATCH_BYTES_MAX, RTSP_REPLY_BYTES_MAX};
use crate::base::time::BootTime;
use crate::ingest::Ingest;
use crate::ingest::rtsp_push::PushError;
use crate::rtp::RtpUnit;
use crate::wire::rtsp::{Command, Event, Step};

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;

impl Connection {
    /// Takes what came.
    pub(super) fn apply(&mut self, input: Input) -> io::Result<()> {
        let now = self.services.clock.boot();
        match input {
            Input::Socket { readable: true } => self.read(now)?,
            Input::Socket { readable: false } => {}
            Input::Unit(next) => self.take(now, next),
            Input::Tracks => self.describe(now),
            Input::Past(answer) => self.past(now, answer),
            Input::Begun(begun) => self.begun(now, begun),
            Input::GroupEnded => self.stream_ended(now),
            Input::Report => self.session.command(now, Command::Alive),
            Input::PublisherInput(arrival) => self.arrived(now, arrival),
            Input::Timer => self.late(now),
            Input::Inline => self.catch_up(now),
        }
        Ok(())
    }

    fn is_playing(&self) -> bool {
        self.role.play().is_some_and(Play::is_playing)
    }

    fn read(&mut self, now: BootTime) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        match self.peer.transport.try_read(&mut buffer) {
            // A reader over TCP may close its own direction and keep reading.
            Ok(0) if self.chosen.udp.is_none() && self.is_playing() => self.peer.half_closed = true,
            Ok(0) => self.end = Some("the peer closed"),
            Ok(length) => self.session.receive(now, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Polls the session until it waits, or until enough replies wait for the socket.
    pub(super) fn settle(&mut self) {
        self.wake = None;
        while self.peer.out.bytes() <= RTSP_REPLY_BYTES_MAX + RTSP_BATCH_BYTES_MAX {
            let now = self.services.clock.boot();
            match self.session.poll(now) {
                Step::Send(bytes) => {
                    self.peer.out.push(now, bytes);
                    self.handle.see(self.services.clock.wall(), &mut self.session);
                    self.prove();
                }
                Step::Event(event) => self.on(now, event),
                Step::Wait { until } => {
                    self.wake = until;
                    return;
                }
            }
        }
    }

    /// Takes a place among signed-in connections, once the peer is.
    fn prove(&mut self) {
        if self.peer.proven {
            return;
        }
        let Some(user) = self.session.user() else { return };
        let holder = Holder { account: Some(Arc::clone(user)), admin: false };
        self.peer.proven = true;
        if !self.peer.place.prove(&holder) {
            self.end = Some("too many connections of this network");
        }
        self.peer.transport.prove();
    }

    /// Keeps the place of a peer that needs no account, once it asks for media.
    fn keep_place(&mut self) {
        let ip = self.peer.address.ip().to_canonical();
        if self.peer.proven || self.services.registry.authorizer().needs_account(ip) {
            return;
        }
        self.peer.proven = true;
        let _ = self.peer.place.prove(&Holder::default());
        self.peer.transport.prove();
    }

    fn on(&mut self, now: BootTime, event: Event) {
        self.keep_place();
        match event {
            Event::Describe { stream, multicast } => self.ask_tracks(now, &stream, multicast),
            Event::SetUp { target, route } => {
                let ready = self.set_up(&target, route);
                self.answer(now, ready);
            }
            Event::DescribePast { stream, span } => self.ask_past_tracks(now, &stream, span),
            Event::Play { stream, routes, options } => self.play(now, &stream, &routes, &options),
            Event::Reroute { routes } => {
                if let Some(play) = self.role.play_mut() {
                    play.reroute(&routes);
                }
            }
            Event::Announce { stream, offer } => self.ask_to_announce(now, stream, offer),
            Event::SetUpRecord { track, route } => {
                let ready = self.set_up_record(track, route);
                self.answer(now, ready);
            }
            Event::Record { stream, offer, routes } => {
                let begun = self.record(&stream, &offer, routes);
                self.answer(now, begun);
            }
            Event::Media { track, medium, packet } => self.publish(track, medium, packet),
            Event::Silent => self.cease(PushError::Silent),
            Event::Pause => self.pause(),
            Event::Ended => {
                self.cease(PushError::Left);
                (self.role, self.chosen) = (ConnectionRole::Idle, Chosen::default());
            }
            Event::Close { reason } => {
                self.end = Some(reason);
                self.handle.see(self.services.clock.wall(), &mut self.session);
            }
        }
    }

    /// Continues where inline delivery got stuck.
    fn catch_up(&mut self, now: BootTime) {
        if self.takes_units()
            && let Some(next) = self.role.play_mut().and_then(Play::try_next)
        {
            self.take(now, next);
        }
    }

    /// Takes a unit, and all that are there behind it, up to a batch.
    fn take(&mut self, now: BootTime, next: PlayNext) {
        let mut next = Some(next);
        while let Some(came) = next {
            match came {
                PlayNext::Unit(unit) => self.send(now, &unit),
                // The stream counts it where it lags; the next unit is a key frame.
                PlayNext::Lagged(units) => self.handle.stats().dropped(units),
                PlayNext::RangeOver => {}
                PlayNext::Ended => self.stream_ended(now),
            }
            let batch = self.peer.out.bytes() < RTSP_BATCH_BYTES_MAX
                && self.chosen.udp.as_ref().is_none_or(UdpPair::is_empty)
                && self.end.is_none();
            next = self.role.play_mut().filter(|_| batch).and_then(Play::try_next);
        }
        if let Some(play) = self.role.play_mut() {
            let (tcp, udp) = (&mut self.peer.out, self.chosen.udp.as_mut());
            play.part(now, PacketSink { tcp, udp });
        }
    }

    /// Takes leave of a reader, and tells it where the stream is now if it moved.
    fn stream_ended(&mut self, now: BootTime) {
        let name = self.chosen.outputs.as_ref().map(|outputs| outputs.stream.name().to_string());
        let ingest = name.and_then(|name| self.services.ingests.get(&name));
        if let Some(Ingest::Elsewhere(url)) = ingest.as_deref() {
            self.session.command(now, Command::Redirect { url: url.to_string() });
        }
        self.end = Some(self.role.play().map_or("the stream ended", Play::ended));
    }

    fn send(&mut self, now: BootTime, unit: &RtpUnit) {
        if matches!(self.pending, Some(PendingReply::FirstUnit { .. })) {
            self.pending = None;
            let wall = Some(unit.captured.wall);
            let starts = match self.role.play_mut() {
                Some(play) => play.begin_at(&unit.starts),
                None => Vec::new(),
            };
            self.session.command(now, Command::Playing { starts, wall });
            // The reply goes out before the first packet.
            self.settle();
        }
        let Some(play) = self.role.play_mut() else { return };
        let sink = PacketSink { tcp: &mut self.peer.out, udp: self.chosen.udp.as_mut() };
        match play.send(now, unit, sink) {
            Ok(()) if play.carries(unit.track) => {
                self.handle.stats().handed(unit.arrived, unit.packets.framed().len());
            }
            Ok(()) => {}
            Err(_) => self.end = Some("the codec changed"),
        }
    }
}
