//! The quantiser of an H.265 slice: what its header says before `slice_qp_delta` (ITU-T H.265
//! §7.3.6.1), and what of the parameter sets decides how that is read (§7.3.2.2, §7.3.2.3).
//!
//! Owns: those few fields. H265Sets and slices of extensions are not read.

use std::collections::BTreeMap;

use crate::media::bits::Bits;
use crate::media::hevc_sps::{HEADER_BYTES, skip_to_sps_id};

/// Most sets of reference pictures of an SPS, and pictures of one (§7.4.3.2.1, §7.4.8).
const REFERENCE_SETS_MAX: u32 = 64;
const REFERENCES_MAX: u32 = 16;
/// Most columns and rows of tiles (§A.4.1, table A.8).
const TILES_MAX: u32 = 42;

/// Parameter sets in force, by their ids.
#[derive(Debug, Default)]
pub(super) struct H265Sets {
    sps: BTreeMap<u32, Sps>,
    pps: BTreeMap<u32, Pps>,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // flags of the standard
struct Sps {
    chroma_array_type: u32,
    has_separate_planes: bool,
    order_bits: u32,
    reference_sets: Vec<ReferenceSet>,
    /// How many long-term pictures the SPS lists; `None`: there are none at all.
    long_term: Option<u32>,
    has_temporal_mvp: bool,
    has_sao: bool,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // flags of the standard
struct Pps {
    sps: u32,
    has_output_flag: bool,
    extra_bits: u32,
    has_cabac_init: bool,
    references: [u32; 2],
    init_qp: i32,
    weighted: [bool; 2],
    modifies_lists: bool,
}

/// A set of short-term reference pictures: how far away each is, and whether this picture uses it.
/// Those shown before it come first, and of each kind the nearest one.
#[derive(Clone, Debug, Default)]
struct ReferenceSet {
    pictures: Vec<(i32, bool)>,
}

/// Whether `nal` is the first slice segment of a picture, table 7-1.
pub(super) fn is_slice(nal: &[u8]) -> bool {
    nal.first().is_some_and(|first| (first >> 1 & 0x3f) < 32)
        && nal.get(HEADER_BYTES).is_some_and(|octet| octet & 0x80 != 0)
}

impl H265Sets {
    /// Those of `nals` that can be read.
    pub(super) fn new<'a>(nals: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut sets = Self::default();
        for nal in nals {
            let Some(bits) = nal.get(HEADER_BYTES..).map(Bits::new) else { continue };
            match nal[0] >> 1 & 0x3f {
                33 => sets.sps.extend(Sps::read(bits)),
                34 => sets.pps.extend(Pps::read(bits)),
                _ => {}
            }
        }
        sets
    }

    pub(super) fn qp(&self, slice: &[u8]) -> Option<i32> {
        let kind = u32::from(*slice.first()?) >> 1 & 0x3f;
        let mut bits = Bits::new(slice.get(HEADER_BYTES..)?);
        bits.skip(1)?; // first_slice_segment_in_pic_flag
        if (16..=23).contains(&kind) {
            bits.skip(1)?; // no_output_of_prior_pics_flag
        }
        let pps = self.pps.get(&bits.ue()?)?;
        let sps = self.sps.get(&pps.sps)?;
        bits.skip(pps.extra_bits)?;
        let slice_type = SliceType::of(bits.ue()?)?;
        bits.skip(u32::from(pps.has_output_flag) + 2 * u32::from(sps.has_separate_planes))?;
        let is_idr = matches!(kind, 19 | 20);
        let references = if is_idr { References::default() } else { sps.references(&mut bits)? };
        if sps.has_sao {
            bits.skip(if sps.chroma_array_type == 0 { 1 } else { 2 })?;
        }
        if slice_type != SliceType::I {
            inter(&mut bits, slice_type, &references, (sps, pps))?;
        }
        pps.init_qp.checked_add(bits.se()?)
    }
}

/// Table 7-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SliceType {
    B,
    P,
    I,
}

