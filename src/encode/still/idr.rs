//! Makes an IDR picture of an H.264 I picture, for a decoder that begins nowhere else.
//!
//! Owns: the rewriting of slice headers (ITU-T H.264 §7.3.3). openh264 gives nothing before the
//! first IDR picture; an I picture of an open group of pictures decodes to the same pixels as one.
//! The picture numbers become zero, the marking that of an IDR picture; the slice data is copied
//! bit by bit.

use h264_reader::nal::pps::{PicParamSetId, PicParameterSet};
use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitReader, decode_nal};

use crate::media::nal::{Nals, length_prefixed};
use crate::media::rbsp::{RbspReader, RbspWriter, escaped};

/// `nals` (behind lengths, with their parameter sets) with the slices of an I picture turned into
/// those of an IDR picture. `None` when it has an IDR picture already, or is nothing that can be
/// turned into one.
pub(super) fn as_idr(nals: &[u8]) -> Option<Vec<u8>> {
    let mut context = h264_reader::Context::new();
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut turned = false;
    for nal in Nals::new(nals) {
        match nal.first()? & 0x1f {
            5 => return None,
            1 => {
                out.push(slice(nal, &context)?);
                turned = true;
                continue;
            }
            7 => {
                let rbsp = decode_nal(nal).ok()?;
                let sps = SeqParameterSet::from_bits(BitReader::new(&*rbsp));
                if let Ok(sps) = sps {
                    context.put_seq_param_set(sps);
                }
            }
            8 => {
                let rbsp = decode_nal(nal).ok()?;
                let pps = PicParameterSet::from_bits(&context, BitReader::new(&*rbsp));
                if let Ok(pps) = pps {
                    context.put_pic_param_set(pps);
                }
            }
            // What a message says of recovery is no longer so.
            6 => continue,
            _ => {}
        }
        out.push(nal.to_vec());
    }
    turned.then(|| length_prefixed(out.iter().map(Vec::as_slice)).to_vec())
}

/// One slice NAL unit.
fn slice(nal: &[u8], context: &h264_reader::Context) -> Option<Vec<u8>> {
    let rbsp = decode_nal(nal).ok()?;
    let mut from = RbspReader { octets: &rbsp, at: 0 };
    let mut to = RbspWriter::default();
    let pps = header(&mut from, &mut to, nal[0] >> 5 & 3, context)?;
    if pps.entropy_coding_mode_flag {
        // What is left of the header, then ones up to the next octet (`cabac_alignment_one_bit`).
        rest_of_header(&mut from, &mut to, pps)?;
        to.align(true);
        from.at = from.at.next_multiple_of(8);
    }
    let end = from.end()?;
    while from.at < end {
        to.bit(from.bit()?);
    }
    to.bit(true); // rbsp_stop_one_bit
    to.align(false);
    let reference = (nal[0] >> 5 & 3).max(1);
    Some(escaped(reference << 5 | 5, &to.octets))
}

/// Copies the header up to and with `dec_ref_pic_marking`, as that of an IDR picture.
fn header<'a>(
    from: &mut RbspReader<'_>,
    to: &mut RbspWriter,
    reference: u8,
    context: &'a h264_reader::Context,
) -> Option<&'a PicParameterSet> {
    to.ue(from.ue()?); // first_mb_in_slice
    let kind = from.ue()?;
    if !matches!(kind, 2 | 7) {
        return None; // no I slice
    }
    to.ue(kind);
    let pps_id = from.ue()?;
    to.ue(pps_id);
    let pps = context.pps_by_id(PicParamSetId::from_u32(pps_id).ok()?)?;
    let sps = context.sps_by_id(pps.seq_parameter_set_id)?;
    let is_apart = sps.chroma_info.chroma_format == ChromaFormat::YUV444;
    if is_apart || pps.slice_groups.is_some() {
        return None; // openh264 decodes neither
    }
    let number_bits = u32::from(sps.log2_max_frame_num_minus4) + 4;
    from.skip(number_bits)?;
    to.bits(0, number_bits); // frame_num
    let mut is_field = false;
    if sps.frame_mbs_flags != FrameMbsFlags::Frames {
        is_field = from.bit()?;
        to.bit(is_field);
        if is_field {
            to.bit(from.bit()?); // bottom_field_flag
        }
    }
    to.ue(0); // idr_pic_id
    order(from, to, sps, pps, is_field)?;
    if pps.redundant_pic_cnt_present_flag {
        to.ue(from.ue()?);
    }
    if reference != 0 {
        skip_marking(from)?;
    }
    to.bits(0, 2); // no_output_of_prior_pics_flag, long_term_reference_flag
    Some(pps)
}

