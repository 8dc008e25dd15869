//! The Authorization header: no one gets in without a password, and no secret gets into a
//! transcript.

use std::time::Duration;

use holdfast::wire::rtsp::Event;

use super::input::line;
use super::media::{accounts, authorizer};
use super::peer::Peer;

/// Feeds one input: a header's value, once unchanged and once with the nonce that was sent in place
/// of each `@`.
pub fn eat(bytes: &[u8]) {
    let mut accounts = accounts();
    // No known password has this hash; the name is in what is kept.
    accounts.remove("nvr");
    let authorizer = authorizer(accounts);
    for secure in [false, true] {
        let mut peer =
            Peer::new(|session| session.authorized_by(authorizer.clone()).secured(secure));
        ask(&mut peer, b"Digest");
        let told = String::from_utf8_lossy(&peer.said).into_owned();
        let nonce = told.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
        let nonce = nonce.expect("a Digest is always asked for").to_owned();
        let value = String::from_utf8_lossy(line(bytes)).into_owned();
        ask(&mut peer, value.as_bytes());
        ask(&mut peer, value.replace('@', &nonce).as_bytes());
        peer.now = peer.now.after(Duration::from_secs(61));
        ask(&mut peer, value.replace('@', &nonce).as_bytes());
        let closes = |event: &Event| matches!(event, Event::Close { .. });
        assert!(peer.events.iter().all(closes), "{:?}", peer.events);
        if let Some(failure) = peer.session.take_failure() {
            check_masked(&failure.transcript);
        }
    }
}

fn ask(peer: &mut Peer, value: &[u8]) {
    let head = b"DESCRIBE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nAuthorization: ";
    peer.say(&[head, value, b"\r\n\r\n"].concat());
}

/// Of Digest only what is public is shown, and of all else nothing.
fn check_masked(transcript: &str) {
    for line in transcript.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if !name.eq_ignore_ascii_case("authorization") {
            continue;
        }
        let is_challenge = value.to_ascii_lowercase().starts_with("basic realm=");
        let is_digest = value.to_ascii_lowercase().starts_with("digest ");
        assert!(value.ends_with(" ***") || is_challenge || is_digest, "{value}");
        // Names may hold any letters; where there is none, nothing else may.
        for secret in ["response=\"", "nonce=\""].iter().filter(|_| !value.contains("username")) {
            let shown = value.split_once(*secret).map(|(_, rest)| rest.starts_with("***\""));
            assert!(shown != Some(false) || !is_digest, "{value}");
        }
    }
}
