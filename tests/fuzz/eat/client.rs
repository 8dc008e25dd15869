//! A camera that does anything while our client speaks to it.

use super::camera::Client;

/// Feeds one input: pieces of `length`, `what`, and for what is said that many bytes.
pub fn eat(bytes: &[u8]) {
    let mut client = Client::new();
    let mut rest = bytes;
    while let [length, what, more @ ..] = rest {
        let (piece, behind) = more.split_at(usize::from(*length).min(more.len()));
        match what % 8 {
            0 => client.hang_up(),
            1 => client.pass(u64::from(*length)),
            2 => client.ports = !client.ports,
            3 => client.hear(&whole(piece)),
            4 => client.hear(&framed(piece)),
            _ => client.hear(piece),
        }
        rest = if what % 8 < 3 { more } else { behind };
    }
    let wants = client.session.wants_bytes();
    assert!(!(client.over && wants), "it is over and wants more");
}

/// `piece` as the head of an answer.
fn whole(piece: &[u8]) -> Vec<u8> {
    [b"RTSP/1.0 ", piece, b"\r\n\r\n"].concat()
}

/// `piece` as a packet inside the connection.
fn framed(piece: &[u8]) -> Vec<u8> {
    let length = u16::try_from(piece.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[b'$', piece.first().copied().unwrap_or(0) % 8][..], &length, piece].concat()
}
