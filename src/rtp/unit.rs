//! One access unit as RTP packets.
//!
//! Owns: what a reader has to know besides the packets.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::base::time::{BootTime, MediaTime};
use crate::media::{Captured, CodecParams, OpenRole, RunId, TrackId};
use crate::stream::Item;
use crate::wire::rtp::Packets;
use crate::wire::rtsp::Start;

/// What a receiver knows of a track and cannot be told again within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    codec: &'static str,
    clock_rate: NonZeroU32,
}

impl Format {
    /// The format of a track with `params`.
    #[must_use]
    pub fn of(params: &CodecParams) -> Self {
        Self { codec: params.codec_name(), clock_rate: params.clock_rate }
    }
}

/// One access unit as RTP packets, shared by all readers.
#[derive(Debug)]
pub struct RtpUnit {
    /// Which track.
    pub track: TrackId,
    /// Which uninterrupted stretch of the stream.
    pub run: RunId,
    /// When the access unit arrived here.
    pub arrived: BootTime,
    /// Its presentation time, and the RTP timestamp of that.
    pub present: MediaTime,
    /// RTP timestamp of `present`.
    pub timestamp: u32,
    /// When it was taken.
    pub captured: Captured,
    /// Time from one packet to the next that suits a receiver over UDP.
    pub gap: Duration,
    /// Codec and clock.
    pub format: Format,
    /// Where each track begins for a reader that begins here; empty where none can.
    pub starts: Vec<Start>,
    /// What it is to a reader that has just begun.
    pub role: OpenRole,
    /// The packets, framed for channel `2 * track`.
    pub packets: Packets,
}

impl Item for RtpUnit {
    fn bytes(&self) -> usize {
        self.packets.framed().len()
    }
    fn random_access(&self) -> bool {
        !self.starts.is_empty()
    }
    fn arrived(&self) -> BootTime {
        self.arrived
    }
}
