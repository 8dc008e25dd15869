//! Opus (RFC 6716): always 48,000 ticks per second, whatever was recorded.
//!
//! Owns: its sample entry (`Opus` with `dOps`, "Encapsulation of Opus in ISO Base Media File
//! Format" §4.3), and how long a packet lasts.

use std::num::NonZeroU32;

use bytes::{BufMut, Bytes};

use super::boxes::audio_entry;
use super::{Codec, CodecParams, Shape};

/// Ticks per second of all Opus (RFC 7587 §4.1).
const CLOCK_RATE: NonZeroU32 = NonZeroU32::new(48_000).expect("not zero");

impl CodecParams {
    /// Opus with `channels`, 1 or 2.
    #[must_use]
    pub fn opus(channels: u16) -> Self {
        let channels = channels.clamp(1, 2);
        Self {
            codec: Codec::Opus,
            clock_rate: CLOCK_RATE,
            rfc6381: Some("opus".to_owned()),
            sample_entry: sample_entry(channels),
            shape: Shape::Audio { sample_rate: CLOCK_RATE.get(), channels },
        }
    }
}

/// Samples of one frame by the configuration in the first octet of a packet (RFC 6716 §3.1), and
/// how many frames (§3.2); `None` for anything but an Opus packet of at most 120 ms.
#[must_use]
pub fn packet_ticks(packet: &[u8]) -> Option<u32> {
    let (&first, rest) = packet.split_first()?;
    let frame = match first >> 3 {
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    let ticks = frame * frames;
    (1..=5_760).contains(&ticks).then_some(ticks)
}

/// An AudioSampleEntry with `dOps`.
fn sample_entry(channels: u16) -> Bytes {
    let mut entry = audio_entry(*b"Opus", CLOCK_RATE.get(), channels, 19);
    entry.put_u32(19);
    entry.put_slice(b"dOps");
    entry.put_u8(0); // Version
    entry.put_u8(u8::try_from(channels).unwrap_or(2));
    entry.put_u16(0); // PreSkip: a live stream is joined in its middle, nothing is to be skipped
    entry.put_u32(CLOCK_RATE.get()); // InputSampleRate
    entry.put_i16(0); // OutputGain
    entry.put_u8(0); // ChannelMappingFamily
    entry.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_entry_is_as_long_as_it_says() {
        let params = CodecParams::opus(2);
        assert_eq!(params.sample_entry.len(), 55);
        assert_eq!((&params.sample_entry[4..8], params.sample_entry[39]), (&b"Opus"[..], 19));
    }

    #[test]
    fn a_packet_says_how_long_it_lasts() {
        for (packet, wanted) in [
            (&b"\xfc"[..], Some(960)), // CELT, 20 ms, one frame
            (b"\xe1\x00", Some(240)),  // CELT, 2.5 ms, two frames
            (b"\x18", Some(2_880)),    // SILK, 60 ms
            (b"\x1b\x02", Some(5_760)),
            (b"\x1b\x03", None), // 180 ms
            (b"\x1b\x00", None),
            (b"\x1b", None),
            (b"", None),
        ] {
            assert_eq!(packet_ticks(packet), wanted, "{packet:?}");
        }
    }
}
