//! Access units of H.264 (RFC 6184) and H.265 (RFC 7798) out of RTP payloads.
//!
//! Owns: where a unit begins and ends, and the parameter sets in force. Units keep the sets that
//! they carry, byte for byte: a recording whose sets change stays playable from any entry point.
//!
//! A unit ends with the marker bit, which `units` has put right, or with another time stamp (RFC 6184
//! §5.1). After a gap in the sequence numbers it resumes at the next packet that begins a picture.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;

use super::clock::RtpStamp;
use super::frame::{RtpFrame, Unpacked};
use crate::base::limits::ACCESS_UNIT_BYTES_MAX;
use crate::media::CodecParams;
use crate::media::codec::ParamsError;
use crate::media::nal;
use crate::media::parameter_sets::{NalKind, ParameterSets, Standard};
use crate::wire::rtp::RtpPacket;

/// Bytes of the length before each NAL unit.
const LENGTH_BYTES: usize = 4;
/// Room for a NAL unit that is kept for the next one: most fit.
const ROOM_KEPT_BYTES: usize = 256 << 10;

/// The unit that a packet ended.
#[derive(Debug)]
struct Whole {
    /// NAL units behind their lengths.
    data: Bytes,
    /// The time stamp of its first packet.
    ticks: i64,
}

/// The depacketizer of one track.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is one fact of its own; together they are no state
pub(super) struct H26x {
    standard: Standard,
    /// Each NAL unit of an aggregate or fragment is numbered (RFC 7798 §4.4, `DONL`).
    numbered: bool,
    sets: ParameterSets,
    /// The sets changed, and no frame has carried the change yet.
    changed: bool,
    unit: BytesMut,
    /// Time stamp of the first packet of `unit`.
    at: i64,
    /// `unit` has a slice already.
    has_slice: bool,
    /// The NAL unit in the making, of which there is none while this is empty. Its room is used
    /// again.
    fragment: Vec<u8>,
    /// More than its first piece came.
    continued: bool,
    /// Nothing is taken until a packet begins a picture.
    lost: bool,
    /// A unit was handed out since anything was lost.
    intact: bool,
}

impl H26x {
    /// The depacketizer of a track that a description calls `encoding` with `fmtp`.
    pub(super) fn new(standard: Standard, fmtp: Option<&str>) -> Self {
        let mut sets = ParameterSets::new(standard);
        let mut numbered = false;
        for part in fmtp.unwrap_or_default().split(';') {
            let Some((key, value)) = part.trim().split_once('=') else { continue };
            match key.trim().to_ascii_lowercase().as_str() {
                "sprop-parameter-sets" | "sprop-vps" | "sprop-sps" | "sprop-pps" => {
                    value.split(',').for_each(|set| learn_told(&mut sets, set.trim()));
                }
                "sprop-max-don-diff" => numbered |= value.trim() != "0",
                _ => {}
            }
        }
        Self {
            standard,
            numbered: numbered && standard == Standard::H265,
            sets,
            changed: false,
            unit: BytesMut::new(),
            at: 0,
            has_slice: false,
            fragment: Vec::new(),
            continued: false,
            lost: false,
            intact: false,
        }
    }

    /// Takes a packet and gives the frames that it ends, with the parameters where those are new or
    /// not known yet; and whether what it belongs to is sound.
    pub(super) fn unpacked(
        &mut self,
        packet: &RtpPacket,
        ticks: i64,
        loss: bool,
        knows_params: bool,
    ) -> (Vec<Unpacked>, bool) {
        let mut whole = Vec::new();
        let mut sound = self.push(packet, ticks, loss, &mut whole);
        let mut frames = Vec::with_capacity(whole.len());
        for Whole { data, ticks } in whole {
            self.changed |= self.sets.learn(&data);
            let wanted = self.changed || !knows_params;
            let params = if wanted { self.sets.params().transpose() } else { Ok(None) };
            let Ok(params) = params else {
                // Pictures whose parameters cannot be used are useless.
                sound = false;
                continue;
            };
            self.changed = false;
            let frame = RtpFrame { stamp: RtpStamp { ticks, elapsed: 0 }, loss: 0, data };
            frames.push(Unpacked { frame, params });
        }
        (frames, sound)
    }

    /// What the sets in force describe.
    pub(super) fn params(&self) -> Option<Result<CodecParams, ParamsError>> {
        self.sets.params()
    }

    /// Forgets the unit in the making.
    pub(super) fn reset(&mut self) {
        self.drop_unit();
        self.lose();
    }

