//! Our client and our server, each the other's peer, in virtual time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::proptest;
use rtsp_types::Url;

use super::auth::{Account, Algorithm, Authorizer, REALM, Rules, Scope};
use super::client::{
    Carrier, ClientCommand, ClientConfig, ClientEvent, ClientRequest, ClientSession, ClientStep,
    ClientTransport, Path, SessionEnd,
};
use super::{Command, Details, Event, Group, Medium, Refusal, Route, Session, Start, Step};
use crate::base::secret::Secret;
use crate::base::time::{BootTime, WallTime};
use crate::media::{CodecParams, RunId, TrackId, Tracks};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// What is lost of what is said: by the client (`true`) or to it.
type Loss = fn(by_client: bool, text: &str) -> bool;

/// Both ends and what is between them.
struct Pair {
    now: BootTime,
    client: ClientSession,
    server: Session,
    /// How a connection begins at the server.
    accept: fn(BootTime) -> Session,
    loses: Loss,
    /// Where DESCRIBE of `moved` leads.
    elsewhere: &'static str,
    heard: Vec<ClientEvent>,
    done: Vec<Event>,
    /// First lines of what the client said.
    said: Vec<String>,
    /// Whether the server still has the connection.
    open: bool,
}

fn tracks() -> Arc<Tracks> {
    let sps = [0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    let video = CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]).unwrap();
    let rate = std::num::NonZeroU32::new(8_000).unwrap();
    let audio = CodecParams::g711(crate::media::codec::Law::A, rate, 1);
    Arc::new(Tracks::new(RunId(3), [Arc::new(video), Arc::new(audio)]))
}

fn plain(now: BootTime) -> Session {
    Session::new(now, WallTime::from_unix_nanos(1_795_363_523_480_000_000), PEER, 42)
}

fn with_account(now: BootTime, with_sha: bool) -> Session {
    let secret = Secret::new("seven");
    let ha1 = |algorithm: Algorithm| algorithm.ha1("nvr", REALM, &secret);
    let account = Account {
        ha1_sha256: with_sha.then(|| ha1(Algorithm::Sha256)),
        ..Account::new(ha1(Algorithm::Md5), Scope::All, Scope::none())
    };
    let rules = Rules::new([("nvr".to_owned(), account)].into(), false);
    plain(now).authorized_by(Arc::new(Authorizer::new(&[7; 32], rules)))
}

fn config(transports: &[ClientTransport], path: &str) -> ClientConfig {
    ClientConfig {
        url: Url::parse(&format!("rtsp://10.0.0.7/{path}")).unwrap(),
        credentials: Some(("nvr".to_owned(), Secret::new("seven"))),
        carrier: Carrier::Direct,
        transports: transports.to_vec(),
        answer_time: Duration::from_secs(10),
        seed: 7,
    }
}

fn group(track: u8) -> Group {
    Group { address: Ipv4Addr::new(239, 0, 0, 7), port: 7_000 + u16::from(track) * 2, ttl: 1 }
}

impl Pair {
    fn new(accept: fn(BootTime) -> Session, config: ClientConfig) -> Self {
        let now = BootTime::from_millis(1_000);
        Self {
            now,
            client: ClientSession::new(now, config),
            server: accept(now),
            accept,
            loses: |_, _| false,
            elsewhere: "rtsp://10.0.0.7/gate",
            heard: Vec::new(),
            done: Vec::new(),
            said: Vec::new(),
            open: false,
        }
    }

