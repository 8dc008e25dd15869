//! AAC out of RTP as LATM: `MP4A-LATM` (RFC 6416 §7.3), as older encoders and some phones send it.
//!
//! Owns: the StreamMuxConfig and the AudioMuxElements of one program with one layer (ISO/IEC 14496-3
//! §1.7.3). What comes out are raw frames and an AudioSpecificConfig, as from any other AAC track.
//! Elements with more programs or layers are refused.

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};

use super::frame::Unpacked;
use crate::base::limits::{AAC_FRAMES_PER_PACKET_MAX, ACCESS_UNIT_BYTES_MAX};
use crate::media::CodecParams;
use crate::media::bits::PlainBits;
use crate::media::codec::aac_config_bits;
use crate::wire::rtp::RtpPacket;
use crate::wire::rtsp::MediaDescription;

/// Takes one track apart.
#[derive(Debug)]
pub(super) struct Latm {
    layout: MuxLayout,
    /// Whether each element says itself whether the configuration changes (`cpresent`).
    is_in_band: bool,
    /// Ticks of one frame.
    frame_ticks: i64,
    /// The element of which more packets come, and its time.
    partial: Option<(i64, BytesMut)>,
}

/// What a StreamMuxConfig says of the elements that follow (table 1.42).
#[derive(Clone, Debug, PartialEq, Eq)]
struct MuxLayout {
    /// AudioSpecificConfig, from its first bit on.
    config: Vec<u8>,
    /// Frames of an element.
    frames: usize,
    /// Bits of a frame where all have the same; `None` where each says its bytes.
    frame_bits: Option<usize>,
    /// Bits of other data behind the frames.
    other_bits: usize,
}

impl Latm {
    /// Reads the format parameters of `medium`; `None` when they cannot be read, or leave the
    /// configuration to the elements alone.
    pub(super) fn open(medium: &MediaDescription) -> Option<(Self, CodecParams)> {
        let fmtp = medium.fmtp.as_deref()?;
        let value = |wanted: &str| {
            let pairs = fmtp.split(';').filter_map(|pair| pair.split_once('='));
            let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(wanted));
            named.next().map(|(_, value)| value.trim())
        };
        let config = super::aac::hex(value("config")?)?;
        let layout = MuxLayout::read(&mut PlainBits::new(&config))?;
        let params = CodecParams::aac(&layout.config, NonZeroU32::new(medium.clock_rate)?).ok()?;
        let frame_ticks = i64::from(params.aac_frame_ticks()?);
        // One means yes, and so does nothing (RFC 6416 §7.3).
        let is_in_band = value("cpresent").is_none_or(|present| present != "0");
        Some((Self { layout, is_in_band, frame_ticks, partial: None }, params))
    }

    /// Forgets the element in the making.
    pub(super) fn reset(&mut self) {
        self.partial = None;
    }

    /// The frames that are whole with `packet`, whose time is `ticks`, and whether it could be
    /// read. `loss`: packets are missing before it.
    pub(super) fn unpacked(
        &mut self,
        packet: &RtpPacket,
        ticks: i64,
        loss: bool,
    ) -> (Vec<Unpacked>, bool) {
        let partial = self.partial.take().filter(|(at, _)| !loss && *at == ticks);
        let mut element = partial.map_or_else(BytesMut::new, |(_, element)| element);
        element.extend_from_slice(&packet.payload);
        if element.len() > ACCESS_UNIT_BYTES_MAX {
            return (Vec::new(), false);
        }
        if !packet.marker {
            self.partial = Some((ticks, element));
            return (Vec::new(), true);
        }
        let Some(frames) = self.element(&element, loss) else { return (Vec::new(), false) };
        let at = |place: i64| ticks.saturating_add(place.saturating_mul(self.frame_ticks));
        let frames = (0i64..).zip(frames).filter(|(_, frame)| !frame.is_empty());
        (frames.map(|(place, frame)| Unpacked::sound(frame, at(place))).collect(), true)
    }

    /// The frames of an AudioMuxElement (table 1.41). `exact`: it may be the rest of one, so it must end
    /// where its frames do.
    fn element(&mut self, element: &[u8], exact: bool) -> Option<Vec<Bytes>> {
        let mut bits = PlainBits::new(element);
        if self.is_in_band && bits.number(1)? == 0 {
            let layout = MuxLayout::read(&mut bits)?;
            // Another coder would be another track; another packing is none.
            if layout.config != self.layout.config {
                return None;
            }
            self.layout = layout;
        }
        let mut frames = Vec::with_capacity(self.layout.frames);
        for _ in 0..self.layout.frames {
            let length = match self.layout.frame_bits {
                Some(bits) => bits,
                None => length(&mut bits)?.checked_mul(8)?,
            };
            frames.push(bits.take(length)?.into());
        }
        let end = bits.position().checked_add(self.layout.other_bits)?;
        let is_whole = (element.len() * 8).checked_sub(end).is_some_and(|left| left < 8);
        (is_whole || !exact).then_some(frames)
    }
}

