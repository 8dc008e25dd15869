//! H.264 in software with openh264.
//!
//! Owns: the settings. The library's defaults are wrong for a recorder (one key frame ever,
//! frames skipped, 120 kbit/s), so each that matters is set here. No B-frames: decoding order is
//! presentation order.

use std::time::Duration;

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, EncodedBitStream, Encoder as Codec, EncoderConfig as CodecConfig,
    FrameRate, FrameType, IntraFramePeriod, RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;

use super::Picture;
use crate::media::nal;

/// What to encode to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Frames per second at most.
    pub fps: u16,
    /// Bits per second aimed at.
    pub bitrate_bps: u32,
    /// Frames from one key frame to the next.
    pub gop_frames: u32,
}

/// Why a picture was not encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The library refused its settings or the picture.
    #[error("openh264 refused")]
    Codec(#[source] openh264::Error),
}

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// NAL units behind 4-byte lengths, without parameter sets.
    pub data: Bytes,
    /// Whether it is an IDR picture.
    pub key: bool,
    /// SPS and PPS, when the encoder wrote them with this picture.
    pub sets: Option<(Bytes, Bytes)>,
}

/// An encoder for pictures of one size.
pub struct Encoder(Codec);

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

/// NAL unit types of H.264, ITU-T H.264 Table 7-1.
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

impl Encoder {
    /// Makes an encoder.
    pub fn new(config: EncoderConfig) -> Result<Self, EncodeError> {
        let settings = CodecConfig::new()
            .bitrate(BitRate::from_bps(config.bitrate_bps))
            .max_frame_rate(FrameRate::from_hz(f32::from(config.fps)))
            .intra_frame_period(IntraFramePeriod::from_num_frames(config.gop_frames))
            .rate_control_mode(RateControlMode::Bitrate)
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            .num_threads(1)
            .skip_frames(false)
            .scene_change_detect(false)
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .vui(VuiConfig::bt709());
        let codec = Codec::with_api_config(OpenH264API::from_source(), settings);
        codec.map(Self).map_err(EncodeError::Codec)
    }

    /// Encodes one picture taken `at` after the first; blocks for the time that takes (some
    /// milliseconds), so it belongs on a thread of its own. `None`: the encoder gave nothing.
    pub fn encode(
        &mut self,
        picture: &Picture,
        at: Duration,
    ) -> Result<Option<Encoded>, EncodeError> {
        let (width, height) = (picture.width(), picture.height());
        let source =
            YUVSlices::new(picture.planes(), (width, height), (width, width / 2, width / 2));
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX / 2);
        let stream = self
            .0
            .encode_at(&source, openh264::Timestamp::from_millis(millis))
            .map_err(EncodeError::Codec)?;
        Ok(collect(&stream))
    }
}

fn collect(stream: &EncodedBitStream<'_>) -> Option<Encoded> {
    let bytes = stream.to_vec();
    let (mut sps, mut pps, mut nals) = (None, None, Vec::new());
    for unit in nal::annex_b(&bytes) {
        match unit[0] & 0x1f {
            NAL_SPS => sps = Some(Bytes::copy_from_slice(unit)),
            NAL_PPS => pps = Some(Bytes::copy_from_slice(unit)),
            _ => nals.push(unit),
        }
    }
    (!nals.is_empty()).then(|| Encoded {
        data: nal::length_prefixed(nals),
        key: stream.frame_type() == FrameType::IDR,
        sets: sps.zip(pps),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_come_when_asked_and_bring_their_sets() {
        let config = EncoderConfig { fps: 25, bitrate_bps: 500_000, gop_frames: 5 };
        let mut encoder = Encoder::new(config).unwrap();
        let mut picture = Picture::black(320, 180);
        let mut keys = Vec::new();
        for n in 0..12_u32 {
            picture.fill(n as usize * 8, 20, 16, 16, [200, 90, 160]);
            let unit = encoder.encode(&picture, Duration::from_millis(u64::from(n) * 40));
            let unit = unit.unwrap().expect("no frame is skipped");
            assert!(nal::is_whole(&unit.data));
            assert_eq!(unit.key, unit.sets.is_some());
            if unit.key {
                keys.push(n);
            }
        }
        assert_eq!(keys, [0, 5, 10]);
    }
}
