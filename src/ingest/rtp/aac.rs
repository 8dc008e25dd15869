//! AAC out of RTP: `mpeg4-generic` (RFC 3640), any object type.
//!
//! Owns: the AU headers, frames that are packed together, and the frame that several packets make.
//! Interleaving (§3.2.3.2) is refused: no camera does it, and its frames would be out of order.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};

use super::frame::Unpacked;
use crate::base::limits::AAC_FRAMES_PER_PACKET_MAX;
use crate::media::CodecParams;
use crate::wire::rtp::RtpPacket;
use crate::wire::rtsp::MediaDescription;

/// Format parameters whose fields in AU headers are not read; zero or left out, there are none.
const UNREAD: [&str; 5] = [
    "ctsdeltalength",
    "dtsdeltalength",
    "randomaccessindication",
    "streamstateindication",
    "auxiliarydatasizelength",
];

/// Takes one track apart.
#[derive(Debug)]
pub(super) struct Aac {
    /// Bits of the three fields of an AU header, §4.1.
    size_bits: usize,
    index_bits: usize,
    delta_bits: usize,
    /// Ticks of one frame.
    frame_ticks: i64,
    /// The frame of which more packets come.
    partial: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    ticks: i64,
    bytes: usize,
    data: BytesMut,
}

impl Aac {
    /// Reads the format parameters of `medium`; `None` when they cannot be read.
    pub(super) fn open(medium: &MediaDescription) -> Option<(Self, CodecParams)> {
        let fmtp = medium.fmtp.as_deref()?;
        let value = |wanted: &str| {
            let pairs = fmtp.split(';').filter_map(|pair| pair.split_once('='));
            let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(wanted));
            named.next().map(|(_, value)| value.trim())
        };
        let bits = |key: &str| value(key).map_or(Some(0), |value| value.parse().ok());
        let sizes = [bits("sizelength")?, bits("indexlength")?, bits("indexdeltalength")?];
        let [size_bits, index_bits, delta_bits] = sizes;
        let is_read = UNREAD.iter().all(|key| bits(key) == Some(0));
        if !is_read || !(1..=16).contains(&size_bits) || index_bits > 16 || delta_bits > 16 {
            return None;
        }
        let config = hex(value("config")?)?;
        let params = CodecParams::aac(&config, NonZeroU32::new(medium.clock_rate)?).ok()?;
        let frame_ticks = i64::from(params.aac_frame_ticks()?);
        Some((Self { size_bits, index_bits, delta_bits, frame_ticks, partial: None }, params))
    }

    /// Forgets the frame in the making.
    pub(super) fn reset(&mut self) {
        self.partial = None;
    }

    /// The frames that are whole with `packet`, whose time is `ticks`, and whether it could be
    /// read. `loss`: packets are missing before it.
    pub(super) fn unpacked(
        &mut self,
        packet: &RtpPacket,
        ticks: i64,
        loss: bool,
    ) -> (Vec<Unpacked>, bool) {
        let partial = self.partial.take().filter(|partial| !loss && partial.ticks == ticks);
        let Some((sizes, mut data)) = self.headers(&packet.payload) else {
            return (Vec::new(), false);
        };
        // A frame in pieces has a packet of its own; each piece says the size of the whole, §3.2.3.
        if let ([bytes], true) = (&sizes[..], partial.is_some() || sizes[0] > data.len()) {
            // The first pieces are missing: what is left of it is not taken for a beginning.
            if partial.is_none() && loss {
                return (Vec::new(), false);
            }
            let piece = partial.unwrap_or(Partial { ticks, bytes: *bytes, data: BytesMut::new() });
            return self.add(piece, *bytes, &data, packet.marker);
        }
        let mut frames = Vec::with_capacity(sizes.len());
        for (place, bytes) in (0i64..).zip(sizes) {
            if bytes > data.len() {
                return (frames, false);
            }
            let at = ticks.saturating_add(place.saturating_mul(self.frame_ticks));
            if bytes > 0 {
                frames.push(Unpacked::sound(without_adts(data.split_to(bytes)), at));
            }
        }
        (frames, true)
    }

    /// Adds `data` to `partial`.
    fn add(
        &mut self,
        mut partial: Partial,
        bytes: usize,
        data: &[u8],
        last: bool,
    ) -> (Vec<Unpacked>, bool) {
        partial.data.extend_from_slice(data);
        let got = partial.data.len();
        if partial.bytes != bytes || got > bytes {
            return (Vec::new(), false);
        }
        if got == bytes {
            return (
                vec![Unpacked::sound(without_adts(partial.data.freeze()), partial.ticks)],
                true,
            );
        }
        if last {
            return (Vec::new(), false);
        }
        self.partial = Some(partial);
        (Vec::new(), true)
    }

    /// The sizes of the frames in `payload`, at least one, and the bytes behind the headers.
    fn headers(&self, payload: &Bytes) -> Option<(Vec<usize>, Bytes)> {
        let (bits, rest) = payload.split_first_chunk::<2>()?;
        let bits = usize::from(u16::from_be_bytes(*bits));
        let headers = rest.get(..bits.div_ceil(8))?;
        let data = payload.slice(2 + headers.len()..);
        let number = |at: usize, count: usize| {
            (at..at + count)
                .fold(0usize, |sum, at| sum << 1 | usize::from(headers[at / 8] >> (7 - at % 8) & 1))
        };
        let (mut at, mut sizes) = (0, Vec::new());
        loop {
            let index_bits = if sizes.is_empty() { self.index_bits } else { self.delta_bits };
            let length = self.size_bits + index_bits;
            if at + length > bits || sizes.len() >= AAC_FRAMES_PER_PACKET_MAX {
                break;
            }
            // The first is the index of the frame, zero; then the distance between frames,
            // §3.2.1.1.
            if number(at + self.size_bits, index_bits) != 0 && !sizes.is_empty() {
                return None;
            }
            sizes.push(number(at, self.size_bits));
            at += length;
        }
        (!sizes.is_empty()).then_some((sizes, data))
    }
}

