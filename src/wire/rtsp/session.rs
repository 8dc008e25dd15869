//! One RTSP connection as a state machine.
//!
//! Owns: the session, its tracks and routes; deadlines are in `alive`. The contract: after each
//! input, [`poll`](Session::poll) until it says [`Step::Wait`].

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rtsp_types::{Request, StatusCode, headers};

use super::auth::{Gate, Guard};
use super::channel::{Channels, NoChannels};
use super::frame::{Frame, Framer, INPUT_BYTES_MAX};
use super::live::{Live, Medium, Routed};
use super::method::{self, Outcome};
use super::offer::{Announced, Offer};
use super::range::Span;
use super::refusal::Refusal;
use super::reply::Reply;
use super::sdp::{Described, Details};
use super::target::Target;
use super::transcript::Transcript;
use super::transport::{Group, Route};
use super::wish::{Scale, Wish};
use crate::base::limits::RTSP_SESSION_TIMEOUT;
use crate::base::time::{BootTime, WallTime};
use crate::media::{TrackId, Tracks};

/// What is to be done next.
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

/// What the driver is asked or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answer with [`Command::Described`] or a refusal; may take a while.
    Describe {
        /// The stream's name, unchecked.
        stream: String,
        /// The groups are to be told.
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
    /// Begin sending, or go over to sending something else. Answer with [`Command::Playing`],
    /// [`Command::Replaying`] or a refusal, which leaves everything as it was, and send nothing
    /// of the new before the reply has gone out.
    Play {
        /// The stream's name, as it was set up.
        stream: String,
        /// The tracks and where they go.
        routes: Vec<Routed>,
        /// From where, and how.
        wish: Wish,
    },
    /// Go on with these tracks only.
    Reroute {
        /// The tracks and where they go.
        routes: Vec<Routed>,
    },
    /// Send or take no more until the next [`Event::Play`], for which the past goes on where it
    /// stopped, or [`Event::Record`].
    Pause,
    /// The peer wants to publish. Answer with [`Command::Announced`] or a refusal.
    Announce {
        /// The stream's name, unchecked.
        stream: String,
        /// What it brings.
        offer: Arc<Offer>,
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
        /// The stream's name, as it was announced.
        stream: String,
        /// What was announced.
        offer: Arc<Offer>,
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
    /// What was asked for cannot be.
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

/// One connection. Not more than a request and a reply are kept in it.
#[derive(Debug)]
pub struct Session {
    framer: Framer,
    /// When the oldest byte of the message in the making came.
    begun: Option<BootTime>,
    steps: VecDeque<Step>,
    pending: Option<Pending>,
    pub(super) live: Option<Live>,
    /// The stream that was described last, and the dates in its URL, which the URLs of its
    /// tracks do not repeat.
    pub(super) described: Option<(String, Option<Span>)>,
    /// What the peer wants to publish; the tracks it sets up are of this.
    pub(super) announced: Option<Announced>,
    pub(super) peer: IpAddr,
    gate: Gate,
    channels: Arc<dyn Channels>,
    /// Whose the session is: the account that asked last before it began.
    owner: Option<Arc<str>>,
    transcript: Transcript,
    /// When the peer last showed life.
    alive: BootTime,
    seed: u64,
    birth: (BootTime, WallTime),
    /// Nobody on the way can read along.
    pub(super) secure: bool,
    /// How long the peer of a session may be silent.
    pub(super) timeout: Duration,
    /// There are multicast groups here.
    pub(super) multicast: bool,
    /// CSeq of our next own request.
    own_cseq: u32,
    /// The Timestamp header of the request that is being answered, to be sent back.
    timestamp: Option<String>,
    /// Why to close the connection after the answer.
    closing: Option<&'static str>,
    closed: bool,
}

impl Session {
    /// A connection that `peer` opened at `now`. `seed` is for session ids; `wall` for Date.
    #[must_use]
    pub fn new(now: BootTime, wall: WallTime, peer: IpAddr, seed: u64) -> Self {
        Self {
            framer: Framer::default(),
            begun: None,
            steps: VecDeque::new(),
            pending: None,
            live: None,
            described: None,
            announced: None,
            peer,
            gate: Gate::new(Arc::new(Guard::open()), peer, seed),
            channels: Arc::new(NoChannels),
            owner: None,
            transcript: Transcript::default(),
            alive: now,
            seed,
            birth: (now, wall),
            secure: false,
            timeout: RTSP_SESSION_TIMEOUT,
            multicast: false,
            own_cseq: 1,
            timestamp: None,
            closing: None,
            closed: false,
        }
    }

    /// Whether more input may be given. While not, the driver leaves it in the socket.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.pending.is_none() && !self.closed && self.framer.len() < INPUT_BYTES_MAX
    }

    /// Takes bytes that arrived at `now`; at most 64 KiB at once.
    pub fn receive(&mut self, now: BootTime, bytes: &[u8]) {
        if self.closed {
            return;
        }
        self.begun.get_or_insert(now);
        self.framer.receive(bytes);
    }

    /// Takes an answer or a wish of the driver. An answer that nobody waits for is dropped.
    pub fn command(&mut self, now: BootTime, command: Command) {
        match command {
            Command::Alive => return self.alive = self.alive.max(now),
            Command::Heard => return self.heard(now),
            Command::Redirect { url } => return self.redirect(&url),
            _ => {}
        }
        let Some(pending) = self.pending.take() else { return };
        self.alive = now;
        match (pending, command) {
            (Pending::Describe(ask), Command::Described { tracks, details }) => {
                let reply = method::describe::finish(&ask, &tracks, Described::Live(&details));
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::Describe(ask), Command::DescribedPast { tracks, span }) => {
                let reply = method::describe::finish(&ask, &tracks, Described::Past(span));
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::SetUp(ask, route), Command::SetUp { track, ssrc, server_port }) => {
                let routed = Routed { track, route };
                let reply = method::setup::finish(self, &ask, routed, ssrc, server_port);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::SetUp(ask, route), Command::SetUpGroup { track, group }) => {
                let routed = Routed { track, route };
                let reply = method::setup::finish_group(self, &ask, routed, group);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::Play(ask), Command::Playing { starts, wall }) => {
                let reply = method::play::finish(self, &ask, &starts, wall);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::Play(ask), Command::Replaying { starts, span, scale }) => {
                let reply = method::play::finish_past(self, &ask, &starts, span, scale);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::Announce(ask, announced), Command::Announced) => {
                self.announced = Some(announced);
                self.reply(now, Some(&ask.cseq), Reply::ok());
            }
            (Pending::Record(ask), Command::Recording) => {
                let reply = method::record::finish(self, now);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (
                Pending::Describe(ask)
                | Pending::SetUp(ask, _)
                | Pending::Play(ask)
                | Pending::Announce(ask, _)
                | Pending::Record(ask),
                Command::Refuse(refusal),
            ) => self.reply(now, Some(&ask.cseq), refusal.reply()),
            (pending, _) => self.pending = Some(pending),
        }
    }

    /// What is to be done next. Called until it says [`Step::Wait`].
    pub fn poll(&mut self, now: BootTime) -> Step {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            if self.closed || self.pending.is_some() {
                return Step::Wait { until: None };
            }
            if let Some(reason) = self.closing {
                self.close(reason);
                continue;
            }
            match self.framer.next() {
                Ok(Some(frame)) => self.take(now, frame),
                Ok(None) => {
                    if self.framer.len() == 0 {
                        self.begun = None;
                    }
                    match self.deadline() {
                        Some((late, until)) if until <= now => self.expire(now, late),
                        other => return Step::Wait { until: other.map(|(_, until)| until) },
                    }
                }
                Err(fault) => {
                    let reply = Reply::refuse(fault.status, fault.text);
                    self.transcript.puzzled(now.since(self.birth.0));
                    self.reply(now, fault.cseq.as_deref(), reply);
                    self.close(fault.text);
                }
            }
        }
    }

    fn take(&mut self, now: BootTime, frame: Frame) {
        self.begun = (self.framer.len() > 0).then_some(now);
        match frame {
            Frame::Request(request) => self.serve(now, *request),
            Frame::Refused(fault) => {
                self.transcript.puzzled(now.since(self.birth.0));
                let reply = Reply::refuse(fault.status, fault.text);
                self.reply(now, fault.cseq.as_deref(), reply);
            }
            Frame::Reply => self.alive = now,
            Frame::Interleaved(channel, packet) => self.interleaved(now, channel, packet),
        }
    }

    fn redirect(&mut self, url: &str) {
        if !self.closed {
            let bytes = method::redirect::request(self, self.own_cseq, url);
            self.own_cseq = self.own_cseq.wrapping_add(1);
            self.steps.push_back(Step::Send(bytes));
        }
    }

    fn serve(&mut self, now: BootTime, request: Request<Vec<u8>>) {
        self.alive = now;
        self.transcript.heard(now.since(self.birth.0), &request);
        self.timestamp = request.header(&headers::TIMESTAMP).map(|value| value.as_str().to_owned());
        let closes = request.header(&headers::CONNECTION).is_some_and(|value| {
            value.as_str().split(',').any(|token| token.trim().eq_ignore_ascii_case("close"))
        });
        self.closing = closes.then_some("the peer asked to close");
        let cseq = request.header(&headers::CSEQ).and_then(|v| v.as_str().parse::<u32>().ok());
        let Some(cseq) = cseq else {
            let reply = Reply::refuse(StatusCode::BadRequest, "CSeq is missing or no number");
            return self.reply(now, None, reply);
        };
        let target = request.request_uri().map(|url| Target::of(url, &*self.channels));
        let ask = Ask { request, cseq: cseq.to_string(), target };
        let cseq = ask.cseq.clone();
        if let Err(reply) = self.admit(now, &ask) {
            return self.reply(now, Some(&cseq), *reply);
        }
        match method::begin(self, ask) {
            Outcome::Done(reply) => self.reply(now, Some(&cseq), reply),
            Outcome::DoneAnd(reply, event) => {
                self.reply(now, Some(&cseq), reply);
                self.event(event);
            }
            Outcome::Asked(event, pending) => {
                self.event(event);
                self.pending = Some(pending);
            }
        }
    }

    fn reply(&mut self, now: BootTime, cseq: Option<&str>, reply: Reply) {
        let age = now.since(self.birth.0);
        let nanos = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
        let reply = match self.timestamp.take() {
            Some(timestamp) => reply.header(headers::TIMESTAMP, timestamp),
            None => reply,
        };
        let bytes = reply.write(cseq, self.birth.1.offset_nanos(nanos));
        self.transcript.flowed |= self.live.as_ref().is_some_and(Live::is_active);
        self.transcript.said(age, &bytes);
        self.steps.push_back(Step::Send(bytes));
    }

    /// Queues an event for the driver.
    pub(super) fn event(&mut self, event: Event) {
        self.steps.push_back(Step::Event(event));
    }

    /// Ends the session, if there is one, and forgets what was announced.
    pub(super) fn end(&mut self) {
        self.announced = None;
        if self.live.take().is_some() {
            self.event(Event::Ended);
        }
    }

    /// 200, with the session if there is one.
    pub(super) fn acknowledge(&self) -> Reply {
        match &self.live {
            Some(live) => Reply::ok().header(headers::SESSION, live.header()),
            None => Reply::ok(),
        }
    }

    fn close(&mut self, reason: &'static str) {
        self.end();
        self.event(Event::Close { reason });
        self.closed = true;
        self.framer.clear();
    }

    /// A new session id: 64 bits that nobody can guess if the seed was random.
    pub(super) fn new_id(&mut self) -> String {
        // One round of splitmix64.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut id = self.seed;
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016X}", id ^ (id >> 31))
    }
}

mod alive;
mod view;

pub use view::{Flowing, View};

#[cfg(test)]
mod tests;
