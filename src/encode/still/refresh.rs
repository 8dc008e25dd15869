//! Makes a film that begins with an IDR picture of H.264 pictures without any, as cameras with gradual
//! decoder refresh send them, for a decoder that begins nowhere else.
//!
//! Owns: a grey IDR picture and pictures that repeat it, which replace those before (ITU-T H.264
//! §7.3.3, §7.3.5), and the numbers of the pictures behind them. When a whole refresh has passed
//! nothing of the grey is left.

use h264_reader::nal::pps::{PicParamSetId, PicParameterSet};
use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitReader, decode_nal};

use crate::media::nal::{Nals, length_prefixed};
use crate::media::rbsp::{RbspReader, RbspWriter, escaped};

/// NAL unit types, table 7-1, and the reference indications that go with them.
const SLICE: u8 = 1;
const IDR: u8 = 5;
const PARAMETER_SET: u8 = 8;
const HIGH: u8 = 3 << 5;
/// Slice types that hold for all slices of a picture, table 7-6.
const ALL_P: u32 = 5;
const ALL_I: u32 = 7;
/// Most pictures that replace earlier ones (§A.3.1: `max_num_ref_frames`).
const STAND_INS_MAX: u32 = 16;
/// Largest picture that is drawn grey, in macroblocks.
const MACROBLOCKS_MAX: u32 = 139_264;

/// The numbers of the first picture, and how long they are.
struct Numbers<'a> {
    sps: &'a SeqParameterSet,
    frame_bits: u32,
    frame: u32,
    /// `None` where the order follows from the frame numbers.
    order: Option<(u32, u32)>,
}

/// The access units of a film that shows what `nals` show: parameter sets, then pictures with an access
/// unit delimiter before each, all behind lengths. `None` when they can be decoded as they are, or are
/// nothing that could be.
pub(super) fn as_film(nals: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut pictures: Vec<Vec<&[u8]>> = vec![Vec::new()];
    for nal in Nals::new(nals) {
        match nal.first()? & 0x1f {
            9 => pictures.push(Vec::new()),
            IDR => return None,
            6 => {}
            _ => pictures.last_mut()?.push(nal),
        }
    }
    let sets = pictures.remove(0);
    pictures.retain(|picture| !picture.is_empty());
    let mut context = h264_reader::Context::new();
    let mut ids = Vec::new();
    for set in sets.iter().chain(pictures.iter().flatten()) {
        learn(set, &mut context, &mut ids);
    }
    let slice = pictures.first()?.iter().find(|nal| nal[0] & 0x1f == SLICE)?;
    let (_, numbers) = numbers(&decode_nal(slice).ok()?, &context)?;
    let own = (0..=255).find(|id| !ids.contains(id))?;
    let references = numbers.sps.max_num_ref_frames.clamp(1, STAND_INS_MAX);
    let mut film = vec![grey(&sets, &numbers, own)?];
    film.extend((1..references).map(|number| repeat(&numbers, own, number)));
    for picture in &pictures {
        film.push(renumbered(picture, &context, &numbers, references)?);
    }
    Some(film)
}

fn learn(nal: &[u8], context: &mut h264_reader::Context, ids: &mut Vec<u32>) {
    let Ok(rbsp) = decode_nal(nal) else { return };
    match nal[0] & 0x1f {
        7 => {
            if let Ok(sps) = SeqParameterSet::from_bits(BitReader::new(&*rbsp)) {
                context.put_seq_param_set(sps);
            }
        }
        PARAMETER_SET => {
            ids.extend(RbspReader { octets: &rbsp, at: 0 }.ue());
            if let Ok(pps) = PicParameterSet::from_bits(context, BitReader::new(&*rbsp)) {
                context.put_pic_param_set(pps);
            }
        }
        _ => {}
    }
}

/// Position of the frame number in a slice, and the numbers it has.
fn numbers<'a>(rbsp: &[u8], context: &'a h264_reader::Context) -> Option<(usize, Numbers<'a>)> {
    let mut reader = RbspReader { octets: rbsp, at: 0 };
    reader.ue()?; // first_mb_in_slice
    reader.ue()?; // slice_type
    let pps = context.pps_by_id(PicParamSetId::from_u32(reader.ue()?).ok()?)?;
    let sps = context.sps_by_id(pps.seq_parameter_set_id)?;
    let is_apart = sps.chroma_info.chroma_format == ChromaFormat::YUV444;
    // openh264 decodes none of these.
    if is_apart || pps.slice_groups.is_some() || sps.frame_mbs_flags != FrameMbsFlags::Frames {
        return None;
    }
    let at = reader.at;
    let frame_bits = u32::from(sps.log2_max_frame_num_minus4) + 4;
    let frame = reader.bits(frame_bits)?;
    let order = match &sps.pic_order_cnt {
        PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } => {
            let bits = u32::from(*log2_max_pic_order_cnt_lsb_minus4) + 4;
            Some((bits, reader.bits(bits)?))
        }
        PicOrderCntType::TypeTwo => None,
        PicOrderCntType::TypeOne { .. } => return None,
    };
    Some((at, Numbers { sps, frame_bits, frame, order }))
}

