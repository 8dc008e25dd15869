//! G.711 in RTP: octets as they are (RFC 3551 §4.5.14), split where a packet is full.

use std::num::NonZeroU32;

use super::super::packet::{PAYLOAD_BYTES_MAX, PacketWriter};
use crate::media::codec::Law;

/// Cuts a run of octets. The marker bit stays clear: it means the start of a talkspurt, and we
/// suppress no silence (RFC 3551 §4.1).
pub(super) fn cut(octets: &[u8], channels: u16, out: &mut PacketWriter) {
    let frame = usize::from(channels.max(1));
    let room = PAYLOAD_BYTES_MAX - PAYLOAD_BYTES_MAX % frame;
    let mut ahead_ticks = 0;
    for piece in octets.chunks(room) {
        out.packet(&[piece], ahead_ticks);
        ahead_ticks += u32::try_from(piece.len() / frame).expect("a piece fits a packet");
    }
}

/// The encoding name of `law`, with the channels where there are several.
pub(super) fn rtpmap(law: Law, rate: NonZeroU32, channels: u16) -> String {
    let name = match law {
        Law::A => "PCMA",
        Law::Mu => "PCMU",
    };
    match channels {
        0 | 1 => format!("{name}/{rate}"),
        several => format!("{name}/{rate}/{several}"),
    }
}
