//! The session with one camera: OPTIONS, DESCRIBE, SETUP, PLAY, keepalives, TEARDOWN.
//!
//! Owns: what is asked next and what an answer leads to; one request waits at a time.

use std::collections::VecDeque;

use bytes::Bytes;
use rtsp_types::Url;

use super::answer::{self, AnsweredTransport};
use super::request::{self, CameraRequest};
use super::{
    ClientCommand, ClientConfig, ClientEvent, ClientRequest, ClientStep, ClientTransport, Path,
    SessionEnd,
};
use crate::base::limits::{
    CLIENT_KEEPALIVE_MAX, CLIENT_KEEPALIVE_MIN, CLIENT_OPTIONS_TIME_MAX, CLIENT_RECONNECTS_MAX,
    CLIENT_REDIRECTS_MAX,
};
use crate::base::time::BootTime;
use crate::wire::rtsp::auth::Challenge;
use crate::wire::rtsp::description::SessionDescription;
use crate::wire::rtsp::frame::{Frame, Framer, INPUT_BYTES_MAX, Message};
use crate::wire::rtsp::live::Medium;

/// Part of a session's timeout after which it is kept alive.
const KEEPALIVE_SHARE: f64 = 0.45;

/// A session with one camera.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    url: Url,
    framer: Framer,
    steps: VecDeque<ClientStep>,
    waiting: Option<Waiting>,
    cseq: u32,
    /// Number of a request that was given up, whose answer may still come.
    given_up: Option<u32>,
    login: Login,
    /// What the camera says that it can do.
    public: String,
    plan: Plan,
    alive: Alive,
    redirects: u32,
    reconnects: u32,
    skips_options: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Something is asked, of the camera or of the driver.
    Opening,
    Playing,
    Over,
}

/// The request that waits for its answer.
#[derive(Clone, Debug)]
struct Waiting {
    asked: ClientRequest,
    method: &'static str,
    uri: String,
    own: Vec<(&'static str, String)>,
    cseq: u32,
    until: BootTime,
    /// Times that it was asked again with other credentials.
    retries: u32,
}

#[derive(Debug, Default)]
struct Login {
    challenge: Option<Challenge>,
    /// Times that its nonce was used.
    uses: u32,
}

/// What is set up, and what is to be.
#[derive(Debug, Default)]
struct Plan {
    description: SessionDescription,
    base: String,
    aggregate: String,
    wanted: VecDeque<usize>,
    /// Which of the transports is tried.
    transport: usize,
    /// The first refusal of a transport.
    refused: Option<u16>,
    tracks: Vec<ClientTrack>,
    session: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct ClientTrack {
    medium: usize,
    /// Channels of RTP and RTCP, inside the connection.
    channels: Option<(u8, u8)>,
    heard: bool,
}

#[derive(Debug)]
struct Alive {
    every: std::time::Duration,
    next: Option<BootTime>,
    /// Which way of keeping the session alive is used.
    way: usize,
    unanswered: bool,
    /// Media came.
    heard: bool,
}

impl ClientSession {
    /// A session that begins at `now` by asking for a connection.
    #[must_use]
    pub fn new(_now: BootTime, config: ClientConfig) -> Self {
        let url = config.url.clone();
        let mut session = Self {
            url,
            framer: Framer::of_camera(),
            steps: VecDeque::new(),
            waiting: None,
            cseq: 0,
            given_up: None,
            login: Login::default(),
            public: String::new(),
            plan: Plan::default(),
            alive: Alive {
                every: CLIENT_KEEPALIVE_MAX,
                next: None,
                way: 0,
                unanswered: false,
                heard: false,
            },
            redirects: 0,
            reconnects: 0,
            skips_options: false,
            phase: Phase::Opening,
            config,
        };
        session.connect();
        session
    }

    /// Whether more input may be given. While not, the driver leaves it in the socket.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.phase != Phase::Over && self.framer.len() < INPUT_BYTES_MAX
    }

