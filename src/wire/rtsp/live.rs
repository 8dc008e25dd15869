//! What is set up on a connection: tracks and where they go, or where they come from.

use std::time::Duration;

use super::range::Span;
use super::transport::Route;
use crate::base::time::BootTime;
use crate::media::TrackId;

/// A track and where it goes or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The track.
    pub track: TrackId,
    /// Where it goes or comes from.
    pub route: Route,
}

/// What a packet of a track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Media.
    Rtp,
    /// Reports on it.
    Rtcp,
}

/// What is set up.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: String,
    /// How long the peer may be silent.
    pub(super) timeout: Duration,
    pub(super) stream: String,
    pub(super) routes: Vec<Routed>,
    pub(super) playing: bool,
    /// When media last came of a peer that records; `None` while it does not.
    pub(super) recording: Option<BootTime>,
    /// The dates that its URL named.
    pub(super) span: Option<Span>,
    /// What plays, or was paused, is the past; `None` when nothing has played.
    pub(super) in_past: Option<bool>,
}

impl Live {
    /// Value of the Session header with the timeout, RFC 2326 §12.37.
    pub(super) fn header(&self) -> String {
        format!("{};timeout={}", self.id, self.timeout.as_secs())
    }

    /// Whether media flows one way or the other.
    pub(super) fn is_active(&self) -> bool {
        self.playing || self.recording.is_some()
    }

    /// A reader over TCP that takes its bytes is alive, whatever it does not say.
    pub(super) fn needs_keepalive(&self) -> bool {
        let tcp = |routed: &Routed| matches!(routed.route, Route::Tcp { .. });
        !self.playing || !self.routes.iter().all(tcp)
    }

    /// Whether it reads what everyone reads.
    pub(super) fn is_multicast(&self) -> bool {
        self.routes.iter().any(|routed| routed.route == Route::Multicast)
    }

    /// What comes over `channel`, when this session records.
    pub(super) fn comes_by(&self, channel: u8) -> Option<(TrackId, Medium)> {
        self.recording?;
        self.routes.iter().find_map(|routed| match routed.route {
            Route::Tcp { rtp, .. } if rtp == channel => Some((routed.track, Medium::Rtp)),
            Route::Tcp { rtcp, .. } if rtcp == channel => Some((routed.track, Medium::Rtcp)),
            _ => None,
        })
    }
}
