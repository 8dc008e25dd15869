//! The Transport header, of readers and of publishers.

use holdfast::wire::rtsp::{Event, Route};

use super::input::{Input, line};
use super::peer::Peer;

const SECURE: u8 = 1;
const MULTICAST: u8 = 2;
const PUBLISHES: u8 = 4;

/// Feeds one input: a byte for the transports allowed, then one header for each track.
pub fn eat(bytes: &[u8]) {
    let mut input = Input(bytes);
    let terms = input.byte();
    let has = |flag: u8| terms & flag != 0;
    let mut peer = Peer::new(|session| session.secured(has(SECURE)).with_multicast(has(MULTICAST)));
    if has(PUBLISHES) {
        let sdp = "m=video 0 RTP/AVP 96\nm=audio 0 RTP/AVP 8\n";
        let head = "ANNOUNCE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nContent-Length: ";
        peer.say(format!("{head}{}\r\n\r\n{sdp}", sdp.len()).as_bytes());
    }
    for track in 0..2 {
        let header = line(input.0);
        let _ = input.take(header.len() + 1);
        let head =
            format!("SETUP rtsp://h/gate/trackID={track} RTSP/1.0\r\nCSeq: 2\r\nTransport: ");
        peer.say(&[head.as_bytes(), header, b"\r\n\r\n"].concat());
    }
    let go = if has(PUBLISHES) { "RECORD" } else { "PLAY" };
    peer.say(format!("{go} rtsp://h/gate RTSP/1.0\r\nCSeq: 3\r\n\r\n").as_bytes());
    let beside = |route: &Route| !matches!(route, Route::Tcp { .. });
    for event in &peer.events {
        if let Event::SetUp { route, .. } | Event::SetUpRecord { route, .. } = event {
            assert!(!(has(SECURE) && beside(route)), "{route:?} beside an encrypted connection");
            assert!(has(MULTICAST) || *route != Route::Multicast, "there is no group");
        }
    }
}
