//! One RTSP connection in virtual time, with a driver that answers what the session asks.
//!
//! Checks continuously what holds for every peer: the session comes to rest, sends whole messages,
//! sends nothing after it closed, and holds a bounded amount.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use holdfast::base::held::held_bytes;
use holdfast::base::time::{BootTime, WallTime};
use holdfast::media::TrackId;
use holdfast::wire::rtsp::{
    Channel, Channels, Command, Details, Event, Group, Medium, PlayOptions, Refusal, Route, Routed,
    Session, Start, StartPoint, Step,
};

use super::media::tracks;

/// What a connection reads at once.
const READ_BYTES: usize = 16 << 10;
/// What a session may hold: its input, twice while it grows, a reply and a transcript.
const HELD_BYTES_MAX: i64 = 1 << 20;
/// The longest thing that is said: RTP-Info repeats the URL for each track.
const SAID_BYTES_MAX: usize = 64 << 10;
/// Steps after which the session is taken for one that never rests.
const STEPS_MAX: usize = 100_000;

/// One connection.
#[allow(clippy::struct_excessive_bools)] // four things that are or are not
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) now: BootTime,
    /// Whether questions are answered at once.
    pub(crate) answers: bool,
    /// The question that waits for its answer.
    pub(crate) asked: Option<Event>,
    /// What the session does not want yet.
    socket: VecDeque<u8>,
    /// What it said, if `keeps`.
    pub(crate) said: Vec<u8>,
    pub(crate) said_count: usize,
    /// Its events, if `keeps`.
    pub(crate) events: Vec<Event>,
    keeps: bool,
    pub(crate) closed: bool,
    records: bool,
    held_before: i64,
}

/// `gate` is the first channel, and `yard`, which is not there, the second.
#[derive(Debug)]
struct Yard;

impl Channels for Yard {
    fn stream(&self, channel: Channel) -> Option<String> {
        match (channel.number, channel.sub) {
            (1, false) => Some("gate".to_owned()),
            (2, false) => Some("yard".to_owned()),
            _ => None,
        }
    }
}

pub(crate) const WALL: WallTime = WallTime::from_unix_nanos(1_795_363_523_480_000_000);

impl Peer {
    /// A connection whose session is `shape`d.
    pub(crate) fn new(shape: impl FnOnce(Session) -> Session) -> Self {
        // What is made once is not the session's.
        drop(tracks());
        let held_before = held_bytes();
        let now = BootTime::from_millis(1_000);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
        Self {
            session: shape(
                Session::new(now, WALL, address, 42).with_channels(std::sync::Arc::new(Yard)),
            ),
            now,
            answers: true,
            asked: None,
            socket: VecDeque::new(),
            said: Vec::new(),
            said_count: 0,
            events: Vec::new(),
            keeps: true,
            closed: false,
            records: false,
            held_before,
        }
    }

    /// The same, which forgets its messages and events, so that its memory can be compared.
    pub(crate) fn forgetful(self) -> Self {
        Self { keeps: false, ..self }
    }

    /// Bytes that come.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(READ_BYTES) {
            self.socket.extend(piece);
            self.go_on();
        }
    }

    /// Reads on and comes to rest.
    pub(crate) fn go_on(&mut self) {
        self.settle();
        while self.session.wants_bytes() && !self.socket.is_empty() {
            let end = self.socket.len().min(READ_BYTES);
            let piece: Vec<u8> = self.socket.drain(..end).collect();
            self.session.receive(self.now, &piece);
            self.settle();
        }
        if self.closed {
            self.socket.clear();
        }
        let stuck = !self.session.wants_bytes() && self.asked.is_none() && !self.closed;
        assert!(!stuck, "it reads no more and waits for nobody");
    }

    fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            match self.session.poll(self.now) {
                Step::Send(bytes) => self.hear(&bytes),
                Step::Event(event) => self.on(event),
                Step::Wait { until } => {
                    assert!(until.is_none_or(|until| until > self.now), "it waits for the past");
                    return self.check_held();
                }
            }
        }
        panic!("the session never rests");
    }

    fn check_held(&self) {
        if !self.keeps {
            let own = i64::try_from(self.socket.capacity()).unwrap();
            let held = held_bytes() - self.held_before - own;
            assert!(held <= HELD_BYTES_MAX, "it holds {held} bytes");
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        assert!(!self.closed, "it goes on after it closed");
        assert!(bytes.len() <= SAID_BYTES_MAX, "it says {} bytes at once", bytes.len());
        check_message(bytes);
        self.said_count += 1;
        if self.keeps {
            self.said.extend_from_slice(bytes);
        }
    }

    fn on(&mut self, event: Event) {
        assert!(!self.closed, "it goes on after it closed");
        assert!(self.asked.is_none(), "it asks on while a question waits");
        match &event {
            Event::Close { .. } => self.closed = true,
            Event::Ended | Event::Pause => self.records = false,
            Event::Media { medium, packet, .. } => {
                assert!(self.records, "nobody records");
                assert!(packet.len() <= 65_535 && matches!(medium, Medium::Rtp | Medium::Rtcp));
            }
            Event::Play { routes, .. } | Event::Record { routes, .. } => check_routes(routes),
            Event::SetUp { route, .. } => check_route(*route),
            Event::SetUpRecord { route, .. } => {
                check_route(*route);
                assert!(*route != Route::Multicast, "nobody publishes to a group");
            }
            _ => {}
        }
        if answer(&event).is_some() {
            self.asked = Some(event.clone());
        }
        if self.keeps {
            self.events.push(event);
        }
        if self.answers {
            self.answer();
        }
    }

    /// Answers the question that waits, as a driver does that has the stream `gate`.
    pub(crate) fn answer(&mut self) {
        if let Some(answer) = self.asked.take().as_ref().and_then(answer) {
            self.records |= matches!(answer, Command::Recording);
            self.session.command(self.now, answer);
        }
    }

    /// Refuses it.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        if self.asked.take().is_some() {
            self.session.command(self.now, Command::Refuse(refusal));
        }
    }
}

