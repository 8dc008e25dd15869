//! Sample entries read back: what a recording says of its codec.
//!
//! Owns: the way from the box in `stsd` to [`CodecParams`]; the other way is each codec's own.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::boxes::{AUDIO_BYTES, VISUAL_BYTES, boxes};
use super::h26x::{h264_sets, h265_codecs, h265_record, h265_sets};
use super::{CodecParams, Law, ParamsError, SampleAspect, Shape};

/// Descriptor tags, ISO/IEC 14496-1 §7.2.2.1.
const ES: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC: u8 = 5;

impl CodecParams {
    /// Reads a sample entry as our own recordings contain it; `clock_rate` is the track's
    /// timescale.
    pub fn from_sample_entry(entry: &[u8], clock_rate: NonZeroU32) -> Result<Self, ParamsError> {
        const DAMAGED: ParamsError = ParamsError::Damaged { record: "sample entry" };
        let kind = entry.get(4..8).ok_or(DAMAGED)?;
        let child = |skip: usize, wanted: &[u8; 4]| {
            let inside = entry.get(skip..)?;
            boxes(inside).find(|(kind, _)| kind == wanted).map(|(_, content)| content)
        };
        let u16_at = |at: usize| Some(u16::from_be_bytes(*entry.get(at..)?.first_chunk()?));
        let channels = || u16_at(24).ok_or(DAMAGED);
        let rfc6381;
        let (codec, shape) = match kind {
            b"avc1" => {
                let record = child(VISUAL_BYTES, b"avcC").ok_or(DAMAGED)?;
                let (sps, pps, _) = h264_sets(record).ok_or(DAMAGED)?;
                return Self::from_all_h264_sets(&sps, &pps);
            }
            b"hvc1" => {
                let record = child(VISUAL_BYTES, b"hvcC").ok_or(DAMAGED)?;
                let (width, height) = u16_at(32).zip(u16_at(34)).ok_or(DAMAGED)?;
                rfc6381 = h265_codecs(record);
                // The rest is in the SPS; an entry of before may lack its `pasp`.
                let (vps, sps, pps) = h265_sets(record)?;
                let shape = Self::from_all_h265_sets(&vps, &sps, &pps).map(|read| read.shape);
                let aspect = SampleAspect::SQUARE;
                let plain = Shape::Video { width, height, aspect, frame_secs: None };
                (h265_record(record)?, shape.unwrap_or(plain))
            }
            b"mp4a" => {
                let config = child(AUDIO_BYTES, b"esds").and_then(audio_config).ok_or(DAMAGED)?;
                let sample_entry = Bytes::copy_from_slice(entry);
                return Ok(Self { sample_entry, ..Self::aac(config, clock_rate)? });
            }
            b"Opus" => return Ok(Self::opus(channels()?)),
            b"alaw" => return Ok(Self::g711(Law::A, clock_rate, channels()?)),
            b"ulaw" => return Ok(Self::g711(Law::Mu, clock_rate, channels()?)),
            other => {
                let what = String::from_utf8_lossy(other).into_owned();
                return Err(ParamsError::Unsupported { what });
            }
        };
        let sample_entry = Bytes::copy_from_slice(entry);
        Ok(Self { codec, clock_rate, rfc6381, sample_entry, shape })
    }
}

/// The AudioSpecificConfig in the content of an `esds`, ISO/IEC 14496-14 §6.7.2.
fn audio_config(esds: &[u8]) -> Option<&[u8]> {
    let es = descriptor(esds.get(4..)?, ES)?;
    let flags = *es.get(2)?;
    // A stream that depends on another, has a URL or a clock of its own is not ours.
    if flags & 0xe0 != 0 {
        return None;
    }
    let decoder = descriptor(es.get(3..)?, DECODER_CONFIG)?;
    descriptor(decoder.get(13..)?, DECODER_SPECIFIC)
}

/// The content of the descriptor that `bytes` begins with, ISO/IEC 14496-1 §8.3.3.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (&found, mut rest) = bytes.split_first()?;
    let mut length = 0usize;
    for _ in 0..4 {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    (found == tag).then(|| rest.get(..length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x64, 0x00, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    fn rate(hz: u32) -> NonZeroU32 {
        NonZeroU32::new(hz).unwrap()
    }

    #[test]
    fn what_was_written_is_read_back() {
        for params in [
            CodecParams::from_h264_sets(SPS, PPS).unwrap(),
            CodecParams::g711(Law::A, rate(8_000), 2),
            CodecParams::g711(Law::Mu, rate(16_000), 1),
            CodecParams::opus(2),
            CodecParams::aac(&[0x11, 0x90], rate(48_000)).unwrap(),
            CodecParams::aac(&[0x2b, 0x92, 0x08, 0x00], rate(22_050)).unwrap(),
            CodecParams::aac(&[0x13, 0x90], rate(44_100)).unwrap(),
        ] {
            let again = CodecParams::from_sample_entry(&params.sample_entry, params.clock_rate);
            assert_eq!(again.unwrap(), params);
        }
    }

    #[test]
    fn a_descriptor_may_have_a_long_length() {
        let esds = [
            &[0, 0, 0, 0, 3, 0x80, 0x80, 0x80, 25, 0, 1, 0][..],
            &[4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0x11, 0x90, 6, 1, 2],
        ];
        assert_eq!(audio_config(&esds.concat()), Some(&[0x11, 0x90][..]));
    }

    proptest::proptest! {
        #[test]
        fn no_entry_makes_the_reader_panic(
            kind in "avc1|hvc1|mp4a|alaw|Opus", bytes: Vec<u8>, record: Vec<u8>,
        ) {
            let mut entry = vec![0; 4];
            entry.extend_from_slice(kind.as_bytes());
            let plain = [&entry[..], &bytes].concat();
            let _ = CodecParams::from_sample_entry(&plain, rate(1));
            let skip = if kind == "mp4a" { AUDIO_BYTES } else { VISUAL_BYTES };
            entry.resize(skip, 0);
            let inner: &[u8] = match kind.as_str() { "avc1" => b"avcC", "hvc1" => b"hvcC", _ => b"esds" };
            entry.extend_from_slice(&u32::try_from(record.len() + 8).unwrap().to_be_bytes());
            entry.extend_from_slice(inner);
            entry.extend_from_slice(&record);
            let _ = CodecParams::from_sample_entry(&entry, rate(1));
        }
    }
}
