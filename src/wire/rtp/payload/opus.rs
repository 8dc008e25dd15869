//! Opus in RTP: one packet of the encoder per RTP packet (RFC 7587 §4.2).

use super::super::packet::{PAYLOAD_BYTES_MAX, PacketWriter};

/// What SDP calls it, whatever the channels and the rate really are (RFC 7587 §7).
pub(super) const RTPMAP: &str = "opus/48000/2";

/// Cuts one packet. It cannot be split, so one that does not fit gives none; at 20 ms that would
/// be more than 510 kbit/s, beyond what an encoder gives. The marker stays clear: silence is not
/// suppressed here (RFC 7587 §4.2).
pub(super) fn cut(packet: &[u8], out: &mut PacketWriter) {
    if packet.len() <= PAYLOAD_BYTES_MAX {
        out.packet(&[packet], 0);
    }
}

/// Format parameters, RFC 7587 §6.1.
pub(super) fn fmtp(channels: u16) -> Option<String> {
    (channels > 1).then(|| "sprop-stereo=1".to_owned())
}
