//! Golden dialogues with odd cameras, in virtual time.

use std::time::Duration;

use super::*;

const SDP: &str = "v=0\r\no=- 1 1 IN\r\ns=x\r\nc=IN\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=control:track1\r\n";

/// A session and what it does.
struct Bench {
    session: ClientSession,
    now: BootTime,
    events: Vec<ClientEvent>,
}

fn config(transports: &[ClientTransport]) -> ClientConfig {
    ClientConfig {
        url: Url::parse("rtsp://10.0.0.7/main").unwrap(),
        credentials: None,
        carrier: Carrier::Direct,
        transports: transports.to_vec(),
        answer_time: Duration::from_secs(10),
        seed: 7,
    }
}

impl Bench {
    fn new(config: ClientConfig) -> Self {
        let now = BootTime::from_millis(1_000);
        Self { session: ClientSession::new(now, config), now, events: Vec::new() }
    }

    /// All output until it rests; connections and ports open at once, all media wanted.
    fn said(&mut self) -> String {
        let mut said = String::new();
        loop {
            match self.session.poll(self.now) {
                ClientStep::Send(bytes) => said.push_str(&String::from_utf8_lossy(&bytes)),
                ClientStep::Wait { .. } => return said,
                ClientStep::Event(event) => {
                    let answer = match &event {
                        ClientEvent::Connect { .. } => Some(ClientCommand::Connected),
                        ClientEvent::Described(told) => {
                            Some(ClientCommand::SetUp((0..told.media.len()).collect()))
                        }
                        ClientEvent::OpenPorts { .. } => {
                            Some(ClientCommand::Ports(Some((5_000, 5_001))))
                        }
                        _ => None,
                    };
                    self.events.push(event);
                    if let Some(answer) = answer {
                        self.session.command(self.now, answer);
                    }
                }
            }
        }
    }

    fn hear(&mut self, bytes: &str) -> String {
        self.session.receive(bytes.replace("\r\n", "\n").replace('\n', "\r\n").as_bytes());
        self.said()
    }

    fn pass(&mut self, secs: u64) -> String {
        self.now = self.now.after(Duration::from_secs(secs));
        self.said()
    }

    fn ended(&self) -> Option<&SessionEnd> {
        self.events.iter().find_map(|event| match event {
            ClientEvent::Ended(why) => Some(why),
            _ => None,
        })
    }

    /// Through OPTIONS, DESCRIBE, SETUP and PLAY with a camera that offers `public`.
    fn play(config: ClientConfig, public: &str) -> Self {
        let mut bench = Self::new(config);
        assert!(bench.said().starts_with("OPTIONS rtsp://10.0.0.7/main RTSP/1.0\r\nCSeq: 1\r\n"));
        let said = bench.hear(&format!("RTSP/1.0 200 OK\nCSeq: 1\nPublic: {public}\n\n"));
        assert!(
            said.starts_with("DESCRIBE rtsp://10.0.0.7/main RTSP/1.0\r\nCSeq: 2\r\n"),
            "{said}"
        );
        let said = bench.hear(&description(""));
        assert!(said.starts_with("SETUP rtsp://10.0.0.7/main/track1 RTSP/1.0\r\n"), "{said}");
        let said = bench.hear("RTSP/1.0 200 OK\nSession: 9;timeout=60\nTransport: x\n\n");
        assert!(said.starts_with("PLAY rtsp://10.0.0.7/main RTSP/1.0\r\n"), "{said}");
        assert!(said.contains("\r\nSession: 9\r\n"), "{said}");
        bench.hear("RTSP/1.0 200 OK\n\n");
        assert!(bench.events.contains(&ClientEvent::Playing));
        bench
    }
}

fn description(headers: &str) -> String {
    format!("RTSP/1.0 200 OK\n{headers}Content-Length: {}\n\n", SDP.len()) + SDP
}

#[test]
fn answers_need_no_number_no_reason_and_no_order() {
    let mut bench = Bench::new(config(&[ClientTransport::Tcp]));
    bench.said();
    assert!(bench.hear("RTSP/1.0 200\ncseq : 0\nX-Empty:\nNo header\n\n").contains("DESCRIBE"));
    let said =
        bench.hear(&description("Content-type: application/sdp; charset=utf-8\nX-Long: a\n b\n"));
    assert!(said.contains("SETUP"), "{said}");
}

