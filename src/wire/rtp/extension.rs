//! The RTP header extension of ONVIF replay (Streaming Specification §6.3, RFC 3550 §5.3.1).
//!
//! Owns: its bytes, which are in the first packet of each access unit.

use bytes::BufMut;

use crate::base::time::WallTime;

/// Which extension it is.
const PROFILE: u16 = 0xabac;
/// Its length in words of 32 bits, and with its head in bytes.
const WORDS: u16 = 3;
pub(super) const EXTENSION_BYTES: usize = 16;

/// What a packet of a recording says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // four bits of one octet
pub struct ReplayExtension {
    /// When it was captured.
    pub captured: WallTime,
    /// Decoding can begin here.
    pub clean_point: bool,
    /// Nothing is behind it before the next gap.
    pub section_end: bool,
    /// It does not continue where the packet sent before ended.
    pub discontinuity: bool,
    /// It is the last one that is sent.
    pub terminal: bool,
    /// Low octet of the CSeq of the PLAY that it answers.
    pub cseq: u8,
}

impl ReplayExtension {
    pub(super) fn put(self, out: &mut impl BufMut) {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        out.put_u16(PROFILE);
        out.put_u16(WORDS);
        out.put_u64(self.captured.to_ntp());
        out.put_u8(
            bit(self.clean_point, 0x80)
                | bit(self.section_end, 0x40)
                | bit(self.discontinuity, 0x20)
                | bit(self.terminal, 0x10),
        );
        out.put_u8(self.cseq);
        out.put_u16(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_stands_as_onvif_draws_it() {
        let extension = ReplayExtension {
            captured: WallTime::from_unix_nanos(500_000_000),
            clean_point: true,
            section_end: false,
            discontinuity: true,
            terminal: true,
            cseq: 0x42,
        };
        let mut out = Vec::new();
        extension.put(&mut out);
        let wanted = [0xab, 0xac, 0, 3, 0x83, 0xaa, 0x7e, 0x80, 0x80, 0, 0, 0, 0xb0, 0x42, 0, 0];
        assert_eq!(out, wanted);
        assert_eq!(out.len(), EXTENSION_BYTES);
    }
}
