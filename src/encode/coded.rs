//! One encoded picture, out of what an encoder writes.

use bytes::Bytes;

use crate::media::nal;

/// NAL unit types of H.264, ITU-T H.264 Table 7-1.
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// NAL units behind 4-byte lengths, without parameter sets.
    pub data: Bytes,
    /// Whether it is an IDR picture.
    pub key: bool,
    /// SPS and PPS, when the encoder wrote them with this picture.
    pub sets: Option<(Bytes, Bytes)>,
}

impl Encoded {
    /// Reads what an encoder wrote for one picture (ITU-T H.264 Annex B). `None`: no picture.
    pub fn from_annex_b(bytes: &[u8]) -> Option<Self> {
        let (mut sps, mut pps, mut key, mut nals) = (None, None, false, Vec::new());
        for unit in nal::annex_b(bytes) {
            let kind = unit[0] & 0x1f;
            match kind {
                NAL_SPS => sps = Some(Bytes::copy_from_slice(unit)),
                NAL_PPS => pps = Some(Bytes::copy_from_slice(unit)),
                _ => nals.push(unit),
            }
            key |= kind == NAL_IDR;
        }
        let is_picture = nals.iter().any(|unit| matches!(unit[0] & 0x1f, 1..=NAL_IDR));
        is_picture.then(|| Self { data: nal::length_prefixed(nals), key, sets: sps.zip(pps) })
    }
}
