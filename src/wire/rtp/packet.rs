//! The packets of one access unit in one piece of memory, each behind its interleaved head.
//!
//! Owns: RTP header (RFC 3550 §5.1) and interleaved framing (RFC 2326 §10.12).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::extension::{EXTENSION_BYTES, ReplayExtension};
use crate::base::limits::RTP_PACKET_BYTES_MAX;

/// `$`, channel, 16-bit length.
pub const FRAME_HEAD_BYTES: usize = 4;
/// The fixed RTP header; we send no CSRC, and an extension only where ONVIF wants it.
pub const HEADER_BYTES: usize = 12;
/// Room for payload in one packet.
pub const PAYLOAD_BYTES_MAX: usize = RTP_PACKET_BYTES_MAX - HEADER_BYTES;

const VERSION: u8 = 2 << 6;
const EXTENDED: u8 = 0x10;
const MARKER: u8 = 0x80;

/// The packets of one access unit, framed for the channel they were packed with. Clones share the
/// memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packets {
    framed: Bytes,
    /// Where each packet ends in `framed`.
    ends: Arc<[usize]>,
    /// Bytes of header extensions.
    extension_bytes: usize,
}

impl Packets {
    /// Packets of `sizes`, headers included, that differ in what they hold.
    #[cfg(test)]
    pub(crate) fn of_sizes(sizes: &[usize]) -> Self {
        let head = PacketHead { channel: 0, payload_type: 96, ssrc: 7, timestamp: 9 };
        let mut writer = PacketWriter::new(head, 0, sizes.iter().sum());
        for (fill, size) in (0u8..).zip(sizes) {
            writer.packet(&[&vec![fill; size - HEADER_BYTES]], 0);
        }
        writer.finish().0
    }

    /// How many packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none (a unit that its payload format cannot carry).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of the packet that follows; `None` when there is none here.
    #[must_use]
    pub fn next_sequence(&self) -> Option<u16> {
        let first = self.framed.get(FRAME_HEAD_BYTES + 2..)?.first_chunk()?;
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let count = self.len() as u16;
        Some(u16::from_be_bytes(*first).wrapping_add(count))
    }

    /// Payload octets, as a sender report counts them: without RTP headers.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.framed.len() - self.len() * (FRAME_HEAD_BYTES + HEADER_BYTES) - self.extension_bytes
    }

    /// All packets with their interleaved heads, ready for one write. Shared, not copied.
    #[must_use]
    pub fn framed(&self) -> &Bytes {
        &self.framed
    }

    /// The packets one by one without the interleaved head, for UDP. Shared, not copied.
    pub fn datagrams(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut begin = 0;
        self.ends.iter().map(move |&end| {
            let packet = self.framed.slice(begin + FRAME_HEAD_BYTES..end);
            begin = end;
            packet
        })
    }

    /// Packet number `at` without the interleaved head; empty when there is no such packet.
    #[must_use]
    pub fn datagram(&self, at: usize) -> &[u8] {
        let begin = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let span = begin.zip(self.ends.get(at)).map(|(begin, &end)| begin + FRAME_HEAD_BYTES..end);
        span.and_then(|span| self.framed.get(span)).unwrap_or_default()
    }

    /// The same packets with `sequence` added to their numbers and `ticks` to their time stamps,
    /// both wrapping; a copy.
    #[must_use]
    pub fn renumbered(&self, sequence: u16, ticks: u32) -> Self {
        let mut out = BytesMut::from(&self.framed[..]);
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        for begin in begins.take(self.len()) {
            let Some(head) = out.get_mut(begin + FRAME_HEAD_BYTES + 2..) else { break };
            let Some((number, rest)) = head.split_first_chunk_mut() else { break };
            let Some(time) = rest.first_chunk_mut() else { break };
            *number = u16::from_be_bytes(*number).wrapping_add(sequence).to_be_bytes();
            *time = u32::from_be_bytes(*time).wrapping_add(ticks).to_be_bytes();
        }
        Self { framed: out.freeze(), ..self.clone() }
    }

    /// All packets with interleaved heads for `channel`; a copy.
    #[must_use]
    pub fn reframed(&self, channel: u8) -> Bytes {
        let mut out = BytesMut::from(&self.framed[..]);
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        for begin in begins.take(self.len()) {
            out[begin + 1] = channel;
        }
        out.freeze()
    }
}

/// Puts `packet` behind an interleaved head. Longer than 65535 bytes cannot be framed and comes
/// back empty.
#[must_use]
pub fn interleaved(channel: u8, packet: &[u8]) -> Bytes {
    let Ok(length) = u16::try_from(packet.len()) else { return Bytes::new() };
    let mut out = BytesMut::with_capacity(FRAME_HEAD_BYTES + packet.len());
    out.put_slice(&[b'$', channel]);
    out.put_u16(length);
    out.put_slice(packet);
    out.freeze()
}

/// What is the same in all packets of one access unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketHead {
    pub(super) channel: u8,
    pub(super) payload_type: u8,
    pub(super) ssrc: u32,
    pub(super) timestamp: u32,
}

