//! What keeps a connection, and what ends it when it does not come in time.

use bytes::Bytes;
use rtsp_types::StatusCode;

use super::{Live, Session};
use crate::base::limits::{RTSP_IDLE_TIME_MAX, RTSP_PUBLISH_SILENCE_MAX, RTSP_REQUEST_TIME_MAX};
use crate::base::time::BootTime;
use crate::wire::rtp::rtcp::is_rtcp;
use crate::wire::rtsp::live::Medium;
use crate::wire::rtsp::message::Event;
use crate::wire::rtsp::reply::Reply;

/// What has taken too long.
#[derive(Clone, Copy)]
pub(super) enum Late {
    Request,
    Idle,
    Session,
    Publisher,
}

impl Late {
    fn reason(self) -> &'static str {
        match self {
            Self::Request => "a request was not finished in time",
            Self::Idle => "no request came",
            Self::Session => "the session timed out",
            Self::Publisher => "the publisher sent no media for 10 s",
        }
    }
}

impl Session {
    /// What may not last longer, and until when; `None` when nothing is limited.
    pub(super) fn deadline(&self) -> Option<(Late, BootTime)> {
        let request = self.begun.map(|at| (Late::Request, at.after(RTSP_REQUEST_TIME_MAX)));
        let rest = match &self.state.live {
            None => Some((Late::Idle, self.alive.after(RTSP_IDLE_TIME_MAX))),
            Some(Live { recording: Some(heard), .. }) => {
                Some((Late::Publisher, heard.after(RTSP_PUBLISH_SILENCE_MAX)))
            }
            Some(live) if live.needs_keepalive() => {
                Some((Late::Session, self.alive.after(live.timeout)))
            }
            Some(_) => None,
        };
        // A request in the making is a sign of life, so only its own time counts then.
        match (request, rest) {
            (Some(request), Some(rest @ (Late::Publisher, _))) if rest.1 < request.1 => Some(rest),
            (request, rest) => request.or(rest),
        }
    }

    pub(super) fn expire(&mut self, now: BootTime, late: Late) {
        match late {
            Late::Request => self.reply(now, None, Reply::new(StatusCode::RequestTimeout)),
            Late::Publisher => self.state.event(Event::Silent),
            Late::Idle | Late::Session => {}
        }
        if !matches!(late, Late::Idle) {
            self.transcript.ended(now.since(self.birth.0), late.reason());
        }
        self.close(late.reason());
    }

    /// Hands on what belongs to a medium that is recorded. Of anything else only RTCP is of
    /// interest, as a sign of life.
    pub(super) fn interleaved(&mut self, now: BootTime, channel: u8, packet: Bytes) {
        if is_rtcp(&packet) {
            self.alive = now;
        }
        let Some((track, medium)) =
            self.state.live.as_ref().and_then(|live| live.comes_by(channel))
        else {
            return;
        };
        if medium == Medium::Rtp {
            self.heard(now);
        }
        self.state.event(Event::Media { track, medium, packet });
    }

    /// Media came of a peer that records.
    pub(super) fn heard(&mut self, now: BootTime) {
        self.alive = now;
        if let Some(heard) = self.state.live.as_mut().and_then(|live| live.recording.as_mut()) {
            *heard = now;
        }
    }
}