impl SliceType {
    fn of(code: u32) -> Option<Self> {
        [Self::B, Self::P, Self::I].get(usize::try_from(code).ok()?).copied()
    }
}

/// What a slice says of its reference pictures.
#[derive(Debug, Default)]
struct References {
    /// `NumPicTotalCurr`.
    used: u32,
    has_temporal_mvp: bool,
}

/// What slices of predicted pictures say before their quantiser.
fn inter(
    bits: &mut Bits<'_>,
    slice_type: SliceType,
    references: &References,
    (sps, pps): (&Sps, &Pps),
) -> Option<()> {
    let is_b = slice_type == SliceType::B;
    let mut counts = pps.references;
    if bits.bit()? {
        counts[0] = bits.ue()?.checked_add(1)?;
        if is_b {
            counts[1] = bits.ue()?.checked_add(1)?;
        }
    }
    if counts.iter().any(|&count| count > REFERENCES_MAX) {
        return None;
    }
    let lists = if is_b { &counts[..] } else { &counts[..1] };
    if pps.modifies_lists && references.used > 1 {
        let entry_bits = u32::BITS - (references.used - 1).leading_zeros();
        for &count in lists {
            if bits.bit()? {
                bits.skip(entry_bits * count)?;
            }
        }
    }
    bits.skip(u32::from(is_b) + u32::from(pps.has_cabac_init))?; // mvd_l1_zero_flag, cabac_init_flag
    if references.has_temporal_mvp {
        let list = usize::from(is_b && !bits.bit()?); // collocated_from_l0_flag
        if counts[list] > 1 {
            bits.ue()?; // collocated_ref_idx
        }
    }
    if pps.weighted[usize::from(is_b)] {
        weights(bits, lists, sps.chroma_array_type != 0)?;
    }
    bits.ue()?; // five_minus_max_num_merge_cand
    Some(())
}

/// `pred_weight_table`, §7.3.6.3, of a picture without layers.
fn weights(bits: &mut Bits<'_>, lists: &[u32], has_chroma: bool) -> Option<()> {
    bits.ue()?; // luma_log2_weight_denom
    if has_chroma {
        bits.ue()?; // delta_chroma_log2_weight_denom, se(v) has the same length
    }
    for &count in lists {
        let luma = bits.bits(count)?;
        let chroma = if has_chroma { bits.bits(count)? } else { 0 };
        // Two codes for each luma weight, four for each of chroma.
        for _ in 0..2 * luma.count_ones() + 4 * chroma.count_ones() {
            bits.ue()?;
        }
    }
    Some(())
}

impl Sps {
    /// Its id, and what of it is needed.
    fn read(mut bits: Bits<'_>) -> Option<(u32, Self)> {
        let sub_layers = bits.clone().bits(7)? & 7;
        skip_to_sps_id(&mut bits)?;
        let id = bits.ue()?;
        let chroma = bits.ue()?;
        let has_separate_planes = chroma == 3 && bits.bit()?;
        bits.ue()?; // pic_width_in_luma_samples
        bits.ue()?; // pic_height_in_luma_samples
        if bits.bit()? {
            (0..4).try_for_each(|_| bits.ue().map(drop))?; // the conformance window
        }
        bits.ue()?; // bit_depth_luma_minus8
        bits.ue()?; // bit_depth_chroma_minus8
        let order_bits = bits.ue()?.checked_add(4).filter(|&count| count <= 16)?;
        let has_all = bits.bit()?;
        let layers = if has_all { sub_layers + 1 } else { 1 };
        (0..3 * layers).try_for_each(|_| bits.ue().map(drop))?;
        (0..6).try_for_each(|_| bits.ue().map(drop))?; // sizes of blocks
        if bits.bit()? && bits.bit()? {
            scaling_list(&mut bits)?;
        }
        bits.skip(1)?; // amp_enabled_flag
        let has_sao = bits.bit()?;
        if bits.bit()? {
            bits.skip(8)?; // depths of PCM samples
            bits.ue()?;
            bits.ue()?;
            bits.skip(1)?;
        }
        let count = bits.ue().filter(|&count| count <= REFERENCE_SETS_MAX)?;
        let mut reference_sets: Vec<ReferenceSet> = Vec::new();
        for _ in 0..count {
            reference_sets.push(ReferenceSet::read(&mut bits, &reference_sets, false)?);
        }
        let mut long_term = None;
        if bits.bit()? {
            let count = bits.ue().filter(|&count| count <= 32)?;
            bits.skip(count * (order_bits + 1))?;
            long_term = Some(count);
        }
        let has_temporal_mvp = bits.bit()?;
        let chroma_array_type = if has_separate_planes { 0 } else { chroma };
        Some((
            id,
            Self {
                chroma_array_type,
                has_separate_planes,
                order_bits,
                reference_sets,
                long_term,
                has_temporal_mvp,
                has_sao,
            },
        ))
    }

