//! What a peer answers to the only request that we make, REDIRECT.

use holdfast::wire::rtsp::{Command, Event};

use super::peer::Peer;

/// Feeds one input: everything after `RTSP/`.
pub fn eat(bytes: &[u8]) {
    let mut peer = Peer::new(|session| session);
    peer.session.command(peer.now, Command::Redirect { url: "rtsp://10.0.0.9/gate".to_owned() });
    peer.go_on();
    assert!(peer.said.starts_with(b"REDIRECT rtsp://10.0.0.9/gate RTSP/1.0\r\n"));
    let head = bytes.windows(3).position(|at| at.starts_with(b"\n\n") || at == b"\n\r\n");
    let first = &bytes[..head.map_or(bytes.len(), |at| at + 1)];
    peer.say(&[b"RTSP/", first, b"\r\n"].concat());
    // Answering answers could last for ever. Only a message without a known end gets a reply.
    assert!(peer.said_count == 1 || peer.closed, "an answer was answered");
    let closes = |event: &Event| matches!(event, Event::Close { .. });
    assert!(peer.events.iter().all(closes), "{:?}", peer.events);
    peer.say(bytes);
}
