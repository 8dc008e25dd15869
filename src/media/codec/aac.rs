//! AAC: the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) and what follows from it.
//!
//! Owns: reading the configuration, SBR and PS in all three ways of signalling (§1.6.5), the sample
//! entry, and how long a frame lasts in the clock that the sender chose. No object type is refused:
//! what a browser cannot play is still recorded and served.

use std::num::NonZeroU32;

use bytes::{BufMut, Bytes};

use super::boxes::audio_entry;
use super::{Codec, CodecParams, ParamsError, Shape, bounded};
use crate::media::bits::PlainBits;

const DAMAGED: ParamsError = ParamsError::Damaged { record: "AudioSpecificConfig" };
/// Audio object types, ISO/IEC 14496-3 table 1.17.
const LC: u8 = 2;
pub(super) const SBR: u8 = 5;
const PS: u8 = 29;
const ELD: u8 = 39;
const USAC: u8 = 42;
/// Object types that browsers play.
const BROWSERS: [u8; 3] = [LC, SBR, PS];
/// Types that are configured by a GASpecificConfig (table 1.15).
const GENERAL: [u8; 12] = [1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23];
/// Types that are error resilient: an `epConfig` follows.
const RESILIENT: [u8; 7] = [17, 19, 20, 21, 22, 23, ELD];
/// samplingFrequencyIndex, table 1.18.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Channels by channelConfiguration, table 1.19; 0 is a program_config_element.
const CHANNELS: [u16; 15] = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8];
/// Where the extensions that older decoders skip begin, §1.6.5.3.
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

/// What an AudioSpecificConfig says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AacConfig {
    /// The object type of the core coder.
    pub(super) core: u8,
    /// SBR (5) or PS (29) on top, if the configuration signals it.
    extension: Option<u8>,
    /// Samples per second of the core coder.
    core_rate: u32,
    /// Samples per second with SBR, if the configuration signals it.
    extension_rate: Option<u32>,
    /// Channels of the core coder.
    pub(super) channels: u16,
    /// Samples per frame and channel of the core coder.
    frame_samples: u32,
}

impl AacConfig {
    /// Reads `raw`; `None` when it ends early or says what the standard reserves.
    pub(super) fn parse(raw: &[u8]) -> Option<Self> {
        Self::parse_core(raw).map(|(config, _)| config)
    }

    /// As [`AacConfig::parse`], with where the configuration of the core ends, in bits.
    fn parse_core(raw: &[u8]) -> Option<(Self, usize)> {
        let mut bits = Reader(PlainBits::new(raw));
        let mut core = bits.object_type()?;
        let core_rate = bits.rate()?;
        let configuration = bits.number(4)?;
        let (mut extension, mut extension_rate) = (None, None);
        if core == SBR || core == PS {
            extension = Some(core);
            extension_rate = Some(bits.rate()?);
            core = bits.object_type()?;
            if core == 22 {
                bits.number(4)?;
            }
        }
        let mut channels = *CHANNELS.get(configuration as usize)?;
        let frame_samples = match core {
            kind if GENERAL.contains(&kind) => bits.general(kind, &mut channels)?,
            ELD => {
                if bits.number(1)? == 1 {
                    480
                } else {
                    512
                }
            }
            USAC => {
                bits.number(5)?;
                *[768, 1_024, 2_048, 2_048, 4_096].get(bits.number(3)? as usize)?
            }
            _ => 1_024,
        };
        if RESILIENT.contains(&core) && core != ELD {
            bits.number(2)?;
        }
        let core_bits = bits.0.position();
        let mut config =
            Self { core, extension, core_rate, extension_rate, channels, frame_samples };
        if extension.is_none() && GENERAL.contains(&core) {
            config.compatible(bits);
        }
        config.channels = config.channels.max(1);
        Some((config, core_bits))
    }

    /// SBR and PS behind the configuration of the core, where older decoders do not look.
    fn compatible(&mut self, mut bits: Reader<'_>) -> Option<()> {
        if bits.number(11)? != SYNC_SBR || bits.object_type()? != SBR || bits.number(1)? == 0 {
            return None;
        }
        self.extension_rate = Some(bits.rate()?);
        self.extension = Some(SBR);
        if bits.number(11)? == SYNC_PS && bits.number(1)? == 1 {
            self.extension = Some(PS);
        }
        Some(())
    }

