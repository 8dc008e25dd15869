//! The session with one camera: OPTIONS, DESCRIBE, SETUP, PLAY, keepalives, TEARDOWN.
//!
//! Owns: which request waits for its answer (one at a time), credentials, redirects, reconnections.
//! The description is in `describing`, setting up in `setup`, PLAY in `play`, what happens while media
//! flows in `playing`.

mod describing;
mod play;
mod playing;
mod setup;

use std::collections::VecDeque;
use std::net::IpAddr;

use rtsp_types::Url;

use self::describing::Gathering;
use self::play::Subject;
use super::answer;
use super::request::{self, CameraRequest};
use super::{ClientCommand, ClientConfig, ClientEvent, ClientRequest, ClientStep, SessionEnd};
use crate::base::limits::{
    CLIENT_KEEPALIVE_MAX, CLIENT_OPTIONS_TIME_MAX, CLIENT_RECONNECTS_MAX, CLIENT_REDIRECTS_MAX,
};
use crate::base::time::BootTime;
use crate::wire::rtsp::auth::Challenge;
use crate::wire::rtsp::description::SessionDescription;
use crate::wire::rtsp::frame::{Frame, Framer, INPUT_BYTES_MAX, Message};

/// Part of a session's timeout after which it is kept alive.
const KEEPALIVE_SHARE: f64 = 0.45;

/// A session with one camera.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    url: Url,
    /// Where the camera listens.
    port: u16,
    /// The address that its host name means.
    peer: Option<IpAddr>,
    framer: Framer,
    gathering: Option<Gathering>,
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
    subject: Subject,
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

/// What is set up, and what remains to be.
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
    /// Which of the URLs that a track may have is tried.
    url: usize,
    tracks: Vec<ClientTrack>,
    /// The session that the last answer to SETUP named.
    session: Option<String>,
    /// For what PLAY is still to be said.
    unplayed: VecDeque<Subject>,
    /// Something plays.
    plays: bool,
    /// PLAY is said without a Range.
    rangeless: bool,
    /// Each track is spoken of by itself.
    apart: bool,
}

#[derive(Clone, Debug)]
struct ClientTrack {
    medium: usize,
    /// What it was set up by, and the session that it is in.
    uri: String,
    session: Option<String>,
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
            port: config.carrier.port_of(&url),
            url,
            peer: None,
            framer: Framer::of_camera(),
            gathering: None,
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

