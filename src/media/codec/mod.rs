//! What each codec says of itself: [`CodecParams`].
//!
//! Owns: parameter sets, the `codecs=` string, the MP4 sample entry, picture and sound shape.
//! Recorder, HLS and MSE never match on a codec; they ask here. One file per codec family;
//! retina's parameter readers, which also serve the pulled cameras, do the bit reading.

mod aac;
mod aspect;
mod boxes;
mod drawable;
mod entry;
mod flac;
mod g711;
mod h26x;
mod opus;
mod silence;

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

pub use aac::config_bits as aac_config_bits;
pub use aspect::SampleAspect;
pub use boxes::boxes;
pub use flac::frame as flac_frame;
pub use g711::Law;
pub use h26x::VIDEO_CLOCK_RATE;
pub use opus::packet_ticks as opus_packet_ticks;

/// Video or audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// A codec with the out-of-band facts a decoder needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264.
    H264 {
        /// Sequence parameter set NAL, without start code.
        sps: Bytes,
        /// Picture parameter set NAL.
        pps: Bytes,
        /// Sets of further ids that are in force: sequence, then picture parameter sets.
        more: Vec<Bytes>,
    },
    /// ITU-T H.265.
    H265 {
        /// Video parameter set NAL.
        vps: Bytes,
        /// Sequence parameter set NAL.
        sps: Bytes,
        /// Picture parameter set NAL.
        pps: Bytes,
        /// Sets of further ids that are in force, in the same order.
        more: Vec<Bytes>,
    },
    /// AAC in raw frames.
    Aac {
        /// AudioSpecificConfig, ISO/IEC 14496-3 §1.6.2.1.
        config: Bytes,
    },
    /// ITU-T G.711, one octet per sample and channel.
    G711(Law),
    /// FLAC in frames (RFC 9639 §9). Cameras have none: it is what G.711 becomes for browsers.
    Flac,
    /// Opus in packets as the encoder gives them (RFC 6716 §3).
    Opus,
}

/// The shape of the decoded picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Pictures.
    Video {
        /// Pixels across, after cropping.
        width: u16,
        /// Pixels down, after cropping.
        height: u16,
        /// The shape of a pixel; square where the parameter sets say nothing.
        aspect: SampleAspect,
        /// Seconds per frame as (numerator, denominator), if the parameter sets tell it.
        frame_secs: Option<(u32, u32)>,
    },
    /// Sound.
    Audio {
        /// Samples per second and channel.
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
}

impl Shape {
    /// Width and height of pictures in square pixels; `None` for sound.
    #[must_use]
    pub fn display(&self) -> Option<(u16, u16)> {
        match *self {
            Self::Video { width, height, aspect, .. } => Some(aspect.display((width, height))),
            Self::Audio { .. } => None,
        }
    }
}

/// Everything constant about a track until its parameter sets change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecParams {
    /// The codec and its out-of-band facts.
    pub codec: Codec,
    /// Ticks per second of the track's [`MediaTime`](crate::base::time::MediaTime).
    pub clock_rate: NonZeroU32,
    /// Value for `codecs=`, RFC 6381; `None` where no such string is registered (G.711).
    pub rfc6381: Option<String>,
    /// A complete sample entry box for `stsd`, ISO/IEC 14496-12 §8.5.2.
    pub sample_entry: Bytes,
    /// The decoded shape.
    pub shape: Shape,
}