#[test]
fn the_session_is_kept_alive_by_what_is_offered_whatever_comes_back() {
    let mut bench = Bench::play(config(&[ClientTransport::Tcp]), "OPTIONS, GET_PARAMETER");
    assert_eq!(bench.pass(26), "");
    assert!(bench.pass(1).starts_with("GET_PARAMETER rtsp://10.0.0.7/main RTSP/1.0\r\n"));
    assert_eq!(bench.hear("RTSP/1.0 200 OK\nCSeq: 0\n\n"), "");
    assert!(bench.pass(27).starts_with("GET_PARAMETER"));
    // No answer: the next time it is another way.
    assert!(bench.pass(27).starts_with("OPTIONS"));
    bench.hear("RTSP/1.0 454 Session Not Found\n\n");
    assert_eq!(bench.ended(), None);
}

#[test]
fn a_refused_transport_leads_to_the_next_one() {
    let mut bench = Bench::new(config(&[ClientTransport::Tcp, ClientTransport::Udp]));
    bench.said();
    bench.hear("RTSP/1.0 501 Not Implemented\n\n");
    assert!(bench.hear(&description("")).contains("RTP/AVP/TCP;unicast;interleaved=0-1\r\n"));
    let said = bench.hear("RTSP/1.0 461 Unsupported Transport\n\n");
    assert!(said.contains("Transport: RTP/AVP;unicast;client_port=5000-5001\r\n"), "{said}");
    bench.hear("RTSP/1.0 200 OK\nTransport: RTP/AVP;unicast;client_port=5000-5001\n\n");
    let path = Path::Udp { server_port: None };
    assert!(bench.events.contains(&ClientEvent::SetUp { medium: 0, path }));
    let mut bench = Bench::new(config(&[ClientTransport::Tcp]));
    bench.said();
    bench.hear("RTSP/1.0 200 OK\n\n");
    bench.hear(&description(""));
    bench.hear("RTSP/1.0 461 Unsupported Transport\n\n");
    assert_eq!(bench.ended(), Some(&SessionEnd::NoTransport));
}

#[test]
fn a_redirect_is_followed_on_the_same_host_and_told_elsewhere() {
    let mut bench = Bench::new(config(&[ClientTransport::Tcp]));
    bench.said();
    bench.hear("RTSP/1.0 200 OK\n\n");
    let said = bench.hear("RTSP/1.0 302 Found\nLocation: rtsp://10.0.0.7/real\n\n");
    assert!(said.starts_with("DESCRIBE rtsp://10.0.0.7/real RTSP/1.0"), "{said}");
    let said = bench.hear("RTSP/1.0 301 Moved\nLocation: rtsp://10.0.0.7:8554/b\n\n");
    assert!(said.starts_with("DESCRIBE rtsp://10.0.0.7:8554/b RTSP/1.0"), "{said}");
    assert!(bench.events.contains(&ClientEvent::Connect { port: 8_554 }));
    bench.hear("RTSP/1.0 305 Use Proxy\nLocation: rtsp://u:p@10.0.0.8:99/x?password=p\n\n");
    assert_eq!(bench.ended(), Some(&SessionEnd::Elsewhere { address: "10.0.0.8:99".to_owned() }));
    let mut bench = Bench::new(config(&[ClientTransport::Tcp]));
    bench.said();
    for _ in 0..=CLIENT_REDIRECTS_MAX + 1 {
        bench.hear("RTSP/1.0 302 Found\nLocation: /again\n\n");
    }
    assert_eq!(bench.ended(), Some(&SessionEnd::RedirectedInCircles));
}

