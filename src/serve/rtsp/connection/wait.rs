//! What a connection waits for, and until when.
//!
//! Owns: nothing but the waiting; cancelling it loses nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;

use super::super::inline::{InlineHandle, Parked};
use super::super::multicast::Membership;
use super::super::play::{Play, PlayNext};
use super::super::record::PublisherInput;
use super::super::send_queue::SendQueue;
use super::super::transport::Transport;
use super::super::udp::{Reports, UdpPair};
use super::Connection;
use super::past::PlaybackReply;
use super::setup::PendingReply;
use crate::base::limits::{RTSP_BATCH_BYTES_MAX, RTSP_REPLY_BYTES_MAX};
use crate::base::time::BootTime;
use crate::playback::PlaybackError;

/// What there was to wait for.
pub(super) enum Input {
    Socket {
        readable: bool,
    },
    Unit(PlayNext),
    Tracks,
    /// The recordings answered.
    Past(PlaybackReply),
    /// The group of a member gets nothing more.
    GroupEnded,
    Report,
    PublisherInput(PublisherInput),
    Timer,
    /// Inline delivery needs its owner.
    Inline,
}

impl Connection {
    /// Waits for the next input.
    pub(super) async fn next(&mut self, now: BootTime) -> Input {
        if self.can_park() {
            return self.doze(now).await;
        }
        let interest = self.interest();
        let takes = self.takes_units();
        let until = self.deadline();
        let reports = self.udp.as_ref().map(UdpPair::reports);
        let (transport, play, pending) = (&mut self.transport, &mut self.play, &mut self.pending);
        let (record, member) = (&mut self.record, self.member.as_ref());
        tokio::select! {
            biased;
            ready = ready(transport, interest) => {
                Input::Socket { readable: ready }
            }
            next = next_unit(play.as_mut().filter(|_| takes)) => Input::Unit(next),
            input = answer(pending.as_mut()) => input,
            () = group_ended(member) => Input::GroupEnded,
            () = report(reports.as_ref()) => Input::Report,
            arrival = record.next() => Input::PublisherInput(arrival),
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        }
    }

    /// Whether the packer can serve the reader while this task sleeps.
    fn can_park(&self) -> bool {
        let quiet = self.pending.is_none() && self.end.is_none();
        quiet
            && self.out.is_empty()
            && self.flushed
            && self.play.as_ref().is_some_and(|play| play.shared().is_some())
    }

    /// Sleeps while the packetizer sends, until there is something else to do.
    async fn doze(&mut self, now: BootTime) -> Input {
        let interest = self.interest();
        let reports = self.udp.as_ref().map(UdpPair::reports);
        let until = self.park(now).into_iter().chain(self.wake).min();
        let (transport, inline) = (&mut self.transport, &self.inline);
        let input = tokio::select! {
            biased;
            ready = ready(transport, interest) => Input::Socket { readable: ready },
            () = woken(inline.as_ref()) => Input::Inline,
            () = report(reports.as_ref()) => Input::Report,
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        };
        self.unpark();
        input
    }

    /// Hands over what sending takes; when it has to be served again before the next unit.
    fn park(&mut self, now: BootTime) -> Option<BootTime> {
        let play = self.play.take()?;
        let stats = self.handle.stats();
        if self.inline.is_none() {
            let new =
                |reader| InlineHandle::new(reader, self.transport.writer(), Arc::clone(stats));
            self.inline = play.shared().map(new);
        }
        let Some(inline) = &self.inline else {
            self.play = Some(play);
            return None;
        };
        let out = std::mem::replace(&mut self.out, SendQueue::new(now));
        inline.park(now, Parked { play, out, udp: self.udp.take(), end: None })
    }

    fn unpark(&mut self) {
        let Some(parked) = self.inline.as_ref().and_then(InlineHandle::unpark) else { return };
        (self.play, self.out, self.udp) = (Some(parked.play), parked.out, parked.udp);
        self.end = self.end.or(parked.end);
    }

    fn interest(&self) -> Option<Interest> {
        let room = self.out.bytes() <= RTSP_REPLY_BYTES_MAX + RTSP_BATCH_BYTES_MAX;
        let reads = room && !self.half_closed && self.end.is_none() && self.session.wants_bytes();
        match (reads, !self.out.is_empty() || !self.flushed) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }

    /// Units are taken when the previous ones have left; until then the reader lags on the bus,
    /// where that is bounded and reported.
    pub(super) fn takes_units(&self) -> bool {
        self.end.is_none() && self.out.is_empty() && self.udp.as_ref().is_none_or(UdpPair::is_empty)
    }

    fn deadline(&self) -> Option<BootTime> {
        let udp = self.udp.as_ref().and_then(UdpPair::deadline);
        let pending = self.pending.as_ref().map(PendingReply::until);
        let record = self.record.deadline();
        [self.wake, self.out.deadline(), udp, pending, record].into_iter().flatten().min()
    }
}

async fn ready(transport: &mut Transport, interest: Option<Interest>) -> bool {
    match interest {
        Some(interest) => transport.ready(interest).await,
        None => std::future::pending().await,
    }
}

async fn next_unit(play: Option<&mut Play>) -> PlayNext {
    match play {
        Some(play) => play.next().await,
        None => std::future::pending().await,
    }
}

async fn woken(inline: Option<&InlineHandle>) {
    match inline {
        Some(inline) => inline.woken().await,
        None => std::future::pending().await,
    }
}

async fn answer(pending: Option<&mut PendingReply>) -> Input {
    match pending {
        Some(PendingReply::Tracks { tracks, .. }) => match tracks.changed().await {
            Ok(()) => Input::Tracks,
            Err(_) => std::future::pending().await,
        },
        Some(PendingReply::Past { described, .. }) => {
            // A reader that panicked read nothing.
            let tracks = described.await.unwrap_or(Err(PlaybackError::Unreadable));
            Input::Past(PlaybackReply::Described(tracks))
        }
        Some(PendingReply::Replay { replay, .. }) => {
            Input::Past(PlaybackReply::Ready(replay.ready().await))
        }
        // Nothing to wait for, or the stream is gone: then the timer answers.
        _ => std::future::pending().await,
    }
}

async fn group_ended(member: Option<&Membership>) {
    match member {
        Some(member) => member.ended().await,
        None => std::future::pending().await,
    }
}

async fn report(reports: Option<&Reports>) {
    match reports {
        Some(reports) => reports.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep(by: Option<Duration>) {
    match by {
        Some(by) => tokio::time::sleep(by).await,
        None => std::future::pending().await,
    }
}
