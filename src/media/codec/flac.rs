//! FLAC (RFC 9639): how G.711 travels to players that do not know it, without loss.
//!
//! Owns: the frames and the sample entry (`fLaC` with `dfLa`, "Encapsulation of FLAC in ISO Base
//! Media File Format" §3.3). Frames are verbatim: G.711 decodes to 13 or 14 significant bits, the
//! rest is declared as wasted bits, and what a predictor would save is less than the picture
//! varies.

use std::num::NonZeroU32;

use bytes::{BufMut, Bytes};

use super::boxes::audio_entry;
use super::g711::Law;
use super::{Codec, CodecParams, Shape};

/// Declared bits per sample; the low ones are wasted.
const SAMPLE_BITS: u32 = 16;
/// Largest block that STREAMINFO can tell (§8.2); no packet of G.711 is as long.
const BLOCK_SAMPLES_MAX: usize = 65_535;
/// Smallest block that STREAMINFO may tell (§8.2).
const BLOCK_SAMPLES_MIN: u16 = 16;
/// The sample number of a frame has 36 bits (§9.1.5): 99 days at 8 kHz, then it restarts, which no
/// player minds because the container tells the time.
const SAMPLE_NUMBER_MASK: u64 = (1 << 36) - 1;

impl CodecParams {
    /// FLAC of 16 bits with `channels` (1 to 8) at `sample_rate` per second.
    #[must_use]
    pub fn flac(sample_rate: NonZeroU32, channels: u16) -> Self {
        let channels = channels.clamp(1, 8);
        Self {
            codec: Codec::Flac,
            clock_rate: sample_rate,
            rfc6381: Some("fLaC".to_owned()),
            sample_entry: sample_entry(sample_rate, channels),
            shape: Shape::Audio { sample_rate: sample_rate.get(), channels },
        }
    }
}

/// An AudioSampleEntry with `dfLa`.
fn sample_entry(sample_rate: NonZeroU32, channels: u16) -> Bytes {
    let mut entry = audio_entry(*b"fLaC", sample_rate.get(), channels, 50);
    entry.put_u32(50);
    entry.put_slice(b"dfLa");
    entry.put_u32(0); // version and flags
    entry.put_u8(0x80); // the last metadata block, STREAMINFO (§8.1)
    entry.put_uint(34, 3);
    entry.put_u16(BLOCK_SAMPLES_MIN);
    entry.put_u16(u16::MAX); // longest block
    entry.put_bytes(0, 6); // shortest and longest frame: unknown
    let rate = u64::from(sample_rate.get()) & 0xf_ffff;
    let (channels, bits) = (u64::from(channels) - 1, u64::from(SAMPLE_BITS) - 1);
    entry.put_u64(rate << 44 | channels << 41 | bits << 36); // number of samples: unknown
    entry.put_bytes(0, 16); // checksum of the samples: unknown
    entry.freeze()
}

/// One frame out of the octets of a G.711 unit, whose first sample is number `at`; `None` for
/// what makes no whole sample of each channel, or more than a frame can hold.
#[must_use]
pub fn frame(law: Law, octets: &[u8], shape: Shape, at: i64) -> Option<Bytes> {
    let Shape::Audio { sample_rate, channels } = shape else { return None };
    let channels = channels.clamp(1, 8);
    let samples = octets.len() / usize::from(channels);
    if samples == 0 || samples > BLOCK_SAMPLES_MAX {
        return None;
    }
    let mut bits = FlacBits::with_capacity(24 + octets.len() * 2);
    put_header(&mut bits, samples, channels, sample_rate, at.unsigned_abs() & SAMPLE_NUMBER_MASK);
    let wasted = law.wasted_bits();
    for channel in 0..usize::from(channels) {
        bits.put(0b0000_0011, 8); // verbatim, with wasted bits (§9.2.1)
        bits.put(1, wasted); // how many, in unary (§9.2.2)
        for octet in octets.iter().skip(channel).step_by(usize::from(channels)).take(samples) {
            let sample = i32::from(law.sample(*octet)) >> wasted;
            bits.put(sample.cast_unsigned().into(), SAMPLE_BITS - wasted);
        }
    }
    bits.align();
    let check = crc16(&bits.bytes);
    bits.bytes.put_u16(check);
    Some(bits.bytes.into())
}