/// Packets in the making.
#[derive(Debug)]
pub(super) struct PacketWriter {
    head: PacketHead,
    /// Number of the next packet.
    sequence: u16,
    out: BytesMut,
    ends: Vec<usize>,
    /// For the next packet.
    extension: Option<ReplayExtension>,
    extension_bytes: usize,
}

impl PacketWriter {
    /// Starts with `sequence` for a unit of about `unit_bytes`.
    pub(super) fn new(head: PacketHead, sequence: u16, unit_bytes: usize) -> Self {
        let packets = unit_bytes / PAYLOAD_BYTES_MAX + 2;
        let room = unit_bytes + packets * (FRAME_HEAD_BYTES + HEADER_BYTES + 4);
        Self {
            head,
            sequence,
            out: BytesMut::with_capacity(room),
            ends: Vec::with_capacity(packets),
            extension: None,
            extension_bytes: 0,
        }
    }

    /// Gives the first packet a header extension.
    pub(super) fn extend_first(&mut self, extension: Option<ReplayExtension>) {
        self.extension = extension;
    }

    /// Adds a packet whose payload is `parts`, one after the other; together they are at most
    /// [`PAYLOAD_BYTES_MAX`]. `ahead_ticks` is how far it is past the unit's timestamp.
    pub(super) fn packet(&mut self, parts: &[&[u8]], ahead_ticks: u32) {
        let payload: usize = parts.iter().map(|part| part.len()).sum();
        debug_assert!(payload <= PAYLOAD_BYTES_MAX);
        let extension = self.extension.take();
        let extension_bytes = if extension.is_some() { EXTENSION_BYTES } else { 0 };
        self.extension_bytes += extension_bytes;
        let length = u16::try_from(HEADER_BYTES + extension_bytes + payload)
            .expect("a payload format never exceeds PAYLOAD_BYTES_MAX");
        self.out.put_slice(&[b'$', self.head.channel]);
        self.out.put_u16(length);
        let extended = if extension.is_some() { EXTENDED } else { 0 };
        self.out.put_slice(&[VERSION | extended, self.head.payload_type]);
        self.out.put_u16(self.sequence);
        self.out.put_u32(self.head.timestamp.wrapping_add(ahead_ticks));
        self.out.put_u32(self.head.ssrc);
        if let Some(extension) = extension {
            extension.put(&mut self.out);
        }
        for part in parts {
            self.out.put_slice(part);
        }
        self.ends.push(self.out.len());
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Sets the marker bit of the newest packet: the access unit ends with it.
    pub(super) fn mark(&mut self) {
        let last = self.ends.len().checked_sub(1);
        let Some(last) = last else { return };
        let begin = last.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.out[begin + FRAME_HEAD_BYTES + 1] |= MARKER;
    }

    /// Ends the unit: the packets, and the number of the packet to come.
    pub(super) fn finish(self) -> (Packets, u16) {
        let (framed, ends) = (self.out.freeze(), self.ends.into());
        (Packets { framed, ends, extension_bytes: self.extension_bytes }, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Packets {
        let head = PacketHead { channel: 2, payload_type: 96, ssrc: 7, timestamp: u32::MAX };
        let mut writer = PacketWriter::new(head, u16::MAX, 10);
        writer.packet(&[b"ab", b"c"], 0);
        writer.packet(&[b"d"], 1);
        writer.packet(&[b"efgh"], 0);
        writer.mark();
        let (packets, next) = writer.finish();
        assert_eq!(next, 2);
        packets
    }

    #[test]
    fn numbers_wrap_and_only_the_last_packet_is_marked() {
        let packets: Vec<Bytes> = three().datagrams().collect();
        assert_eq!(packets[0][..], *b"\x80\x60\xff\xff\xff\xff\xff\xff\0\0\0\x07abc");
        assert_eq!(packets[1][..], *b"\x80\x60\0\0\0\0\0\0\0\0\0\x07d");
        for (at, packet) in packets.iter().enumerate() {
            assert_eq!(three().datagram(at), packet);
        }
        assert_eq!(three().datagram(3), b"");
        assert_eq!(packets[2][..], *b"\x80\xe0\0\x01\xff\xff\xff\xff\0\0\0\x07efgh");
    }

    #[test]
    fn reframing_changes_the_channel_and_nothing_else() {
        let packets = three();
        let again = packets.reframed(9);
        let changed = packets.framed().iter().zip(&again[..]).filter(|(a, b)| a != b);
        assert_eq!(changed.map(|(_, b)| *b).collect::<Vec<_>>(), [9, 9, 9]);
        assert_eq!(packets.octets(), 8);
        assert_eq!(packets.framed()[..4], [b'$', 2, 0, 15]);
    }

    #[test]
    fn what_cannot_be_framed_comes_back_empty() {
        assert!(interleaved(1, &vec![0; 65_536]).is_empty());
        assert_eq!(interleaved(1, b"xy")[..], *b"$\x01\0\x02xy");
    }
}
