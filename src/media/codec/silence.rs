//! One frame of silence in a track's own codec.
//!
//! Owns: the bits. They are added to copies for browsers only, where a sound track that is
//! announced but empty would stop the picture.

use bytes::{BufMut, Bytes, BytesMut};

use super::aac::AacConfig;
use super::g711::Law;
use super::{Codec, CodecParams, Shape};

/// The octet of G.711 that decodes to the smallest amplitude (ITU-T G.711 tables 1a and 2a).
const SILENCE_A: u8 = 0xd5;
const SILENCE_MU: u8 = 0xff;
/// An Opus packet of one CELT frame of 20 ms (RFC 6716 §3.1), the low bits: mono, one frame.
const OPUS_CELT_20_MS: u8 = 31 << 3;
const OPUS_STEREO: u8 = 1 << 2;
/// Element kinds of a raw_data_block (ISO/IEC 14496-3 table 4.85).
const SINGLE: u32 = 0;
const PAIR: u32 = 1;
const LOW_FREQUENCY: u32 = 3;
const END: u32 = 7;
/// Object types of the core whose frames are a raw_data_block: Main, LC, LTP.
const RAW_DATA_BLOCK: [u8; 3] = [1, 2, 4];

impl CodecParams {
    /// A frame of silence that lasts `ticks` where the codec leaves that open (G.711), else one
    /// frame. `None` for pictures, and for sound whose silence is not known.
    #[must_use]
    pub fn silence(&self, ticks: u32) -> Option<Bytes> {
        let Shape::Audio { channels, .. } = self.shape else { return None };
        match &self.codec {
            Codec::Aac { config } => aac(config),
            Codec::G711(law) => {
                let octet = if *law == Law::A { SILENCE_A } else { SILENCE_MU };
                let octets = usize::try_from(ticks).ok()?.checked_mul(usize::from(channels))?;
                Some(Bytes::from(vec![octet; octets]))
            }
            Codec::Opus => {
                let stereo = if channels > 1 { OPUS_STEREO } else { 0 };
                Some(Bytes::from(vec![OPUS_CELT_20_MS | stereo, 0xff, 0xfe]))
            }
            _ => None,
        }
    }
}

/// A raw_data_block in which no channel has a spectral line (ISO/IEC 14496-3 §4.4.2.1).
fn aac(config: &[u8]) -> Option<Bytes> {
    let config = AacConfig::parse(config)?;
    if !RAW_DATA_BLOCK.contains(&config.core) {
        return None;
    }
    let elements: &[u32] = match config.channels {
        1 => &[SINGLE],
        2 => &[PAIR],
        3 => &[SINGLE, PAIR],
        4 => &[SINGLE, PAIR, SINGLE],
        5 => &[SINGLE, PAIR, PAIR],
        6 => &[SINGLE, PAIR, PAIR, LOW_FREQUENCY],
        8 => &[SINGLE, PAIR, PAIR, PAIR, LOW_FREQUENCY],
        _ => return None,
    };
    let mut bits = SilenceBits::default();
    let mut seen = [0; 8];
    for &element in elements {
        let tag = &mut seen[element as usize];
        bits.put(element, 3);
        bits.put(*tag, 4);
        *tag += 1;
        if element == PAIR {
            bits.put(1, 1); // common_window
            bits.window();
            bits.put(0, 2); // ms_mask_present
            bits.channel();
        } else {
            bits.put(0, 8); // global_gain
            bits.window();
            bits.put(0, 3);
            continue;
        }
        bits.channel();
    }
    bits.put(END, 3);
    Some(bits.finish())
}

#[derive(Default)]
struct SilenceBits {
    bytes: BytesMut,
    open: u32,
    count: u32,
}

impl SilenceBits {
    fn put(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            self.open = self.open << 1 | value >> at & 1;
            self.count += 1;
            if self.count == 8 {
                self.bytes.put_u8(u8::try_from(self.open).unwrap_or(0));
                (self.open, self.count) = (0, 0);
            }
        }
    }

    /// ics_info: one long window, no band (max_sfb 0), no prediction.
    fn window(&mut self) {
        self.put(0, 1 + 2 + 1 + 6 + 1);
    }

    /// The rest of a channel whose window is shared: global_gain, then neither pulses, noise
    /// shaping nor gain control.
    fn channel(&mut self) {
        self.put(0, 8 + 3);
    }

    fn finish(mut self) -> Bytes {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn each_codec_has_its_silence() {
        // Element, tag, gain, window, nothing else, end: 32 bits.
        assert_eq!(&aac(&[0x14, 0x08]).unwrap()[..], [0, 0, 0, 7]);
        assert_eq!(&aac(&[0x11, 0x90]).unwrap()[..], [0x21, 0, 0, 0, 0, 0x1c]);
        // PS makes stereo of a mono core.
        assert_eq!(&aac(&[0xeb, 0x09, 0x88, 0x00]).unwrap()[..], [0, 0, 0, 7]);
        assert!(aac(&[0xb9, 0x88, 0x00]).is_none() && aac(&[0x11, 0xd8]).is_none());
        let rate = NonZeroU32::new(8_000).unwrap();
        assert_eq!(&CodecParams::g711(Law::A, rate, 2).silence(2).unwrap()[..], [0xd5; 4]);
        assert_eq!(&CodecParams::g711(Law::Mu, rate, 1).silence(3).unwrap()[..], [0xff; 3]);
        let opus = CodecParams::opus(1).silence(960).unwrap();
        assert_eq!(super::super::opus_packet_ticks(&opus), Some(960));
    }
}
