//! How many pictures a track's parameter sets say may be sent before one that is shown earlier.
//!
//! Owns: that one number. What it cannot read it takes as zero: [`DecodeTimes`] learns the rest
//! from the pictures.
//!
//! [`DecodeTimes`]: super::decode_time::DecodeTimes

use std::borrow::Cow;

use h264_reader::nal::sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, decode_nal};

use crate::media::{Codec, CodecParams, Shape};

/// The reordering depth that `params` announce, in pictures.
pub(crate) fn depth(params: &CodecParams) -> usize {
    let depth = match &params.codec {
        Codec::H264 { sps, .. } => h264(sps),
        Codec::H265 { sps, .. } => h265(sps),
        Codec::Aac { .. } | Codec::G711(_) | Codec::Flac | Codec::Opus => None,
    };
    depth.map_or(0, |depth| depth as usize)
}

/// Whether `params` allow pictures that are sent as two fields (ITU-T H.264 §7.4.2.1.1).
pub(crate) fn is_interlaced(params: &CodecParams) -> bool {
    let Codec::H264 { sps, .. } = &params.codec else { return false };
    let Some(rbsp) = rbsp(sps) else { return false };
    let sps = SeqParameterSet::from_bits(BitReader::new(&*rbsp));
    sps.is_ok_and(|sps| matches!(sps.frame_mbs_flags, FrameMbsFlags::Fields { .. }))
}

/// Distance of two pictures that `params` announce, in ticks of the track; else that of 25
/// pictures per second.
pub(crate) fn frame_ticks(params: &CodecParams) -> i64 {
    let rate = u64::from(params.clock_rate.get());
    let ticks = match params.shape {
        Shape::Video { frame_secs: Some((num, den)), .. } if num > 0 && den > 0 => {
            rate * u64::from(num) / u64::from(den)
        }
        Shape::Video { .. } => rate / 25,
        Shape::Audio { .. } => 1,
    };
    // A nonsensical frame rate must not spread decoding times over minutes.
    i64::try_from(ticks.clamp(1, rate)).unwrap_or(1)
}

/// `max_num_reorder_frames`, ITU-T H.264 §E.2.1.
fn h264(sps: &[u8]) -> Option<u32> {
    let rbsp = rbsp(sps)?;
    let sps = SeqParameterSet::from_bits(BitReader::new(&*rbsp)).ok()?;
    if matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo) {
        return Some(0); // shown in the order of decoding, §8.2.1.3
    }
    sps.vui_parameters?.bitstream_restrictions.map(|bounds| bounds.max_num_reorder_frames)
}

/// `sps_max_num_reorder_pics` of the highest sub-layer, ITU-T H.265 §7.3.2.2.1.
fn h265(sps: &[u8]) -> Option<u32> {
    let rbsp = rbsp(sps.get(1..)?)?; // the reader skips one octet of header; H.265 has two
    h265_bits(&mut BitReader::new(&*rbsp)).ok()
}

/// A NAL's payload without emulation prevention. The reader must not be given an empty one.
fn rbsp(nal: &[u8]) -> Option<Cow<'_, [u8]>> {
    if nal.is_empty() { None } else { decode_nal(nal).ok() }
}

fn h265_bits(r: &mut impl BitRead) -> Result<u32, BitReaderError> {
    r.skip(4, "sps_video_parameter_set_id")?;
    let sub_layers = r.read::<u8>(3, "sps_max_sub_layers_minus1")?;
    r.skip(1, "sps_temporal_id_nesting_flag")?;
    profile_tier_level(r, sub_layers)?;
    r.read_ue("sps_seq_parameter_set_id")?;
    if r.read_ue("chroma_format_idc")? == 3 {
        r.skip(1, "separate_colour_plane_flag")?;
    }
    r.read_ue("pic_width_in_luma_samples")?;
    r.read_ue("pic_height_in_luma_samples")?;
    if r.read_bool("conformance_window_flag")? {
        for _ in 0..4 {
            r.read_ue("conf_win_offset")?;
        }
    }
    r.read_ue("bit_depth_luma_minus8")?;
    r.read_ue("bit_depth_chroma_minus8")?;
    r.read_ue("log2_max_pic_order_cnt_lsb_minus4")?;
    let each = r.read_bool("sps_sub_layer_ordering_info_present_flag")?;
    let mut depth = 0;
    for _ in 0..=if each { sub_layers } else { 0 } {
        r.read_ue("sps_max_dec_pic_buffering_minus1")?;
        depth = r.read_ue("sps_max_num_reorder_pics")?;
        r.read_ue("sps_max_latency_increase_plus1")?;
    }
    Ok(depth)
}

/// Walks over profile_tier_level(1, `sub_layers`), ITU-T H.265 §7.3.3.
fn profile_tier_level(r: &mut impl BitRead, sub_layers: u8) -> Result<(), BitReaderError> {
    r.skip(88, "general_profile")?;
    r.skip(8, "general_level_idc")?;
    let mut present = Vec::with_capacity(8);
    for _ in 0..sub_layers {
        let profile = r.read_bool("sub_layer_profile_present_flag")?;
        present.push((profile, r.read_bool("sub_layer_level_present_flag")?));
    }
    if sub_layers > 0 {
        r.skip(u32::from(8 - sub_layers) * 2, "reserved_zero_2bits")?;
    }
    for (profile, level) in present {
        r.skip(if profile { 88 } else { 0 }, "sub_layer_profile")?;
        r.skip(if level { 8 } else { 0 }, "sub_layer_level_idc")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn the_sets_of_two_encoders_announce_their_depth() {
        // x264 164 and x265 3.5 by ffmpeg 5.1, testsrc2 640x360: `-bf 2` and `bframes=3`.
        let sps = hex("6764001eacd940a02ff97011000003000100000300320f162d96");
        assert_eq!(h264(&sps), Some(2));
        let sps = hex(
            "42010101600000030090000003000003003fa0050201696595964932bc05a02000000300200000030321",
        );
        assert_eq!(h265(&sps), Some(2));
    }

    #[test]
    fn nonsense_announces_nothing() {
        assert_eq!(h264(&[]), None);
        assert_eq!(h265(&[0x42]), None);
        assert_eq!(h264(&[0x67; 3]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(data: Vec<u8>) {
            let _ = (h264(&data), h265(&data));
        }
    }
}
