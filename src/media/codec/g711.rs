//! G.711: A-law and µ-law at 8 kHz, one octet per sample.
//!
//! Owns: its sample entry (`alaw`/`ulaw`, as QuickTime registered them and ffmpeg reads them).

use std::num::NonZeroU32;

use bytes::Bytes;

use super::boxes::audio_entry;
use super::{Codec, CodecParams, Shape};

/// Which companding law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// PCMA, payload type 8 (RFC 3551 §6).
    A,
    /// PCMU, payload type 0.
    Mu,
}

impl Law {
    /// The sample that an octet encodes (ITU-T G.711 tables 1 and 2), on a scale of 16 bits.
    #[must_use]
    pub fn sample(self, octet: u8) -> i16 {
        match self {
            Self::A => {
                let octet = octet ^ 0x55;
                let (step, chord) = (i16::from(octet & 0x0f) << 4, octet >> 4 & 7);
                let size = if chord == 0 { step + 8 } else { (step + 0x108) << (chord - 1) };
                if octet & 0x80 == 0 { -size } else { size }
            }
            Self::Mu => {
                let octet = !octet;
                let (step, chord) = (i16::from(octet & 0x0f) << 3, octet >> 4 & 7);
                let size = ((step + 0x84) << chord) - 0x84;
                if octet & 0x80 == 0 { size } else { -size }
            }
        }
    }

    /// Low bits of [`Law::sample`] that are always zero.
    #[must_use]
    pub fn wasted_bits(self) -> u32 {
        match self {
            Self::A => 3,
            Self::Mu => 2,
        }
    }
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
    let kind = match law {
        Law::A => *b"alaw",
        Law::Mu => *b"ulaw",
    };
    audio_entry(kind, sample_rate.get(), channels, 0).freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_decode_as_the_tables_say() {
        // Silence, the quietest and the loudest, of either sign.
        let a = [0xd5, 0x55, 0xaa, 0x2a].map(|octet| Law::A.sample(octet));
        assert_eq!(a, [8, -8, 32_256, -32_256]);
        let mu = [0xff, 0x7f, 0x80, 0x00].map(|octet| Law::Mu.sample(octet));
        assert_eq!(mu, [0, 0, 32_124, -32_124]);
        for law in [Law::A, Law::Mu] {
            let wasted = (1 << law.wasted_bits()) - 1;
            assert!((0..=255).all(|octet| law.sample(octet) & wasted == 0));
        }
    }

    #[test]
    fn the_sample_entry_is_as_long_as_it_says() {
        let params = CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1);
        assert_eq!(params.sample_entry.len(), 36);
        assert_eq!(&params.sample_entry[4..8], b"alaw");
    }
}
