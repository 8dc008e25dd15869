//! Frames and requests mixed on the connection of a publisher.

use holdfast::media::TrackId;
use holdfast::wire::rtsp::{Event, Medium};

use super::input::Input;
use super::peer::Peer;

/// Feeds one input: the size of the pieces, then what comes after RECORD.
pub fn eat(bytes: &[u8]) {
    let mut input = Input(bytes);
    let piece = usize::from(input.byte()).max(1);
    let (mut whole, mut pieces) = (recording(), recording());
    whole.say(input.0);
    for piece in input.0.chunks(piece) {
        pieces.say(piece);
    }
    assert_eq!(whole.events, pieces.events, "pieces of {piece} bytes");
    assert_eq!(whole.said, pieces.said, "pieces of {piece} bytes");
    let media = whole.events.iter().filter_map(|event| match event {
        Event::Media { track, medium, packet } => Some((*track, *medium, packet.to_vec())),
        _ => None,
    });
    let expected = frames(input.0);
    assert_eq!(media.take(expected.len()).collect::<Vec<_>>(), expected);
}

/// A publisher of two tracks: channels 0 and 1, and 7 and 4.
fn recording() -> Peer {
    let mut peer = Peer::new(|session| session);
    let sdp = "m=video 0 RTP/AVP 96\na=control:v\nm=audio 0 RTP/AVP 8\na=control:a\n";
    let head = "ANNOUNCE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nContent-Length: ";
    peer.say(format!("{head}{}\r\n\r\n{sdp}", sdp.len()).as_bytes());
    for (control, channels) in [("v", "0-1"), ("a", "7-4")] {
        let head = format!("SETUP rtsp://h/gate/{control} RTSP/1.0\r\nCSeq: 2\r\nTransport: ");
        peer.say(format!("{head}RTP/AVP/TCP;interleaved={channels}\r\n\r\n").as_bytes());
    }
    peer.say(b"RECORD rtsp://h/gate RTSP/1.0\r\nCSeq: 3\r\n\r\n");
    assert!(matches!(peer.events.last(), Some(Event::Record { .. })));
    (peer.events, peer.said) = (Vec::new(), Vec::new());
    peer
}

/// The frames before anything else.
fn frames(bytes: &[u8]) -> Vec<(TrackId, Medium, Vec<u8>)> {
    let (mut input, mut frames) = (Input(bytes), Vec::new());
    while let [b'$', channel, high, low, rest @ ..] = input.0 {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(packet) = rest.get(..length) else { break };
        let medium = match channel {
            0 => Some((TrackId(0), Medium::Rtp)),
            1 => Some((TrackId(0), Medium::Rtcp)),
            7 => Some((TrackId(1), Medium::Rtp)),
            4 => Some((TrackId(1), Medium::Rtcp)),
            _ => None,
        };
        frames.extend(medium.map(|(track, medium)| (track, medium, packet.to_vec())));
        input.0 = &rest[length..];
    }
    frames
}
