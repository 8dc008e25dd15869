//! What a connection waits for, and until when.
//!
//! Owns: nothing but the waiting; cancelling it loses nothing.

use std::time::Duration;

use tokio::io::Interest;

use super::super::link::Link;
use super::super::play::Play;
use super::super::record::Arrival;
use super::super::udp::UdpPair;
use super::Connection;
use super::past::Answer;
use super::setup::Asked;
use crate::base::limits::{RTSP_BATCH_BYTES_MAX, RTSP_REPLY_BYTES_MAX};
use crate::base::time::BootTime;
use crate::bus::Next;
use crate::sink::replay::Refused;
use crate::sink::rtsp_play::RtpUnit;

/// What there was to wait for.
pub(super) enum Input {
    Socket {
        readable: bool,
    },
    Unit(Next<RtpUnit>),
    Tracks,
    /// What was asked of the recordings is answered.
    Past(Answer),
    Report,
    Arrival(Arrival),
    Timer,
}

impl Connection {
    /// Waits for the next input.
    pub(super) async fn next(&mut self, now: BootTime) -> Input {
        let interest = self.interest();
        let takes = self.takes_units();
        let until = self.deadline();
        let (link, play, udp, asked) = (&mut self.link, &mut self.play, &self.udp, &mut self.asked);
        let record = &mut self.record;
        tokio::select! {
            biased;
            ready = ready(link, interest) => {
                Input::Socket { readable: ready }
            }
            next = next_unit(play.as_mut().filter(|_| takes)) => Input::Unit(next),
            input = answer(asked.as_mut()) => input,
            () = report(udp.as_ref()) => Input::Report,
            arrival = record.next() => Input::Arrival(arrival),
            () = sleep(until.map(|until| until.since(now))) => Input::Timer,
        }
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
    fn takes_units(&self) -> bool {
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

async fn answer(asked: Option<&mut Asked>) -> Input {
    match asked {
        Some(Asked::Tracks { tracks, .. }) => match tracks.changed().await {
            Ok(()) => Input::Tracks,
            Err(_) => std::future::pending().await,
        },
        Some(Asked::Past { described, .. }) => {
            // A reader that panicked read nothing.
            let tracks = described.await.unwrap_or(Err(Refused::Unreadable));
            Input::Past(Answer::Described(tracks))
        }
        Some(Asked::Replay { replay, .. }) => Input::Past(Answer::Ready(replay.ready().await)),
        // Nothing to wait for, or the stream is gone: then the timer answers.
        _ => std::future::pending().await,
    }
}

async fn report(udp: Option<&UdpPair>) {
    match udp {
        Some(udp) => udp.report().await,
        None => std::future::pending().await,
    }
}

async fn sleep(by: Option<Duration>) {
    match by {
        Some(by) => tokio::time::sleep(by).await,
        None => std::future::pending().await,
    }
}
