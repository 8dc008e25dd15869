//! The front of an H.265 sequence parameter set (ITU-T H.265 §7.3.2.2.1).
//!
//! Owns: its id and its colour sampling; retina reads the rest.

use super::bits::Bits;

/// Octets of a NAL unit header, §7.3.1.2.
pub(super) const HEADER_BYTES: usize = 2;

/// `chroma_format_idc` of the SPS `nal`: 0 is 4:0:0, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4 (§6.2).
pub(crate) fn chroma_format(nal: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(nal.get(HEADER_BYTES..)?);
    skip_to_sps_id(&mut bits)?;
    bits.ue()?;
    bits.ue()
}

/// Passes over what comes before `sps_seq_parameter_set_id`, H.265 §7.3.2.2.1 and §7.3.3.
pub(super) fn skip_to_sps_id(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(4)?;
    let mut sub_layers = 0u32;
    for _ in 0..3 {
        sub_layers = sub_layers << 1 | u32::from(bits.bit()?);
    }
    bits.skip(1 + 88 + 8)?;
    let mut more = 0;
    for _ in 0..sub_layers {
        more += if bits.bit()? { 88 } else { 0 };
        more += if bits.bit()? { 8 } else { 0 };
    }
    if sub_layers > 0 {
        bits.skip((8 - sub_layers) * 2)?;
    }
    bits.skip(more)
}