    /// Lets both go on until they wait for time to pass.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !(self.client_goes_on() | self.server_goes_on()) {
                return;
            }
        }
        panic!("they never rest: {:?}", self.said);
    }

    fn client_goes_on(&mut self) -> bool {
        let event = match self.client.poll(self.now) {
            ClientStep::Wait { .. } => return false,
            ClientStep::Send(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.said.push(text.lines().next().unwrap_or_default().to_owned());
                if self.open && !(self.loses)(true, &text) {
                    self.server.receive(self.now, &bytes);
                }
                return true;
            }
            ClientStep::Event(event) => event,
        };
        let answer = match &event {
            ClientEvent::Connect { .. } => {
                (self.server, self.open) = ((self.accept)(self.now), true);
                Some(ClientCommand::Connected)
            }
            ClientEvent::Described(told) => {
                Some(ClientCommand::SetUp((0..told.media.len()).collect()))
            }
            ClientEvent::OpenPorts { medium } => {
                let port = 5_000 + u16::try_from(*medium).unwrap() * 2;
                Some(ClientCommand::Ports(Some((port, port + 1))))
            }
            _ => None,
        };
        self.heard.push(event);
        if let Some(answer) = answer {
            self.client.command(self.now, answer);
        }
        true
    }

    fn server_goes_on(&mut self) -> bool {
        if !self.open {
            return false;
        }
        match self.server.poll(self.now) {
            Step::Wait { .. } => return false,
            Step::Send(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if !(self.loses)(false, &text) {
                    self.client.receive(&bytes);
                }
            }
            Step::Event(Event::Close { .. }) => {
                self.open = false;
                self.client.command(self.now, ClientCommand::Disconnected);
            }
            Step::Event(event) => {
                let answer = self.answer(&event);
                self.done.push(event);
                if let Some(answer) = answer {
                    self.server.command(self.now, answer);
                }
            }
        }
        true
    }

    /// What the driver of a server with the stream `gate` answers.
    fn answer(&self, event: &Event) -> Option<Command> {
        let (tracks, details) = (tracks(), Details::default());
        Some(match event {
            Event::Describe { stream, .. } if stream == "gate" => {
                Command::Described { tracks, details }
            }
            Event::Describe { stream, .. } if stream == "moved" => {
                Command::Refuse(Refusal::Elsewhere(self.elsewhere.to_owned()))
            }
            Event::Describe { .. } => Command::Refuse(Refusal::NoStream),
            Event::SetUp { target, route } => {
                let track = target.track?;
                match route {
                    Route::Multicast => Command::SetUpGroup { track, group: group(track.0) },
                    Route::Udp { .. } => {
                        Command::SetUp { track, ssrc: 9, server_port: Some((6_000, 6_001)) }
                    }
                    Route::Tcp { .. } => Command::SetUp { track, ssrc: 9, server_port: None },
                }
            }
            Event::Play { .. } => {
                let start = |track| Start { track: TrackId(track), sequence: 7, timestamp: 9 };
                Command::Playing { starts: vec![start(0), start(1)], wall: None }
            }
            _ => return None,
        })
    }

    fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now = self.now.after(Duration::from_secs(1));
            self.settle();
        }
    }

    /// The server sends a packet inside the connection.
    fn send(&mut self, channel: u8, packet: &[u8]) {
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        self.client.receive(&[&[b'$', channel][..], &length, packet].concat());
        self.settle();
    }

    fn paths(&self) -> Vec<Path> {
        let paths = self.heard.iter().filter_map(|event| match event {
            ClientEvent::SetUp { path, .. } => Some(*path),
            _ => None,
        });
        paths.collect()
    }

    fn ended(&self) -> Option<&SessionEnd> {
        self.heard.iter().find_map(|event| match event {
            ClientEvent::Ended(why) => Some(why),
            _ => None,
        })
    }

    fn plays(&self) -> bool {
        self.heard.contains(&ClientEvent::Playing) && self.ended().is_none()
    }

    fn methods(&self) -> Vec<&str> {
        self.said.iter().map(|line| line.split(' ').next().unwrap()).collect()
    }
}

/// A pair that plays `gate` by the first of `transports` that the server has.
fn playing(accept: fn(BootTime) -> Session, transports: &[ClientTransport]) -> Pair {
    let mut pair = Pair::new(accept, config(transports, "gate"));
    pair.settle();
    assert!(pair.plays(), "{:?} {:?}", pair.said, pair.heard);
    pair
}

const AUTO: [ClientTransport; 3] =
    [ClientTransport::Tcp, ClientTransport::Udp, ClientTransport::Multicast];

#[test]
fn each_transport_is_agreed_on() {
    let pair = playing(plain, &AUTO);
    assert_eq!(pair.methods(), ["OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY"]);
    assert_eq!(pair.paths(), [Path::Tcp { rtcp: 1 }, Path::Tcp { rtcp: 3 }]);
    let pair = playing(plain, &[ClientTransport::Udp]);
    let udp = Path::Udp { server_port: Some((6_000, 6_001)) };
    assert_eq!(pair.paths(), [udp, udp]);
    let with_groups = |now| plain(now).with_multicast(true);
    let pair = playing(with_groups, &[ClientTransport::Multicast]);
    let at = |track| Path::Multicast { group: group(track).address, port: group(track).port };
    assert_eq!(pair.paths(), [at(0), at(1)]);
}

