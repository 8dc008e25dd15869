//! Whole conversations with a session, in virtual time.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::channel::Channel;
use super::*;
use crate::base::limits::{
    RTSP_IDLE_TIME_MAX, RTSP_PUBLISH_SILENCE_MAX, RTSP_REQUEST_TIME_MAX, RTSP_SESSION_TIMEOUT,
};
use crate::media::{CodecParams, RunId};
use crate::media::{TrackId, Tracks};
use crate::wire::rtsp::live::Medium;
use crate::wire::rtsp::message::Start;
use crate::wire::rtsp::play_options::PlayOptions;
use crate::wire::rtsp::range::Span;
use crate::wire::rtsp::refusal::Refusal;
use crate::wire::rtsp::sdp::Details;
use crate::wire::rtsp::transport::{Group, Route};
use bytes::Bytes;

mod accounts;
mod dialects;
mod octets;
mod past;
mod publish;
mod rfc2326;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// A session and the driver around it: one stream `gate` of H.264 and A-law, which is the first
/// channel too, UDP ports 6000; it may also be published.
struct Bench {
    session: Session,
    now: BootTime,
    events: Vec<Event>,
    /// Whether DESCRIBE, SETUP and PLAY are answered by themselves.
    answers: bool,
}

fn tracks() -> Arc<Tracks> {
    let sps = [0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    let video = CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]).unwrap();
    let rate = std::num::NonZeroU32::new(8_000).unwrap();
    let audio = CodecParams::g711(crate::media::codec::Law::A, rate, 1);
    Arc::new(Tracks::new(RunId(3), [Arc::new(video), Arc::new(audio)]))
}

impl Bench {
    fn new() -> Self {
        let now = BootTime::from_millis(1_000);
        let wall = WallTime::from_unix_nanos(1_795_363_523_480_000_000);
        let session = Session::new(now, wall, PEER, 42).with_channels(Arc::new(Yard));
        Self { session, now, events: Vec::new(), answers: true }
    }

    /// Gives bytes and returns everything that was sent.
    fn say(&mut self, bytes: &[u8]) -> String {
        let mut sent = String::new();
        for chunk in bytes.chunks(60_000) {
            if self.session.wants_bytes() {
                self.session.receive(self.now, chunk);
            }
            sent += &self.drain();
        }
        sent
    }

    fn drain(&mut self) -> String {
        let mut sent = Vec::new();
        for _ in 0..100_000 {
            match self.session.poll(self.now) {
                Step::Send(bytes) => sent.extend_from_slice(&bytes),
                Step::Event(event) => {
                    self.events.push(event.clone());
                    if let (true, Some(answer)) = (self.answers, answer(&event)) {
                        self.session.command(self.now, answer);
                    }
                }
                Step::Wait { .. } => return String::from_utf8(sent).unwrap(),
            }
        }
        panic!("the session never waits");
    }

    /// Sends one request and returns its reply.
    fn ask(&mut self, method: &str, url: &str, headers: &str) -> String {
        self.say(format!("{method} {url} RTSP/1.0\r\nCSeq: 7\r\n{headers}\r\n").as_bytes())
    }

    fn later(&mut self, by: Duration) -> String {
        self.now = self.now.after(by);
        self.drain()
    }

    fn is_closed(&self) -> bool {
        matches!(self.events.last(), Some(Event::Close { .. }))
    }

    /// Sets up both tracks over TCP and plays; returns the session id.
    fn play(&mut self) -> String {
        let reply = self.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
        let id = header(&reply, "Session").split(';').next().unwrap().to_owned();
        self.ask("SETUP", "rtsp://h/gate/trackID=1", TCP);
        self.ask("PLAY", "rtsp://h/gate/", "");
        id
    }
}

const TCP: &str = "Transport: RTP/AVP/TCP;unicast\r\n";
const UDP: &str = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";

/// `gate` is the first channel, and `yard`, which is not there, the second.
#[derive(Debug)]
struct Yard;

impl Channels for Yard {
    fn stream(&self, channel: Channel) -> Option<String> {
        let names = ["gate", "yard"];
        let at = usize::try_from(channel.number).ok()?.checked_sub(1)?;
        names.get(at).filter(|_| !channel.sub).map(|name| (*name).to_owned())
    }
}

/// As they were measured, but for the sound's.
fn details(multicast: bool) -> Details {
    let group = |track, port| {
        (TrackId(track), Group { address: Ipv4Addr::new(239, 0, 0, 7), port, ttl: 1 })
    };
    let groups = if multicast { vec![group(0, 7_000), group(1, 7_002)] } else { Vec::new() };
    Details { rates: vec![(TrackId(0), 2_067)], groups }
}