/// A frame without the head of ADTS (ISO/IEC 14496-3 §1.A.2.2) that some cameras leave before it. No
/// frame begins as that does, with an element that ends it.
fn without_adts(mut frame: Bytes) -> Bytes {
    let [0xff, second, _, high, middle, low, _, ..] = frame[..] else { return frame };
    let length = usize::from(high & 3) << 11 | usize::from(middle) << 3 | usize::from(low >> 5);
    if second & 0xf6 != 0xf0 || length != frame.len() {
        return frame;
    }
    // Without protection_absent there is a checksum.
    let head = if second & 1 == 0 { 9 } else { 7 };
    frame.split_off(head.min(frame.len()))
}

/// Octets written in base 16 (RFC 3640 §4.1, `config`).
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_matches('"').as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let octet = |pair: &[u8]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    text.len().is_multiple_of(2).then(|| text.chunks_exact(2).map(octet).collect())?
}

#[cfg(test)]
mod tests {
    use super::super::sound_packets::{media, packet, told};
    use super::*;

    const HBR: &str = "streamtype=5;profile-level-id=1;mode=AAC-hbr;SizeLength=13;IndexLength=3;\
                       IndexDeltaLength=3;";

    fn open(clock_rate: u32, fmtp: &str) -> Option<(Aac, CodecParams)> {
        Aac::open(&media("mpeg4-generic", clock_rate, fmtp))
    }

    #[test]
    fn packed_frames_are_a_frame_of_the_clock_apart() {
        let two = packet(true, &[0, 32, 0, 2 << 3, 0, 1 << 3, 1, 2, 3]);
        for (config, clock_rate, step) in [
            ("2B920800", 44_100, 2_048),
            ("2B920800", 22_050, 1_024),
            ("139056E5A0", 44_100, 2_048),
            ("139056E5A0", 22_050, 1_024),
            ("1390", 44_100, 2_048),
            ("1390", 22_050, 1_024),
        ] {
            let (mut aac, _) = open(clock_rate, &format!("{HBR}config={config}; ")).unwrap();
            let wanted = (vec![(100, vec![1, 2]), (100 + step, vec![3])], true);
            assert_eq!(told(aac.unpacked(&two, 100, false)), wanted, "{config} {clock_rate}");
        }
    }

    #[test]
    fn a_frame_in_pieces_is_whole_or_none() {
        let (mut aac, _) = open(48_000, &format!("{HBR}config=1190")).unwrap();
        let pieces =
            [packet(false, &[0, 16, 0, 4 << 3, 1, 2]), packet(true, &[0, 16, 0, 4 << 3, 3, 4])];
        assert_eq!(told(aac.unpacked(&pieces[0], 7, false)), (vec![], true));
        assert_eq!(told(aac.unpacked(&pieces[1], 7, false)), (vec![(7, vec![1, 2, 3, 4])], true));
        assert_eq!(told(aac.unpacked(&pieces[0], 8, false)), (vec![], true));
        assert_eq!(told(aac.unpacked(&pieces[1], 8, true)), (vec![], false), "one is missing");
        let next = packet(true, &[0, 16, 0, 1 << 3, 9]);
        assert_eq!(told(aac.unpacked(&next, 9, false)), (vec![(9, vec![9])], true));
        assert_eq!(told(aac.unpacked(&packet(true, &[0, 16, 0]), 9, false)), (vec![], false));
        let interleaved = packet(true, &[0, 32, 0, 1 << 3, 0, 1 << 3 | 2, 1, 2]);
        assert_eq!(told(aac.unpacked(&interleaved, 9, false)), (vec![], false));
    }

    #[test]
    fn the_head_of_adts_is_taken_off() {
        let frame = Bytes::from_static(&[0xff, 0xf1, 0x4c, 0x40, 1, 0x3f, 0xfc, 1, 2]);
        assert_eq!(without_adts(frame.clone()), [1, 2][..]);
        assert_eq!(without_adts(frame.slice(..8)), frame.slice(..8), "its length is another");
        assert_eq!(without_adts(Bytes::from_static(&[0xff, 0xf1])), [0xff, 0xf1][..]);
    }

    #[test]
    fn other_widths_are_read_and_other_fields_refused() {
        let low = "mode=AAC-lbr;sizelength=6;indexlength=2;indexdeltalength=2;config=1190";
        let (mut aac, _) = open(48_000, low).unwrap();
        let two = packet(true, &[0, 16, 2 << 2, 1 << 2, 1, 2, 3]);
        let wanted = (vec![(0, vec![1, 2]), (1_024, vec![3])], true);
        assert_eq!(told(aac.unpacked(&two, 0, false)), wanted);
        assert!(open(48_000, &format!("{HBR}config=11")).is_none());
        assert!(open(48_000, HBR).is_none());
        assert!(open(48_000, &format!("{HBR}config=1190;CTSDeltaLength=22")).is_none());
    }
}
