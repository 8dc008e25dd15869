//! What a connection waits for, and until when.
//!
//! Owns: nothing but the waiting; cancelling it loses nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;

use super::super::inline::{InlineHandle, Parked};
use super::super::record::Record;
use super::super::send_queue::SendQueue;
use super::super::transport::Transport;
use super::super::udp::{Reports, UdpPair};
use super::Connection;
use super::input::{Input, PlaybackReply};
use super::role::{ConnectionRole, Reader};
use super::setup::PendingReply;
use crate::base::limits::{RTSP_BATCH_BYTES_MAX, RTSP_REPLY_BYTES_MAX};
use crate::base::time::BootTime;
use crate::playback::PlaybackError;
use crate::serve::publish_desk::BeginRefused;

impl Connection {
    /// Waits for the next input.
    pub(super) async fn next(&mut self, now: BootTime) -> Input {
        if self.can_park() {
            return self.doze(now).await;
        }
        let interest = self.interest();
        let takes = self.takes_units();
        let until = self.deadline();
        let reports = self.chosen.udp.as_ref().map(UdpPair::reports);
        let (transport, pending) = (&mut self.peer.transport, &mut self.pending);
        tokio::select! {
            biased;
            ready = ready(transport, interest) => {
                Input::Socket { readable: ready }
            }
            input = self.role.next(takes) => input,
            input = answer(pending.as_mut()) => input,
            () = report(reports.as_ref()) => Input::Report,
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        }
    }

    /// Whether the packetizer can serve the reader while this task sleeps.
    fn can_park(&self) -> bool {
        let quiet = self.pending.is_none() && self.end.is_none();
        quiet
            && self.peer.out.is_empty()
            && self.peer.flushed
            && self.role.play().is_some_and(|play| play.shared().is_some())
    }

    /// Sleeps while the packetizer sends, until there is something else to do.
    async fn doze(&mut self, now: BootTime) -> Input {
        let interest = self.interest();
        let reports = self.chosen.udp.as_ref().map(UdpPair::reports);
        let until = self.park(now).into_iter().chain(self.wake).min();
        let transport = &mut self.peer.transport;
        let input = tokio::select! {
            biased;
            ready = ready(transport, interest) => Input::Socket { readable: ready },
            () = self.role.woken() => Input::Inline,
            () = report(reports.as_ref()) => Input::Report,
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        };
        self.unpark();
        input
    }

    /// Hands over what sending takes; when it has to be served again before the next unit.
    fn park(&mut self, now: BootTime) -> Option<BootTime> {
        let (play, inline) = match std::mem::take(&mut self.role) {
            ConnectionRole::Reader(Reader { play, inline }) => (play, inline),
            other => {
                self.role = other;
                return None;
            }
        };
        let (transport, stats) = (&self.peer.transport, self.handle.stats());
        let new = |reader| InlineHandle::new(reader, transport.writer(), Arc::clone(stats));
        let Some(inline) = inline.or_else(|| play.shared().map(new)) else {
            self.role = ConnectionRole::reader(play);
            return None;
        };
        let out = std::mem::replace(&mut self.peer.out, SendQueue::new(now));
        let parked = Parked { play, out, udp: self.chosen.udp.take(), end: None };
        let until = inline.park(now, parked);
        self.role = ConnectionRole::Parked(inline);
        until
    }

    fn unpark(&mut self) {
        let inline = match std::mem::take(&mut self.role) {
            ConnectionRole::Parked(inline) => inline,
            other => return self.role = other,
        };
        let Some(parked) = inline.unpark() else { return };
        (self.peer.out, self.chosen.udp) = (parked.out, parked.udp);
        self.role = ConnectionRole::Reader(Reader { play: parked.play, inline: Some(inline) });
        self.end = self.end.or(parked.end);
    }

    fn interest(&self) -> Option<Interest> {
        let room = self.peer.out.bytes() <= RTSP_REPLY_BYTES_MAX + RTSP_BATCH_BYTES_MAX;
        let open = !self.peer.half_closed && self.end.is_none();
        let reads = room && open && self.session.wants_bytes();
        match (reads, !self.peer.out.is_empty() || !self.peer.flushed) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }

    /// Units are taken when the previous ones have left; until then the reader lags on the bus,
    /// where that is bounded and reported.
    pub(super) fn takes_units(&self) -> bool {
        let udp = self.chosen.udp.as_ref();
        self.end.is_none() && self.peer.out.is_empty() && udp.is_none_or(UdpPair::is_empty)
    }

    fn deadline(&self) -> Option<BootTime> {
        let udp = self.chosen.udp.as_ref().and_then(UdpPair::deadline);
        let pending = self.pending.as_ref().map(PendingReply::until);
        let record = self.role.record().and_then(Record::deadline);
        [self.wake, self.peer.out.deadline(), udp, pending, record].into_iter().flatten().min()
    }
}

async fn ready(transport: &mut Transport, interest: Option<Interest>) -> bool {
    match interest {
        Some(interest) => transport.ready(interest).await,
        None => std::future::pending().await,
    }
}

async fn answer(pending: Option<&mut PendingReply>) -> Input {
    match pending {
        Some(PendingReply::Tracks { tracks, .. }) => match tracks.changed().await {
            Ok(()) => Input::Tracks,
            Err(_) => std::future::pending().await,
        },
        Some(PendingReply::Begin { begun, .. }) => {
            Input::Begun(begun.await.unwrap_or(Err(BeginRefused::Busy)))
        }
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
