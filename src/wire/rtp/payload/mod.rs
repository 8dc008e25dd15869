//! Payload formats, one file per codec: how a unit is cut, and what SDP says of it.
//!
//! Owns: the only `match` on the codec in the whole RTSP path.

mod aac;
mod g711;
mod h264;
mod h265;
mod nal;
mod opus;

use super::packet::PacketWriter;
use crate::media::codec::Law;
use crate::media::{AccessUnit, Codec, CodecParams, Kind, Shape, TrackId};

/// First dynamic payload type, RFC 3551 §6.
const DYNAMIC: u8 = 96;

/// What SDP says of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Video or audio: the `m=` line.
    pub kind: Kind,
    /// The payload type.
    pub payload_type: u8,
    /// Value of `a=rtpmap` without the payload type, such as `H264/90000`.
    pub rtpmap: String,
    /// Value of `a=fmtp` without the payload type.
    pub fmtp: Option<String>,
}

/// The RTP payload type of `track`: a static one where RFC 3551 gives one, else 96 + track.
#[must_use]
pub fn payload_type(params: &CodecParams, track: TrackId) -> u8 {
    match (&params.codec, params.shape) {
        (Codec::G711(law), Shape::Audio { sample_rate: 8_000, channels: 1 }) => match law {
            Law::A => 8,
            Law::Mu => 0,
        },
        _ => DYNAMIC.saturating_add(track.0).min(127),
    }
}

/// Describes `track` for SDP.
#[must_use]
pub fn describe(params: &CodecParams, track: TrackId) -> Description {
    let rate = params.clock_rate;
    let channels = match params.shape {
        Shape::Audio { channels, .. } => channels,
        Shape::Video { .. } => 1,
    };
    let (rtpmap, fmtp) = match &params.codec {
        Codec::H264 { sps, pps, .. } => (format!("H264/{rate}"), Some(h264::fmtp(sps, pps))),
        Codec::H265 { vps, sps, pps, .. } => {
            (format!("H265/{rate}"), Some(h265::fmtp(vps, sps, pps)))
        }
        Codec::Aac { config } => {
            (format!("mpeg4-generic/{rate}/{channels}"), Some(aac::fmtp(config)))
        }
        Codec::G711(law) => (g711::rtpmap(*law, rate, channels), None),
        Codec::Opus => (opus::RTPMAP.to_owned(), opus::fmtp(channels)),
        // No stream has it, and RTP no payload for it.
        Codec::Flac => (format!("x-flac/{rate}/{channels}"), None),
    };
    Description { kind: params.kind(), payload_type: payload_type(params, track), rtpmap, fmtp }
}

/// Cuts `unit` into packets; with `sets`, parameter sets that it does not carry itself go first.
pub(super) fn cut(unit: &AccessUnit, sets: bool, out: &mut PacketWriter) {
    match (&unit.params.codec, unit.params.shape) {
        (Codec::H264 { .. }, _) => nal::cut::<h264::H264>(unit, sets, out),
        (Codec::H265 { .. }, _) => nal::cut::<h265::H265>(unit, sets, out),
        (Codec::Aac { .. }, _) => aac::cut(&unit.data, out),
        (Codec::G711(_), Shape::Audio { channels, .. }) => g711::cut(&unit.data, channels, out),
        (Codec::Opus, _) => opus::cut(&unit.data, out),
        (Codec::G711(_), Shape::Video { .. }) | (Codec::Flac, _) => {}
    }
}

/// Base64 with padding (RFC 4648 §4), as `sprop-…` wants it.
fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let index = (bits >> (18 - 6 * at)) & 63;
            out.push(if at <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_rfc_4648_section_10_does() {
        let told = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
        assert_eq!(told, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
