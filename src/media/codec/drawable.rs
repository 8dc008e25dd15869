//! Whether stills can be made of a video track, read from its sequence parameter set.
//!
//! Owns: the kinds of picture that the decoders here do not draw, each with a sentence that says
//! what to set on the camera. It is known before a picture is tried, so no attempt is wasted.

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, SeqParameterSet};
use h264_reader::rbsp::{BitReader, decode_nal};

use super::{Codec, CodecParams};
use crate::media::hevc_sps::chroma_format;

impl CodecParams {
    /// Why no still can be made of this track, for people; `None` when one can, and for sound.
    #[must_use]
    pub fn undrawable(&self) -> Option<String> {
        match &self.codec {
            Codec::H264 { sps, .. } => h264(sps),
            Codec::H265 { sps, .. } => h265(sps),
            _ => None,
        }
    }
}

/// OpenH264 draws progressive pictures of 8 bits in 4:2:0, and those without colour.
fn h264(sps: &[u8]) -> Option<String> {
    let rbsp = decode_nal(sps).ok()?;
    let sps = SeqParameterSet::from_bits(BitReader::new(&*rbsp)).ok()?;
    let chroma = &sps.chroma_info;
    let bits = 8 + chroma.bit_depth_luma_minus8.max(chroma.bit_depth_chroma_minus8);
    let sampling = match chroma.chroma_format {
        ChromaFormat::YUV422 => Some("4:2:2"),
        ChromaFormat::YUV444 => Some("4:4:4"),
        _ => None,
    };
    if !matches!(sps.frame_mbs_flags, FrameMbsFlags::Frames) {
        Some("interlaced H.264 cannot be drawn as a still; set the camera to progressive".into())
    } else if bits > 8 {
        Some(format!(
            "H.264 with {bits} bits per sample cannot be drawn as a still; set the camera to \
             8 bits (Main or High profile)"
        ))
    } else {
        sampling.map(|sampling| colours("H.264", sampling))
    }
}

/// libde265 draws 4:2:0; deeper samples are cut to 8 bits.
fn h265(sps: &[u8]) -> Option<String> {
    let sampling = match chroma_format(sps)? {
        0 => "4:0:0",
        2 => "4:2:2",
        3 => "4:4:4",
        _ => return None,
    };
    Some(colours("H.265", sampling))
}

fn colours(codec: &str, sampling: &str) -> String {
    format!("{codec} with {sampling} colour cannot be drawn as a still; set the camera to 4:2:0")
}
