//! Where a decoder can begin: read from the NAL units of one coded picture.
//!
//! Owns: the classes of entry points ([`Entry`]) and of leading pictures ([`Leading`]). Whether a
//! weak class counts as an entry point is decided per stream, where it is known what else the
//! stream brings.

use super::bits::Bits;
use super::codec::Codec;
use super::nal::Nals;

/// Why a decoder can begin at a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// Nothing behind it refers to anything before it: an IDR picture (ITU-T H.264 §7.4.1.2.4,
    /// H.265 types 19 and 20), or any unit of a stream without pictures.
    Closed,
    /// Clean from here on in output order, while pictures shown before it may refer to what came
    /// earlier: H.265 CRA and BLA (types 16-18, 21-23), H.264 I slices with a recovery point of
    /// zero frames (§D.2.8).
    Open,
    /// Clean after so many pictures: a recovery point of gradual decoder refresh (H.264 §D.2.8,
    /// H.265 §D.3.8).
    Gradual(u16),
    /// All slices are I, and nothing promises that what follows refers to nothing earlier.
    Bare,
    /// No entry point at all: the stream has none, and a decoder that begins here smears until
    /// every part of the picture has been sent anew.
    Blind,
}

/// Whether a picture that is shown before the [`Entry::Open`] it follows can be decoded when
/// decoding began there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leading {
    /// H.265 RADL (types 6 and 7).
    Decodable,
    /// H.265 RASL (types 8 and 9); H.264: it may refer to what came before the entry point.
    Undecodable,
}

/// Most frames or pictures after which a gradual refresh counts as one: ten seconds at 60 a
/// second. A larger count is taken for this one.
const GRADUAL_MAX: u16 = 600;
/// Octets of an SEI message that are checked: a recovery point is a few bits.
const SEI_HEAD_OCTETS: usize = 16;
/// SEI payload type `recovery_point`, H.264 §D.1.1 and H.265 §D.2.1.
const RECOVERY_POINT: u32 = 6;

impl Entry {
    /// Why a decoder of `codec` can begin at the access unit `data` (NAL units behind lengths);
    /// `None` when it cannot. Audio has no entry points of its own.
    #[must_use]
    pub fn of(codec: &Codec, data: &[u8]) -> Option<Self> {
        match codec {
            Codec::H264 { .. } => h264(data),
            Codec::H265 { .. } => h265(data),
            Codec::Aac { .. } | Codec::G711(_) | Codec::Flac | Codec::Opus => None,
        }
    }

    /// The plain case: a key frame, or not.
    #[must_use]
    pub const fn key_frame(is_key: bool) -> Option<Self> {
        if is_key { Some(Self::Closed) } else { None }
    }

    /// Whether MP4 calls the sample a sync sample (ISO/IEC 14496-12 §8.8.3.1). Open ones are
    /// among them, because players begin nowhere else.
    #[must_use]
    pub const fn is_sync(self) -> bool {
        matches!(self, Self::Closed | Self::Open | Self::Bare)
    }

    /// Whether the stream promises that decoding can begin here.
    #[must_use]
    pub const fn is_strong(self) -> bool {
        matches!(self, Self::Closed | Self::Open)
    }

    /// The class as one word, for the API and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Gradual(_) => "gradual",
            Self::Bare => "intra",
            Self::Blind => "none",
        }
    }
}

impl Leading {
    /// What the NAL unit types of an H.265 picture say (ITU-T H.265 table 7-1). H.264 does not
    /// say it; there the order of output tells.
    #[must_use]
    pub fn of(codec: &Codec, data: &[u8]) -> Option<Self> {
        let Codec::H265 { .. } = codec else { return None };
        let kinds = Nals::new(data).filter_map(|nal| nal.first());
        kinds.map(|first| first >> 1 & 0x3f).find(|&kind| kind < 32).and_then(|kind| match kind {
            6 | 7 => Some(Self::Decodable),
            8 | 9 => Some(Self::Undecodable),
            _ => None,
        })
    }
}

