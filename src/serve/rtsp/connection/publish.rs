//! ANNOUNCE, SETUP and RECORD of a peer that publishes, and its packets.

use std::sync::Arc;

use bytes::Bytes;

use super::super::record::{self, PublisherInput, Record};
use super::Connection;
use super::role::Role;
use crate::base::time::BootTime;
use crate::ingest::Ingest;
use crate::ingest::rtsp_push::{PublishPoint, PushError};
use crate::media::TrackId;
use crate::wire::rtsp::{Command, Medium, Refusal, Route, Routed, SessionDescription};

impl Connection {
    /// Whether `offer` may be published as `stream`.
    pub(super) fn announce(
        &self,
        stream: &str,
        offer: &SessionDescription,
    ) -> Result<Command, Refusal> {
        self.publish_point(stream)?.check(offer).map_err(record::refusal)?;
        Ok(Command::Announced)
    }

    /// Where a peer may publish.
    fn publish_point(&self, stream: &str) -> Result<Arc<PublishPoint>, Refusal> {
        self.readable(stream)?;
        match self.services.ingests.get(stream).as_deref() {
            Some(Ingest::Publish(point)) => Ok(Arc::clone(point)),
            _ => Err(Refusal::NotPublished),
        }
    }

    pub(super) fn set_up_record(
        &mut self,
        track: TrackId,
        route: Route,
    ) -> Result<Command, Refusal> {
        let mut record = std::mem::take(&mut self.role).into_record();
        let opened = record.set_up(track, route, self.peer.local, self.peer.ip());
        self.role = Role::Publisher(record);
        let server_port = opened?;
        Ok(Command::SetUp { track, ssrc: 0, server_port })
    }

    pub(super) fn record(
        &mut self,
        stream: &str,
        offer: &SessionDescription,
        routes: Vec<Routed>,
    ) -> Result<Command, Refusal> {
        let point = self.publish_point(stream)?;
        let mut record = std::mem::take(&mut self.role).into_record();
        let begun = record.begin(&point, offer, routes, fastrand::u64(..));
        self.role = Role::Publisher(record);
        begun?;
        Ok(Command::Recording)
    }

    /// Hands a packet to the source.
    pub(super) fn publish(&mut self, track: TrackId, medium: Medium, packet: Bytes) {
        self.handle.stats().took(packet.len());
        if let Some(record) = self.role.record_mut() {
            let taken = record.take(track, medium, packet);
            self.published(taken);
        }
    }

    /// Takes what came of a publisher by other sockets, and all that is there behind it.
    pub(super) fn arrived(&mut self, now: BootTime, arrival: PublisherInput) {
        let (track, medium, packet) = match arrival {
            PublisherInput::Displaced(why) => return self.published(Err(why)),
            PublisherInput::Datagram(track, medium, packet) => (track, medium, packet),
        };
        let rest = self.role.record_mut().map(Record::try_next).unwrap_or_default();
        for (track, medium, packet) in std::iter::once((track, medium, packet)).chain(rest) {
            let heard = match medium {
                Medium::Rtp => Command::Heard,
                Medium::Rtcp => Command::Alive,
            };
            self.session.command(now, heard);
            self.publish(track, medium, packet);
        }
    }

    /// Does what a publisher's time has come for.
    pub(super) fn tick(&mut self, now: BootTime) {
        if let Some(record) = self.role.record_mut() {
            let ticked = record.tick(now, &mut self.peer.out);
            self.published(ticked);
        }
    }

    /// Lets no more packets of a publisher in, for this reason.
    pub(super) fn cease(&mut self, why: PushError) {
        if let Some(record) = self.role.record_mut() {
            record.pause(why);
        }
    }

    /// A publisher that cannot continue takes its connection with it; the stream's state says why.
    fn published(&mut self, done: Result<(), PushError>) {
        if let Err(why) = done {
            self.cease(why);
            self.end = Some("the publisher cannot continue");
        }
    }
}