/// What the driver says to a question; `None` when it is not a question.
fn answer(event: &Event) -> Option<Command> {
    let start = |routed: &Routed| Start { track: routed.track, sequence: 65_535, timestamp: 9 };
    Some(match event {
        Event::Describe { stream, .. }
        | Event::DescribePast { stream, .. }
        | Event::Announce { stream, .. }
            if stream != "gate" =>
        {
            Command::Refuse(Refusal::NoStream)
        }
        Event::Describe { multicast, .. } => {
            let group = Group { address: Ipv4Addr::new(239, 0, 0, 7), port: 7_000, ttl: 1 };
            let groups = (0..2).map(|track| (TrackId(track), group)).filter(|_| *multicast);
            let details = Details { rates: vec![(TrackId(0), 2_000)], groups: groups.collect() };
            Command::Described { tracks: tracks(), details }
        }
        Event::DescribePast { span, .. } => {
            Command::DescribedPast { tracks: tracks(), span: *span }
        }
        Event::SetUp { target, route } => match (target.track, route) {
            (None, _) => Command::Refuse(Refusal::WhichTrack),
            (Some(TrackId(2..)), _) => Command::Refuse(Refusal::NoTrack),
            (Some(track), Route::Multicast) => {
                let group = Group { address: Ipv4Addr::new(239, 0, 0, 7), port: 7_000, ttl: 1 };
                Command::SetUpGroup { track, group }
            }
            (Some(track), _) => set_up(track, *route),
        },
        Event::SetUpRecord { track, route } => set_up(*track, *route),
        Event::Play {
            routes,
            options: PlayOptions { start: StartPoint::Past(span), scale, .. },
            ..
        } => {
            let starts = routes.iter().map(start).collect();
            Command::Replaying { starts, span: *span, scale: *scale }
        }
        Event::Play { routes, .. } => {
            Command::Playing { starts: routes.iter().map(start).collect(), wall: Some(WALL) }
        }
        Event::Announce { .. } => Command::Announced,
        Event::Record { .. } => Command::Recording,
        _ => return None,
    })
}

fn set_up(track: TrackId, route: Route) -> Command {
    let server_port = matches!(route, Route::Udp { .. }).then_some((6_000, 6_001));
    Command::SetUp { track, ssrc: 0xab, server_port }
}

/// Each track once, and no channel for two.
fn check_routes(routes: &[Routed]) {
    assert!(!routes.is_empty(), "nothing goes anywhere");
    let mut channels = Vec::new();
    for (at, routed) in routes.iter().enumerate() {
        check_route(routed.route);
        assert!(routes[..at].iter().all(|other| other.track != routed.track), "a track twice");
        if let Route::Tcp { rtp, rtcp } = routed.route {
            channels.extend([rtp, rtcp]);
        }
    }
    let count = channels.len();
    channels.sort_unstable();
    channels.dedup();
    assert_eq!(channels.len(), count, "a channel twice");
}

/// No peer may aim us at a system's service.
fn check_route(route: Route) {
    if let Route::Udp { rtp, rtcp } = route {
        assert!(rtp >= 1_024 && rtcp >= 1_024, "ports {rtp} and {rtcp}");
    }
}

/// One whole message: lines that end in CRLF, nothing in them that could be taken for an end, and a
/// body of the announced length.
fn check_message(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { panic!("no end: {text}") };
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    assert!(start.starts_with("RTSP/1.0 ") || start.ends_with(" RTSP/1.0"), "{start}");
    let mut told = 0;
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
        assert!(!line.contains(|c: char| c < ' ' && c != '\t'), "control characters: {line:?}");
        if name.eq_ignore_ascii_case("content-length") {
            told = value.trim().parse().unwrap();
        }
    }
    assert_eq!(body.len(), told, "another length than told: {text}");
}
