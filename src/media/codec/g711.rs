//! G.711: A-law and µ-law at 8 kHz, one octet per sample.
//!
//! Owns: its sample entry (`alaw`/`ulaw`, as QuickTime registered them and ffmpeg reads them).

use std::num::NonZeroU32;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Codec, CodecParams, Shape};

/// Which companding law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// PCMA, payload type 8 (RFC 3551 §6).
    A,
    /// PCMU, payload type 0.
    Mu,
}

impl CodecParams {
    /// G.711 with `channels` (1 to 8) at `sample_rate` per second.
    #[must_use]
    pub fn g711(law: Law, sample_rate: NonZeroU32, channels: u16) -> Self {
        let channels = channels.clamp(1, 8);
        Self {
            codec: Codec::G711(law),
            clock_rate: sample_rate,
            rfc6381: None,
            sample_entry: sample_entry(law, sample_rate, channels),
            shape: Shape::Audio { sample_rate: sample_rate.get(), channels },
        }
    }
}

/// An AudioSampleEntry, ISO/IEC 14496-12 §12.2.3.
fn sample_entry(law: Law, sample_rate: NonZeroU32, channels: u16) -> Bytes {
    let mut entry = BytesMut::with_capacity(36);
    entry.put_u32(36);
    entry.put_slice(match law {
        Law::A => b"alaw",
        Law::Mu => b"ulaw",
    });
    entry.put_bytes(0, 6); // reserved
    entry.put_u16(1); // data_reference_index
    entry.put_bytes(0, 8); // reserved
    entry.put_u16(channels);
    entry.put_u16(16); // samplesize: what the decoder gives
    entry.put_u32(0); // pre_defined, reserved
    // 16.16 fixed point; a rate that does not fit is written as zero, which means "see stts".
    entry.put_u32(u16::try_from(sample_rate.get()).map_or(0, |hz| u32::from(hz) << 16));
    entry.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_entry_is_as_long_as_it_says() {
        let params = CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1);
        assert_eq!(params.sample_entry.len(), 36);
        assert_eq!(&params.sample_entry[4..8], b"alaw");
    }
}