    fn lose(&mut self) {
        self.fragment.clear();
        (self.lost, self.intact) = (true, false);
    }

    fn drop_unit(&mut self) {
        self.unit.clear();
        self.fragment.clear();
        self.has_slice = false;
    }

    /// Takes a packet with the time `ticks`; units that it ends are added to `whole`. `false`: what
    /// it belongs to is broken.
    fn push(&mut self, packet: &RtpPacket, ticks: i64, loss: bool, whole: &mut Vec<Whole>) -> bool {
        let mut sound = true;
        if loss {
            // Whatever is in the making lacks its end, or its middle.
            self.reset();
        } else if ticks != self.at {
            sound = self.end_fragment(self.at);
            self.end(whole);
        }
        if !self.has_slice && self.fragment.is_empty() {
            self.at = ticks;
        }
        sound &= self.payload(&packet.payload, ticks);
        if packet.marker {
            sound &= self.end_fragment(ticks);
            self.end(whole);
        }
        sound && self.unit.len() <= ACCESS_UNIT_BYTES_MAX
    }

    /// Some cameras leave the bit out that ends a NAL unit in pieces. Nothing of it was lost: losses
    /// are known by the numbers of packets.
    fn end_fragment(&mut self, ticks: i64) -> bool {
        if self.fragment.is_empty() {
            return true;
        }
        let mut nal = std::mem::take(&mut self.fragment);
        let sound = self.several(&nal, ticks);
        if nal.capacity() <= ROOM_KEPT_BYTES {
            nal.clear();
            self.fragment = nal;
        }
        sound
    }

    fn payload(&mut self, payload: &Bytes, ticks: i64) -> bool {
        let Some(&first) = payload.first() else { return true };
        let is_odd = nal::begins_annex_b(payload);
        let is_whole = match self.standard {
            Standard::H264 => matches!(first & 0x1f, 1..=24),
            Standard::H265 => first >> 1 & 0x3f <= 48,
        };
        if (is_odd || is_whole) && !self.end_fragment(ticks) {
            return false;
        }
        if is_odd {
            return self.several(payload, ticks);
        }
        match self.standard {
            Standard::H264 => match first & 0x1f {
                1..=23 => self.several(payload, ticks),
                24 => self.aggregate(payload.slice(1..), 0, ticks), // STAP-A, §5.7.1
                28 => self.fragment_of_h264(payload, ticks),        // FU-A, §5.8
                // Interleaved mode is not asked for; types 0, 30 and 31 are reserved.
                _ => true,
            },
            Standard::H265 => {
                let don = if self.numbered { 2 } else { 0 };
                match first >> 1 & 0x3f {
                    0..=47 if payload.len() > 2 + don => {
                        if don == 0 {
                            return self.several(payload, ticks);
                        }
                        let nal = [&payload[..2], &payload[2 + don..]].concat();
                        self.several(&nal, ticks)
                    }
                    48 => {
                        let rest = payload.get(2 + don..).unwrap_or_default();
                        // `DOND` is one octet before each further length, §4.4.2.
                        self.aggregate(payload.slice_ref(rest), don / 2, ticks)
                    }
                    49 => self.fragment_of_h265(payload, don, ticks), // FU, §4.4.3
                    _ => true,
                }
            }
        }
    }

