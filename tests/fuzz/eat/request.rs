//! The bytes of an RTSP peer, as they come: the first byte says in how large pieces, and what is
//! answered does not depend on it.

use super::input::Input;
use super::peer::Peer;

/// Feeds one input.
pub fn eat(bytes: &[u8]) {
    let mut input = Input(bytes);
    let piece = usize::from(input.byte()).max(1);
    let (mut whole, mut pieces) = (Peer::new(|session| session), Peer::new(|session| session));
    whole.say(input.0);
    for piece in input.0.chunks(piece) {
        pieces.say(piece);
    }
    let shown = |peer: &Peer| String::from_utf8_lossy(&peer.said).into_owned();
    assert_eq!(shown(&whole), shown(&pieces), "pieces of {piece} bytes");
    assert_eq!(whole.events, pieces.events, "pieces of {piece} bytes");
}
