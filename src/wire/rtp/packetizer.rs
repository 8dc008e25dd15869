//! The RTP numbers of one track: SSRC, sequence, timestamp base.
//!
//! Owns: their continuity, over runs too, because media time continues over a reconnect.

use std::sync::Arc;

use super::extension::ReplayExtension;
use super::packet::{PacketHead, PacketWriter, Packets};
use super::payload;
use crate::base::time::MediaTime;
use crate::media::{AccessUnit, CodecParams, TrackId};

/// Packs the units of one track.
#[derive(Debug)]
pub struct Packetizer {
    channel: u8,
    track: TrackId,
    ssrc: u32,
    sequence: u16,
    timestamp_base: u32,
    /// Parameters that receivers last got in-band.
    told: Option<Arc<CodecParams>>,
}

impl Packetizer {
    /// A packetizer whose random numbers (RFC 3550 §5.1) come out of `seed`. Packets are framed for
    /// channel `2 * track`.
    #[must_use]
    pub fn new(track: TrackId, seed: u64) -> Self {
        // Each number from bits of its own; the seed is random already.
        #[allow(clippy::cast_possible_truncation)]
        let (ssrc, timestamp_base, sequence) =
            ((seed >> 32) as u32, seed as u32, (seed >> 8) as u16);
        Self { channel: Self::channel_of(track), track, ssrc, sequence, timestamp_base, told: None }
    }

    /// A packetizer that continues for a receiver who had packets of `ssrc` from another one: the
    /// next packet has number `sequence`. The caller supplies the time stamps.
    #[must_use]
    pub fn resumed(track: TrackId, ssrc: u32, sequence: u16) -> Self {
        let (channel, timestamp_base) = (Self::channel_of(track), 0);
        Self { channel, track, ssrc, sequence, timestamp_base, told: None }
    }

    /// The interleaved channel that units of `track` are framed for.
    #[must_use]
    pub const fn channel_of(track: TrackId) -> u8 {
        track.0.wrapping_mul(2)
    }

    /// The synchronisation source, constant for the life of the packetizer.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number that the next packet will have.
    #[must_use]
    pub fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// The RTP timestamp of `at`, which is in ticks of this track.
    #[must_use]
    pub fn timestamp(&self, at: MediaTime) -> u32 {
        // Only the low 32 bits are sent.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ticks = at.ticks as u32;
        self.timestamp_base.wrapping_add(ticks)
    }

    /// Cuts one unit into packets. Parameter sets are put before every key frame, and before
    /// the first unit that has new ones. Called once per unit, whatever the number of readers.
    pub fn packetize(&mut self, unit: &AccessUnit) -> Packets {
        self.packetize_stamped(unit, self.timestamp(unit.present), None)
    }

    /// As [`packetize`](Self::packetize), with a time stamp and a header extension of the caller's. The
    /// extension makes the first packet 16 bytes longer than others may be.
    pub fn packetize_stamped(
        &mut self,
        unit: &AccessUnit,
        timestamp: u32,
        extension: Option<ReplayExtension>,
    ) -> Packets {
        let changed = !self.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &unit.params));
        let head = PacketHead {
            channel: self.channel,
            payload_type: payload::payload_type(&unit.params, self.track),
            ssrc: self.ssrc,
            timestamp,
        };
        let mut writer = PacketWriter::new(head, self.sequence, unit.data.len());
        writer.extend_first(extension);
        payload::cut(unit, unit.random_access() || changed, &mut writer);
        let (packets, next) = writer.finish();
        self.sequence = next;
        if changed {
            self.told = Some(Arc::clone(&unit.params));
        }
        packets
    }
}

#[cfg(test)]
#[path = "packetizer/tests.rs"]
mod tests;
