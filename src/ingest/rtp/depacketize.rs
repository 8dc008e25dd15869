//! Frames out of the packets of one track, for H.264, H.265, AAC, G.711 and Opus.
//!
//! Owns: the choice of the depacketizer. H.264 and H.265 are our own (`h26x`); AAC and G.711 are
//! the only use of retina's depacketizers outside of its own client. They are `pub` but hidden,
//! hence the exact pin of retina. Opus is a packet per frame.
//!
//! Memory: retina keeps the packets of the frame in the making and knows no bound; past
//! [`ACCESS_UNIT_BYTES_MAX`] the frame is given up and the rest of it is not taken.

use std::num::{NonZeroU16, NonZeroU32};

use retina::codec::{CodecItem, FrameFormat, ParametersRef};
use retina::rtp::PacketMeta;
use retina::testutil::DepacketizeBuf;

use super::clock::RtpStamp;
use super::frame::{RtpFrame, Unpacked, from_audio};
use super::h26x::H26x;
use super::run::TrackSpec;
use super::units::Syntax;
use crate::base::limits::ACCESS_UNIT_BYTES_MAX;
use crate::media::codec::{Law, ParamsError, VIDEO_CLOCK_RATE, opus_packet_ticks};
use crate::media::parameter_sets::Standard;
use crate::media::{CodecParams, Kind};
use crate::wire::rtp::RtpPacket;
use crate::wire::rtsp::MediaDescription;

/// First room for the packets of a frame; it grows with what comes.
const BUFFER_BYTES: usize = 64 << 10;

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
    Retina { codec: Box<retina::codec::Depacketizer>, buffer: DepacketizeBuf },
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
            (Kind::Audio, "mpeg4-generic" | "pcma" | "pcmu") => retinas(medium)?,
            _ => return None,
        };
        // Media time is counted in the clock of the parameters; two clocks cannot be carried.
        if params.as_ref().is_some_and(|params| params.clock_rate != clock_rate) {
            return None;
        }
        let spec = TrackSpec { kind, clock_rate, params: params.map(std::sync::Arc::new) };
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

    /// Takes the next packet, whose time is `ticks`, behind `lost` missing ones, and hands each
    /// frame that is whole now to `out`. What is broken is dropped and counted as lost before
    /// the next frame. `knows_params`: whether parameters need to be told only when they change.
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
            CodecDepacketizer::H26x(codec) => {
                let loss = lost > 0 || was_broken;
                codec.unpacked(packet, ticks, loss, knows_params)
            }
            CodecDepacketizer::Retina { codec, buffer } => {
                let loss = u16::from(lost > 0 || was_broken);
                match meta(packet, ticks, self.clock_rate, loss) {
                    Some(meta) => pushed(codec, buffer, meta, packet),
                    None => (Vec::new(), false),
                }
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
        if let CodecDepacketizer::H26x(codec) = &mut self.codec {
            codec.reset();
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

/// Our own depacketizer and what the description says of the parameters. Pictures may come to say
/// them later, in-band.
fn h26x(standard: Standard, medium: &MediaDescription) -> (CodecDepacketizer, Option<CodecParams>) {
    let codec = H26x::new(standard, medium.fmtp.as_deref());
    let params = codec.params().and_then(Result::ok);
    (CodecDepacketizer::H26x(Box::new(codec)), params)
}

/// retina's depacketizer and what the description says of the parameters.
fn retinas(medium: &MediaDescription) -> Option<(CodecDepacketizer, Option<CodecParams>)> {
    let channels = medium.channels.and_then(NonZeroU16::new);
    let mut codec = retina::codec::Depacketizer::new(
        &medium.kind,
        &medium.encoding,
        medium.clock_rate,
        channels,
        medium.fmtp.as_deref(),
    )
    .ok()?;
    codec.set_frame_format(FrameFormat::MP4);
    let law = match medium.encoding.as_str() {
        "pcma" => Some(Law::A),
        "pcmu" => Some(Law::Mu),
        _ => None,
    };
    let params = match (law, codec.parameters()) {
        (Some(law), _) => {
            let rate = NonZeroU32::new(medium.clock_rate)?;
            Some(CodecParams::g711(law, rate, channels.map_or(1, NonZeroU16::get)))
        }
        (None, Some(told)) => from_told(told).ok(),
        (None, None) => None,
    };
    params.as_ref()?;
    let buffer = DepacketizeBuf::new(BUFFER_BYTES);
    Some((CodecDepacketizer::Retina { codec: Box::new(codec), buffer }, params))
}

fn from_told(told: ParametersRef<'_>) -> Result<CodecParams, ParamsError> {
    match told {
        ParametersRef::Audio(audio) => CodecParams::from_aac(audio),
        ParametersRef::Video(_) | ParametersRef::Message(_) => {
            Err(ParamsError::Unsupported { what: "anything but sound here".to_owned() })
        }
    }
}

fn meta(packet: &RtpPacket, ticks: i64, rate: NonZeroU32, loss: u16) -> Option<PacketMeta> {
    Some(PacketMeta {
        ctx: retina::PacketContext::dummy(),
        stream_id: 0,
        timestamp: retina::Timestamp::new(ticks, rate, 0)?,
        sequence_number: packet.sequence,
        ssrc: packet.ssrc,
        mark: packet.marker,
        loss,
    })
}

fn opus_frame(packet: &RtpPacket, ticks: i64) -> (Vec<Unpacked>, bool) {
    if opus_packet_ticks(&packet.payload).is_none() {
        return (Vec::new(), false);
    }
    let stamp = RtpStamp { ticks, elapsed: 0 };
    let data = packet.payload.clone();
    let frame = RtpFrame { stamp, loss: 0, data };
    (vec![Unpacked { frame, params: None }], true)
}

/// The frames that are whole with this packet, and whether the one in the making is sound.
fn pushed(
    codec: &mut retina::codec::Depacketizer,
    buffer: &mut DepacketizeBuf,
    meta: PacketMeta,
    packet: &RtpPacket,
) -> (Vec<Unpacked>, bool) {
    let mut is_sound = buffer.push(codec, meta, &packet.payload).is_ok();
    let mut whole = Vec::new();
    while let Some(item) = codec.pull() {
        match item {
            Ok(CodecItem::AudioFrame(audio)) => {
                whole.push(Unpacked { frame: from_audio(&audio), params: None });
            }
            Ok(_) => {}
            Err(_) => is_sound = false,
        }
    }
    (whole, is_sound)
}
