//! H.264 and H.265: parameter sets out of retina's parameters and their `avcC`/`hvcC` records.
//!
//! Owns: reading the two records. The bits of an SPS are read by retina.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use bytes::Bytes;
use retina::codec::{VideoParameters, VideoParametersCodec};

use super::boxes::{VISUAL_BYTES, boxes};
use super::{Codec, CodecParams, ParamsError, SampleAspect, Shape, bounded};
use crate::base::limits::{PARAMETER_SETS_MAX, PICTURE_SIDE_PIXELS_MAX};

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
        let (across, down) = video.pixel_aspect_ratio().unwrap_or((1, 1));
        let aspect = SampleAspect::new(across, down);
        let shape = Shape::Video {
            width: side(width)?,
            height: side(height)?,
            aspect,
            frame_secs: video.frame_rate(),
        };
        let mut entry = video.mp4_sample_entry();
        if aspect != SampleAspect::SQUARE {
            entry = entry.with_aspect_ratio(aspect.parts());
        }
        let entry = entry.build().map_err(ParamsError::Unreadable)?;
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

    /// Reads all H.264 sets in force; the first SPS is the one in use.
    pub(crate) fn from_all_h264_sets(sps: &[Bytes], pps: &[Bytes]) -> Result<Self, ParamsError> {
        const DAMAGED: ParamsError = ParamsError::Damaged { record: "H.264 parameter sets" };
        let used = sps.first().ok_or(DAMAGED)?;
        // A PPS that belongs to another SPS cannot be read with this one.
        let pair = |pps: &Bytes| Self::from_h264_sets(used, pps);
        let fits = pps.iter().position(|pps| pair(pps).is_ok()).unwrap_or(0);
        let mut params = pair(pps.get(fits).ok_or(DAMAGED)?)?;
        if sps.len() + pps.len() == 2 {
            return Ok(params);
        }
        let mut pps = pps.to_vec();
        pps[..=fits].rotate_right(1);
        let record = record_in(&params.sample_entry, *b"avcC").ok_or(DAMAGED)?;
        let record = h264_record_of(record, sps, &pps).ok_or(DAMAGED)?;
        params.sample_entry = entry_with(&params.sample_entry, *b"avcC", &record).ok_or(DAMAGED)?;
        params.codec = h264_record(&record)?;
        Ok(params)
    }

    /// Reads all H.265 sets in force; the first SPS is the one in use.
    pub(crate) fn from_all_h265_sets(
        vps: &[Bytes],
        sps: &[Bytes],
        pps: &[Bytes],
    ) -> Result<Self, ParamsError> {
        use base64::Engine as _;
        const DAMAGED: ParamsError = ParamsError::Damaged { record: "H.265 parameter sets" };
        let told = |set: &Bytes| base64::engine::general_purpose::STANDARD.encode(set);
        let (one_vps, used) = (vps.first().ok_or(DAMAGED)?, sps.first().ok_or(DAMAGED)?);
        // retina reads the sets of a description, and those alone.
        let read = |pps: &Bytes| {
            let (vps, sps, pps) = (told(one_vps), told(used), told(pps));
            let fmtp = format!("sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}");
            let rate = VIDEO_CLOCK_RATE.get();
            let mut codec =
                retina::codec::Depacketizer::new("video", "h265", rate, None, Some(&fmtp)).ok()?;
            codec.set_frame_format(retina::codec::FrameFormat::MP4);
            match codec.parameters() {
                Some(retina::codec::ParametersRef::Video(video)) => Some(Self::from_video(video)),
                _ => None,
            }
        };
        let found = pps.iter().enumerate().find_map(|(at, pps)| Some((at, read(pps)?)));
        let (fits, params) = found.ok_or(DAMAGED)?;
        let mut params = params?;
        if vps.len() + sps.len() + pps.len() == 3 {
            return Ok(params);
        }
        let mut pps = pps.to_vec();
        pps[..=fits].rotate_right(1);
        let record = record_in(&params.sample_entry, *b"hvcC").ok_or(DAMAGED)?;
        let record = h265_record_of(record, [vps, sps, &pps]).ok_or(DAMAGED)?;
        params.sample_entry = entry_with(&params.sample_entry, *b"hvcC", &record).ok_or(DAMAGED)?;
        params.codec = h265_record(&record)?;
        Ok(params)
    }
}

/// The sets of an AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3.1, and what follows them.
pub(super) fn h264_sets(record: &[u8]) -> Option<(Vec<Bytes>, Vec<Bytes>, &[u8])> {
    let (sps, rest) = sets(record.get(6..)?, usize::from(record[5] & 0x1f))?;
    let (&count, rest) = rest.split_first()?;
    let (pps, rest) = sets(rest, usize::from(count))?;
    Some((sps, pps, rest))
}

fn h264_record(record: &[u8]) -> Result<Codec, ParamsError> {
    let found = h264_sets(record).ok_or(ParamsError::Damaged { record: "avcC" })?;
    let ((sps, more_sps), (pps, more_pps)) = (first(found.0)?, first(found.1)?);
    Ok(Codec::H264 { sps, pps, more: [more_sps, more_pps].concat() })
}

/// VPS, SPS and PPS of an HEVCDecoderConfigurationRecord, ISO/IEC 14496-15 §8.3.3.1.
pub(super) fn h265_record(record: &[u8]) -> Result<Codec, ParamsError> {
    let (vps, sps, pps) = h265_sets(record)?;
    let ((vps, a), (sps, b), (pps, c)) = (first(vps)?, first(sps)?, first(pps)?);
    Ok(Codec::H265 { vps, sps, pps, more: [a, b, c].concat() })
}

