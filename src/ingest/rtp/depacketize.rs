//! Frames out of the packets of one track, for H.264, H.265, JPEG, AAC, G.711 and Opus.
//!
//! Owns: the choice of the depacketizer. H.264, H.265 (`h26x`), JPEG (`jpeg`) and AAC (`aac`, `latm`)
//! have one of their own; Opus and G.711 are a packet per frame.
//!
//! Memory: past [`ACCESS_UNIT_BYTES_MAX`] the frame in the making is given up and the rest of it
//! is not taken.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::aac::Aac;
use super::clock::RtpStamp;
use super::frame::{RtpFrame, Unpacked};
use super::h26x::H26x;
use super::jpeg::{JpegPictures, Pushed};
use super::latm::Latm;
use super::run::TrackSpec;
use super::units::Syntax;
use crate::base::limits::ACCESS_UNIT_BYTES_MAX;
use crate::media::codec::{Law, VIDEO_CLOCK_RATE, opus_packet_ticks};
use crate::media::parameter_sets::Standard;
use crate::media::{CodecParams, Kind};
use crate::wire::rtp::RtpPacket;
use crate::wire::rtsp::MediaDescription;

/// The depacketizer of one track.
pub(crate) struct Depacketizer {
    codec: CodecDepacketizer,
    syntax: Option<Syntax>,
    kind: Kind,
    clock_rate: NonZeroU32,
    /// Bytes of the frame in the making.
    held_bytes: usize,
    /// The frame with this time is broken; the rest of it is not taken.
    broken: Option<i64>,
    /// Units lost since the last frame.
    lost: u16,
}

enum CodecDepacketizer {
    H26x(Box<H26x>),
    Aac(Aac),
    Latm(Latm),
    /// Octets of one sample in all channels.
    G711(usize),
    Jpeg(JpegPictures),
    Opus,
}

impl std::fmt::Debug for Depacketizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Depacketizer")
            .field("kind", &self.kind)
            .field("clock_rate", &self.clock_rate)
            .field("held_bytes", &self.held_bytes)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl Depacketizer {
    /// The depacketizer of `medium` and what is known of the track; `None` when it is not one
    /// that we carry, or is described so that it cannot be read.
    pub(crate) fn open(medium: &MediaDescription) -> Option<(Self, TrackSpec)> {
        let clock_rate = NonZeroU32::new(medium.clock_rate)?;
        let kind = match medium.kind.as_str() {
            "video" => Kind::Video,
            "audio" => Kind::Audio,
            _ => return None,
        };
        // RFC 6184 §8.2.1 and RFC 7798 §7.1 know no other.
        if kind == Kind::Video && clock_rate != VIDEO_CLOCK_RATE {
            return None;
        }
        let (codec, params) = match (kind, medium.encoding.as_str()) {
            (Kind::Audio, "opus") => (CodecDepacketizer::Opus, Some(opus(medium))),
            (Kind::Video, "h264") => h26x(Standard::H264, medium),
            (Kind::Video, "h265") => h26x(Standard::H265, medium),
            (Kind::Audio, "mpeg4-generic") => {
                let (codec, params) = Aac::open(medium)?;
                (CodecDepacketizer::Aac(codec), Some(params))
            }
            (Kind::Audio, "mp4a-latm") => {
                let (codec, params) = Latm::open(medium)?;
                (CodecDepacketizer::Latm(codec), Some(params))
            }
            (Kind::Audio, "pcma") => g711(Law::A, medium)?,
            (Kind::Audio, "pcmu") => g711(Law::Mu, medium)?,
            (Kind::Video, "jpeg") => {
                (CodecDepacketizer::Jpeg(JpegPictures::new(medium.dimensions)), None)
            }
            _ => return None,
        };
        // Media time is counted in the clock of the parameters; two clocks cannot be carried.
        if params.as_ref().is_some_and(|params| params.clock_rate != clock_rate) {
            return None;
        }
        let is_jpeg = matches!(codec, CodecDepacketizer::Jpeg(_));
        let params = params.map(std::sync::Arc::new);
        let spec = TrackSpec { kind, clock_rate, params, is_jpeg };
        let (held_bytes, broken, lost) = (0, None, 0);
        let syntax = match medium.encoding.as_str() {
            "h264" => Some(Syntax::H264),
            "h265" => Some(Syntax::H265),
            _ => None,
        };
        Some((Self { codec, syntax, kind, clock_rate, held_bytes, broken, lost }, spec))
    }

    /// How its NAL units are read; `None` when it has none.
    pub(super) fn syntax(&self) -> Option<Syntax> {
        self.syntax
    }

    /// Whether a frame may be several packets of one time stamp, of which the last is marked.
    pub(super) fn is_marked(&self) -> bool {
        use CodecDepacketizer::{Aac, Jpeg, Latm};
        matches!(self.codec, Aac(_) | Latm(_) | Jpeg(_))
    }

    /// Takes the next packet, whose time is `ticks`, behind `lost` missing ones, and hands each
    /// frame that is whole now to `out`. What is broken is dropped and counted as lost before the
    /// next frame. `knows_params`: whether parameters need to be reported only when they change.
    pub(crate) fn push(
        &mut self,
        packet: &RtpPacket,
        ticks: i64,
        lost: u16,
        knows_params: bool,
        out: &mut impl FnMut(Unpacked),
    ) {
        self.count(lost);
        if self.broken == Some(ticks) {
            return;
        }
        let was_broken = self.broken.take().is_some();
        if packet.payload.is_empty() {
            return; // padding keeps a line open; it is part of no frame
        }
        self.held_bytes += packet.payload.len();
        if self.held_bytes > ACCESS_UNIT_BYTES_MAX {
            return self.give_up(ticks);
        }
        let (whole, is_sound) = match &mut self.codec {
            CodecDepacketizer::Opus => opus_frame(packet, ticks),
            CodecDepacketizer::Jpeg(pictures) => {
                match pictures.push(&packet.payload, ticks, packet.marker, lost > 0) {
                    Pushed::More => (Vec::new(), true),
                    Pushed::Picture(data) => (one(ticks, data), true),
                    Pushed::Broken => {
                        self.lost = self.lost.max(1);
                        (Vec::new(), true)
                    }
                }
            }
            CodecDepacketizer::H26x(codec) => {
                let loss = lost > 0 || was_broken;
                codec.unpacked(packet, ticks, loss, knows_params)
            }
            CodecDepacketizer::Aac(codec) => codec.unpacked(packet, ticks, lost > 0 || was_broken),
            CodecDepacketizer::Latm(codec) => codec.unpacked(packet, ticks, lost > 0 || was_broken),
            // A truncated sample is ignored.
            CodecDepacketizer::G711(octets) if !packet.payload.len().is_multiple_of(*octets) => {
                (Vec::new(), false)
            }
            CodecDepacketizer::G711(_) => {
                (vec![Unpacked::sound(packet.payload.clone(), ticks)], true)
            }
        };
        if !whole.is_empty() {
            self.held_bytes = if packet.marker { 0 } else { packet.payload.len() };
        }
        for mut unpacked in whole {
            unpacked.frame.loss = std::mem::take(&mut self.lost);
            unpacked.frame.stamp.elapsed = 0;
            out(unpacked);
        }
        if !is_sound {
            self.give_up(ticks);
        }
    }

    /// Counts packets that are missing: as many frames of sound; of a picture, which is many
    /// packets, one.
    fn count(&mut self, lost: u16) {
        self.lost = match self.kind {
            Kind::Video => self.lost.max(lost.min(1)),
            Kind::Audio => self.lost.saturating_add(lost),
        };
    }

    /// Drops the frame with the time `ticks`, of which more may come.
    fn give_up(&mut self, ticks: i64) {
        self.broken = Some(ticks);
        self.held_bytes = 0;
        match &mut self.codec {
            CodecDepacketizer::H26x(codec) => codec.reset(),
            CodecDepacketizer::Aac(codec) => codec.reset(),
            CodecDepacketizer::Latm(codec) => codec.reset(),
            CodecDepacketizer::Jpeg(pictures) => pictures.reset(),
            CodecDepacketizer::G711(_) | CodecDepacketizer::Opus => {}
        }
        self.lost = self.lost.saturating_add(1);
    }
}