/// The parameter sets, one of our own, and a grey IDR picture.
fn grey(sets: &[&[u8]], numbers: &Numbers<'_>, own: u32) -> Option<Vec<u8>> {
    let sps = numbers.sps;
    let macroblocks = macroblocks(sps)?;
    let has_colour = sps.chroma_info.chroma_format != ChromaFormat::Monochrome;
    let mut slice = header(numbers, own, ALL_I, 0);
    slice.bits(0, 2); // no_output_of_prior_pics_flag, long_term_reference_flag
    tail_of_header(&mut slice);
    for _ in 0..macroblocks {
        slice.ue(3); // I_16x16 predicted from what is around it, which is grey, and nothing more
        if has_colour {
            slice.ue(0); // intra_chroma_pred_mode: the same
        }
        slice.ue(0); // mb_qp_delta
        slice.bit(true); // coeff_token: none
    }
    let (set, slice) = (parameter_set(sps, own), ended(slice));
    let mut all: Vec<Vec<u8>> = sets.iter().map(|set| set.to_vec()).collect();
    all.push(escaped(HIGH | PARAMETER_SET, &set));
    all.push(escaped(HIGH | IDR, &slice));
    Some(length_prefixed(all.iter().map(Vec::as_slice)).to_vec())
}

fn macroblocks(sps: &SeqParameterSet) -> Option<u32> {
    let across = sps.pic_width_in_mbs_minus1.checked_add(1)?;
    let down = sps.pic_height_in_map_units_minus1.checked_add(1)?;
    across.checked_mul(down).filter(|all| *all <= MACROBLOCKS_MAX)
}

/// A picture parameter set without anything special (§7.3.2.2).
fn parameter_set(sps: &SeqParameterSet, own: u32) -> Vec<u8> {
    let mut set = RbspWriter::default();
    set.ue(own);
    set.ue(u32::from(sps.seq_parameter_set_id.id()));
    set.bits(0, 2); // entropy_coding_mode_flag: CAVLC; bottom_field_pic_order_in_frame_present_flag
    for _ in 0..3 {
        set.ue(0); // num_slice_groups_minus1, num_ref_idx of both lists
    }
    set.bits(0, 3); // weighted_pred_flag, weighted_bipred_idc
    for _ in 0..3 {
        set.ue(0); // pic_init_qp, pic_init_qs, chroma_qp_index_offset
    }
    set.bits(0b100, 3); // deblocking_filter_control_present_flag and two more
    ended(set)
}

/// The header of a slice that is a whole stand-in picture, up to its marking.
fn header(numbers: &Numbers<'_>, own: u32, kind: u32, number: u32) -> RbspWriter {
    let mut slice = RbspWriter::default();
    slice.ue(0); // first_mb_in_slice
    slice.ue(kind);
    slice.ue(own);
    slice.bits(number, numbers.frame_bits);
    if number == 0 {
        slice.ue(0); // idr_pic_id
    }
    if let Some((bits, _)) = numbers.order {
        slice.bits(2 * number, bits);
    }
    slice
}

fn tail_of_header(slice: &mut RbspWriter) {
    slice.ue(0); // slice_qp_delta
    slice.ue(1); // disable_deblocking_filter_idc
}

/// A picture that repeats the one before.
fn repeat(numbers: &Numbers<'_>, own: u32, number: u32) -> Vec<u8> {
    let mut slice = header(numbers, own, ALL_P, number);
    // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0,
    // adaptive_ref_pic_marking_mode_flag
    slice.bits(0, 3);
    tail_of_header(&mut slice);
    slice.ue(macroblocks(numbers.sps).unwrap_or(0)); // mb_skip_run
    let slice = escaped(HIGH | SLICE, &ended(slice));
    length_prefixed([&slice[..]]).to_vec()
}

