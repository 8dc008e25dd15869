//! What a camera describes, down to what is asked of it then.

use holdfast::base::limits::{SDP_FMTP_BYTES_MAX, SDP_MEDIA_MAX};
use holdfast::wire::rtsp::SessionDescription;

use super::camera::Client;

/// Feeds one input: a description.
pub fn eat(bytes: &[u8]) {
    if let Ok(description) = SessionDescription::parse(bytes) {
        assert!((1..=SDP_MEDIA_MAX).contains(&description.media.len()));
        for medium in &description.media {
            assert!(medium.payload_type < 128);
            assert!(medium.fmtp.as_ref().is_none_or(|fmtp| fmtp.len() <= SDP_FMTP_BYTES_MAX));
        }
    }
    let mut client = Client::new();
    client.hear(b"RTSP/1.0 200 OK\r\n\r\n");
    let head = format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    client.hear(&[head.as_bytes(), bytes].concat());
    // One that may be cut off is waited for.
    client.pass(1);
    for _ in 0..4 {
        client.hear(b"RTSP/1.0 200 OK\r\nSession: 7\r\n\r\n");
    }
    for channel in 0..4 {
        client.hear(&[b'$', channel, 0, 4, 0x80, 96, 0, 1]);
    }
    client.pass(30);
}