fn answer(event: &Event) -> Option<Command> {
    match event {
        Event::Describe { stream, .. } | Event::Play { stream, .. } if stream != "gate" => {
            Some(Command::Refuse(Refusal::NoStream))
        }
        Event::Announce { stream, .. } => Some(match stream.as_str() {
            "gate" => Command::Announced,
            "other" => Command::Refuse(Refusal::NotPublished),
            "moved" => Command::Refuse(Refusal::Elsewhere("rtsp://h2/gate".to_owned())),
            _ => Command::Refuse(Refusal::NoStream),
        }),
        Event::SetUpRecord { track, route } => {
            let udp = matches!(route, Route::Udp { .. });
            let server_port = udp.then_some((6_000, 6_001));
            Some(Command::SetUp { track: *track, ssrc: 0, server_port })
        }
        Event::Record { .. } => Some(Command::Recording),
        Event::Describe { multicast, .. } => {
            Some(Command::Described { tracks: tracks(), details: details(*multicast) })
        }
        Event::SetUp { target, route } => Some(match target.track {
            Some(track) if *route == Route::Multicast => {
                let group = Group { address: Ipv4Addr::new(239, 0, 0, 7), port: 7_000, ttl: 1 };
                Command::SetUpGroup { track, group }
            }
            Some(track) if track.0 < 2 => {
                let udp = matches!(route, Route::Udp { .. });
                let server_port = udp.then_some((6_000, 6_001));
                Command::SetUp { track, ssrc: 0xab, server_port }
            }
            Some(_) => Command::Refuse(Refusal::NoTrack),
            None => Command::Refuse(Refusal::WhichTrack),
        }),
        Event::Play { .. } => {
            let start = |track| Start { track: TrackId(track), sequence: 65_535, timestamp: 9 };
            let wall = Some(WallTime::from_unix_nanos(1_795_363_523_480_000_000));
            Some(Command::Playing { starts: vec![start(0), start(1)], wall })
        }
        _ => None,
    }
}

fn described() -> Command {
    Command::Described { tracks: tracks(), details: Details::default() }
}

fn status(reply: &str) -> u16 {
    reply.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{reply:?}"))
}

fn statuses(replies: &str) -> Vec<u16> {
    replies.split("RTSP/1.0 ").skip(1).map(|r| r[..3].parse().unwrap()).collect()
}

fn header<'a>(reply: &'a str, name: &str) -> &'a str {
    let line = reply.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {reply}"))
}

#[test]
fn a_reader_over_tcp_gets_what_it_needs_step_by_step() {
    let mut bench = Bench::new();
    let options = bench.ask("OPTIONS", "rtsp://h/gate", "");
    assert_eq!(
        options,
        "RTSP/1.0 200 OK\r\nCSeq: 7\r\nDate: Sun, 22 Nov 2026 16:05:23 GMT\r\n\
         Public: OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, TEARDOWN, \
         GET_PARAMETER, SET_PARAMETER\r\n\
         Server: Holdfast\r\n\r\n"
    );
    let description = bench.ask("DESCRIBE", "rtsp://u:p@h/gate", "Accept: application/sdp\r\n");
    assert_eq!(header(&description, "Content-Base"), "rtsp://h/gate/");
    assert_eq!(header(&description, "Content-Type"), "application/sdp");
    let sdp = description.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(header(&description, "Content-Length"), sdp.len().to_string());
    assert_eq!(
        sdp,
        "v=0\r\no=- 3701896446237769389 3 IN IP4 0.0.0.0\r\ns=gate\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\nb=AS:2067\r\n\
         a=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1;profile-level-id=640033;\
         sprop-parameter-sets=Z2QAM6wVFKCgL/lQ,aO48sA==\r\na=control:trackID=0\r\n\
         m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:trackID=1\r\n"
    );
    let setup = bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
    assert!(header(&setup, "Session").ends_with(";timeout=60"));
    let transport = header(&setup, "Transport");
    assert_eq!(transport, "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=000000AB");
    let session = format!("Session: {}\r\n", header(&setup, "Session").split(';').next().unwrap());
    let second = bench.ask("SETUP", "rtsp://h/gate/trackID=1", &format!("{TCP}{session}"));
    assert!(header(&second, "Transport").contains("interleaved=2-3"));
    assert_eq!(header(&second, "Session"), header(&setup, "Session"));
    let play = bench.ask("PLAY", "rtsp://h/gate/", &format!("{session}Range: npt=0.000-\r\n"));
    assert_eq!(
        header(&play, "RTP-Info"),
        "url=rtsp://h/gate/trackID=0;seq=65535;rtptime=9,\
         url=rtsp://h/gate/trackID=1;seq=65535;rtptime=9"
    );
    assert_eq!(header(&play, "Range"), "npt=now-");
    assert_eq!(status(&bench.ask("TEARDOWN", "rtsp://h/gate/", &session)), 200);
    assert_eq!(bench.events.last(), Some(&Event::Ended));
}