/// Why parameters cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParamsError {
    /// The codec is one we do not carry.
    #[error("codec {what} is not supported")]
    Unsupported {
        /// Its name.
        what: String,
    },
    /// Longer than any real parameter set.
    #[error("parameter set of {got_bytes} bytes, at most {max_bytes} are accepted")]
    TooLong {
        /// Found.
        got_bytes: usize,
        /// Accepted.
        max_bytes: usize,
    },
    /// A picture side of zero or beyond the limit.
    #[error("picture of {width}x{height}, each side must be 1 to {max}", max = crate::base::limits::PICTURE_SIDE_PIXELS_MAX)]
    Dimensions {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The record that carries the parameter sets ends early or lacks one.
    #[error("damaged {record}")]
    Damaged {
        /// Which record.
        record: &'static str,
    },
    /// The bits make no sense.
    #[error("unreadable parameter sets: {0}")]
    Unreadable(#[source] retina::Error),
}

impl CodecParams {
    /// Video or audio.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.shape {
            Shape::Video { .. } => Kind::Video,
            Shape::Audio { .. } => Kind::Audio,
        }
    }

    /// The codec's name as people write it, such as `H264`.
    #[must_use]
    pub fn codec_name(&self) -> &'static str {
        match self.codec {
            Codec::H264 { .. } => "H264",
            Codec::H265 { .. } => "H265",
            Codec::Aac { .. } => "AAC",
            Codec::G711(Law::A) => "PCMA",
            Codec::G711(Law::Mu) => "PCMU",
            Codec::Flac => "FLAC",
            Codec::Opus => "Opus",
        }
    }

    /// How long a unit of `bytes` lasts, in ticks, when no neighbour tells: one frame, 1,024
    /// samples of AAC's core coder, 20 ms of Opus and FLAC, one octet per G.711 sample. At least one.
    #[must_use]
    pub fn typical_ticks(&self, bytes: usize) -> u32 {
        let ticks = match (&self.codec, self.shape) {
            (Codec::G711(_), Shape::Audio { channels, .. }) => {
                bytes as u64 / u64::from(channels.max(1))
            }
            (Codec::Opus, _) => 960,
            (Codec::Aac { .. }, _) => u64::from(self.aac_frame_ticks().unwrap_or(1_024)),
            (Codec::Flac, _) => u64::from(self.clock_rate.get()) / 50,
            (_, Shape::Audio { .. }) => 1_024,
            (_, Shape::Video { frame_secs: Some((over, under)), .. }) if under > 0 => {
                u64::from(self.clock_rate.get()) * u64::from(over) / u64::from(under)
            }
            (_, Shape::Video { .. }) => u64::from(self.clock_rate.get()) / 25,
        };
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    }

    /// The same track as a browser is given it: itself where its `codecs=` string is registered,
    /// FLAC in place of G.711, `None` for what browsers do not play.
    #[must_use]
    pub fn for_browsers(self: &Arc<Self>) -> Option<Arc<Self>> {
        match (&self.codec, self.shape) {
            (Codec::G711(_), Shape::Audio { channels, .. }) => {
                Some(Arc::new(Self::flac(self.clock_rate, channels)))
            }
            _ => (self.rfc6381.is_some() && self.is_browser_aac()).then(|| Arc::clone(self)),
        }
    }

    /// The parameter-set NALs in the order in which a decoder wants them; empty for audio.
    #[must_use]
    pub fn parameter_nals(&self) -> Vec<&Bytes> {
        match &self.codec {
            Codec::H264 { sps, pps, more } => h26x::in_order(&[sps, pps], more, h26x::h264_kind),
            Codec::H265 { vps, sps, pps, more } => {
                h26x::in_order(&[vps, sps, pps], more, h26x::h265_kind)
            }
            Codec::Aac { .. } | Codec::G711(_) | Codec::Flac | Codec::Opus => Vec::new(),
        }
    }

    /// Bytes of the access unit delimiter that `data` begins with, which stays in front of all else
    /// (ITU-T H.264 §7.4.1.2.3, H.265 §7.4.2.4.4); zero without one.
    #[must_use]
    pub fn delimiter_bytes(&self, data: &[u8]) -> usize {
        let Some(nal) = super::nal::Nals::new(data).next() else { return 0 };
        let is_delimiter = match self.codec {
            Codec::H264 { .. } => h26x::h264_kind(nal) == 9,
            Codec::H265 { .. } => h26x::h265_kind(nal) == 35,
            _ => false,
        };
        if is_delimiter { 4 + nal.len() } else { 0 }
    }

    /// Whether a decoder that was set up for `other` takes this as it comes: codec, profile and shape
    /// are the same, at most the level and other content of parameter sets differ.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        let is_video = self.kind() == Kind::Video;
        self == other
            || is_video
                && std::mem::discriminant(&self.codec) == std::mem::discriminant(&other.codec)
                && (self.clock_rate, self.profile(), self.shape)
                    == (other.clock_rate, other.profile(), other.shape)
    }

    /// What `codecs=` says without the level: `avc1.` and two digits of profile (RFC 6381 §3.3), or
    /// `hvc1.` and profile with its compatibility (ISO/IEC 14496-15 §E.3).
    fn profile(&self) -> Option<&str> {
        let codecs = self.rfc6381.as_deref()?;
        match self.codec {
            Codec::H264 { .. } => codecs.get(..7),
            Codec::H265 { .. } => codecs.get(..codecs.match_indices('.').nth(2)?.0),
            _ => Some(codecs),
        }
    }
}

fn bounded(set: &[u8]) -> Result<Bytes, ParamsError> {
    let max_bytes = crate::base::limits::PARAMETER_SET_BYTES_MAX;
    if set.len() > max_bytes {
        return Err(ParamsError::TooLong { got_bytes: set.len(), max_bytes });
    }
    Ok(Bytes::copy_from_slice(set))
}