    /// The references of a slice that is not of an IDR picture.
    fn references(&self, bits: &mut Bits<'_>) -> Option<References> {
        bits.skip(self.order_bits)?;
        let count = u32::try_from(self.reference_sets.len()).ok()?;
        let mut used = if bits.bit()? {
            let index = bits.bits(index_bits(count))?;
            self.reference_sets.get(usize::try_from(index).ok()?)?.used()
        } else {
            ReferenceSet::read(bits, &self.reference_sets, true)?.used()
        };
        if let Some(listed) = self.long_term {
            let of_sps = if listed > 0 { bits.ue()? } else { 0 };
            let all = bits.ue()?.checked_add(of_sps).filter(|&all| all <= 33)?;
            for at in 0..all {
                if at < of_sps {
                    bits.skip(index_bits(listed))?;
                    used += 1; // whether it is used is not kept: more cannot be
                } else {
                    bits.skip(self.order_bits)?;
                    used += u32::from(bits.bit()?);
                }
                if bits.bit()? {
                    bits.ue()?; // delta_poc_msb_cycle_lt
                }
            }
        }
        let has_temporal_mvp = self.has_temporal_mvp && bits.bit()?;
        Some(References { used, has_temporal_mvp })
    }
}

/// Bits of an index into a list of `count`.
fn index_bits(count: u32) -> u32 {
    u32::BITS - count.saturating_sub(1).leading_zeros()
}

impl ReferenceSet {
    /// `st_ref_pic_set(at)`, §7.3.7; `before` are those of the SPS, as far as they were read.
    fn read(bits: &mut Bits<'_>, before: &[Self], is_of_slice: bool) -> Option<Self> {
        if !before.is_empty() && bits.bit()? {
            return Self::predicted(bits, before, is_of_slice);
        }
        let counts = [bits.ue()?, bits.ue()?];
        if counts[0].checked_add(counts[1])? > REFERENCES_MAX {
            return None;
        }
        let mut pictures = Vec::new();
        for (count, sign) in counts.into_iter().zip([-1, 1]) {
            let mut distance = 0i32;
            for _ in 0..count {
                let step = i32::try_from(bits.ue()?).ok()?;
                distance = distance.checked_add(step)?.checked_add(1)?;
                pictures.push((sign * distance, bits.bit()?));
            }
        }
        Some(Self { pictures })
    }

    /// One that is coded as the difference to another (§7.4.8, equations 7-61 and 7-62).
    fn predicted(bits: &mut Bits<'_>, before: &[Self], is_of_slice: bool) -> Option<Self> {
        let back = if is_of_slice { bits.ue()?.checked_add(1)? } else { 1 };
        let other = before.len().checked_sub(usize::try_from(back).ok()?)?;
        let is_negative = bits.bit()?;
        let distance = i32::try_from(bits.ue()?).ok()?.checked_add(1)?;
        let distance = if is_negative { -distance } else { distance };
        let mut pictures = Vec::new();
        // The other picture itself is among those that may be referred to.
        for &(place, _) in before[other].pictures.iter().chain([&(0, true)]) {
            let is_used = bits.bit()?;
            let is_kept = is_used || bits.bit()?;
            let place = place.checked_add(distance)?;
            if is_kept && place != 0 {
                pictures.push((place, is_used));
            }
        }
        pictures.sort_by_key(|&(place, _)| (place > 0, place.unsigned_abs()));
        Some(Self { pictures })
    }