/// A picture with the numbers that follow those of the stand-ins. They are as long as before, so
/// nothing else moves.
fn renumbered(
    picture: &[&[u8]],
    context: &h264_reader::Context,
    first: &Numbers<'_>,
    references: u32,
) -> Option<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for nal in picture {
        match nal[0] & 0x1f {
            SLICE => {}
            2..=4 => return None, // data partitions
            _ => {
                out.push(nal.to_vec());
                continue;
            }
        }
        let mut rbsp = decode_nal(nal).ok()?.into_owned();
        let (at, own) = numbers(&rbsp, context)?;
        if own.frame_bits != first.frame_bits {
            return None;
        }
        let moved = |from: u32, zero: u32, begins: u32, bits: u32| {
            from.wrapping_sub(zero).wrapping_add(begins) & (u32::MAX >> (32 - bits))
        };
        let frame = moved(own.frame, first.frame, references, own.frame_bits);
        overwrite(&mut rbsp, at, frame, own.frame_bits);
        if let (Some((bits, order)), Some((_, zero))) = (own.order, first.order) {
            let order = moved(order, zero, 2 * references, bits);
            overwrite(&mut rbsp, at + own.frame_bits as usize, order, bits);
        }
        out.push(escaped(nal[0], &rbsp));
    }
    Some(length_prefixed(out.iter().map(Vec::as_slice)).to_vec())
}

fn overwrite(octets: &mut [u8], at: usize, value: u32, bits: u32) {
    for (step, place) in (0..bits).rev().zip(at..) {
        if let Some(octet) = octets.get_mut(place / 8) {
            let mask = 0x80 >> (place % 8);
            *octet = if value >> step & 1 == 1 { *octet | mask } else { *octet & !mask };
        }
    }
}

fn ended(mut writer: RbspWriter) -> Vec<u8> {
    writer.bit(true); // rbsp_stop_one_bit
    writer.align(false);
    writer.octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use openh264::formats::YUVSource as _;

    /// The luma of the last picture of the film.
    fn last(film: &[Vec<u8>]) -> Option<Vec<u8>> {
        let mut decoder = openh264::decoder::Decoder::new().unwrap();
        let mut seen = None;
        for unit in film {
            let annex_b = crate::media::nal::to_annex_b(unit);
            if let Ok(Some(picture)) = decoder.decode(&annex_b) {
                seen = Some(luma(&picture));
            }
        }
        let rest = decoder.flush_remaining().ok()?;
        rest.last().map(luma).or(seen)
    }

    fn luma(picture: &openh264::decoder::DecodedYUV<'_>) -> Vec<u8> {
        let (width, height) = picture.dimensions();
        let stride = picture.strides().0;
        let rows = picture.y().chunks(stride).take(height);
        rows.flat_map(|row| row[..width].to_vec()).collect()
    }

    #[test]
    fn a_whole_refresh_shows_what_the_camera_sent_and_no_grey() {
        for coder in ["cabac=1:ref=3", "cabac=0:ref=1", "cabac=1:ref=2:slices=3"] {
            let options =
                format!("{coder}:intra-refresh=1:keyint=12:bframes=0:threads=1:scenecut=0");
            let units = super::super::idr::tests::clip(&options);
            let sets = Nals::new(&units[0]).filter(|nal| matches!(nal[0] & 0x1f, 7 | 8));
            let sets = length_prefixed(sets).to_vec();
            let whole: Vec<Vec<u8>> = units[..25].to_vec();
            let wanted = last(&whole).unwrap();
            // From the recovery point behind the first IDR picture on: each with its delimiter.
            let without = [sets.clone(), units[1..25].concat()].concat();
            let film = as_film(&without).unwrap_or_else(|| panic!("{coder}: no film"));
            let seen = last(&film).unwrap_or_else(|| panic!("{coder}: no picture"));
            let away = wanted.iter().zip(&seen).filter(|(a, b)| a.abs_diff(**b) > 2).count();
            assert!(away * 100 < wanted.len(), "{coder}: {away} of {} differ", wanted.len());
            assert!(as_film(&whole.concat()).is_none(), "it has an IDR picture");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(slices: Vec<Vec<u8>>) {
            const SPS: &[u8] =
                &[0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
            const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
            let mut nals: Vec<Vec<u8>> = vec![SPS.to_vec(), PPS.to_vec()];
            for slice in slices {
                nals.push(vec![9, 0x10]);
                nals.push([&[0x41][..], &slice].concat());
            }
            let _ = as_film(&length_prefixed(nals.iter().map(Vec::as_slice)));
        }
    }
}
