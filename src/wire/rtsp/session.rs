//! One RTSP connection as a state machine.
//!
//! Owns: the session, its tracks and routes; deadlines are in `alive`. The contract: after each
//! input, [`poll`](Session::poll) until it says [`Step::Wait`].

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use rtsp_types::{Request, StatusCode, headers};

use super::auth::{AuthState, Authorizer};
use super::channel::{Channels, NoChannels};
use super::frame::{Frame, Framer, INPUT_BYTES_MAX};
use super::live::{Live, Routed};
use super::message::{Ask, Command, Event, Outcome, Pending, Step};
use super::method;
use super::reply::Reply;
use super::sdp::Described;
use super::state::State;
use super::target::Target;
use super::transcript::Transcript;
use crate::base::limits::RTSP_SESSION_TIMEOUT;
use crate::base::time::{BootTime, WallTime};

/// One connection. Not more than a request and a reply are kept in it.
#[derive(Debug)]
pub struct Session {
    framer: Framer,
    /// When the oldest byte of the message in the making came.
    begun: Option<BootTime>,
    pending: Option<Pending>,
    state: State,
    auth: AuthState,
    channels: Arc<dyn Channels>,
    /// Whose the session is: the account that asked last before it began.
    owner: Option<Arc<str>>,
    transcript: Transcript,
    /// When the peer last showed life.
    alive: BootTime,
    birth: (BootTime, WallTime),
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
        let state = State {
            live: None,
            described: None,
            announced: None,
            peer,
            secure: false,
            timeout: RTSP_SESSION_TIMEOUT,
            multicast: false,
            steps: VecDeque::new(),
            seed,
        };
        Self {
            framer: Framer::default(),
            begun: None,
            pending: None,
            state,
            auth: AuthState::new(Arc::new(Authorizer::open()), peer, seed),
            channels: Arc::new(NoChannels),
            owner: None,
            transcript: Transcript::default(),
            alive: now,
            birth: (now, wall),
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

    /// Takes an answer or a command of the driver. An answer without a pending request is dropped.
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
                let reply = method::setup::finish(&mut self.state, &ask, routed, ssrc, server_port);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::SetUp(ask, route), Command::SetUpLeftOut { track, server_port, what }) => {
                let routed = Routed { track, route };
                let reply = method::setup::finish(&mut self.state, &ask, routed, 0, server_port);
                self.reply(now, Some(&ask.cseq), method::setup::left_out(reply, what));
            }
            (Pending::SetUp(ask, route), Command::SetUpGroup { track, group }) => {
                let routed = Routed { track, route };
                let reply = method::setup::finish_group(&mut self.state, &ask, routed, group);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::Play(ask), Command::Playing { starts, wall }) => {
                let reply = method::play::finish(&mut self.state, &ask, &starts, wall);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::Play(ask), Command::Replaying { starts, span, scale }) => {
                let reply = method::play::finish_past(&mut self.state, &ask, &starts, span, scale);
                self.reply(now, Some(&ask.cseq), reply);
            }
            (Pending::Announce(ask, announced), Command::Announced) => {
                self.state.announced = Some(announced);
                self.reply(now, Some(&ask.cseq), Reply::ok());
            }
            (Pending::Record(ask), Command::Recording) => {
                let reply = method::record::finish(&mut self.state, now);
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

    /// The next step. Call it until it returns [`Step::Wait`].
    pub fn poll(&mut self, now: BootTime) -> Step {
        loop {
            if let Some(step) = self.state.steps.pop_front() {
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
            Frame::Message(message) if message.is_answer() => self.alive = now,
            Frame::Message(message) => match message.request() {
                Ok(request) => self.serve(now, request),
                Err(fault) => {
                    self.transcript.puzzled(now.since(self.birth.0));
                    let reply = Reply::refuse(fault.status, fault.text);
                    self.reply(now, fault.cseq.as_deref(), reply);
                }
            },
            Frame::Interleaved(channel, packet) => self.interleaved(now, channel, packet),
        }
    }

    fn redirect(&mut self, url: &str) {
        if !self.closed {
            let bytes = method::redirect::request(&self.state, self.own_cseq, url);
            self.own_cseq = self.own_cseq.wrapping_add(1);
            self.state.steps.push_back(Step::Send(bytes));
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
        match method::begin(&mut self.state, ask) {
            Outcome::Done(reply) => self.reply(now, Some(&cseq), reply),
            Outcome::DoneAnd(reply, event) => {
                self.reply(now, Some(&cseq), reply);
                self.state.event(event);
            }
            Outcome::Asked(event, pending) => {
                self.state.event(event);
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
        self.transcript.flowed |= self.state.live.as_ref().is_some_and(Live::is_active);
        self.transcript.said(age, &bytes);
        self.state.steps.push_back(Step::Send(bytes));
    }

    fn close(&mut self, reason: &'static str) {
        self.state.end();
        self.state.event(Event::Close { reason });
        self.closed = true;
        self.framer.clear();
    }
}

mod alive;
mod view;

pub use view::{Flowing, View};

#[cfg(test)]
mod tests;
