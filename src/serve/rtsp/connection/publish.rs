//! ANNOUNCE, SETUP and RECORD of a peer that publishes, and its packets.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::record::{self, PublisherInput, Record};
use super::Connection;
use super::role::ConnectionRole;
use super::setup::PendingReply;
use crate::base::limits::PUBLISHED_BEGIN_TIME_MAX;
use crate::base::time::BootTime;
use crate::ingest::Ingest;
use crate::ingest::rtsp_push::{PublishPoint, PushError, check_offer, left_out};
use crate::media::TrackId;
use crate::serve::publish_desk::BeginRefused;
use crate::wire::rtsp::{Command, Medium, Refusal, Route, Routed, SessionDescription};

impl Connection {
    /// Asks whether `offer` may be published as `stream`, which may have to begin first.
    pub(super) fn ask_to_announce(
        &mut self,
        now: BootTime,
        stream: String,
        offer: Arc<SessionDescription>,
    ) {
        match self.begin_stream(&stream, &offer) {
            None => {
                let checked = self.announce(&stream, &offer);
                self.answer(now, checked);
            }
            Some(Ok(begun)) => {
                let until = now.after(PUBLISHED_BEGIN_TIME_MAX);
                self.pending = Some(PendingReply::Begin { begun, stream, offer, until });
            }
            Some(Err(refusal)) => self.refuse(now, refusal),
        }
    }

    /// Begins `stream` if it is not there and a publisher may begin it. One whose offer cannot be
    /// carried begins nothing.
    fn begin_stream(
        &self,
        stream: &str,
        offer: &SessionDescription,
    ) -> Option<Result<oneshot::Receiver<Result<(), BeginRefused>>, Refusal>> {
        let desk = self.services.publish_desk.as_ref()?;
        let there = self.services.streams.get(stream).is_some()
            || self.services.ingests.get(stream).is_some();
        let name = desk.name_of(stream).filter(|_| !there)?;
        let carried = check_offer(offer).map_err(record::refusal);
        Some(carried.and_then(|()| desk.begin(name).map_err(refused)))
    }

    /// Continues the ANNOUNCE of a stream that has begun, or not.
    pub(super) fn begun(&mut self, now: BootTime, begun: Result<(), BeginRefused>) {
        let Some(PendingReply::Begin { stream, offer, .. }) = self.pending.take() else { return };
        let checked = begun.map_err(refused).and_then(|()| self.announce(&stream, &offer));
        self.answer(now, checked);
    }

    /// Whether `offer` may be published as `stream`.
    fn announce(&mut self, stream: &str, offer: &SessionDescription) -> Result<Command, Refusal> {
        self.publish_point(stream)?.check(offer).map_err(record::refusal)?;
        self.chosen.left_out = left_out(offer);
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
        self.role = ConnectionRole::Publisher(record);
        let server_port = opened?;
        let left_out = self.chosen.left_out.iter().find(|(other, _)| *other == track);
        // A publisher whose SETUP is refused gives up with all its tracks.
        Ok(match left_out {
            Some((_, what)) => Command::SetUpLeftOut { track, server_port, what: what.clone() },
            None => Command::SetUp { track, ssrc: 0, server_port },
        })
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
        self.role = ConnectionRole::Publisher(record);
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

fn refused(why: BeginRefused) -> Refusal {
    Refusal::NotReady(why.to_string())
}