#[test]
fn the_range_is_answered_in_the_unit_asked_for() {
    for (asked, wanted) in [
        ("", "clock=20261122T"),
        ("Range: clock=20261122T100000Z-\r\n", "clock=20261122T"),
        ("Range: npt=now-\r\n", "npt=now-"),
    ] {
        let mut bench = Bench::new();
        bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
        let play = bench.ask("PLAY", "rtsp://h/gate/", asked);
        assert!(header(&play, "Range").starts_with(wanted), "{play}");
    }
}

#[test]
fn udp_ports_and_source_are_told() {
    let mut bench = Bench::new();
    let setup = bench.ask("SETUP", "rtsp://h/gate/trackID=0", UDP);
    assert_eq!(
        header(&setup, "Transport"),
        "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;ssrc=000000AB"
    );
}

#[test]
fn a_group_is_told_and_its_members_keep_themselves_alive() {
    let mut bench = Bench::new();
    bench.session = Bench::new().session.with_multicast(true);
    let setup = bench.ask("SETUP", "rtsp://h/gate/trackID=0", "Transport: RTP/AVP;multicast\r\n");
    assert_eq!(
        header(&setup, "Transport"),
        "RTP/AVP;multicast;destination=239.0.0.7;port=7000-7001;ttl=1"
    );
    let other = bench.ask("SETUP", "rtsp://h/gate/trackID=1", TCP);
    assert!(other.starts_with("RTSP/1.0 461 "), "all tracks or none: {other}");
    let past = bench.ask("PLAY", "rtsp://h/gate", "Range: clock=20261122T170000Z-\r\n");
    assert!(past.starts_with("RTSP/1.0 457 "), "{past}");
    assert!(bench.ask("PLAY", "rtsp://h/gate", "").starts_with("RTSP/1.0 200 "));
    bench.later(RTSP_SESSION_TIMEOUT / 2);
    bench.ask("OPTIONS", "rtsp://h/gate", "");
    bench.later(RTSP_SESSION_TIMEOUT / 2);
    assert!(!bench.is_closed());
    bench.later(RTSP_SESSION_TIMEOUT);
    assert!(bench.is_closed());
}

#[test]
fn a_description_names_groups_to_those_who_ask_for_them() {
    let mut bench = Bench::new();
    let sdp = |reply: String| reply.split_once("\r\n\r\n").unwrap().1.to_owned();
    let plain = sdp(bench.ask("DESCRIBE", "rtsp://h/gate", ""));
    let asked = sdp(bench.ask("DESCRIBE", "rtsp://h/gate?multicast", ""));
    assert_eq!(asked, plain, "there are no groups");
    bench.session = Bench::new().session.with_multicast(true);
    assert_eq!(sdp(bench.ask("DESCRIBE", "rtsp://h/gate", "")), plain);
    let reply = bench.ask("DESCRIBE", "rtsp://h/gate?multicast", "");
    bench.session = Bench::new().session.with_multicast(true).secured(true);
    let secure = sdp(bench.ask("DESCRIBE", "rtsp://h/gate?multicast", ""));
    assert_eq!(secure, plain, "nothing goes beside TLS");
    assert_eq!(header(&reply, "Content-Base"), "rtsp://h/gate/");
    let told = sdp(reply);
    let sections: Vec<&str> = told.split("m=").collect();
    assert!(sections[0].contains("c=IN IP4 0.0.0.0\r\n"), "{told}");
    for (section, begin) in [
        (1, "video 7000 RTP/AVP 96\r\nc=IN IP4 239.0.0.7/1\r\nb=AS:2067\r\n"),
        (2, "audio 7002 RTP/AVP 8\r\nc=IN IP4 239.0.0.7/1\r\na=rtpmap"),
    ] {
        assert!(sections[section].starts_with(begin), "{told}");
    }
}