    /// The object type announced to players: the extension if there is one. A clock of twice the
    /// core's rate means SBR that the configuration does not mention (§1.6.5, implicit).
    fn object_type(&self, clock_rate: u32) -> u8 {
        let implicit = self.core == LC && self.core_rate.checked_mul(2) == Some(clock_rate);
        self.extension.unwrap_or(if implicit { SBR } else { self.core })
    }

    /// Samples per second of what is heard.
    fn output_rate(&self, clock_rate: u32) -> u32 {
        let implicit =
            if self.object_type(clock_rate) == SBR { clock_rate } else { self.core_rate };
        self.extension_rate.unwrap_or(implicit)
    }

    /// Channels of what is heard: PS makes two of one.
    fn output_channels(&self) -> u16 {
        if self.extension == Some(PS) { self.channels.max(2) } else { self.channels }
    }

    /// Ticks of a clock of `clock_rate` that a frame lasts, to the nearest: 2,048 where the clock
    /// is that of the output and SBR doubles the rate, 1,024 where it is that of the core.
    fn frame_ticks(&self, clock_rate: u32) -> u32 {
        let ticks = u64::from(self.frame_samples) * u64::from(clock_rate);
        let rate = u64::from(self.core_rate.max(1));
        u32::try_from((ticks + rate / 2) / rate).unwrap_or(u32::MAX).max(1)
    }
}

/// Bits of the AudioSpecificConfig that `bytes` begin with, extensions behind it apart; `None` for
/// object types whose configuration is not read to its end.
#[must_use]
pub fn config_bits(bytes: &[u8]) -> Option<usize> {
    let (config, bits) = AacConfig::parse_core(bytes)?;
    GENERAL.contains(&config.core).then_some(bits)
}

impl CodecParams {
    /// AAC as `config`, an AudioSpecificConfig, describes it, in a clock of `clock_rate`. That is
    /// the rate of the core coder or of the output, as the sender likes.
    pub fn aac(config: &[u8], clock_rate: NonZeroU32) -> Result<Self, ParamsError> {
        let read = AacConfig::parse(config).ok_or(DAMAGED)?;
        let (rate, channels) = (read.output_rate(clock_rate.get()), read.output_channels());
        let config = bounded(config)?;
        Ok(Self {
            rfc6381: Some(format!("mp4a.40.{}", read.object_type(clock_rate.get()))),
            sample_entry: sample_entry(&config, rate, channels)?,
            codec: Codec::Aac { config },
            clock_rate,
            shape: Shape::Audio { sample_rate: rate, channels },
        })
    }

    /// Ticks of one frame of AAC; `None` for other codecs.
    #[must_use]
    pub fn aac_frame_ticks(&self) -> Option<u32> {
        let Codec::Aac { config } = &self.codec else { return None };
        Some(AacConfig::parse(config)?.frame_ticks(self.clock_rate.get()))
    }

    /// Whether browsers play this AAC; `true` for other codecs.
    pub(super) fn is_browser_aac(&self) -> bool {
        let Codec::Aac { config } = &self.codec else { return true };
        AacConfig::parse(config)
            .is_some_and(|config| BROWSERS.contains(&config.object_type(self.clock_rate.get())))
    }
}

