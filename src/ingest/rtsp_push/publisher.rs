//! One publisher: packets in, units out, receiver reports back.
//!
//! Owns: its tracks and its deadlines. Reads no clock: `now` comes in. The contract: after each
//! [`receive`](Publisher::receive), and when [`deadline`](Publisher::deadline) has come,
//! [`advance`](Publisher::advance).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::error::{PublishRefused, PushError};
use super::publish_point::PublishPoint;
use crate::base::limits::{
    PULL_FIRST_FRAME_TIME_MAX, PUSH_IDLE_TIME_MAX, SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW,
};
use crate::base::time::{BootTime, SharedClock};
use crate::ingest::rtp::{
    FloodGate, Now, Overdue, RunBuilder, RunInput, TrackInput, TrackSpec, choose,
};
use crate::media::TrackId;
use crate::wire::rtsp::{Medium, SessionDescription};

/// How the packets of a track come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Inside the RTSP connection, in order.
    Tcp,
    /// As datagrams, in any order.
    Udp,
}

/// A packet that came of one track.
#[derive(Clone, Debug)]
pub enum TrackPacket {
    /// Media.
    Rtp(Bytes),
    /// A report.
    Rtcp(Bytes),
}

/// One publisher. Dropping it frees the publish point.
#[derive(Debug)]
pub struct PushPublisher {
    point: Arc<PublishPoint>,
    number: u64,
    holder: watch::Receiver<u64>,
    input: RunInput,
    clock: SharedClock,
    why: PushError,
}

impl PushPublisher {
    pub(super) fn new(
        point: Arc<PublishPoint>,
        number: u64,
        holder: watch::Receiver<u64>,
        run: RunBuilder,
        tracks: Vec<TrackInput>,
        clock: SharedClock,
        seed: u64,
    ) -> Self {
        let gate = FloodGate::new(SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW);
        // Either half of a random number is one.
        let ssrc = u32::try_from(seed >> 32).unwrap_or_default();
        let input = RunInput::new(clock.boot(), run, tracks, gate, ssrc);
        Self { input, why: PushError::Gone, point, number, holder, clock }
    }

    /// Takes a packet of `track`, as the offer numbers them. What belongs to no track that is
    /// carried, or cannot be read, is let go. An error ends the publisher.
    pub fn receive(&mut self, track: TrackId, packet: TrackPacket) -> Result<(), PushError> {
        let now = self.now();
        let (kind, packet) = match &packet {
            TrackPacket::Rtp(packet) => (Medium::Rtp, packet),
            TrackPacket::Rtcp(packet) => (Medium::Rtcp, packet),
        };
        let (point, track) = (Arc::clone(&self.point), usize::from(track.0));
        let done = point.hold(self.number, || {
            let max_mib_per_sec = SOURCE_BYTES_PER_SEC_MAX >> 20;
            let received = self.input.receive(now, track, kind, packet);
            received.map_err(|_| PushError::Flooded { max_mib_per_sec })?;
            self.input.advance(now);
            Ok(())
        });
        done.and_then(|()| self.overdue(now.boot)).map_err(|why| self.ends(why))
    }

    /// Publishes whatever is in turn by now. An error ends the publisher.
    pub fn advance(&mut self) -> Result<(), PushError> {
        let now = self.now();
        let point = Arc::clone(&self.point);
        let done = point.hold(self.number, || {
            self.input.advance(now);
            Ok(())
        });
        done.and_then(|()| self.overdue(now.boot)).map_err(|why| self.ends(why))
    }

    fn overdue(&self, now: BootTime) -> Result<(), PushError> {
        let overdue = self.input.overdue(now, PULL_FIRST_FRAME_TIME_MAX, PUSH_IDLE_TIME_MAX);
        match overdue {
            None => Ok(()),
            Some(Overdue::Next(waited)) => Err(PushError::Stalled { waited }),
            Some(Overdue::First(missing)) => {
                Err(PushError::NoFirstFrame { missing, waited: PULL_FIRST_FRAME_TIME_MAX })
            }
        }
    }

    /// Receiver reports that are due, each with the track it belongs to.
    pub fn reports(&mut self) -> Vec<(TrackId, Bytes)> {
        let reports = self.input.reports(self.clock.boot()).into_iter();
        let told = reports
            .filter_map(|(medium, report)| Some((TrackId(u8::try_from(medium).ok()?), report)));
        told.collect()
    }

    /// When to [`advance`](Self::advance) and ask for [`reports`](Self::reports), if nothing
    /// comes before.
    #[must_use]
    pub fn deadline(&self) -> BootTime {
        self.input.deadline(PULL_FIRST_FRAME_TIME_MAX, PUSH_IDLE_TIME_MAX)
    }

    /// Waits until it has the publish point no more. Cancel safe.
    pub async fn displaced(&mut self) -> PushError {
        let number = self.number;
        // The point lives as long as this publisher does, so waiting cannot fail.
        let _ = self.holder.wait_for(|holder| *holder != number).await;
        self.point.displacement(number).unwrap_or(PushError::Stopped)
    }

    /// Says why it ends, for the people who wonder where the stream is. Without a word it is
    /// that the connection ended.
    pub fn ends(&mut self, why: PushError) -> PushError {
        self.why = why.clone();
        why
    }

    fn now(&self) -> Now {
        Now { boot: self.clock.boot(), wall: self.clock.wall() }
    }
}

/// The tracks of `offer` that are carried, of those that came to be `tracks`.
pub(super) fn track_inputs(
    offer: &SessionDescription,
    tracks: &[(TrackId, Carriage)],
) -> Result<Vec<(TrackInput, TrackSpec)>, PublishRefused> {
    let media = tracks.iter().map(|(track, _)| usize::from(track.0));
    choose(offer, media, false).map_err(|offers| PublishRefused::NotCarried { offers })
}

impl Drop for PushPublisher {
    fn drop(&mut self) {
        self.point.leave(self.number, &self.why);
    }
}