type Sets = Vec<Bytes>;

/// The three arrays of it.
pub(super) fn h265_sets(record: &[u8]) -> Result<(Sets, Sets, Sets), ParamsError> {
    const DAMAGED: ParamsError = ParamsError::Damaged { record: "hvcC" };
    let arrays = *record.get(22).ok_or(DAMAGED)?;
    let mut rest = &record[23..];
    let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arrays {
        let (head, tail) = rest.split_first_chunk::<3>().ok_or(DAMAGED)?;
        let count = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let (set, tail) = sets(tail, count).ok_or(DAMAGED)?;
        match head[0] & 0x3f {
            32 => vps = set,
            33 => sps = set,
            34 => pps = set,
            _ => {}
        }
        rest = tail;
    }
    Ok((vps, sps, pps))
}

/// The first of several sets, and the others.
fn first(sets: Vec<Bytes>) -> Result<(Bytes, Vec<Bytes>), ParamsError> {
    for set in &sets {
        bounded(set)?;
    }
    let mut sets = sets.into_iter();
    let damaged = ParamsError::Damaged { record: "list of parameter sets" };
    Ok((sets.next().ok_or(damaged)?, sets.collect()))
}

/// The type of an H.264 set.
pub(super) fn h264_kind(set: &[u8]) -> u8 {
    set.first().map_or(0, |first| first & 0x1f)
}

/// The type of an H.265 set.
pub(super) fn h265_kind(set: &[u8]) -> u8 {
    set.first().map_or(0, |first| first >> 1 & 0x3f)
}

/// Sets in the order in which a decoder wants them: `main` has one of each kind, and behind each
/// come those of `more` of the same kind.
pub(super) fn in_order<'a>(
    main: &[&'a Bytes],
    more: &'a [Bytes],
    kind: fn(&[u8]) -> u8,
) -> Vec<&'a Bytes> {
    let with_more = |&set: &&'a Bytes| {
        let alike = more.iter().filter(move |other| kind(other) == kind(set));
        std::iter::once(set).chain(alike).collect::<Vec<_>>()
    };
    main.iter().flat_map(with_more).collect()
}

/// `sets` behind 16-bit lengths.
fn put_sets(out: &mut Vec<u8>, sets: &[Bytes]) {
    for set in sets {
        // Bounded by PARAMETER_SET_BYTES_MAX.
        out.extend_from_slice(&u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(set);
    }
}

/// An `avcC` like `record` with these sets, as many as its counters can say.
fn h264_record_of(record: &[u8], sps: &[Bytes], pps: &[Bytes]) -> Option<Vec<u8>> {
    let (_, _, extensions) = h264_sets(record)?;
    let (sps, pps) = (&sps[..sps.len().min(31)], &pps[..pps.len().min(255)]);
    let mut out = record.get(..5)?.to_vec();
    out.push(0xe0 | u8::try_from(sps.len()).ok()?);
    put_sets(&mut out, sps);
    out.push(u8::try_from(pps.len()).ok()?);
    put_sets(&mut out, pps);
    out.extend_from_slice(extensions);
    Some(out)
}

/// An `hvcC` like `record` with these sets. Units carry sets too, so no array is complete.
fn h265_record_of(record: &[u8], arrays: [&[Bytes]; 3]) -> Option<Vec<u8>> {
    let mut out = record.get(..22)?.to_vec();
    out.push(3);
    for (kind, sets) in (32u8..).zip(arrays) {
        out.push(kind);
        out.extend_from_slice(&u16::try_from(sets.len()).ok()?.to_be_bytes());
        put_sets(&mut out, sets);
    }
    Some(out)
}

/// The sample entry `entry` with `record` in place of its box `name`.
fn entry_with(entry: &[u8], name: [u8; 4], record: &[u8]) -> Option<Bytes> {
    let mut out = entry.get(..VISUAL_BYTES)?.to_vec();
    for (kind, content) in boxes(&entry[VISUAL_BYTES..]) {
        let content = if kind == name { record } else { content };
        out.extend_from_slice(&u32::try_from(content.len() + 8).ok()?.to_be_bytes());
        out.extend_from_slice(&kind);
        out.extend_from_slice(content);
    }
    let length = u32::try_from(out.len()).ok()?;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Some(out.into())
}

/// The content of the box `name` in the sample entry `entry`.
fn record_in(entry: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    let found = boxes(entry.get(VISUAL_BYTES..)?).find(|(kind, _)| *kind == name);
    found.map(|(_, content)| content)
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

/// `count` sets behind 16-bit lengths, and what follows the last of them. `None` without any.
fn sets(mut data: &[u8], count: usize) -> Option<(Vec<Bytes>, &[u8])> {
    let mut found = Vec::new();
    for _ in 0..count {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (set, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        if found.len() < PARAMETER_SETS_MAX {
            found.push(Bytes::copy_from_slice(set));
        }
        data = rest;
    }
    (!found.is_empty()).then_some((found, data))
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
    fn another_level_is_no_other_decoder_and_another_profile_is() {
        let of = |sps: &[u8]| CodecParams::from_h264_sets(sps, PPS).unwrap();
        let changed = |at: usize, octet: u8| {
            let mut sps = SPS.to_vec();
            sps[at] = octet;
            of(&sps)
        };
        let params = of(SPS);
        assert_ne!(changed(3, 0x28), params);
        assert!(changed(3, 0x28).is_alike(&params));
        assert!(!changed(1, 0x6e).is_alike(&params), "High 10");
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
