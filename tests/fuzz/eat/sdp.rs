//! What a publisher announces, down to the depacketizers that it chooses.

use holdfast::base::limits::{SDP_FMTP_BYTES_MAX, SDP_MEDIA_MAX};
use holdfast::wire::rtsp::{Event, SessionDescription};

use super::depacketise::Bench;
use super::peer::Peer;

/// Feeds one input: a description.
pub fn eat(bytes: &[u8]) {
    let mut peer = Peer::new(|session| session);
    let head = "ANNOUNCE rtsp://h/gate RTSP/1.0\r\nCSeq: 1\r\nContent-Length: ";
    peer.say(&[format!("{head}{}\r\n\r\n", bytes.len()).as_bytes(), bytes].concat());
    for url in ["gate", "gate/trackID=0", "gate/streamid=1", "video", "gate/track2"] {
        let head = format!("SETUP rtsp://h/{url} RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP/TCP");
        peer.say(format!("{head}\r\n\r\n").as_bytes());
    }
    peer.say(b"RECORD rtsp://h/gate RTSP/1.0\r\nCSeq: 3\r\n\r\n");
    let announced = peer.events.iter().any(|event| matches!(event, Event::Announce { .. }));
    let offer = SessionDescription::parse(bytes);
    assert!(!announced || offer.is_ok(), "what cannot be read was announced");
    let Ok(offer) = offer else { return };
    assert!((1..=SDP_MEDIA_MAX).contains(&offer.media.len()));
    for medium in &offer.media {
        assert!(medium.payload_type < 128);
        assert!(medium.fmtp.as_ref().is_none_or(|fmtp| fmtp.len() <= SDP_FMTP_BYTES_MAX));
    }
    // Whatever is carried can also take a packet.
    if let Some(mut bench) = Bench::open(&offer) {
        bench.packets(&[0, 0, 4, 0x65, 0x88, 0x80, 0x10, 1, 0, 2, 0x09, 0x10]);
    }
}
