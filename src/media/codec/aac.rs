//! AAC: the AudioSpecificConfig and what follows from it.
//!
//! Owns: turning retina's audio parameters into [`CodecParams`].

use std::num::NonZeroU32;

use bytes::Bytes;
use retina::codec::AudioParameters;

use super::{Codec, CodecParams, ParamsError, Shape, bounded};

impl CodecParams {
    /// Reads what retina says of an AAC track.
    pub fn from_aac(audio: &AudioParameters) -> Result<Self, ParamsError> {
        let entry = audio.mp4_sample_entry().build().map_err(ParamsError::Unreadable)?;
        let clock_rate = NonZeroU32::new(audio.clock_rate())
            .ok_or(ParamsError::Damaged { record: "AudioSpecificConfig" })?;
        Ok(Self {
            codec: Codec::Aac { config: bounded(audio.extra_data())? },
            clock_rate,
            rfc6381: audio.rfc6381_codec().map(str::to_owned),
            sample_entry: Bytes::from(entry),
            shape: Shape::Audio { sample_rate: clock_rate.get(), channels: audio.channels().get() },
        })
    }
}
