//! The boxes of a sample entry (ISO/IEC 14496-12 §4.2), and the front that all audio entries share.

use bytes::{BufMut, BytesMut};

/// Bytes of a VisualSampleEntry in front of its boxes, ISO/IEC 14496-12 §12.1.3.
pub(super) const VISUAL_BYTES: usize = 86;

/// Bytes of an AudioSampleEntry in front of its boxes, ISO/IEC 14496-12 §12.2.3.
pub(super) const AUDIO_BYTES: usize = 36;

/// An AudioSampleEntry of `kind` up to its boxes, which the caller adds: `boxes_bytes` of them.
pub(super) fn audio_entry(kind: [u8; 4], rate: u32, channels: u16, boxes_bytes: u32) -> BytesMut {
    let mut entry = BytesMut::with_capacity(128);
    entry.put_u32(36 + boxes_bytes);
    entry.put_slice(&kind);
    entry.put_bytes(0, 6); // reserved
    entry.put_u16(1); // data_reference_index
    entry.put_bytes(0, 8); // reserved
    entry.put_u16(channels);
    entry.put_u16(16); // samplesize: what the decoder gives
    entry.put_u32(0); // pre_defined, reserved
    // 16.16 fixed point; a rate that does not fit is zero here and given by the boxes.
    entry.put_u32(u16::try_from(rate).map_or(0, |hz| u32::from(hz) << 16));
    entry
}

/// The boxes that `bytes` is made of: type and content. Ends at the first that does not fit.
pub fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, _) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (whole, behind) = rest.split_at_checked(length)?;
        let kind = *whole.get(4..8)?.first_chunk()?;
        rest = behind;
        Some((kind, &whole[8..]))
    })
}
