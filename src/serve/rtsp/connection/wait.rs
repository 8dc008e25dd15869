//! What a connection waits for, and until when.
//!
//! Owns: nothing but the waiting; cancelling it loses nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;

use super::super::lane::{Lender, Lent};
use super::super::link::Link;
use super::super::multicast::Membership;
use super::super::outgoing::Outgoing;
use super::super::play::Play;
use super::super::record::Arrival;
use super::super::udp::{Reports, UdpPair};
use super::Connection;
use super::past::Answer;
use super::setup::Asked;
use crate::base::limits::{RTSP_BATCH_BYTES_MAX, RTSP_REPLY_BYTES_MAX};
use crate::base::time::BootTime;
use crate::playback::PlaybackError;
use crate::rtp::RtpUnit;
use crate::stream::Next;

/// What there was to wait for.
pub(super) enum Input {
    Socket {
        readable: bool,
    },
    Unit(Next<RtpUnit>),
    Tracks,
    /// What was asked of the recordings is answered.
    Past(Answer),
    /// The group of a member gets nothing more.
    GroupEnded,
    Report,
    Arrival(Arrival),
    Timer,
    /// What was lent needs its owner.
    Lane,
}

impl Connection {
    /// Waits for the next input.
    pub(super) async fn next(&mut self, now: BootTime) -> Input {
        if self.lends() {
            return self.doze(now).await;
        }
        let interest = self.interest();
        let takes = self.takes_units();
        let until = self.deadline();
        let reports = self.udp.as_ref().map(UdpPair::reports);
        let (link, play, asked) = (&mut self.link, &mut self.play, &mut self.asked);
        let (record, member) = (&mut self.record, self.member.as_ref());
        tokio::select! {
            biased;
            ready = ready(link, interest) => {
                Input::Socket { readable: ready }
            }
            next = next_unit(play.as_mut().filter(|_| takes)) => Input::Unit(next),
            input = answer(asked.as_mut()) => input,
            () = group_ended(member) => Input::GroupEnded,
            () = report(reports.as_ref()) => Input::Report,
            arrival = record.next() => Input::Arrival(arrival),
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        }
    }

    /// Whether the packer can serve the reader while this task sleeps.
    fn lends(&self) -> bool {
        let quiet = self.asked.is_none() && self.end.is_none();
        quiet
            && self.out.is_empty()
            && self.flushed
            && self.play.as_ref().is_some_and(|play| play.shared().is_some())
    }

    /// Sleeps while the packer sends, until something else is to be done.
    async fn doze(&mut self, now: BootTime) -> Input {
        let interest = self.interest();
        let reports = self.udp.as_ref().map(UdpPair::reports);
        let until = self.lend(now).into_iter().chain(self.wake).min();
        let (link, lane) = (&mut self.link, &self.lane);
        let input = tokio::select! {
            biased;
            ready = ready(link, interest) => Input::Socket { readable: ready },
            () = woken(lane.as_ref()) => Input::Lane,
            () = report(reports.as_ref()) => Input::Report,
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        };
        self.take_back();
        input
    }

    /// Hands over what sending takes; when it has to be served again before the next unit.
    fn lend(&mut self, now: BootTime) -> Option<BootTime> {
        let play = self.play.take()?;
        let visitor = self.visit.visitor();
        if self.lane.is_none() {
            let new = |reader| Lender::new(reader, self.link.writer(), Arc::clone(visitor));
            self.lane = play.shared().map(new);
        }
        let Some(lane) = &self.lane else {
            self.play = Some(play);
            return None;
        };
        let out = std::mem::replace(&mut self.out, Outgoing::new(now));
        lane.lend(now, Lent { play, out, udp: self.udp.take(), end: None })
    }

    fn take_back(&mut self) {
        let Some(lent) = self.lane.as_ref().and_then(Lender::take_back) else { return };
        (self.play, self.out, self.udp) = (Some(lent.play), lent.out, lent.udp);
        self.end = self.end.or(lent.end);
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

    /// Units are taken when what was taken before has left; until then the reader lags on the
    /// bus, where it is bounded and told.
    pub(super) fn takes_units(&self) -> bool {
        self.end.is_none() && self.out.is_empty() && self.udp.as_ref().is_none_or(UdpPair::is_empty)
    }

    fn deadline(&self) -> Option<BootTime> {
        let udp = self.udp.as_ref().and_then(UdpPair::deadline);
        let asked = self.asked.as_ref().map(Asked::until);
        let record = self.record.deadline();
        [self.wake, self.out.deadline(), udp, asked, record].into_iter().flatten().min()
    }
}

async fn ready(link: &mut Link, interest: Option<Interest>) -> bool {
    match interest {
        Some(interest) => link.ready(interest).await,
        None => std::future::pending().await,
    }
}

async fn next_unit(play: Option<&mut Play>) -> Next<RtpUnit> {
    match play {
        Some(play) => play.next().await,
        None => std::future::pending().await,
    }
}

async fn woken(lane: Option<&Lender>) {
    match lane {
        Some(lane) => lane.woken().await,
        None => std::future::pending().await,
    }
}

async fn answer(asked: Option<&mut Asked>) -> Input {
    match asked {
        Some(Asked::Tracks { tracks, .. }) => match tracks.changed().await {
            Ok(()) => Input::Tracks,
            Err(_) => std::future::pending().await,
        },
        Some(Asked::Past { described, .. }) => {
            // A reader that panicked read nothing.
            let tracks = described.await.unwrap_or(Err(PlaybackError::Unreadable));
            Input::Past(Answer::Described(tracks))
        }
        Some(Asked::Replay { replay, .. }) => Input::Past(Answer::Ready(replay.ready().await)),
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