#[test]
fn channels_never_collide() {
    let mut bench = Bench::new();
    let same = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    let first = bench.ask("SETUP", "rtsp://h/gate/trackID=1", same);
    let second = bench.ask("SETUP", "rtsp://h/gate/trackID=0", same);
    let again = bench.ask("SETUP", "rtsp://h/gate/trackID=1", same);
    let told = [first, second, again]
        .map(|reply| header(&reply, "Transport").split(';').nth(2).unwrap().to_owned());
    assert_eq!(told, ["interleaved=0-1", "interleaved=2-3", "interleaved=0-1"]);
}

#[test]
fn what_cannot_be_had_is_refused_and_changes_nothing() {
    let mut bench = Bench::new();
    for (method, url, headers, wanted) in [
        ("DESCRIBE", "rtsp://h/none", "", 404),
        ("DESCRIBE", "*", "", 400),
        ("DESCRIBE", "rtsp://h/gate", "Accept: text/html\r\n", 406),
        ("SETUP", "rtsp://h/gate/trackID=0", "", 461),
        ("SETUP", "rtsp://h/gate/trackID=0", "Transport: RTP/AVP;client_port=80-81\r\n", 461),
        ("SETUP", "rtsp://h/gate/trackID=9", TCP, 404),
        ("SETUP", "rtsp://h/gate", TCP, 459),
        ("PLAY", "rtsp://h/gate", "", 455),
        ("PAUSE", "rtsp://h/gate", "", 455),
        ("TEARDOWN", "rtsp://h/gate", "", 455),
        ("PLAY", "rtsp://h/gate", "Session: 1234\r\n", 454),
        ("GET_PARAMETER", "rtsp://h/gate", "Session: 1234\r\n", 454),
        ("OPTIONS", "*", "Require: www.onvif.org/ver20/backchannel\r\n", 551),
        ("ANNOUNCE", "rtsp://h/gate", "", 400),
        ("ANNOUNCE", "*", "", 400),
        ("ANNOUNCE", "rtsp://h/gate", "Content-Type: text/html\r\n", 415),
        ("RECORD", "rtsp://h/gate", "", 455),
        ("REDIRECT", "rtsp://h/gate", "", 405),
        ("BREW", "rtsp://h/gate", "", 501),
        ("OPTIONS", "/gate", "", 400),
        ("OPTIONS", "*", "", 200),
        ("GET_PARAMETER", "rtsp://h/gate", "", 200),
    ] {
        let reply = bench.ask(method, url, headers);
        assert_eq!(status(&reply), wanted, "{method} {url}: {reply}");
        assert_eq!(header(&reply, "CSeq"), "7");
        assert!(bench.session.state.live.is_none() && !bench.session.closed);
    }
    let unknown = bench.ask("BREW", "rtsp://h/gate", "");
    assert!(header(&unknown, "Allow").contains("PLAY"));
    let required = bench.ask("OPTIONS", "*", "Require: a, b\r\n");
    assert_eq!(header(&required, "Unsupported"), "a, b");
}

#[test]
fn a_stream_without_parameters_is_503_with_the_reason() {
    let mut bench = Bench::new();
    bench.answers = false;
    assert_eq!(bench.ask("DESCRIBE", "rtsp://h/gate", ""), "");
    let refusal = Refusal::NotReady("the camera does not answer".to_owned());
    bench.session.command(bench.now, Command::Refuse(refusal));
    let reply = bench.drain();
    assert_eq!(status(&reply), 503);
    assert!(reply.ends_with("the camera does not answer\r\n"), "{reply}");
}

#[test]
fn pipelined_requests_are_answered_in_order_while_one_waits_for_the_driver() {
    let mut bench = Bench::new();
    bench.answers = false;
    let request =
        |n: u32, method: &str| format!("{method} rtsp://h/gate RTSP/1.0\r\nCSeq: {n}\r\n\r\n");
    let all = request(1, "OPTIONS") + &request(2, "DESCRIBE") + &request(3, "OPTIONS");
    assert_eq!(statuses(&bench.say(all.as_bytes())), [200]);
    assert!(!bench.session.wants_bytes());
    bench.session.command(bench.now, described());
    let rest = bench.drain();
    let cseqs: Vec<&str> = rest.lines().filter_map(|l| l.strip_prefix("CSeq: ")).collect();
    assert_eq!(cseqs, ["2", "3"]);
}

#[test]
fn an_answer_that_fits_no_question_is_dropped() {
    let mut bench = Bench::new();
    bench.session.command(bench.now, described());
    bench.answers = false;
    bench.ask("DESCRIBE", "rtsp://h/gate", "");
    bench.session.command(bench.now, Command::Playing { starts: Vec::new(), wall: None });
    assert_eq!(bench.drain(), "");
    bench.session.command(bench.now, described());
    assert_eq!(status(&bench.drain()), 200);
}