#[test]
fn a_transport_that_the_server_refuses_leads_to_the_next_one() {
    // No groups here.
    let pair = playing(plain, &[ClientTransport::Multicast, ClientTransport::Udp]);
    assert_eq!(pair.methods().iter().filter(|method| **method == "SETUP").count(), 3);
    // No datagrams beside TLS.
    let secured = |now| plain(now).secured(true);
    let pair = playing(secured, &[ClientTransport::Udp, ClientTransport::Tcp]);
    assert_eq!(pair.paths().len(), 2);
    let mut pair = Pair::new(secured, config(&[ClientTransport::Udp], "gate"));
    pair.settle();
    assert_eq!(pair.ended(), Some(&SessionEnd::NoTransport));
}

#[test]
fn a_password_is_proved_by_either_digest_and_a_stale_nonce_costs_nothing() {
    for accept in
        [(|now| with_account(now, false)) as fn(BootTime) -> Session, |now| with_account(now, true)]
    {
        let mut pair = playing(accept, &AUTO);
        assert_eq!(pair.server.user().map(|user| &**user), Some("nvr"));
        // Longer than any nonce lasts.
        pair.pass(7_500);
        assert!(pair.plays() && pair.open, "{:?} {:?}", pair.ended(), pair.said.last());
    }
    let wrong = Some(("nvr".to_owned(), Secret::new("wrong")));
    for (credentials, why) in
        [(wrong, SessionEnd::CredentialsRefused), (None, SessionEnd::CredentialsMissing)]
    {
        let config = ClientConfig { credentials, ..config(&AUTO, "gate") };
        let mut pair = Pair::new(|now| with_account(now, true), config);
        pair.settle();
        assert_eq!(pair.ended(), Some(&why));
    }
}

#[test]
fn a_redirect_on_the_same_host_is_followed_and_another_told() {
    let mut pair = Pair::new(plain, config(&AUTO, "moved"));
    pair.settle();
    assert!(pair.plays(), "{:?}", pair.said);
    let mut pair = Pair::new(plain, config(&AUTO, "moved"));
    pair.elsewhere = "rtsp://10.0.0.7:8554/gate";
    pair.settle();
    assert!(pair.plays() && pair.heard.contains(&ClientEvent::Connect { port: 8_554 }));
    let mut pair = Pair::new(plain, config(&AUTO, "moved"));
    pair.elsewhere = "rtsp://10.0.0.7/moved";
    pair.settle();
    assert_eq!(pair.ended(), Some(&SessionEnd::RedirectedInCircles));
    // One that comes in the middle.
    let mut pair = playing(plain, &AUTO);
    pair.server.command(pair.now, Command::Redirect { url: "rtsp://10.0.0.9:99/gate".to_owned() });
    pair.settle();
    let address = "10.0.0.9:99".to_owned();
    assert_eq!(pair.ended(), Some(&SessionEnd::Elsewhere { address }));
}

#[test]
fn a_stream_that_is_not_there_is_told() {
    let mut pair = Pair::new(plain, config(&AUTO, "none"));
    pair.settle();
    let why = SessionEnd::Status { asked: ClientRequest::Describe, status: 404 };
    assert_eq!(pair.ended(), Some(&why));
}

#[test]
fn keepalives_keep_the_session_for_hours_and_without_them_it_ends() {
    for timeout in [10, 60, 600] {
        let accept = match timeout {
            10 => |now| plain(now).with_timeout(Duration::from_secs(10)),
            60 => plain as fn(BootTime) -> Session,
            _ => |now| plain(now).with_timeout(Duration::from_secs(600)),
        };
        let mut pair = playing(accept, &[ClientTransport::Udp]);
        pair.pass(3_600);
        assert!(pair.plays() && pair.open, "with a timeout of {timeout} s");
        pair.loses = |by_client, _| by_client;
        pair.pass(timeout + 60);
        assert!(!pair.open, "a silent peer of {timeout} s stays");
    }
}