    /// NAL units behind 16-bit lengths, each but the first behind `gap` octets.
    fn aggregate(&mut self, payload: Bytes, gap: usize, ticks: i64) -> bool {
        let mut rest = &payload[..];
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some((nal, tail)) = tail.split_at_checked(length) else { return false };
            if !self.several(nal, ticks) {
                return false;
            }
            rest = tail.get(gap..).unwrap_or_default();
        }
        true
    }

    fn fragment_of_h264(&mut self, payload: &[u8], ticks: i64) -> bool {
        let &[indicator, header, ref piece @ ..] = payload else { return false };
        let first = [indicator & 0xe0 | header & 0x1f];
        self.fragment(&first, header, piece, ticks)
    }

    fn fragment_of_h265(&mut self, payload: &[u8], don: usize, ticks: i64) -> bool {
        let &[first, second, header, ref piece @ ..] = payload else { return false };
        let first = [first & 0x81 | (header & 0x3f) << 1, second];
        // The number is in the first fragment only.
        let skip = if header & 0x80 != 0 { don } else { 0 };
        self.fragment(&first, header, piece.get(skip..).unwrap_or_default(), ticks)
    }

    /// A piece of a NAL unit; `header` has the S and E bits.
    fn fragment(&mut self, first: &[u8], header: u8, piece: &[u8], ticks: i64) -> bool {
        if header & 0x80 != 0 {
            // A NAL unit in pieces has two at least (RFC 6184 §5.8, RFC 7798 §4.4.3): each of these
            // claims to be the first, and what belongs together is not known.
            let is_alone = !self.fragment.is_empty() && !self.continued;
            if is_alone || !self.end_fragment(ticks) {
                return false;
            }
            self.fragment.extend_from_slice(first);
        }
        self.continued = header & 0x80 == 0;
        if self.fragment.is_empty() {
            // Its beginning was lost: no news when that is known already.
            return self.lost;
        }
        self.fragment.extend_from_slice(piece);
        if self.fragment.len() + self.unit.len() > ACCESS_UNIT_BYTES_MAX {
            return false;
        }
        if header & 0x40 == 0 {
            return true;
        }
        self.end_fragment(ticks)
    }

    /// A NAL unit, or several with start codes between them, as some cameras send.
    fn several(&mut self, nal: &[u8], ticks: i64) -> bool {
        let Some(at) = memmem::find(nal, nal::START_CODE) else {
            return self.one(nal, ticks);
        };
        let front = nal::without_trailing_zeros(&nal[..at]);
        (front.is_empty() || self.one(front, ticks))
            && nal::annex_b(&nal[at..]).all(|nal| self.one(nal, ticks))
    }

    fn one(&mut self, nal: &[u8], ticks: i64) -> bool {
        if nal.len() <= self.standard.header_bytes() || nal[0] & 0x80 != 0 {
            return nal.len() <= self.standard.header_bytes();
        }
        let kind = self.standard.kind(nal);
        let begins = !matches!(kind, NalKind::Slice | NalKind::Other);
        if self.lost {
            if !begins {
                return true; // the rest of what was lost
            }
            self.lost = false;
            self.at = ticks;
        }
        if kind == NalKind::Slice && !self.has_slice && self.intact {
            // The rest of a picture that was handed out before its end.
            self.reset();
            return false;
        }
        self.has_slice |= matches!(kind, NalKind::FirstSlice | NalKind::Slice);
        self.unit.reserve(LENGTH_BYTES + nal.len());
        // One packet, or a NAL unit bounded by ACCESS_UNIT_BYTES_MAX.
        self.unit.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
        self.unit.extend_from_slice(nal);
        true
    }

    /// Returns the unit in the making. Sets alone are not a unit: they belong to the next picture.
    fn end(&mut self, whole: &mut Vec<Whole>) {
        if self.has_slice {
            self.intact = true;
            self.has_slice = false;
            whole.push(Whole { data: self.unit.split().freeze(), ticks: self.at });
        }
    }
}

