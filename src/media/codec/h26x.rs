//! H.264 and H.265: parameter sets out of retina's parameters and their `avcC`/`hvcC` records.
//!
//! Owns: reading the two records. The bits of an SPS are read by retina.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use bytes::Bytes;
use retina::codec::{VideoParameters, VideoParametersCodec};

use super::{Codec, CodecParams, ParamsError, Shape, bounded};
use crate::base::limits::PICTURE_SIDE_PIXELS_MAX;

/// RTP and media clock of all video, ticks per second.
pub const VIDEO_CLOCK_RATE: NonZeroU32 = NonZeroU32::new(90_000).expect("not zero");

impl CodecParams {
    /// Reads what retina says of a video track.
    pub fn from_video(video: &VideoParameters) -> Result<Self, ParamsError> {
        let codec = match video.codec_params() {
            VideoParametersCodec::H264 { .. } => h264_record(video.extra_data())?,
            VideoParametersCodec::H265 { .. } => h265_record(video.extra_data())?,
            other => return Err(ParamsError::Unsupported { what: format!("{other:?}") }),
        };
        let (width, height) = video.pixel_dimensions();
        let side = |pixels: u32| {
            let fits = (1..=PICTURE_SIDE_PIXELS_MAX).contains(&pixels);
            u16::try_from(pixels)
                .ok()
                .filter(|_| fits)
                .ok_or(ParamsError::Dimensions { width, height })
        };
        let shape = Shape::Video {
            width: side(width)?,
            height: side(height)?,
            frame_secs: video.frame_rate(),
        };
        let entry = video.mp4_sample_entry().build().map_err(ParamsError::Unreadable)?;
        Ok(Self {
            codec,
            clock_rate: VIDEO_CLOCK_RATE,
            rfc6381: Some(video.rfc6381_codec().to_owned()),
            sample_entry: Bytes::from(entry),
            shape,
        })
    }

    /// Reads an H.264 parameter-set pair as an encoder hands it out, without start codes.
    pub fn from_h264_sets(sps: &[u8], pps: &[u8]) -> Result<Self, ParamsError> {
        let video = retina::codec::h264::parameters_from_sps_and_pps(
            sps,
            pps,
            retina::codec::h26x::Framing::FourByteLength,
        )
        .map_err(ParamsError::Unreadable)?;
        Self::from_video(&video)
    }
}

/// SPS and PPS of an AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3.1.
pub(super) fn h264_record(record: &[u8]) -> Result<Codec, ParamsError> {
    const DAMAGED: ParamsError = ParamsError::Damaged { record: "avcC" };
    let count = record.get(5).ok_or(DAMAGED)? & 0x1f;
    let (sps, rest) = sets(&record[6..], usize::from(count)).ok_or(DAMAGED)?;
    let (&count, rest) = rest.split_first().ok_or(DAMAGED)?;
    let (pps, _) = sets(rest, usize::from(count)).ok_or(DAMAGED)?;
    Ok(Codec::H264 { sps: bounded(sps)?, pps: bounded(pps)? })
}

/// VPS, SPS and PPS of an HEVCDecoderConfigurationRecord, ISO/IEC 14496-15 §8.3.3.1.
pub(super) fn h265_record(record: &[u8]) -> Result<Codec, ParamsError> {
    const DAMAGED: ParamsError = ParamsError::Damaged { record: "hvcC" };
    let arrays = *record.get(22).ok_or(DAMAGED)?;
    let mut rest = &record[23..];
    let (mut vps, mut sps, mut pps) = (None, None, None);
    for _ in 0..arrays {
        let (head, tail) = rest.split_first_chunk::<3>().ok_or(DAMAGED)?;
        let count = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (set, tail) = sets(tail, count).ok_or(DAMAGED)?;
        match head[0] & 0x3f {
            32 => vps = Some(set),
            33 => sps = Some(set),
            34 => pps = Some(set),
            _ => {}
        }
        rest = tail;
    }
    match (vps, sps, pps) {
        (Some(vps), Some(sps), Some(pps)) => {
            Ok(Codec::H265 { vps: bounded(vps)?, sps: bounded(sps)?, pps: bounded(pps)? })
        }
        _ => Err(DAMAGED),
    }
}

/// The `codecs=` string of an HEVCDecoderConfigurationRecord in `hvc1` (ISO/IEC 14496-15 §E.3).
pub(super) fn h265_codecs(record: &[u8]) -> Option<String> {
    let &[_, profile, c0, c1, c2, c3, ref constraints @ .., level] = record.first_chunk::<13>()?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatible = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
    let number = profile & 0x1f;
    let mut codecs = format!("hvc1.{space}{number}.{compatible:X}.{tier}{level}");
    let told = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..told] {
        // Writing into a String cannot fail.
        let _ = write!(codecs, ".{byte:X}");
    }
    Some(codecs)
}

/// The first of `count` sets behind 16-bit lengths, and what follows the last of them.
fn sets(mut data: &[u8], count: usize) -> Option<(&[u8], &[u8])> {
    let mut first = None;
    for _ in 0..count {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (set, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        first.get_or_insert(set);
        data = rest;
    }
    Some((first?, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    #[test]
    fn an_h264_pair_describes_itself() {
        let params = CodecParams::from_h264_sets(SPS, PPS).unwrap();
        assert_eq!(params.rfc6381.as_deref(), Some("avc1.640033"));
        assert_eq!(&params.sample_entry[4..8], b"avc1");
        assert_eq!(params.parameter_nals(), [&Bytes::from_static(SPS), &Bytes::from_static(PPS)]);
    }

    #[test]
    fn an_h265_record_says_its_codecs_string() {
        // Main, level 4.0; Main 10 in the high tier, level 5.1.
        let main = [1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 120];
        assert_eq!(h265_codecs(&main).unwrap(), "hvc1.1.6.L120.B0");
        let ten = [1, 0x22, 0x20, 0, 0, 0, 0x90, 0, 0x01, 0, 0, 0, 153];
        assert_eq!(h265_codecs(&ten).unwrap(), "hvc1.2.4.H153.90.0.1");
        assert!(h265_codecs(&main[..12]).is_none());
    }

    #[test]
    fn a_record_that_ends_early_is_refused() {
        assert!(h264_record(&[1, 0x64, 0, 0x33, 0xff, 0xe1, 0, 9, 0x67]).is_err());
        assert!(h264_record(&[]).is_err());
        assert!(h265_record(&[0; 23]).is_err());
    }
}