    fn used(&self) -> u32 {
        self.pictures.iter().map(|&(_, is_used)| u32::from(is_used)).sum()
    }
}

impl Pps {
    /// Its id, and what of it is needed.
    fn read(mut bits: Bits<'_>) -> Option<(u32, Self)> {
        let (id, sps) = (bits.ue()?, bits.ue()?);
        bits.skip(1)?; // dependent_slice_segments_enabled_flag
        let has_output_flag = bits.bit()?;
        let extra_bits = bits.bits(3)?;
        bits.skip(1)?; // sign_data_hiding_enabled_flag
        let has_cabac_init = bits.bit()?;
        let references = [bits.ue()?.checked_add(1)?, bits.ue()?.checked_add(1)?];
        let init_qp = bits.se()?.checked_add(26)?;
        bits.skip(2)?; // constrained_intra_pred_flag, transform_skip_enabled_flag
        if bits.bit()? {
            bits.ue()?; // diff_cu_qp_delta_depth
        }
        bits.ue()?; // pps_cb_qp_offset
        bits.ue()?; // pps_cr_qp_offset
        bits.skip(1)?; // pps_slice_chroma_qp_offsets_present_flag
        let weighted = [bits.bit()?, bits.bit()?];
        bits.skip(1)?; // transquant_bypass_enabled_flag
        let (has_tiles, _) = (bits.bit()?, bits.bit()?);
        if has_tiles {
            tiles(&mut bits)?;
        }
        bits.skip(1)?; // pps_loop_filter_across_slices_enabled_flag
        if bits.bit()? {
            bits.skip(1)?; // deblocking_filter_override_enabled_flag
            if !bits.bit()? {
                bits.ue()?;
                bits.ue()?;
            }
        }
        if bits.bit()? {
            scaling_list(&mut bits)?;
        }
        let modifies_lists = bits.bit()?;
        Some((
            id,
            Self {
                sps,
                has_output_flag,
                extra_bits,
                has_cabac_init,
                references,
                init_qp,
                weighted,
                modifies_lists,
            },
        ))
    }
}

/// The tiles of a PPS.
fn tiles(bits: &mut Bits<'_>) -> Option<()> {
    let (columns, rows) = (bits.ue()?, bits.ue()?);
    if !bits.bit()? {
        let sides = columns.checked_add(rows).filter(|&count| count <= TILES_MAX)?;
        (0..sides).try_for_each(|_| bits.ue().map(drop))?;
    }
    bits.skip(1) // loop_filter_across_tiles_enabled_flag
}

/// `scaling_list_data`, §7.3.4.
fn scaling_list(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.bit()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            let first = u32::from(size > 1);
            let count = first + 64.min(1 << (4 + 2 * size));
            (0..count).try_for_each(|_| bits.ue().map(drop))?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(sets: Vec<Vec<u8>>, slice: Vec<u8>) {
            let named = |(at, set): (usize, &Vec<u8>)| {
                let kind = 33 + u8::try_from(at % 2).unwrap();
                [&[kind << 1, 1][..], set].concat()
            };
            let sets: Vec<Vec<u8>> = sets.iter().enumerate().map(named).collect();
            let sets = H265Sets::new(sets.iter().map(Vec::as_slice));
            for kind in [1u8, 19, 21] {
                let _ = sets.qp(&[&[kind << 1, 1, 0x80][..], &slice].concat());
            }
        }
    }
}