/// An MP4AudioSampleEntry (ISO/IEC 14496-14 §5.6.1) with the `esds` around `config`.
fn sample_entry(config: &[u8], rate: u32, channels: u16) -> Result<Bytes, ParamsError> {
    let content = u8::try_from(config.len()).ok().filter(|&bytes| bytes < 90).ok_or(DAMAGED)?;
    // Descriptors of less than 128 bytes say their length in one (ISO/IEC 14496-1 §8.3.3).
    let decoder = 13 + 2 + content;
    let stream = 3 + 2 + decoder + 3;
    let esds = 8 + 4 + 2 + u32::from(stream);
    let mut entry = audio_entry(*b"mp4a", rate, channels, esds);
    entry.put_u32(esds);
    entry.put_slice(b"esds");
    entry.put_u32(0); // version and flags
    entry.put_slice(&[3, stream, 0, 0, 0]); // ES_Descriptor: ES_ID 0, no flags
    entry.put_slice(&[4, decoder, 0x40, 0x15]); // ISO/IEC 14496-3, an audio stream
    // An input buffer is 6,144 bits per channel (ISO/IEC 13818-7 §8.2.2.1); the LFE has none.
    let coded = u32::from(if matches!(channels, 6 | 8) { channels - 1 } else { channels });
    let [_, high, middle, low] = (768 * coded).to_be_bytes();
    entry.put_slice(&[high, middle, low]);
    entry.put_u32(rate.saturating_mul(6 * coded));
    entry.put_u32(0); // average bit rate: it varies
    entry.put_slice(&[5, content]);
    entry.put_slice(config);
    entry.put_slice(&[6, 1, 2]); // SLConfigDescriptor: as in MP4 files
    Ok(entry.freeze())
}

/// Reads the fields of a configuration.
#[derive(Clone, Copy)]
struct Reader<'a>(PlainBits<'a>);

