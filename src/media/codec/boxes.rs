//! The boxes of a sample entry (ISO/IEC 14496-12 §4.2).

/// Bytes of a VisualSampleEntry in front of its boxes, ISO/IEC 14496-12 §12.1.3.
pub(super) const VISUAL_BYTES: usize = 86;

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