/// Whether the track is in stereo is said in one place (RFC 7587 §6.1).
fn opus(medium: &MediaDescription) -> CodecParams {
    let fmtp = medium.fmtp.as_deref().unwrap_or_default().to_ascii_lowercase();
    let stereo = fmtp.split(';').any(|part| part.trim() == "sprop-stereo=1");
    CodecParams::opus(if stereo { 2 } else { 1 })
}

/// Our own depacketizer and the parameters in the description. Pictures may bring others later,
/// in-band.
fn h26x(standard: Standard, medium: &MediaDescription) -> (CodecDepacketizer, Option<CodecParams>) {
    let codec = H26x::new(standard, medium.fmtp.as_deref());
    let params = codec.params().and_then(Result::ok);
    (CodecDepacketizer::H26x(Box::new(codec)), params)
}

/// G.711 as RFC 3551 §4.5.14 has it: octets of all channels in turn.
fn g711(law: Law, medium: &MediaDescription) -> Option<(CodecDepacketizer, Option<CodecParams>)> {
    let rate = NonZeroU32::new(medium.clock_rate)?;
    let channels = medium.channels.unwrap_or(1).max(1);
    Some((CodecDepacketizer::G711(channels.into()), Some(CodecParams::g711(law, rate, channels))))
}

fn opus_frame(packet: &RtpPacket, ticks: i64) -> (Vec<Unpacked>, bool) {
    if opus_packet_ticks(&packet.payload).is_none() {
        return (Vec::new(), false);
    }
    (vec![Unpacked::sound(packet.payload.clone(), ticks)], true)
}

/// One picture that came with `ticks`.
fn one(ticks: i64, data: Bytes) -> Vec<Unpacked> {
    let stamp = RtpStamp { ticks, elapsed: 0 };
    vec![Unpacked { frame: RtpFrame { stamp, loss: 0, data }, params: None }]
}