fn h264(data: &[u8]) -> Option<Entry> {
    let mut recovery = None;
    let mut all_intra = None;
    for nal in Nals::new(data) {
        match nal.first()? & 0x1f {
            5 => return Some(Entry::Closed),
            6 => recovery = recovery.or_else(|| recovery_point(&nal[1..])),
            // Data partition A carries a slice header too (§7.3.2.9.1).
            1 | 2 => {
                let intra = is_intra_slice(&nal[1..]);
                all_intra = Some(intra && all_intra.unwrap_or(true));
                if !intra {
                    break;
                }
            }
            _ => {}
        }
    }
    // `recovery_frame_cnt` is ue(v).
    let frames = recovery.and_then(|mut bits: Bits<'_>| bits.ue());
    match (all_intra?, frames) {
        (true, Some(0)) => Some(Entry::Open),
        (_, Some(frames)) => Some(Entry::Gradual(clamped(frames))),
        (true, None) => Some(Entry::Bare),
        (false, None) => None,
    }
}

fn h265(data: &[u8]) -> Option<Entry> {
    let mut recovery = None;
    let mut kinds = None;
    for nal in Nals::new(data) {
        match nal.first()? >> 1 & 0x3f {
            kind @ 0..=31 => {
                kinds = Some(kind);
                break;
            }
            39 => recovery = recovery.or_else(|| recovery_point(nal.get(2..)?)),
            _ => {}
        }
    }
    match kinds? {
        19 | 20 => Some(Entry::Closed),
        16..=18 | 21..=23 => Some(Entry::Open),
        // `recovery_poc_cnt` is se(v): k means (-1)^(k+1) * ceil(k / 2), §9.2.2.
        _ => recovery.and_then(|mut bits| bits.ue()).map(|code| {
            let pictures = if code % 2 == 1 { code.div_ceil(2) } else { 0 };
            Entry::Gradual(clamped(pictures))
        }),
    }
}

fn clamped(count: u32) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX).min(GRADUAL_MAX)
}

/// Whether a slice (behind its NAL header) is of type I or SI, H.264 table 7-6.
fn is_intra_slice(slice: &[u8]) -> bool {
    let mut bits = Bits::new(slice);
    let kind = bits.ue().and_then(|_first_mb_in_slice| bits.ue());
    matches!(kind, Some(2 | 4 | 7 | 9))
}

/// The payload of the recovery point message in an SEI NAL unit (behind its header), if there is
/// one: H.264 and H.265 §7.3.2.3, §7.3.5.
fn recovery_point(mut sei: &[u8]) -> Option<Bits<'_>> {
    // `rbsp_trailing_bits` are one octet.
    while sei.len() > 2 {
        let (kind, rest) = sei_number(sei)?;
        let (size, rest) = sei_number(rest)?;
        if kind == RECOVERY_POINT {
            return Some(Bits::new(&rest[..rest.len().min(SEI_HEAD_OCTETS)]));
        }
        sei = skip_payload(rest, size as usize)?;
    }
    None
}

/// A type or size: octets of 255, then the rest.
fn sei_number(octets: &[u8]) -> Option<(u32, &[u8])> {
    let full = octets.iter().take_while(|&&octet| octet == 0xff).count();
    let (&last, rest) = octets.get(full..)?.split_first()?;
    let number = u32::try_from(full).ok()?.checked_mul(255)?.checked_add(u32::from(last))?;
    Some((number, rest))
}