impl MuxLayout {
    fn read(bits: &mut PlainBits<'_>) -> Option<Self> {
        let is_second = bits.number(1)? == 1;
        // audioMuxVersionA is reserved.
        if is_second && bits.number(1)? != 0 {
            return None;
        }
        if is_second {
            value(bits)?; // taraBufferFullness
        }
        let is_same_timing = bits.number(1)? == 1;
        let frames = bits.number(6)? as usize + 1;
        let (programs, layers) = (bits.number(4)?, bits.number(3)?);
        if !is_same_timing || programs != 0 || layers != 0 || frames > AAC_FRAMES_PER_PACKET_MAX {
            return None;
        }
        let config_bits = if is_second {
            usize::try_from(value(bits)?).ok()?
        } else {
            aac_config_bits(&bits.rest())?
        };
        let config = bits.take(config_bits)?;
        let frame_bits = match bits.number(3)? {
            0 => {
                bits.number(8)?; // latmBufferFullness
                None
            }
            1 => Some((bits.number(9)? as usize + 20) * 8),
            _ => return None,
        };
        let mut other_bits = 0usize;
        if bits.number(1)? == 1 {
            if is_second {
                other_bits = usize::try_from(value(bits)?).ok()?;
            } else {
                loop {
                    let more = bits.number(1)? == 1;
                    other_bits = other_bits.checked_mul(256)? + bits.number(8)? as usize;
                    if !more {
                        break;
                    }
                }
            }
        }
        if bits.number(1)? == 1 {
            bits.number(8)?; // crcCheckSum
        }
        Some(Self { config, frames, frame_bits, other_bits })
    }
}

/// LatmGetValue, table 1.43.
fn value(bits: &mut PlainBits<'_>) -> Option<u32> {
    let octets = bits.number(2)? + 1;
    bits.number(octets as usize * 8)
}

/// PayloadLengthInfo of a frame that says its bytes, table 1.44.
fn length(bits: &mut PlainBits<'_>) -> Option<usize> {
    let mut length = 0;
    loop {
        let part = bits.number(8)? as usize;
        length += part;
        if part < 255 {
            return Some(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sound_packets::{media, packet, told};
    use super::*;

    /// What ffmpeg writes for AAC-LC at 48 kHz in stereo.
    const LC: &str = "400023203FC0";

    fn open(clock_rate: u32, fmtp: &str) -> Option<(Latm, CodecParams)> {
        Latm::open(&media("MP4A-LATM", clock_rate, fmtp))
    }

    #[test]
    fn the_configuration_is_read_out_of_its_place_between_two_octets() {
        let (latm, params) = open(48_000, &format!("cpresent=0;config={LC}")).unwrap();
        assert_eq!(latm.layout.config, [0x11, 0x90]);
        assert_eq!(params.rfc6381.as_deref(), Some("mp4a.40.2"));
        assert_eq!((latm.frame_ticks, latm.is_in_band), (1_024, false));
        // In a clock of video a frame is no longer.
        let (latm, _) =
            open(90_000, &format!("profile-level-id=1; cpresent=0; config={LC}")).unwrap();
        assert_eq!(latm.frame_ticks, 1_920);
        for damaged in ["", "config=40", "config=4000G3203FC0", "config=40102320"] {
            assert!(open(48_000, damaged).is_none(), "{damaged}");
        }
    }

    #[test]
    fn elements_are_whole_frames_over_any_number_of_packets() {
        let (mut latm, _) = open(48_000, &format!("cpresent=0;config={LC}")).unwrap();
        let one = packet(true, &[3, 1, 2, 3]);
        assert_eq!(told(latm.unpacked(&one, 5, false)), (vec![(5, vec![1, 2, 3])], true));
        let long: Vec<u8> = [&[255, 45][..], &[7; 300]].concat();
        let (first, second) = long.split_at(100);
        assert_eq!(told(latm.unpacked(&packet(false, first), 6, false)), (vec![], true));
        assert_eq!(
            told(latm.unpacked(&packet(true, second), 6, false)),
            (vec![(6, vec![7; 300])], true)
        );
        assert_eq!(told(latm.unpacked(&packet(false, first), 7, false)), (vec![], true));
        let (frames, _) = told(latm.unpacked(&packet(true, second), 7, true));
        assert!(!frames.contains(&(7, vec![7; 300])), "a packet is missing");
        assert_eq!(told(latm.unpacked(&packet(true, &[9, 1]), 8, false)), (vec![], false));
    }

    #[test]
    fn elements_that_carry_their_configuration_are_read_between_two_octets() {
        let (mut latm, _) = open(48_000, &format!("config={LC}")).unwrap();
        assert!(latm.is_in_band);
        // useSameStreamMux, then a length of 2 and two octets.
        let same = packet(true, &[0b1000_0001, 0b0010_0001, 0b1001_0001, 0]);
        assert_eq!(told(latm.unpacked(&same, 5, false)), (vec![(5, vec![0x43, 0x22])], true));
        // Not the same: the configuration of above, its 43 bits, then as before.
        let config = [0x40u8, 0, 0x23, 0x20, 0x3f, 0xc0];
        let config: Vec<String> = config.iter().map(|octet| format!("{octet:08b}")).collect();
        let mut bits = format!("0{}", config.concat());
        bits.truncate(1 + 44);
        bits.push_str("00000001");
        bits.push_str("10101010");
        let bytes: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|chunk| {
                let text = format!("{:0<8}", std::str::from_utf8(chunk).unwrap());
                u8::from_str_radix(&text, 2).unwrap()
            })
            .collect();
        assert_eq!(
            told(latm.unpacked(&packet(true, &bytes), 6, false)),
            (vec![(6, vec![0xaa])], true)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(config: Vec<u8>, payload: Vec<u8>, in_band: bool) {
            let _ = MuxLayout::read(&mut PlainBits::new(&config));
            let cpresent = u8::from(in_band);
            let (mut latm, _) = open(48_000, &format!("cpresent={cpresent};config={LC}")).unwrap();
            let _ = latm.unpacked(&packet(true, &payload), 5, false);
        }
    }
}