/// The order of output, which restarts.
fn order(
    from: &mut RbspReader<'_>,
    to: &mut RbspWriter,
    sps: &SeqParameterSet,
    pps: &PicParameterSet,
    is_field: bool,
) -> Option<()> {
    let has_bottom = pps.bottom_field_pic_order_in_frame_present_flag && !is_field;
    match &sps.pic_order_cnt {
        PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4 } => {
            let bits = u32::from(*log2_max_pic_order_cnt_lsb_minus4) + 4;
            from.skip(bits)?;
            to.bits(0, bits);
            if has_bottom {
                to.ue(from.ue()?); // delta_pic_order_cnt_bottom, se(v) has the same length
            }
        }
        PicOrderCntType::TypeOne { delta_pic_order_always_zero_flag, .. } => {
            if !delta_pic_order_always_zero_flag {
                to.ue(from.ue()?);
                if has_bottom {
                    to.ue(from.ue()?);
                }
            }
        }
        PicOrderCntType::TypeTwo => {}
    }
    Some(())
}

/// Skips the reference picture marking of a non-IDR picture, §7.3.3.3.
fn skip_marking(from: &mut RbspReader<'_>) -> Option<()> {
    if !from.bit()? {
        return Some(());
    }
    loop {
        match from.ue()? {
            0 => return Some(()),
            1 | 2 | 4 | 6 => {
                from.ue()?;
            }
            3 => {
                from.ue()?;
                from.ue()?;
            }
            5 => {}
            _ => return None,
        }
    }
}

/// Copies `slice_qp_delta` and the deblocking of an I slice.
fn rest_of_header(
    from: &mut RbspReader<'_>,
    to: &mut RbspWriter,
    pps: &PicParameterSet,
) -> Option<()> {
    to.ue(from.ue()?);
    if pps.deblocking_filter_control_present_flag {
        let off = from.ue()?;
        to.ue(off);
        if off != 1 {
            to.ue(from.ue()?);
            to.ue(from.ue()?);
        }
    }
    Some(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use openh264::formats::YUVSource as _;

    /// The units of a clip of x264: `options` in its own words.
    pub(in super::super) fn clip(options: &str) -> Vec<Vec<u8>> {
        let made = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=1"])
            .args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-x264-params", options])
            .args(["-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut units: Vec<Vec<u8>> = Vec::new();
        for nal in crate::media::nal::annex_b(&made.stdout) {
            if nal[0] & 0x1f == 9 {
                units.push(Vec::new());
            }
            units.last_mut().unwrap().extend_from_slice(&length_prefixed([nal]));
        }
        units
    }

    fn luma(nals: &[u8]) -> Option<Vec<u8>> {
        let annex_b = crate::media::nal::to_annex_b(nals);
        let mut decoder = openh264::decoder::Decoder::new().unwrap();
        if let Ok(Some(picture)) = decoder.decode(&annex_b) {
            return Some(picture.y().to_vec());
        }
        let rest = decoder.flush_remaining().ok()?;
        rest.last().map(|picture| picture.y().to_vec())
    }

    #[test]
    fn an_open_group_of_pictures_begins_like_a_closed_one() {
        for coder in ["cabac=1", "cabac=0"] {
            let common = format!("{coder}:keyint=10:min-keyint=10:scenecut=0:threads=1:bframes=2");
            let options = format!("{common}:open-gop=1:b-adapt=0:slices=2");
            let units = clip(&options);
            let kinds = |unit: &[u8]| Nals::new(unit).map(|nal| nal[0] & 0x1f).collect::<Vec<_>>();
            let sets = Nals::new(&units[0]).filter(|nal| matches!(nal[0] & 0x1f, 7 | 8));
            let sets = length_prefixed(sets).to_vec();
            let codec = crate::media::Codec::H264 {
                sps: bytes::Bytes::new(),
                pps: bytes::Bytes::new(),
                more: Vec::new(),
            };
            let open = units[1..].iter().find(|unit| {
                crate::media::Entry::of(&codec, unit) == Some(crate::media::Entry::Open)
            });
            let open =
                [&sets[..], open.unwrap_or_else(|| panic!("{coder}: no open entry"))].concat();
            assert!(!kinds(&open).contains(&5));
            assert!(luma(&open).is_none(), "openh264 has learned to begin here");
            let turned = as_idr(&open).unwrap();
            let picture = luma(&turned).unwrap_or_else(|| panic!("{coder}: nothing decoded"));
            // testsrc2 is not a flat colour, and a broken slice would be grey.
            let spread = picture.iter().max().unwrap() - picture.iter().min().unwrap();
            assert!(spread > 100, "{coder}: {spread}");
        }
    }

    #[test]
    fn what_is_no_open_picture_stays_as_it_is() {
        assert!(as_idr(&length_prefixed([&[0x65u8, 0x88, 1][..]])).is_none());
        assert!(as_idr(&length_prefixed([&[0x41u8, 0x9a, 1][..]])).is_none(), "no sets");
        assert!(as_idr(&[]).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(slice: Vec<u8>) {
            const SPS: &[u8] =
                &[0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
            const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];
            let slice = [&[0x41][..], &slice].concat();
            let _ = as_idr(&length_prefixed([SPS, PPS, &slice]));
        }
    }
}
