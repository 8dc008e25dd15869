//! AAC in RTP: `mpeg4-generic`, mode AAC-hbr (RFC 3640 §3.3.6), one access unit per packet or
//! one packet's worth of it.

use std::fmt::Write;

use super::super::packet::{PAYLOAD_BYTES_MAX, PacketWriter};

/// AU-headers-length (16 bits) and one AU-header (13 bits size, 3 bits index).
const HEADERS_BYTES: usize = 4;
/// What the 13-bit size can say; an AAC frame is at most 768 bytes per channel.
const UNIT_BYTES_MAX: usize = (1 << 13) - 1;

/// Cuts one raw frame. A frame that the format cannot carry gives no packet.
pub(super) fn cut(frame: &[u8], out: &mut PacketWriter) {
    let Some(size) = u16::try_from(frame.len()).ok().filter(|_| frame.len() <= UNIT_BYTES_MAX)
    else {
        return;
    };
    // Each fragment says the size of the whole (RFC 3640 §3.2.3).
    let [high, low] = (size << 3).to_be_bytes();
    for piece in frame.chunks(PAYLOAD_BYTES_MAX - HEADERS_BYTES) {
        out.packet(&[&[0, 16, high, low], piece], 0);
    }
    out.mark();
}

/// Format parameters, RFC 3640 §4.1.
pub(super) fn fmtp(config: &[u8]) -> String {
    let mut fmtp = "streamtype=5;profile-level-id=1;mode=AAC-hbr;\
                    sizelength=13;indexlength=3;indexdeltalength=3;config="
        .to_owned();
    for byte in config {
        // Writing to a String cannot fail.
        let _ = write!(fmtp, "{byte:02X}");
    }
    fmtp
}
