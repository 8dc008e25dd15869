//! RTP packets that come in (RFC 3550 §5.1).

use bytes::Bytes;

use super::packet::HEADER_BYTES;

/// A packet that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// Its number, which wraps.
    pub sequence: u16,
    /// Its time in ticks of the track, which wraps.
    pub timestamp: u32,
    /// Who sent it.
    pub ssrc: u32,
    /// What is in it.
    pub payload_type: u8,
    /// The marker bit; what it means depends on the payload.
    pub marker: bool,
    /// The payload without padding.
    pub payload: Bytes,
}

impl RtpPacket {
    /// Reads `packet`; `None` when it is not RTP, or claims to extend past its end.
    #[must_use]
    pub fn parse(packet: &Bytes) -> Option<Self> {
        let head: &[u8; HEADER_BYTES] = packet.first_chunk()?;
        let (first, second) = (head[0], head[1]);
        if first >> 6 != 2 {
            return None;
        }
        let mut begin = HEADER_BYTES + usize::from(first & 0x0f) * 4;
        if first & 0x10 != 0 {
            let words = packet.get(begin + 2..begin + 4)?;
            begin += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
        }
        let padding = if first & 0x20 != 0 { usize::from(*packet.last()?).max(1) } else { 0 };
        let end = packet.len().checked_sub(padding).filter(|end| *end >= begin)?;
        Some(Self {
            sequence: u16::from_be_bytes([head[2], head[3]]),
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            payload: packet.slice(begin..end),
        })
    }
}

/// Counts the wrapping 32-bit times of one sender on without a wrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampUnwrapper {
    last: Option<i64>,
}

impl TimestampUnwrapper {
    /// The unwrapped position of `timestamp`, the shorter way round from the last one, which it
    /// becomes.
    pub fn advance(&mut self, timestamp: u32) -> i64 {
        let at = self.place(timestamp).unwrap_or_else(|| i64::from(timestamp));
        self.last = Some(at);
        at
    }

    /// The last position.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.last
    }

    /// The unwrapped position of `timestamp`, without becoming the last; `None` before the first.
    #[must_use]
    pub fn place(&self, timestamp: u32) -> Option<i64> {
        let last = self.last?;
        // Only the low 32 bits of a place were on the wire.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let by = timestamp.wrapping_sub(last as u32).cast_signed();
        Some(last.saturating_add(i64::from(by)))
    }

    /// Another sender begins, whose times are unrelated to those before: its first one is placed
    /// `by` ticks after the last.
    pub fn begin_anew(&mut self, timestamp: u32, by: i64) {
        let Some(last) = self.last else { return };
        let at = last.saturating_add(by);
        // A place far ahead whose low 32 bits are those of the packet.
        let low = i64::from(timestamp).wrapping_sub(at) & 0xffff_ffff;
        self.last = Some(at.saturating_add(low));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(packet: &[u8]) -> Option<RtpPacket> {
        RtpPacket::parse(&Bytes::copy_from_slice(packet))
    }

    #[test]
    fn header_sources_extension_and_padding_are_taken_off() {
        let plain = b"\x80\xe0\x12\x34\0\0\0\x09\0\0\0\x07ab";
        let read = parsed(plain).unwrap();
        assert_eq!((read.sequence, read.timestamp, read.ssrc), (0x1234, 9, 7));
        assert_eq!((read.payload_type, read.marker, &read.payload[..]), (96, true, &b"ab"[..]));
        let full = b"\xb1\x60\0\x01\0\0\0\x09\0\0\0\x07SRCEPR\0\x01EXT.ab\0\x02";
        assert_eq!(parsed(full).unwrap().payload[..], *b"ab");
        assert!(parsed(&plain[..12]).unwrap().payload.is_empty());
    }

    #[test]
    fn what_lies_past_the_end_is_no_packet() {
        let head = |first: u8, rest: &[u8]| {
            let mut packet = vec![first, 96, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7];
            packet.extend_from_slice(rest);
            parsed(&packet)
        };
        assert_eq!(parsed(b"\x80\x60\0\x01\0\0\0\0\0\0\0"), None, "short");
        assert_eq!(head(0x40, b""), None, "version");
        assert_eq!(head(0x8f, b"few"), None, "sources");
        assert_eq!(head(0x90, b"EX"), None, "extension");
        assert_eq!(head(0x90, b"EX\xff\xff"), None, "extension's length");
        assert_eq!(head(0xa0, b"\x09"), None, "padding");
        assert_eq!(head(0xa0, b"a\x02").unwrap().payload.len(), 0);
    }

    #[test]
    fn times_pass_the_wrap_and_another_sender_is_far_ahead() {
        let mut unwrapper = TimestampUnwrapper::default();
        let told = [u32::MAX - 9, 0, 3_600, 0].map(|at| unwrapper.advance(at));
        assert_eq!(told, [4_294_967_286, 4_294_967_296, 4_294_970_896, 4_294_967_296]);
        unwrapper.begin_anew(5, 1_000_000);
        let at = unwrapper.advance(5);
        assert!(at >= 4_294_967_296 + 1_000_000 && at & 0xffff_ffff == 5, "{at}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_reading_panic(packet: Vec<u8>) {
            let _ = parsed(&packet);
        }
    }
}