#[test]
fn lost_answers_end_nothing_while_media_flows_and_say_what_was_asked_before() {
    // Nothing that is answered to a keepalive arrives; the next way is tried.
    let mut pair = playing(plain, &AUTO);
    pair.loses = |by_client, _| !by_client;
    pair.pass(600);
    assert!(pair.plays() && pair.open);
    assert!(pair.methods().contains(&"GET_PARAMETER"));
    let mut pair = Pair::new(plain, config(&AUTO, "gate"));
    pair.loses = |by_client, text| !by_client && text.contains("Transport: ");
    pair.pass(30);
    assert_eq!(pair.ended(), Some(&SessionEnd::Silent { asked: ClientRequest::SetUp }));
    // A camera that never answers OPTIONS may answer the rest.
    let mut pair = Pair::new(plain, config(&AUTO, "gate"));
    pair.loses = |by_client, text| by_client && text.starts_with("OPTIONS");
    pair.pass(30);
    assert!(pair.plays(), "{:?}", pair.said);
    // The answer to PLAY is lost, and media comes.
    let mut pair = Pair::new(plain, config(&AUTO, "gate"));
    pair.loses = |by_client, text| !by_client && text.contains("RTP-Info");
    pair.settle();
    pair.send(0, &[0x80, 96, 0, 7, 0, 0, 0, 9, 0, 0, 0, 9, 0x65]);
    pair.pass(11);
    assert!(pair.plays(), "{:?}", pair.ended());
}

#[test]
fn media_and_reports_reach_their_tracks() {
    let mut pair = playing(plain, &AUTO);
    for (channel, packet) in [(0, [0x80, 96]), (2, [0x80, 8]), (3, [0x80, 200]), (1, [0x80, 200])] {
        pair.send(channel, &packet);
    }
    let media = pair.heard.iter().filter_map(|event| match event {
        ClientEvent::Media { medium, kind, .. } => Some((*medium, *kind)),
        _ => None,
    });
    let wanted = [(0, Medium::Rtp), (1, Medium::Rtp), (1, Medium::Rtcp), (0, Medium::Rtcp)];
    assert_eq!(media.collect::<Vec<_>>(), wanted);
    // A receiver report is a sign of life.
    pair.loses = |by_client, text| by_client && !text.starts_with('$');
    for _ in 0..20 {
        pair.pass(5);
        let packet = bytes::Bytes::from_static(&[0x80, 201, 0, 1, 0, 0, 0, 1]);
        pair.client.command(pair.now, ClientCommand::Report { channel: 1, packet });
        pair.settle();
    }
    assert!(pair.open && pair.plays());
}

#[test]
fn who_leaves_says_so_and_who_is_cut_off_is_told() {
    let mut pair = playing(plain, &AUTO);
    pair.client.command(pair.now, ClientCommand::Leave);
    pair.settle();
    assert_eq!(pair.methods().last(), Some(&"TEARDOWN"));
    assert!(pair.done.contains(&Event::Ended));
    assert_eq!(pair.ended(), Some(&SessionEnd::Left));
    let mut pair = playing(plain, &AUTO);
    pair.client.command(pair.now, ClientCommand::Disconnected);
    pair.settle();
    assert_eq!(pair.ended(), Some(&SessionEnd::Closed { asked: ClientRequest::Media }));
}

proptest! {
    #[test]
    fn whatever_the_server_says_in_pieces_is_understood_as_in_one(cuts: Vec<u8>) {
        let mut whole = playing(plain, &AUTO);
        whole.settle();
        let mut client = ClientSession::new(whole.now, config(&AUTO, "gate"));
        // The same dialogue by hand, each answer cut where `cuts` says.
        let mut server = plain(whole.now);
        let (mut events, mut cuts) = (Vec::new(), cuts.into_iter());
        for _ in 0..1_000 {
            let (one, other) = (client.poll(whole.now), server.poll(whole.now));
            if let (ClientStep::Wait { .. }, Step::Wait { .. }) = (&one, &other) {
                break;
            }
            match one {
                ClientStep::Send(bytes) => server.receive(whole.now, &bytes),
                ClientStep::Event(event) => {
                    match &event {
                        ClientEvent::Connect { .. } => client.command(whole.now, ClientCommand::Connected),
                        ClientEvent::Described(told) => {
                            let media = (0..told.media.len()).collect();
                            client.command(whole.now, ClientCommand::SetUp(media));
                        }
                        _ => {}
                    }
                    events.push(event);
                }
                ClientStep::Wait { .. } => {}
            }
            match other {
                Step::Send(bytes) => {
                    let cut = usize::from(cuts.next().unwrap_or(0)).min(bytes.len());
                    client.receive(&bytes[..cut]);
                    client.receive(&bytes[cut..]);
                }
                Step::Event(event) => {
                    if let Some(answer) = whole.answer(&event) {
                        server.command(whole.now, answer);
                    }
                }
                Step::Wait { .. } => {}
            }
        }
        assert_eq!(events, whole.heard);
    }
}