#[test]
fn an_address_with_tls_has_its_own_port_and_is_not_left_for_one_without() {
    let url = Url::parse("rtsps://10.0.0.7/main").unwrap();
    let mut bench = Bench::new(ClientConfig { url, ..config(&[ClientTransport::Tcp]) });
    assert!(bench.said().starts_with("OPTIONS rtsps://10.0.0.7/main RTSP/1.0"));
    assert_eq!(bench.events, [ClientEvent::Connect { port: 322 }]);
    bench.hear("RTSP/1.0 200 OK\n\n");
    let said = bench.hear("RTSP/1.0 302 Found\nLocation: rtsps://10.0.0.7:322/real\n\n");
    assert!(said.starts_with("DESCRIBE rtsps://10.0.0.7:322/real RTSP/1.0"), "{said}");
    bench.hear("RTSP/1.0 302 Found\nLocation: rtsp://10.0.0.7/plain\n\n");
    assert_eq!(
        bench.ended(),
        Some(&SessionEnd::Elsewhere { address: "rtsp://10.0.0.7".to_owned() })
    );
}

#[test]
fn a_redirect_inside_http_stays_there() {
    let url = Url::parse("rtsp://10.0.0.7/main").unwrap();
    let carrier = Carrier::Http;
    let mut bench = Bench::new(ClientConfig { url, carrier, ..config(&[ClientTransport::Tcp]) });
    bench.said();
    assert_eq!(bench.events, [ClientEvent::Connect { port: 80 }]);
    bench.hear("RTSP/1.0 200 OK\n\n");
    let said = bench.hear("RTSP/1.0 302 Found\nLocation: rtsp://10.0.0.7:554/real\n\n");
    assert!(said.starts_with("DESCRIBE rtsp://10.0.0.7:554/real RTSP/1.0"), "{said}");
    bench.hear("RTSP/1.0 302 Found\nLocation: rtsp://10.0.0.7:8080/other\n\n");
    assert_eq!(bench.events[1..], [ClientEvent::Connect { port: 8_080 }]);
    let secure = Url::parse("rtsps://10.0.0.7/main").unwrap();
    assert_eq!([Carrier::Http, Carrier::Direct].map(|by| by.port_of(&secure)), [443, 322]);
}

#[test]
fn a_challenge_is_answered_and_a_stale_one_again() {
    let credentials = Some(("u".to_owned(), Secret::new("p")));
    let mut bench = Bench::new(ClientConfig { credentials, ..config(&[ClientTransport::Tcp]) });
    bench.said();
    bench.hear("RTSP/1.0 200 OK\n\n");
    let challenge = |more: &str| {
        format!(
            "RTSP/1.0 401 Unauthorized\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"{more}\n\n"
        )
    };
    let said = bench.hear(&challenge(""));
    assert!(said.contains("Authorization: Digest username=\"u\", realm=\"r\""), "{said}");
    // The connection may be closed with the challenge.
    bench.session.command(bench.now, ClientCommand::Disconnected);
    assert!(bench.said().contains("Authorization: Digest"));
    assert!(bench.hear(&challenge(", stale=true")).contains("Authorization: Digest"));
    bench.hear(&challenge(""));
    assert_eq!(bench.ended(), Some(&SessionEnd::CredentialsRefused));
}

#[test]
fn the_cameras_own_requests_are_answered() {
    let mut bench = Bench::play(config(&[ClientTransport::Tcp]), "");
    let said = bench.hear("OPTIONS * RTSP/1.0\nCSeq: 75\nSession: 9\n\n");
    assert!(said.starts_with("RTSP/1.0 200 OK\r\nCSeq: 75\r\n"), "{said}");
    let said = bench.hear("SET_PARAMETER rtsp://x RTSP/1.0\nCSeq: 76\nContent-Length: 2\n\nab");
    assert!(said.starts_with("RTSP/1.0 200 OK\r\nCSeq: 76\r\n"), "{said}");
    assert!(bench.hear("FOO * RTSP/1.0\nCSeq: 7\n\n").starts_with("RTSP/1.0 501"));
    assert_eq!(bench.ended(), None);
    bench.hear("TEARDOWN rtsp://x RTSP/1.0\nCSeq: 77\n\n");
    assert_eq!(bench.ended(), Some(&SessionEnd::TornDown));
}