    /// Notes that the camera's host name means this address.
    pub fn met(&mut self, peer: IpAddr) {
        self.peer = Some(peer);
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

    /// The next step. Call it until it returns [`ClientStep::Wait`].
    pub fn poll(&mut self, now: BootTime) -> ClientStep {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            if self.phase == Phase::Over {
                return ClientStep::Wait { until: None };
            }
            if let Some(until) = self.gather(now) {
                return ClientStep::Wait { until: Some(until) };
            }
            if !self.steps.is_empty() || self.phase == Phase::Over {
                continue;
            }
            match self.framer.next() {
                Ok(Some(Frame::Interleaved(channel, packet))) => self.media(channel, packet),
                Ok(Some(Frame::Message(message))) if message.is_answer() => {
                    self.answered(now, *message);
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
            ClientRequest::Play if self.alive.heard => self.played(now),
            // It said that more of the body would come.
            ClientRequest::Describe => match self.framer.cut_short() {
                Some(message) if matches!(message.status(), Some(200..=299)) => {
                    self.described(&message.headers, &message.body);
                }
                None if self.framer.is_lost() => {
                    self.leave(SessionEnd::NotRtsp { what: "it answers with something else" });
                }
                _ => self.leave(SessionEnd::Silent { asked: ClientRequest::Describe }),
            },
            asked => self.leave(SessionEnd::Silent { asked }),
        }
    }

    fn event(&mut self, event: ClientEvent) {
        self.steps.push_back(ClientStep::Event(event));
    }

    fn connect(&mut self) {
        self.framer.clear();
        self.event(ClientEvent::Connect { port: self.port });
    }

    fn connected(&mut self, now: BootTime) {
        self.framer.clear();
        match self.waiting.take() {
            Some(waiting) => self.send(now, waiting),
            // It closed the last one behind its description.
            None if !self.plan.base.is_empty() => {}
            None if self.skips_options => self.describe(now),
            None => {
                let uri = self.url.to_string();
                self.ask(now, ClientRequest::Options, "OPTIONS", uri, Vec::new());
            }
        }
    }

    /// Cameras close after a 401, after a redirect, after any answer, or at a question that they do
    /// not know.
    fn disconnected(&mut self) {
        if self.gathering.is_some() && self.reconnects < CLIENT_RECONNECTS_MAX {
            self.gathered();
            let behind = std::mem::take(&mut self.steps);
            if self.phase != Phase::Over {
                self.reconnects += 1;
                self.connect();
            }
            return self.steps.extend(behind);
        }
        let Some(waiting) = &self.waiting else {
            return self.end(SessionEnd::Closed { asked: ClientRequest::Media });
        };
        let asked = waiting.asked;
        let again = match asked {
            ClientRequest::Options => true,
            ClientRequest::Describe => {
                waiting.retries > 0 || self.redirects > 0 || !self.skips_options
            }
            _ => false,
        };
        if !again || self.reconnects == CLIENT_RECONNECTS_MAX {
            return self.end(SessionEnd::Closed { asked });
        }
        self.reconnects += 1;
        if asked == ClientRequest::Options && waiting.retries == 0 {
            self.waiting = None;
        }
        self.skips_options = true;
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
        let session = self.plan.session.clone();
        self.ask_about(now, asked, method, (session, uri), own);
    }

    fn ask_about(
        &mut self,
        now: BootTime,
        asked: ClientRequest,
        method: &'static str,
        subject: Subject,
        own: Vec<(&'static str, String)>,
    ) {
        let waiting = Waiting { asked, method, subject, own, cseq: 0, until: now, retries: 0 };
        self.send(now, waiting);
    }

    fn send(&mut self, now: BootTime, mut waiting: Waiting) {
        let most = match waiting.asked {
            ClientRequest::Options => self.config.answer_time.min(CLIENT_OPTIONS_TIME_MAX),
            _ => self.config.answer_time,
        };
        waiting.until = now.after(most);
        let (session, uri) = &waiting.subject;
        waiting.cseq = self.say(waiting.method, uri, session.as_deref(), &waiting.own);
        self.waiting = Some(waiting);
    }

    /// Sends a request and says its number.
    fn say(
        &mut self,
        method: &str,
        uri: &str,
        session: Option<&str>,
        own: &[(&'static str, String)],
    ) -> u32 {
        self.cseq = self.cseq.wrapping_add(1);
        let uri = &*request::sayable(uri);
        let authorization = self.authorization(method, uri);
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, &value[..])).collect();
        let bytes =
            request::request(method, uri, self.cseq, authorization.as_deref(), session, &own);
        self.steps.push_back(ClientStep::Send(bytes));
        self.cseq
    }

    fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let (username, password) = self.config.credentials.as_ref()?;
        let challenge = self.login.challenge.as_ref()?;
        self.login.uses += 1;
        let cnonce = request::unguessable(self.config.seed, self.cseq);
        let count = (self.login.uses, cnonce.as_str());
        Some(challenge.answer((username, password), (method, uri), count))
    }

    fn describe(&mut self, now: BootTime) {
        let accept = vec![("Accept", "application/sdp".to_owned())];
        let uri = self.url.to_string();
        self.ask(now, ClientRequest::Describe, "DESCRIBE", uri, accept);
    }

    fn answered(&mut self, now: BootTime, message: Message) {
        let status = message.status().unwrap_or(0);
        if self.phase == Phase::Playing {
            return self.kept_alive(now, status, &message);
        }
        let cseq = message.cseq();
        let is_of_options = cseq.is_none() && message.headers.get("Public").is_some();
        let is_late = self.given_up.is_some() && (cseq == self.given_up || is_of_options);
        // Some count wrongly or not at all, so whatever number it has it answers what waits.
        if is_late || (100..200).contains(&status) {
            return;
        }
        let Some(waiting) = self.waiting.take() else { return };
        match (status, waiting.asked) {
            (401, _) => self.authenticate(now, waiting, &message),
            (300..=399, _) => self.redirected(now, &message),
            (200..=299, ClientRequest::Options) => {
                let public = message.headers.get("Public").or_else(|| message.headers.get("Allow"));
                self.public = public.unwrap_or_default().to_ascii_uppercase();
                self.describe(now);
            }
            (_, ClientRequest::Options) => self.describe(now),
            (200..=299, ClientRequest::Describe) => self.description_came(now, message),
            (200..=299, ClientRequest::SetUp) => self.set_up(now, waiting.subject.1, &message),
            (200..=299, ClientRequest::Play) => self.played(now),
            (_, ClientRequest::SetUp) => self.not_set_up(now, status),
            (400 | 404..=599, ClientRequest::Play) => self.not_played(now, status),
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
        // Another nonce, or another scheme than the one that was answered.
        let is_other =
            self.login.challenge.as_ref().is_none_or(|answered| challenge.may_follow(answered));
        if waiting.retries > 0 && !(is_other && waiting.retries < 3) {
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
        match answer::location(&self.url, told, self.peer) {
            Ok(url) => {
                let port = self.config.carrier.redirected_port(&url, self.port);
                self.url = url;
                self.plan = Plan::default();
                if port == self.port {
                    return self.describe(now);
                }
                self.port = port;
                self.skips_options = true;
                self.connect();
            }
            Err(Some(address)) => self.leave(SessionEnd::Elsewhere { address }),
            Err(None) => self.leave(SessionEnd::RedirectedInCircles),
        }
    }

    /// A request of the camera.
    fn asked(&mut self, message: &Message) {
        if message.start.starts_with("HTTP/") {
            return self.leave(SessionEnd::NotRtsp { what: "it answers with HTTP" });
        }
        let (bytes, wanted) = request::reply(message, self.plan.session.as_deref());
        self.steps.push_back(ClientStep::Send(bytes));
        match wanted {
            CameraRequest::Nothing => {}
            CameraRequest::End => self.end(SessionEnd::TornDown),
            CameraRequest::Elsewhere => {
                let told = message.headers.get("Location").unwrap_or_default();
                match answer::location(&self.url, told, self.peer) {
                    Err(Some(address)) => self.leave(SessionEnd::Elsewhere { address }),
                    // The next session begins where this one did.
                    _ => self.leave(SessionEnd::TornDown),
                }
            }
        }
    }

    /// Says goodbye if anything is set up, and ends.
    fn leave(&mut self, why: SessionEnd) {
        if self.plan.session.is_some() || !self.plan.tracks.is_empty() {
            for (session, uri) in self.subjects() {
                self.say("TEARDOWN", &uri, session.as_deref(), &[]);
            }
        }
        self.end(why);
    }

    fn end(&mut self, why: SessionEnd) {
        self.phase = Phase::Over;
        (self.waiting, self.alive.next, self.gathering) = (None, None, None);
        self.framer.clear();
        self.event(ClientEvent::Ended(why));
    }
}