/// The frame header (§9.1): blocks of any length, numbered by their first sample.
fn put_header(bits: &mut FlacBits, samples: usize, channels: u16, sample_rate: u32, at: u64) {
    bits.put(0xfff9, 16);
    bits.put(0b0111, 4); // the length stands behind the number, 16 bits
    bits.put(rate_code(sample_rate), 4);
    bits.put(u64::from(channels) - 1, 4);
    bits.put(0b100 << 1, 4); // 16 bits a sample
    put_number(&mut bits.bytes, at);
    bits.put(samples as u64 - 1, 16);
    let check = crc8(&bits.bytes);
    bits.bytes.put_u8(check);
}

/// §9.1.2; zero: as STREAMINFO says.
fn rate_code(sample_rate: u32) -> u64 {
    match sample_rate {
        8_000 => 4,
        16_000 => 5,
        32_000 => 8,
        48_000 => 10,
        _ => 0,
    }
}

/// A number of 36 bits at most as UTF-8 would code it if it went that far (§9.1.5).
#[allow(clippy::cast_possible_truncation)] // each is masked to its bits
fn put_number(out: &mut Vec<u8>, number: u64) {
    if number < 0x80 {
        out.push(number as u8);
        return;
    }
    let mut behind = 1;
    // The first octet has room for 6 - behind bits.
    while number >> (6 * behind) >= 1 << (6 - behind) {
        behind += 1;
    }
    let marks = (0xff00_u32 >> (behind + 1)) as u8;
    out.push(marks | (number >> (6 * behind)) as u8);
    for at in (0..behind).rev() {
        out.push(0x80 | (number >> (6 * at) & 0x3f) as u8);
    }
}

/// Bits, the most significant first.
struct FlacBits {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl FlacBits {
    fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), held: 0, count: 0 }
    }

    /// Appends the low `count` bits of `value`, 32 at most.
    #[allow(clippy::cast_possible_truncation)] // the octet that is full
    fn put(&mut self, value: u64, count: u32) {
        self.held = self.held << count | value & ((1 << count) - 1);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.held >> self.count) as u8);
        }
    }

    fn align(&mut self) {
        self.put(0, (8 - self.count % 8) % 8);
    }
}

/// x⁸ + x² + x + 1 from zero (§9.1.8).
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| crc << 1 ^ if crc & 0x80 == 0 { 0 } else { 0x07 })
    })
}

/// x¹⁶ + x¹⁵ + x² + 1 from zero (§9.3).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| crc << 8 ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let mut crc = (at as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const MONO: Shape = Shape::Audio { sample_rate: 8_000, channels: 1 };

    #[test]
    fn the_sample_entry_is_as_long_as_it_says() {
        let params = CodecParams::flac(NonZeroU32::new(8_000).unwrap(), 1);
        assert_eq!(params.sample_entry.len(), 86);
        assert_eq!(&params.sample_entry[40..44], b"dfLa");
    }

    #[test]
    fn numbers_are_coded_as_utf8_is() {
        for number in [0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x1_0000, 0x10_ffff] {
            let Some(letter) = char::from_u32(number) else { continue };
            let mut out = Vec::new();
            put_number(&mut out, number.into());
            assert_eq!(out, letter.to_string().as_bytes(), "{number:x}");
        }
        let mut out = Vec::new();
        put_number(&mut out, SAMPLE_NUMBER_MASK);
        assert_eq!(out, [0xfe, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf]);
    }

    #[test]
    fn checks_are_those_of_the_standard() {
        // The check values of CRC-8 and CRC-16/UMTS.
        assert_eq!((crc8(b"123456789"), crc16(b"123456789")), (0xf4, 0xfee8));
    }

    #[test]
    fn what_makes_no_frame_is_left_out() {
        assert!(frame(Law::A, &[], MONO, 0).is_none());
        assert!(frame(Law::A, &vec![0; 65_536], MONO, 0).is_none());
        let stereo = Shape::Audio { sample_rate: 8_000, channels: 2 };
        assert!(frame(Law::Mu, &[1], stereo, 0).is_none());
        // 160 samples of 13 bits, a header of 9 with a number of 2, a subframe head of 11 bits.
        assert_eq!(frame(Law::A, &[0; 160], MONO, 160).unwrap().len(), 9 + 262 + 2);
    }
}