#[test]
fn odd_bytes_are_passed_over_wherever_their_pieces_end() {
    for (pieces, odd) in [1, 3, 100].into_iter().flat_map(|n| {
        [
            (n, &b"00/2\nas\x01t\r\n"[..]),
            (n, b"a=x:1 H264/90000\r\nc=IN IP4 0.0.0.0\r\n"),
            (n, b"xx\0$\0\0\x02\x80\x60\n"),
        ]
    }) {
        let mut bench = Bench::play(config(&[ClientTransport::Tcp]), "");
        let mut said = String::new();
        let text = [odd, b"OPTIONS * RTSP/1.0\r\nCSeq: 75\r\n\r\n"].concat();
        for piece in text.chunks(pieces) {
            bench.session.receive(piece);
            said += &bench.said();
        }
        assert!(said.starts_with("RTSP/1.0 200 OK\r\nCSeq: 75\r\n"), "{pieces}, {odd:?}: {said}");
        assert_eq!(bench.ended(), None, "{pieces}, {odd:?}");
        let media = |event: &&ClientEvent| matches!(event, ClientEvent::Media { .. });
        let wanted = usize::from(odd.contains(&b'$'));
        assert_eq!(bench.events.iter().filter(media).count(), wanted, "{pieces}, {odd:?}");
    }
}

#[test]
fn media_is_found_by_channel_or_by_payload_type() {
    let mut bench = Bench::play(config(&[ClientTransport::Tcp]), "");
    bench.session.receive(b"$\x06\0\x02\x80\x60$\x07\0\x02\x80\xc8$\x09\0\0");
    bench.said();
    let kinds: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Media { kind, .. } => Some(*kind),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [Medium::Rtp, Medium::Rtcp]);
}

#[test]
fn what_a_camera_says_ends_no_line_of_ours() {
    let mut bench = Bench::new(config(&[ClientTransport::Tcp]));
    bench.said();
    bench.hear("RTSP/1.0 200 OK\n\n");
    let sdp = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track 1\u{1}?ä\r\n";
    let said = bench.hear(&format!("RTSP/1.0 200 OK\nContent-Length: {}\n\n{sdp}", sdp.len()));
    assert!(
        said.starts_with("SETUP rtsp://10.0.0.7/main/track%201%01?%C3%A4 RTSP/1.0\r\n"),
        "{said}"
    );
}

#[test]
fn a_description_without_a_last_line_end_is_taken_soon() {
    let mut bench = Bench::new(config(&[ClientTransport::Tcp]));
    bench.said();
    bench.hear("RTSP/1.0 200 OK\n\n");
    let sdp = SDP.trim_end();
    assert_eq!(bench.hear(&format!("RTSP/1.0 200 OK\nContent-Length: {}\n\n{sdp}", sdp.len())), "");
    bench.now = bench.now.after(CLIENT_DESCRIPTION_TAIL);
    assert!(bench.said().starts_with("SETUP rtsp://10.0.0.7/main/track1 RTSP/1.0\r\n"));
}

#[test]
fn silence_is_told_with_what_was_asked_and_goodbye_is_said() {
    let mut bench = Bench::new(config(&[ClientTransport::Tcp]));
    bench.said();
    assert!(bench.pass(5).starts_with("DESCRIBE"), "a camera may not know OPTIONS");
    bench.pass(10);
    assert_eq!(bench.ended(), Some(&SessionEnd::Silent { asked: ClientRequest::Describe }));
    let mut bench = Bench::play(config(&[ClientTransport::Tcp]), "");
    bench.session.command(bench.now, ClientCommand::Leave);
    assert!(bench.said().starts_with("TEARDOWN rtsp://10.0.0.7/main RTSP/1.0\r\n"));
    assert_eq!(bench.ended(), Some(&SessionEnd::Left));
}

use crate::base::limits::{CLIENT_DESCRIPTION_TAIL, CLIENT_REDIRECTS_MAX};

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_session_panic(bytes: Vec<u8>, text in "(RTSP/1.0 [2345]0[0-5] x\n)?([A-Za-z-]{1,9}: [ -~]{0,20}\n){0,4}\n") {
        let mut bench = Bench::new(config(&[ClientTransport::Tcp, ClientTransport::Udp]));
        bench.said();
        bench.session.receive(text.as_bytes());
        bench.said();
        bench.session.receive(&bytes);
        bench.said();
    }
}