/// What follows `size` octets of payload, emulation prevention (§7.4.1) not counted.
fn skip_payload(octets: &[u8], size: usize) -> Option<&[u8]> {
    let (mut left, mut zeros) = (size, 0);
    for (at, &octet) in octets.iter().enumerate() {
        if zeros >= 2 && octet == 3 {
            zeros = 0;
            continue;
        }
        if left == 0 {
            return Some(&octets[at..]);
        }
        left -= 1;
        zeros = if octet == 0 { zeros + 1 } else { 0 };
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::nal::length_prefixed;

    fn h264_codec() -> Codec {
        Codec::H264 { sps: Bytes::new(), pps: Bytes::new(), more: Vec::new() }
    }

    fn h265_codec() -> Codec {
        Codec::H265 { vps: Bytes::new(), sps: Bytes::new(), pps: Bytes::new(), more: Vec::new() }
    }

    /// What an H.264 unit of these NAL units is.
    fn avc(nals: &[&[u8]]) -> Option<Entry> {
        Entry::of(&h264_codec(), &length_prefixed(nals.iter().copied()))
    }

    fn hevc(nals: &[&[u8]]) -> Option<Entry> {
        Entry::of(&h265_codec(), &length_prefixed(nals.iter().copied()))
    }

    /// first_mb 0 (`1`), then slice_type: 7 is `0001000`, 5 is `00110`, 2 is `011`.
    const I: &[u8] = &[0x41, 0b1000_1000, 0x80];
    const I_TWO: &[u8] = &[0x41, 0b1011_0000, 0x80];
    const P: &[u8] = &[0x41, 0b1001_1010, 0x80];
    /// Recovery point: count, exact match, no broken link, changing slice groups 0.
    const SEI_0: &[u8] = &[6, 6, 1, 0b1100_0100, 0x80];
    /// Count 18 is `000010011`.
    const SEI_18: &[u8] = &[6, 6, 2, 0b0000_1001, 0b1000_0100, 0x80];

    #[test]
    fn h264_pictures_are_classed_by_their_slices_and_messages() {
        assert_eq!(avc(&[&[0x67, 1], &[0x68, 1], &[0x65, 0x88]]), Some(Entry::Closed));
        assert_eq!(avc(&[SEI_0, I]), Some(Entry::Open));
        assert_eq!(avc(&[SEI_18, P]), Some(Entry::Gradual(18)));
        assert_eq!(avc(&[SEI_0, P]), Some(Entry::Gradual(0)));
        assert_eq!(avc(&[&[9, 0x10], I, I_TWO]), Some(Entry::Bare));
        assert_eq!(avc(&[I, P]), None, "every slice counts");
        assert_eq!(avc(&[P]), None);
        assert_eq!(avc(&[&[0x67, 1]]), None, "sets alone are no picture");
    }

    #[test]
    fn a_recovery_point_is_found_behind_other_messages() {
        // Type 5 (user data) of 4 octets with an emulation prevention octet inside, then type 6.
        let sei: &[u8] = &[6, 5, 4, 0, 0, 3, 1, 0xaa, 6, 1, 0b1100_0100, 0x80];
        assert_eq!(avc(&[sei, I]), Some(Entry::Open));
        let huge: Vec<u8> = [&[6u8, 5, 255, 1][..], &[7; 256], &[6, 1, 0xc4, 0x80]].concat();
        assert_eq!(avc(&[&huge, I]), Some(Entry::Open));
        assert_eq!(avc(&[&[6, 6], I]), Some(Entry::Bare), "a message that ends early is none");
    }

    #[test]
    fn h265_pictures_are_classed_by_their_types() {
        for kind in 0u8..32 {
            let wanted = match kind {
                19 | 20 => Some(Entry::Closed),
                16..=23 => Some(Entry::Open),
                _ => None,
            };
            assert_eq!(hevc(&[&[0x40, 1, 1], &[kind << 1, 1, 0xaf]]), wanted, "{kind}");
        }
        // Recovery after 3 pictures: se(v) 3 is code 5, `00110`.
        let sei: &[u8] = &[39 << 1, 1, 6, 1, 0b0011_0101, 0x80];
        assert_eq!(hevc(&[sei, &[1 << 1, 1, 0xaf]]), Some(Entry::Gradual(3)));
        // A count below zero: the pictures before it in output order are right too.
        let sei: &[u8] = &[39 << 1, 1, 6, 1, 0b0010_1101, 0x80];
        assert_eq!(hevc(&[sei, &[1 << 1, 1, 0xaf]]), Some(Entry::Gradual(0)));
    }

    #[test]
    fn leading_pictures_are_known_by_their_types() {
        let leading = |kind: u8| {
            Leading::of(&h265_codec(), &length_prefixed([&[39u8 << 1, 1][..], &[kind << 1, 1]]))
        };
        assert_eq!(leading(8), Some(Leading::Undecodable));
        assert_eq!(leading(9), Some(Leading::Undecodable));
        assert_eq!(leading(7), Some(Leading::Decodable));
        assert_eq!((leading(1), leading(21)), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_classing_panic(data: Vec<u8>, nals: Vec<Vec<u8>>) {
            let whole = length_prefixed(nals.iter().map(Vec::as_slice));
            for codec in [h264_codec(), h265_codec()] {
                let _ = (Entry::of(&codec, &data), Leading::of(&codec, &data));
                let _ = (Entry::of(&codec, &whole), Leading::of(&codec, &whole));
            }
        }
    }
}