#[test]
fn pause_and_play_and_play_again_work() {
    let mut bench = Bench::new();
    bench.play();
    assert_eq!(status(&bench.ask("PLAY", "rtsp://h/gate", "")), 200);
    assert_eq!(status(&bench.ask("SETUP", "rtsp://h/gate/trackID=1", TCP)), 455);
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate", "")), 200);
    assert_eq!(bench.events.last(), Some(&Event::Pause));
    assert_eq!(status(&bench.ask("PAUSE", "rtsp://h/gate", "")), 200);
    assert_eq!(status(&bench.ask("PLAY", "rtsp://h/gate", "")), 200);
    let plays = bench.events.iter().filter(|event| matches!(event, Event::Play { .. })).count();
    assert_eq!(plays, 2);
}

#[test]
fn one_track_or_all_can_be_torn_down() {
    let mut bench = Bench::new();
    bench.play();
    assert_eq!(status(&bench.ask("TEARDOWN", "rtsp://h/gate/trackID=0", "")), 200);
    let left = vec![Routed { track: TrackId(1), route: Route::Tcp { rtp: 2, rtcp: 3 } }];
    assert_eq!(bench.events.last(), Some(&Event::Reroute { routes: left }));
    assert_eq!(status(&bench.ask("TEARDOWN", "rtsp://h/gate/trackID=1", "")), 200);
    assert_eq!(bench.events.last(), Some(&Event::Ended));
    assert_eq!(status(&bench.ask("DESCRIBE", "rtsp://h/gate", "")), 200);
}

#[test]
fn a_second_describe_begins_anew() {
    let mut bench = Bench::new();
    bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
    bench.ask("DESCRIBE", "rtsp://h/gate", "");
    assert!(bench.events.contains(&Event::Ended));
    bench.ask("SETUP", "rtsp://h/gate/trackID=0", TCP);
    assert_eq!(bench.session.state.live.as_ref().unwrap().routes.len(), 1);
}

#[test]
fn deadlines_end_what_stalls() {
    let mut bench = Bench::new();
    bench.say(b"OPTIONS * RTSP/1.0\r\n");
    assert_eq!(bench.later(RTSP_REQUEST_TIME_MAX / 2), "");
    assert_eq!(statuses(&bench.later(RTSP_REQUEST_TIME_MAX)), [408]);
    assert!(bench.is_closed());
    let mut bench = Bench::new();
    bench.later(RTSP_IDLE_TIME_MAX);
    assert!(bench.is_closed());
}

#[test]
fn a_tcp_reader_may_be_silent_and_a_udp_reader_may_not() {
    let mut bench = Bench::new();
    bench.play();
    bench.later(RTSP_SESSION_TIMEOUT * 100);
    assert!(!bench.is_closed());
    bench.ask("PAUSE", "rtsp://h/gate", "");
    bench.later(RTSP_SESSION_TIMEOUT);
    assert!(bench.is_closed(), "a paused session must show life");

    let mut bench = Bench::new();
    bench.ask("SETUP", "rtsp://h/gate/trackID=0", UDP);
    bench.ask("PLAY", "rtsp://h/gate", "");
    for _ in 0..5 {
        bench.later(RTSP_SESSION_TIMEOUT / 2);
        bench.session.command(bench.now, Command::Alive);
    }
    assert!(!bench.is_closed());
    bench.later(RTSP_SESSION_TIMEOUT / 2);
    bench.say(b"$\x01\0\x08\x80\xc9\0\x01\0\0\0\0");
    bench.later(RTSP_SESSION_TIMEOUT / 2);
    assert!(!bench.is_closed(), "a receiver report inside the connection is life too");
    bench.later(RTSP_SESSION_TIMEOUT);
    assert!(bench.events.contains(&Event::Ended) && bench.is_closed());
}

#[test]
fn ids_differ_and_belong_to_their_connection() {
    let mut bench = Bench::new();
    let id = bench.play();
    assert_eq!(id.len(), 16);
    let own = format!("Session: {id};timeout=60\r\n");
    assert_eq!(status(&bench.ask("GET_PARAMETER", "rtsp://h/gate", &own)), 200);
    bench.ask("TEARDOWN", "rtsp://h/gate", &own);
    assert_eq!(status(&bench.ask("GET_PARAMETER", "rtsp://h/gate", &own)), 454);
    assert_ne!(bench.play(), id);
}