    /// Takes bytes that arrived.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Over {
            self.framer.receive(bytes);
        }
    }

    /// Takes an answer or a wish of the driver.
    pub fn command(&mut self, now: BootTime, command: ClientCommand) {
        if self.phase == Phase::Over {
            return;
        }
        match command {
            ClientCommand::Connected => self.connected(now),
            ClientCommand::Disconnected => self.disconnected(),
            ClientCommand::SetUp(media) => {
                self.plan.wanted = media.into();
                self.set_up_next(now);
            }
            ClientCommand::Ports(ports) => self.ports(now, ports),
            ClientCommand::Heard => self.alive.heard = true,
            ClientCommand::Report { channel, packet } => self.report(channel, &packet),
            ClientCommand::Leave => self.leave(SessionEnd::Left),
        }
    }

    /// What is to be done next. Called until it says [`ClientStep::Wait`].
    pub fn poll(&mut self, now: BootTime) -> ClientStep {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            if self.phase == Phase::Over {
                return ClientStep::Wait { until: None };
            }
            match self.framer.next() {
                Ok(Some(Frame::Interleaved(channel, packet))) => self.media(channel, packet),
                Ok(Some(Frame::Message(message))) if message.is_answer() => {
                    self.answered(now, &message);
                }
                Ok(Some(Frame::Message(message))) => self.asked(&message),
                Ok(None) => match self.deadline() {
                    Some(until) if until <= now => self.expire(now),
                    until => return ClientStep::Wait { until },
                },
                Err(fault) => self.leave(SessionEnd::NotRtsp { what: fault.text }),
            }
        }
    }

    fn deadline(&self) -> Option<BootTime> {
        let waiting = self.waiting.as_ref().map(|waiting| waiting.until);
        [waiting, self.alive.next].into_iter().flatten().reduce(BootTime::min)
    }

    fn expire(&mut self, now: BootTime) {
        let Some(waiting) = self.waiting.take_if(|waiting| waiting.until <= now) else {
            return self.keep_alive(now);
        };
        self.given_up = Some(waiting.cseq);
        match waiting.asked {
            // A camera may not know the question.
            ClientRequest::Options => self.describe(now),
            // Media is the better answer.
            ClientRequest::Play if self.alive.heard => self.playing(now),
            asked => self.leave(SessionEnd::Silent { asked }),
        }
    }

    fn event(&mut self, event: ClientEvent) {
        self.steps.push_back(ClientStep::Event(event));
    }

    fn connect(&mut self) {
        self.framer.clear();
        self.event(ClientEvent::Connect { port: self.url.port().unwrap_or(554) });
    }

    fn connected(&mut self, now: BootTime) {
        self.framer.clear();
        match self.waiting.take() {
            Some(waiting) => self.send(now, waiting),
            None if self.skips_options => self.describe(now),
            None => {
                let uri = self.url.to_string();
                self.ask(now, ClientRequest::Options, "OPTIONS", uri, Vec::new());
            }
        }
    }

    /// Cameras close after a 401, after a redirect, or at a question that they do not know.
    fn disconnected(&mut self) {
        let Some(waiting) = &self.waiting else {
            return self.end(SessionEnd::Closed { asked: ClientRequest::Media });
        };
        let asked = waiting.asked;
        let again = match asked {
            ClientRequest::Options => true,
            ClientRequest::Describe => waiting.retries > 0 || self.redirects > 0,
            _ => false,
        };
        if !again || self.reconnects == CLIENT_RECONNECTS_MAX {
            return self.end(SessionEnd::Closed { asked });
        }
        self.reconnects += 1;
        if asked == ClientRequest::Options && waiting.retries == 0 {
            (self.waiting, self.skips_options) = (None, true);
        }
        self.connect();
    }

    fn ask(
        &mut self,
        now: BootTime,
        asked: ClientRequest,
        method: &'static str,
        uri: String,
        own: Vec<(&'static str, String)>,
    ) {
        let waiting = Waiting { asked, method, uri, own, cseq: 0, until: now, retries: 0 };
        self.send(now, waiting);
    }

    fn send(&mut self, now: BootTime, mut waiting: Waiting) {
        let most = match waiting.asked {
            ClientRequest::Options => self.config.answer_time.min(CLIENT_OPTIONS_TIME_MAX),
            _ => self.config.answer_time,
        };
        waiting.until = now.after(most);
        waiting.cseq = self.say(waiting.method, &waiting.uri, &waiting.own);
        self.waiting = Some(waiting);
    }

    /// Sends a request and says its number.
    fn say(&mut self, method: &str, uri: &str, own: &[(&'static str, String)]) -> u32 {
        self.cseq = self.cseq.wrapping_add(1);
        let authorization = self.authorization(method, uri);
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, &value[..])).collect();
        let session = self.plan.session.as_deref();
        let bytes =
            request::request(method, uri, self.cseq, authorization.as_deref(), session, &own);
        self.steps.push_back(ClientStep::Send(bytes));
        self.cseq
    }

    fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let (username, password) = self.config.credentials.as_ref()?;
        let challenge = self.login.challenge.as_ref()?;
        self.login.uses += 1;
        // One round of splitmix64: nobody can guess it if the seed was random.
        let mut cnonce = self.config.seed.wrapping_add(u64::from(self.cseq) << 1 | 1);
        cnonce = (cnonce ^ (cnonce >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        cnonce = (cnonce ^ (cnonce >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let cnonce = format!("{:016x}", cnonce ^ (cnonce >> 31));
        let count = (self.login.uses, cnonce.as_str());
        Some(challenge.answer((username, password), (method, uri), count))
    }

    fn describe(&mut self, now: BootTime) {
        let accept = vec![("Accept", "application/sdp".to_owned())];
        let uri = self.url.to_string();
        self.ask(now, ClientRequest::Describe, "DESCRIBE", uri, accept);
    }

    fn answered(&mut self, now: BootTime, message: &Message) {
        let status = message.status().unwrap_or(0);
        if self.phase == Phase::Playing {
            return self.kept_alive(now, status, message);
        }
        let cseq = message.cseq();
        let is_late = cseq.is_some() && cseq == self.given_up;
        // Some count wrongly or not at all, so whatever number it has it answers what waits.
        if is_late || (100..200).contains(&status) {
            return;
        }
        let Some(waiting) = self.waiting.take() else { return };
        match (status, waiting.asked) {
            (401, _) => self.authenticate(now, waiting, message),
            (300..=399, _) => self.redirected(now, message),
            (200..=299, ClientRequest::Options) => {
                let public = message.headers.get("Public").or_else(|| message.headers.get("Allow"));
                self.public = public.unwrap_or_default().to_ascii_uppercase();
                self.describe(now);
            }
            (_, ClientRequest::Options) => self.describe(now),
            (200..=299, ClientRequest::Describe) => self.described(message),
            (200..=299, ClientRequest::SetUp) => self.set_up(now, message),
            (200..=299, ClientRequest::Play) => self.playing(now),
            (_, ClientRequest::SetUp) => self.not_set_up(now, status),
            (457, ClientRequest::Play) if !waiting.own.is_empty() => {
                self.send(now, Waiting { own: Vec::new(), ..waiting });
            }
            (_, asked) => self.leave(SessionEnd::Status { asked, status }),
        }
    }

    fn authenticate(&mut self, now: BootTime, waiting: Waiting, message: &Message) {
        let challenge = Challenge::best(message.headers.all("WWW-Authenticate"));
        let (Some(challenge), true) = (challenge, self.config.credentials.is_some()) else {
            return match (waiting.asked, self.config.credentials.is_some()) {
                (ClientRequest::Options, false) => self.describe(now),
                (_, false) => self.leave(SessionEnd::CredentialsMissing),
                (_, true) => self.leave(SessionEnd::UnknownAuthentication),
            };
        };
        if waiting.retries > 0 && !(challenge.is_stale() && waiting.retries < 3) {
            return self.leave(SessionEnd::CredentialsRefused);
        }
        self.login = Login { challenge: Some(challenge), uses: 0 };
        self.send(now, Waiting { retries: waiting.retries + 1, ..waiting });
    }

    fn redirected(&mut self, now: BootTime, message: &Message) {
        self.redirects += 1;
        let told = message.headers.get("Location").unwrap_or_default();
        if self.redirects > CLIENT_REDIRECTS_MAX || told.is_empty() {
            return self.leave(SessionEnd::RedirectedInCircles);
        }
        match answer::location(&self.url, told) {
            Ok(url) => {
                let port = (url.port(), self.url.port());
                self.url = url;
                self.plan = Plan::default();
                if port.0.unwrap_or(554) == port.1.unwrap_or(554) {
                    return self.describe(now);
                }
                self.skips_options = true;
                self.connect();
            }
            Err(Some(address)) => self.leave(SessionEnd::Elsewhere { address }),
            Err(None) => self.leave(SessionEnd::RedirectedInCircles),
        }
    }

    fn described(&mut self, message: &Message) {
        let description = match SessionDescription::parse(&message.body) {
            Ok(description) => description,
            Err(error) => {
                return self.leave(SessionEnd::BadDescription { what: error.to_string() });
            }
        };
        let told = message.headers.get("Content-Base");
        let told = told.or_else(|| message.headers.get("Content-Location"));
        let base = match told {
            Some(base) if base.contains("://") => base.to_owned(),
            Some(base) => self.url.join(base).unwrap_or_else(|_| self.url.clone()).into(),
            None => self.url.to_string(),
        };
        let aggregate = answer::control(&base, description.control.as_deref());
        let event = ClientEvent::Described(description.clone());
        self.plan = Plan { description, base, aggregate, ..Plan::default() };
        self.event(event);
    }

    fn transport(&self) -> Option<ClientTransport> {
        self.config.transports.get(self.plan.transport).copied()
    }

    fn set_up_next(&mut self, now: BootTime) {
        let Some(&medium) = self.plan.wanted.front() else {
            if self.plan.tracks.is_empty() {
                return self.leave(SessionEnd::NoTransport);
            }
            let range = vec![("Range", "npt=0.000-".to_owned())];
            let uri = self.plan.aggregate.clone();
            return self.ask(now, ClientRequest::Play, "PLAY", uri, range);
        };
        let channel = self.plan.tracks.len() * 2;
        match self.transport() {
            Some(ClientTransport::Tcp) => {
                let value = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1);
                self.ask_set_up(now, value);
            }
            Some(ClientTransport::Udp) => self.event(ClientEvent::OpenPorts { medium }),
            Some(ClientTransport::Multicast) => {
                self.ask_set_up(now, "RTP/AVP;multicast".to_owned());
            }
            None => match self.plan.refused {
                Some(status) if status != 461 => {
                    self.leave(SessionEnd::Status { asked: ClientRequest::SetUp, status });
                }
                _ => self.leave(SessionEnd::NoTransport),
            },
        }
    }

    fn ports(&mut self, now: BootTime, ports: Option<(u16, u16)>) {
        match ports {
            Some((rtp, rtcp)) => {
                self.ask_set_up(now, format!("RTP/AVP;unicast;client_port={rtp}-{rtcp}"));
            }
            None => self.next_transport(now, 0),
        }
    }

    fn ask_set_up(&mut self, now: BootTime, transport: String) {
        let Some(&medium) = self.plan.wanted.front() else { return };
        let media = &self.plan.description.media;
        let control = media.get(medium).and_then(|medium| medium.control.as_deref());
        let uri = match control {
            None if media.len() == 1 => self.plan.aggregate.clone(),
            control => answer::control(&self.plan.base, control),
        };
        self.ask(now, ClientRequest::SetUp, "SETUP", uri, vec![("Transport", transport)]);
    }

    fn set_up(&mut self, now: BootTime, message: &Message) {
        let Some(asked) = self.transport() else { return };
        if let Some((id, timeout)) = message.headers.get("Session").and_then(answer::session) {
            self.plan.session = Some(id);
            let every = timeout.mul_f64(KEEPALIVE_SHARE);
            self.alive.every = every.clamp(CLIENT_KEEPALIVE_MIN, CLIENT_KEEPALIVE_MAX);
        }
        let told = AnsweredTransport::read(message.headers.get("Transport").unwrap_or_default());
        if !told.suits(asked) {
            return self.not_set_up(now, 461);
        }
        let Some(medium) = self.plan.wanted.pop_front() else { return };
        let described = self.plan.description.media.get(medium);
        let own = u8::try_from(self.plan.tracks.len() * 2).unwrap_or(0);
        let taken = |channels: &(u8, u8)| {
            self.plan.tracks.iter().any(|track| track.channels == Some(*channels))
        };
        let mut channels = None;
        let path = match asked {
            ClientTransport::Tcp => {
                let pair = told.interleaved.filter(|pair| !taken(pair)).unwrap_or((own, own + 1));
                channels = Some(pair);
                Path::Tcp { rtcp: pair.1 }
            }
            ClientTransport::Udp => Path::Udp { server_port: told.server_port },
            ClientTransport::Multicast => {
                let group = told.group.or_else(|| described.and_then(|medium| medium.group));
                let port = told.port.or_else(|| described.map(|medium| medium.port));
                match (group.filter(std::net::Ipv4Addr::is_multicast), port) {
                    (Some(group), Some(port @ 1024..)) => Path::Multicast { group, port },
                    _ => return self.not_set_up(now, 461),
                }
            }
        };
        self.plan.tracks.push(ClientTrack { medium, channels, heard: false });
        self.event(ClientEvent::SetUp { medium, path });
        self.set_up_next(now);
    }

    /// The first track decides on the transport; a further one that is refused is left out.
    fn not_set_up(&mut self, now: BootTime, status: u16) {
        if self.plan.tracks.is_empty() {
            return match status {
                400 | 406 | 415 | 451 | 461..=463 | 500.. => self.next_transport(now, status),
                _ => self.leave(SessionEnd::Status { asked: ClientRequest::SetUp, status }),
            };
        }
        if let Some(medium) = self.plan.wanted.pop_front() {
            self.event(ClientEvent::NotSetUp { medium, status });
        }
        self.set_up_next(now);
    }

    fn next_transport(&mut self, now: BootTime, status: u16) {
        self.plan.refused.get_or_insert(status);
        self.plan.transport += 1;
        self.set_up_next(now);
    }

    fn playing(&mut self, now: BootTime) {
        self.phase = Phase::Playing;
        self.alive.next = Some(now.after(self.alive.every));
        self.event(ClientEvent::Playing);
    }

    /// By what the camera offers, else by what all know.
    fn keep_alive(&mut self, now: BootTime) {
        if self.alive.unanswered {
            self.alive.way += 1;
        }
        let offered = |method: &&&str| **method == "OPTIONS" || self.public.contains(**method);
        let ways = ["GET_PARAMETER", "OPTIONS", "SET_PARAMETER"];
        let ways: Vec<&str> = ways.iter().filter(offered).copied().collect();
        let method = ways[self.alive.way % ways.len()];
        let uri = self.plan.aggregate.clone();
        self.say(method, &uri, &[]);
        self.alive.unanswered = true;
        self.alive.next = Some(now.after(self.alive.every));
    }

    /// While media flows no answer ends anything.
    fn kept_alive(&mut self, now: BootTime, status: u16, message: &Message) {
        self.alive.unanswered = false;
        if status == 401 && self.config.credentials.is_some() {
            if let Some(challenge) = Challenge::best(message.headers.all("WWW-Authenticate")) {
                let again = self.login.uses > 1 || self.login.challenge.is_none();
                self.login = Login { challenge: Some(challenge), uses: 0 };
                if again {
                    self.keep_alive(now);
                }
            }
        } else if status >= 400 {
            self.alive.way += 1;
        }
    }

    /// A request of the camera.
    fn asked(&mut self, message: &Message) {
        let (bytes, wanted) = request::reply(message, self.plan.session.as_deref());
        self.steps.push_back(ClientStep::Send(bytes));
        match wanted {
            CameraRequest::Nothing => {}
            CameraRequest::End => self.end(SessionEnd::TornDown),
            CameraRequest::Elsewhere => {
                let told = message.headers.get("Location").unwrap_or_default();
                match answer::location(&self.url, told) {
                    Err(Some(address)) => self.leave(SessionEnd::Elsewhere { address }),
                    // The next session begins where this one did.
                    _ => self.leave(SessionEnd::TornDown),
                }
            }
        }
    }

    fn media(&mut self, channel: u8, packet: Bytes) {
        let tracks = &mut self.plan.tracks;
        let by = |track: &ClientTrack| match track.channels {
            Some((rtp, _)) if rtp == channel => Some(Medium::Rtp),
            Some((_, rtcp)) if rtcp == channel => Some(Medium::Rtcp),
            _ => None,
        };
        let mut found = tracks.iter().enumerate().find_map(|(at, track)| Some((at, by(track)?)));
        if found.is_none() {
            // Some send by other channels than they said; the payload type tells whose it is.
            let [_, second, ..] = packet[..] else { return };
            let media = &self.plan.description.media;
            let is_of = |track: &ClientTrack| {
                let medium = media.get(track.medium);
                !track.heard && medium.is_some_and(|m| m.payload_type == second & 0x7f)
            };
            let mut silent = tracks.iter().enumerate().filter(|(_, track)| is_of(track));
            if let (Some((at, _)), None) = (silent.next(), silent.next()) {
                tracks[at].channels = Some((channel, channel.wrapping_add(1)));
                found = Some((at, Medium::Rtp));
            }
        }
        let Some((at, kind)) = found else { return };
        let medium = tracks[at].medium;
        if kind == Medium::Rtp {
            tracks[at].heard = true;
            self.alive.heard = true;
        }
        self.event(ClientEvent::Media { medium, kind, packet });
    }

    fn report(&mut self, channel: u8, packet: &[u8]) {
        let Ok(length) = u16::try_from(packet.len()) else { return };
        let mut framed = vec![b'$', channel];
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(packet);
        self.steps.push_back(ClientStep::Send(framed.into()));
    }

    /// Says goodbye if anything is set up, and ends.
    fn leave(&mut self, why: SessionEnd) {
        if self.plan.session.is_some() || !self.plan.tracks.is_empty() {
            let uri = self.plan.aggregate.clone();
            self.say("TEARDOWN", &uri, &[]);
        }
        self.end(why);
    }

    fn end(&mut self, why: SessionEnd) {
        self.phase = Phase::Over;
        (self.waiting, self.alive.next) = (None, None);
        self.framer.clear();
        self.event(ClientEvent::Ended(why));
    }
}
