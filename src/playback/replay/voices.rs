//! The RTP side of one session that plays the past: its own numbers, which only grow.
//!
//! Owns: one packer per track, and the way from play time to RTP time stamps.

use crate::base::time::MediaTime;
use crate::media::TrackId;
use crate::rtp::{Format, Rate, RtpUnit};
use crate::wire::rtp::{Packer, ReplayExtension};
use crate::wire::rtsp::Start;

use super::choice::Shot;

/// The tracks of a session. They go on over every seek.
#[derive(Debug)]
pub struct Voices {
    list: Vec<Voice>,
    /// Play time that was sent, in nanoseconds.
    played_nanos: i64,
}

#[derive(Debug)]
struct Voice {
    track: TrackId,
    packer: Packer,
    /// RTP time stamp of play time zero.
    base: u32,
    rate: Rate,
}

impl Voices {
    /// A voice for each of `tracks`: its synchronisation source, and the number that its next
    /// packet has.
    #[must_use]
    pub fn new(tracks: impl IntoIterator<Item = (TrackId, u32, u16)>) -> Self {
        let voice = |(track, ssrc, sequence)| {
            let packer = Packer::resumed(track, ssrc, sequence);
            Voice { track, packer, base: fastrand::u32(..), rate: Rate::default() }
        };
        Self { list: tracks.into_iter().map(voice).collect(), played_nanos: 0 }
    }

    /// Play time that was sent so far, in nanoseconds.
    pub(super) fn played_nanos(&self) -> i64 {
        self.played_nanos
    }

    /// The synchronisation source of `track`.
    pub(super) fn ssrc(&self, track: TrackId) -> Option<u32> {
        self.list.iter().find(|voice| voice.track == track).map(|voice| voice.packer.ssrc())
    }

    /// Takes note of play time that will have been sent.
    pub(super) fn play_until(&mut self, nanos: i64) {
        self.played_nanos = self.played_nanos.max(nanos);
    }

    /// Where each track begins, when `ticks` is the play time at which it does.
    pub(super) fn starts(&self, ticks: impl Fn(TrackId) -> Option<i64>) -> Vec<Start> {
        let start = |voice: &Voice| {
            let timestamp = voice.stamp(ticks(voice.track)?);
            Some(Start { track: voice.track, sequence: voice.packer.next_sequence(), timestamp })
        };
        self.list.iter().filter_map(start).collect()
    }

    /// Packs `shot`, which is played at `play_ticks`; `None` when its track is not played.
    pub(super) fn pack(
        &mut self,
        shot: &Shot,
        play_ticks: i64,
        extension: Option<ReplayExtension>,
    ) -> Option<RtpUnit> {
        let unit = &shot.unit;
        let voice = self.list.iter_mut().find(|voice| voice.track == unit.track)?;
        let timestamp = voice.stamp(play_ticks);
        let packets = voice.packer.pack_stamped(unit, timestamp, extension);
        let played = MediaTime { ticks: play_ticks, rate: unit.present.rate };
        voice.rate.count(packets.len(), played);
        Some(RtpUnit {
            track: unit.track,
            run: unit.run,
            arrived: unit.arrived,
            present: unit.present,
            timestamp,
            captured: unit.captured,
            gap: voice.rate.gap(),
            format: Format::of(&unit.params),
            starts: Vec::new(),
            packets,
        })
    }
}

impl Voice {
    fn stamp(&self, ticks: i64) -> u32 {
        // Only the low 32 bits go on the wire.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ticks = ticks as u32;
        self.base.wrapping_add(ticks)
    }
}