impl Reader<'_> {
    fn number(&mut self, count: usize) -> Option<u32> {
        self.0.number(count)
    }

    /// GetAudioObjectType, table 1.16.
    fn object_type(&mut self) -> Option<u8> {
        let kind = match self.number(5)? {
            31 => 32 + self.number(6)?,
            kind => kind,
        };
        u8::try_from(kind).ok().filter(|&kind| kind > 0)
    }

    fn rate(&mut self) -> Option<u32> {
        let rate = match self.number(4)? {
            15 => self.number(24)?,
            index => *RATES.get(index as usize)?,
        };
        (rate > 0).then_some(rate)
    }

    /// GASpecificConfig (§4.4.1): samples per frame, and the channels where only this says them.
    fn general(&mut self, kind: u8, channels: &mut u16) -> Option<u32> {
        let is_short = self.number(1)? == 1;
        if self.number(1)? == 1 {
            self.number(14)?; // coreCoderDelay
        }
        let is_extended = self.number(1)? == 1;
        if *channels == 0 {
            *channels = self.program()?;
        }
        if kind == 6 || kind == 20 {
            self.number(3)?; // layerNr
        }
        if is_extended {
            match kind {
                22 => self.number(16)?,
                17 | 19 | 20 | 23 => self.number(3)?,
                _ => 0,
            };
            self.number(1)?; // extensionFlag3
        }
        Some(match (kind, is_short) {
            (3, _) => 256,
            (23, false) => 512,
            (23, true) => 480,
            (_, false) => 1_024,
            (_, true) => 960,
        })
    }

    /// Channels of a program_config_element (§4.4.1.1), read to its end.
    fn program(&mut self) -> Option<u16> {
        self.number(4 + 2 + 4)?;
        let mut count = [0; 6];
        for (count, width) in count.iter_mut().zip([4, 4, 4, 2, 3, 4]) {
            *count = self.number(width)?;
        }
        // Mixdowns to mono, to stereo, by matrix.
        for width in [4, 4, 3] {
            if self.number(1)? == 1 {
                self.number(width)?;
            }
        }
        let [front, side, back, low, data, coupling] = count;
        let mut channels = low;
        for _ in 0..front + side + back {
            channels += 1 + self.number(1)?;
            self.number(4)?;
        }
        self.0.skip(((low + data) * 4 + coupling * 5) as usize);
        self.0.align();
        let comment = self.number(8)? as usize;
        self.0.skip(comment * 8);
        u16::try_from(channels).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aac(config: &[u8], clock_rate: u32) -> CodecParams {
        CodecParams::aac(config, NonZeroU32::new(clock_rate).unwrap()).unwrap()
    }

    /// What is announced, what is heard, and ticks per frame.
    fn facts(config: &[u8], clock_rate: u32) -> (String, u32, u16, u32) {
        let params = aac(config, clock_rate);
        let Shape::Audio { sample_rate, channels } = params.shape else { unreachable!() };
        let ticks = params.aac_frame_ticks().unwrap();
        (params.rfc6381.unwrap(), sample_rate, channels, ticks)
    }

    fn told(kind: u8, rate: u32, channels: u16, ticks: u32) -> (String, u32, u16, u32) {
        (format!("mp4a.40.{kind}"), rate, channels, ticks)
    }

    #[test]
    fn sbr_and_ps_are_read_however_they_are_signalled() {
        let explicit = [0x2b, 0x92, 0x08, 0x00];
        assert_eq!(facts(&explicit, 44_100), told(5, 44_100, 2, 2_048));
        assert_eq!(facts(&explicit, 22_050), told(5, 44_100, 2, 1_024));
        let compatible = [0x13, 0x90, 0x56, 0xe5, 0xa0];
        assert_eq!(facts(&compatible, 44_100), told(5, 44_100, 2, 2_048));
        assert_eq!(facts(&compatible, 22_050), told(5, 44_100, 2, 1_024));
        // Nothing but the clock says it.
        assert_eq!(facts(&[0x13, 0x90], 44_100), told(5, 44_100, 2, 2_048));
        assert_eq!(facts(&[0x13, 0x90], 22_050), told(2, 22_050, 2, 1_024));
        // PS: 24 kHz mono in, 48 kHz stereo out; explicit, then behind the core.
        assert_eq!(facts(&[0xeb, 0x09, 0x88, 0x00], 48_000), told(29, 48_000, 2, 2_048));
        let compatible = [0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80];
        assert_eq!(facts(&compatible, 48_000), told(29, 48_000, 2, 2_048));
        // sbrPresentFlag 0 says that there is none.
        assert_eq!(facts(&[0x11, 0x90, 0x56, 0xe5, 0x00], 48_000), told(2, 48_000, 2, 1_024));
    }

    #[test]
    fn other_kinds_have_their_own_frames() {
        assert_eq!(facts(&[0x11, 0x94], 48_000), told(2, 48_000, 2, 960));
        assert_eq!(facts(&[0x11, 0x90], 90_000), told(2, 48_000, 2, 1_920));
        // AAC-LD and AAC-ELD at 48 kHz mono, USAC at 48 kHz stereo.
        assert_eq!(facts(&[0xb9, 0x88, 0x00], 48_000), told(23, 48_000, 1, 512));
        assert_eq!(facts(&[0xf8, 0xe6, 0x30, 0x00], 48_000), told(39, 48_000, 1, 480));
        assert_eq!(facts(&[0xf9, 0x46, 0x43, 0x22, 0x00], 48_000).0, "mp4a.40.42");
        for (config, plays) in
            [(&[0x2b, 0x92, 0x08, 0x00][..], true), (&[0xf8, 0xe6, 0x30, 0], false)]
        {
            let params = std::sync::Arc::new(aac(config, 44_100));
            assert_eq!(params.for_browsers().is_some(), plays);
        }
    }

    #[test]
    fn channels_of_a_program_config_element_are_counted() {
        // AAC-LC, 48 kHz, configuration 0: one front pair, nothing else, no comment.
        let bits = concat!(
            "00010", "0011", "0000", "000", "0000", "01", "0011", "0001", "0000", "0000", "00",
            "000", "0000", "000", "1", "0000", "0", "00000000",
        );
        let octets: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|bits| bits.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0')))
            .collect();
        assert_eq!(facts(&octets, 48_000), told(2, 48_000, 2, 1_024));
    }

    #[test]
    fn the_sample_entry_is_as_before_for_plain_aac() {
        let entry = aac(&[0x11, 0x90], 48_000).sample_entry;
        assert_eq!(entry.len(), 75);
        assert_eq!(&entry[24..36], [0, 2, 0, 16, 0, 0, 0, 0, 0xbb, 0x80, 0, 0]);
        assert_eq!(
            &entry[48..],
            [
                3, 25, 0, 0, 0, 4, 17, 0x40, 0x15, 0, 6, 0, 0, 8, 0xca, 0, 0, 0, 0, 0, 5, 2, 0x11,
                0x90, 6, 1, 2,
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_configuration_makes_the_reader_panic(config: Vec<u8>, clock_rate in 1u32..) {
            if let Ok(params) = CodecParams::aac(&config, NonZeroU32::new(clock_rate).unwrap()) {
                proptest::prop_assert!(params.aac_frame_ticks().unwrap() > 0);
            }
        }
    }
}