/// Base64 with its padding or without, and with whatever bits are left over.
const FORGIVING: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Takes over a set of the description, in base64; what cannot be read is left out.
fn learn_told(sets: &mut ParameterSets, text: &str) {
    use base64::Engine as _;
    let Ok(told) = FORGIVING.decode(text.trim_matches('"')) else { return };
    let nal = match memmem::find(&told, nal::START_CODE) {
        None => nal::length_prefixed([&told[..]]),
        Some(0 | 1) => nal::length_prefixed(nal::annex_b(&told)),
        Some(at) => nal::length_prefixed([nal::without_trailing_zeros(&told[..at])]),
    };
    sets.learn(&nal);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The units that four payloads of H.265 make; the third is a fragment that the fourth ends.
    fn units(fmtp: &str, payloads: [&[u8]; 4]) -> Vec<Bytes> {
        let (mut h265, mut whole) = (H26x::new(Standard::H265, Some(fmtp)), Vec::new());
        for (n, payload) in (0u16..).zip(payloads) {
            let (timestamp, ssrc, payload_type, marker) = (0, 1, 96, n != 2);
            let payload = Bytes::copy_from_slice(payload);
            let packet = RtpPacket { sequence: n, timestamp, ssrc, payload_type, marker, payload };
            h265.push(&packet, i64::from(n.min(2)), false, &mut whole);
        }
        whole.into_iter().map(|unit| unit.data).collect()
    }

    /// The NAL units of each picture of these payloads of H.264: time, marker, octets.
    fn pictures(payloads: &[(i64, bool, &[u8])]) -> Vec<Vec<Vec<u8>>> {
        let (mut h264, mut whole) = (H26x::new(Standard::H264, None), Vec::new());
        for (n, (ticks, marker, payload)) in (0u16..).zip(payloads) {
            let payload = Bytes::copy_from_slice(payload);
            let (timestamp, ssrc, payload_type, marker) = (0, 1, 96, *marker);
            let packet = RtpPacket { sequence: n, timestamp, ssrc, payload_type, marker, payload };
            assert!(h264.push(&packet, *ticks, false, &mut whole), "{n}");
        }
        whole.iter().map(|unit| nal::Nals::new(&unit.data).map(<[u8]>::to_vec).collect()).collect()
    }

    #[test]
    fn pieces_of_which_none_is_said_to_be_the_last_are_put_together() {
        let pieces = [
            (0, false, &[0x7c, 0x85, 0x88, 1][..]),
            (0, false, &[0x7c, 0x05, 2]),
            // Another NAL unit, a marker bit, and another time end it.
            (0, false, &[0x06, 5]),
            (0, false, &[0x5c, 0x81, 0x88, 3]),
            (0, true, &[0x5c, 0x01, 4]),
            (3_600, false, &[0x5c, 0x81, 0x88, 5]),
            (7_200, true, &[0x41, 0x88]),
        ];
        let first = vec![vec![0x65, 0x88, 1, 2], vec![0x06, 5], vec![0x41, 0x88, 3, 4]];
        let rest = [vec![vec![0x41, 0x88, 5]], vec![vec![0x41, 0x88]]];
        assert_eq!(pictures(&pieces), [&[first][..], &rest].concat());
    }

    #[test]
    fn pieces_that_all_claim_to_be_the_first_are_broken() {
        let (mut h264, mut whole) = (H26x::new(Standard::H264, None), Vec::new());
        let pieces: [(&[u8], bool); 3] =
            [(&[0x7c, 0x85, 0x88], false), (&[0x7c, 0x85, 1], false), (&[0x7c, 0xc5, 2], true)];
        let sound = pieces.map(|(payload, marker)| {
            let payload = Bytes::copy_from_slice(payload);
            let (sequence, timestamp, ssrc, payload_type) = (0, 0, 1, 96);
            let packet = RtpPacket { sequence, timestamp, ssrc, payload_type, marker, payload };
            h264.push(&packet, 0, false, &mut whole)
        });
        assert_eq!(sound[..2], [true, false], "the rest of the picture is not taken");
    }

    #[test]
    fn start_codes_in_payloads_are_taken_off() {
        let odd = [
            (0, true, &b"\0\0\0\x01\x67\x64\0\0\x01\x65\x88\x01"[..]),
            (3_600, true, b"\0\0\x01\x41\x88\x02"),
            (7_200, true, b"\x06\x05\0\0\0\x01\x41\x88\x03"),
        ];
        let wanted: [Vec<Vec<u8>>; 3] = [
            vec![vec![0x67, 0x64], vec![0x65, 0x88, 1]],
            vec![vec![0x41, 0x88, 2]],
            vec![vec![0x06, 5], vec![0x41, 0x88, 3]],
        ];
        assert_eq!(pictures(&odd), wanted);
    }

    #[test]
    fn sets_in_the_description_need_no_padding() {
        let fmtp = "sprop-parameter-sets=Z2QAM6wVFKCgL/lQ,aO48sA";
        let h264 = H26x::new(Standard::H264, Some(fmtp));
        assert!(h264.params().is_some_and(|params| params.is_ok()));
    }

    #[test]
    fn the_numbers_of_nal_units_are_read_past() {
        // A slice alone, two slices in an aggregate, and one in two fragments (RFC 7798 §4.4).
        let plain: [&[u8]; 4] = [
            &[0x02, 1, 0x80, 7],
            &[0x60, 1, 0, 4, 0x02, 1, 0x80, 8, 0, 4, 0x02, 1, 0x00, 9],
            &[0x62, 1, 0x81, 0x80, 5],
            &[0x62, 1, 0x41, 6],
        ];
        let numbered: [&[u8]; 4] = [
            &[0x02, 1, 0, 1, 0x80, 7],
            &[0x60, 1, 0, 2, 0, 4, 0x02, 1, 0x80, 8, 0, 0, 4, 0x02, 1, 0x00, 9],
            &[0x62, 1, 0x81, 0, 4, 0x80, 5],
            &[0x62, 1, 0x41, 6],
        ];
        let told = units("", plain);
        assert_eq!(told.len(), 3);
        assert_eq!(told[0], [0, 0, 0, 4, 0x02, 1, 0x80, 7][..]);
        assert_eq!(units("sprop-max-don-diff=2", numbered), told);
        assert_ne!(units("sprop-max-don-diff=0", numbered), told, "only where it is said");
    }
}
