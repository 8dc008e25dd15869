//! What a session and its driver say to each other, and what a method makes of a request.
//!
//! Owns: the types that pass between the session, its methods and its driver; no behaviour.

use std::sync::Arc;

use bytes::Bytes;
use rtsp_types::Request;

use super::description::{Announced, SessionDescription};
use super::live::{Medium, Routed};
use super::play_options::{PlayOptions, Scale};
use super::range::Span;
use super::refusal::Refusal;
use super::reply::Reply;
use super::sdp::Details;
use super::target::Target;
use super::transport::{Group, Route};
use crate::base::time::{BootTime, WallTime};
use crate::media::{TrackId, Tracks};

/// The next step.
#[derive(Debug)]
pub enum Step {
    /// Send these bytes to the peer.
    Send(Bytes),
    /// Something for the driver.
    Event(Event),
    /// Nothing until there is input, or until this instant.
    Wait {
        /// When to poll again; `None` when only input matters.
        until: Option<BootTime>,
    },
}

/// A request or a notice to the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answer with [`Command::Described`] or a refusal; may take a while.
    Describe {
        /// The stream's name, unchecked.
        stream: String,
        /// The multicast groups are wanted.
        multicast: bool,
    },
    /// Answer with [`Command::DescribedPast`] or a refusal; may take a while.
    DescribePast {
        /// The stream's name, unchecked.
        stream: String,
        /// The dates that the URL names.
        span: Span,
    },
    /// Answer with [`Command::SetUp`] or a refusal.
    SetUp {
        /// What to set up; without a track only a stream of one track can be meant.
        target: Target,
        /// Where its packets shall go.
        route: Route,
    },
    /// Begin sending, or switch to sending something else. Answer with [`Command::Playing`],
    /// [`Command::Replaying`] or a refusal, which leaves everything as it was, and send nothing of
    /// the new media before the reply has gone out.
    Play {
        /// The stream's name, as set up.
        stream: String,
        /// The tracks and where they go.
        routes: Vec<Routed>,
        /// From where, and how.
        options: PlayOptions,
    },
    /// Continue with these tracks only.
    Reroute {
        /// The tracks and where they go.
        routes: Vec<Routed>,
    },
    /// Send or take no more until the next [`Event::Play`], for which the past continues where it
    /// stopped, or [`Event::Record`].
    Pause,
    /// The peer wants to publish. Answer with [`Command::Announced`] or a refusal.
    Announce {
        /// The stream's name, unchecked.
        stream: String,
        /// What it brings.
        offer: Arc<SessionDescription>,
    },
    /// One medium of the offer is to come by `route`. Answer with [`Command::SetUp`] or a
    /// refusal.
    SetUpRecord {
        /// Which medium, by its place in the offer.
        track: TrackId,
        /// How it comes.
        route: Route,
    },
    /// The peer begins to send. Answer with [`Command::Recording`] or a refusal.
    Record {
        /// The stream's name, as announced.
        stream: String,
        /// What was announced.
        offer: Arc<SessionDescription>,
        /// The media that were set up and how they come.
        routes: Vec<Routed>,
    },
    /// A packet of a peer that records, out of the connection.
    Media {
        /// Of which medium.
        track: TrackId,
        /// RTP or RTCP.
        medium: Medium,
        /// The packet, unchecked: at most 65535 bytes.
        packet: Bytes,
    },
    /// The peer brought no media for too long; [`Event::Ended`] follows.
    Silent,
    /// The session is over; its sockets may go. The connection may begin another.
    Ended,
    /// Close the connection once everything is sent.
    Close {
        /// For the log.
        reason: &'static str,
    },
}

/// What the driver answers or wishes.
#[derive(Clone, Debug)]
pub enum Command {
    /// The stream has these tracks.
    Described {
        /// The tracks.
        tracks: Arc<Tracks>,
        /// What else is known of them.
        details: Details,
    },
    /// The recording has these tracks.
    DescribedPast {
        /// The tracks.
        tracks: Arc<Tracks>,
        /// What of it there is.
        span: Span,
    },
    /// The track is ready.
    SetUp {
        /// Which it is.
        track: TrackId,
        /// Its synchronisation source.
        ssrc: u32,
        /// Our RTP and RTCP ports, over UDP.
        server_port: Option<(u16, u16)>,
    },
    /// The track of a publisher may come and is not carried.
    SetUpLeftOut {
        /// Which it is.
        track: TrackId,
        /// Our RTP and RTCP ports, over UDP.
        server_port: Option<(u16, u16)>,
        /// What it is, such as `audio L16`.
        what: String,
    },
    /// The track goes out, or will, to a group.
    SetUpGroup {
        /// Which it is.
        track: TrackId,
        /// Where it goes.
        group: Group,
    },
    /// Packets will follow.
    Playing {
        /// Where each track begins; empty when nothing has come of the stream yet.
        starts: Vec<Start>,
        /// When the first picture was taken.
        wall: Option<WallTime>,
    },
    /// Packets of the past will follow.
    Replaying {
        /// Where each track begins.
        starts: Vec<Start>,
        /// What will be played: the date of the first picture, and the end.
        span: Span,
        /// How fast.
        scale: Scale,
    },
    /// The stream may be published.
    Announced,
    /// What comes from now on is taken.
    Recording,
    /// The request cannot be met.
    Refuse(Refusal),
    /// RTCP came from the peer over UDP.
    Alive,
    /// RTP came over UDP from a peer that records.
    Heard,
    /// Send the peer elsewhere (RFC 2326 §10.10); no answer comes.
    Redirect {
        /// Where to.
        url: String,
    },
}

/// Where a track begins: what RTP-Info says (RFC 2326 §12.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The track.
    pub track: TrackId,
    /// Number of its first packet.
    pub sequence: u16,
    /// RTP timestamp of the instant at which playing begins.
    pub timestamp: u32,
}

/// A request with what every method needs of it.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) request: Request<Vec<u8>>,
    pub(super) cseq: String,
    pub(super) target: Option<Target>,
}

/// A request that waits for the driver.
#[derive(Debug)]
pub(super) enum Pending {
    Describe(Ask),
    SetUp(Ask, Route),
    Play(Ask),
    Announce(Ask, Announced),
    Record(Ask),
}

/// What happened to a request.
pub(super) enum Outcome {
    /// It is answered.
    Done(Reply),
    /// It is answered, and the driver must act.
    DoneAnd(Reply, Event),
    /// The driver has to be asked first.
    Asked(Event, Pending),
}
