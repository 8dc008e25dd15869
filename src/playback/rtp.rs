//! The RTP side of one session that plays the past: its own numbers, which only grow.
//!
//! Owns: one packetizer per track, and the way from play time to RTP time stamps.

use crate::base::time::MediaTime;
use crate::media::{AccessUnit, OpenRole, TrackId};
use crate::rtp::{Format, Rate, RtpUnit};
use crate::wire::rtp::{Packetizer, ReplayExtension};
use crate::wire::rtsp::Start;

/// The tracks of a session. They continue over every seek.
#[derive(Debug)]
pub struct RtpTracks {
    list: Vec<RtpTrack>,
    /// Play time that was sent, in nanoseconds.
    played_nanos: i64,
}

#[derive(Debug)]
struct RtpTrack {
    track: TrackId,
    packetizer: Packetizer,
    /// RTP time stamp of play time zero.
    base: u32,
    rate: Rate,
}

impl RtpTracks {
    /// A rtp_track for each of `tracks`: its synchronisation source, and the number that its next
    /// packet has.
    #[must_use]
    pub fn new(tracks: impl IntoIterator<Item = (TrackId, u32, u16)>) -> Self {
        let rtp_track = |(track, ssrc, sequence)| {
            let packetizer = Packetizer::resumed(track, ssrc, sequence);
            RtpTrack { track, packetizer, base: fastrand::u32(..), rate: Rate::default() }
        };
        Self { list: tracks.into_iter().map(rtp_track).collect(), played_nanos: 0 }
    }

    /// Play time that was sent so far, in nanoseconds.
    pub(super) fn played_nanos(&self) -> i64 {
        self.played_nanos
    }

    /// The synchronisation source of `track`.
    pub(super) fn ssrc(&self, track: TrackId) -> Option<u32> {
        self.list
            .iter()
            .find(|rtp_track| rtp_track.track == track)
            .map(|rtp_track| rtp_track.packetizer.ssrc())
    }

    /// Takes note of play time that will have been sent.
    pub(super) fn play_until(&mut self, nanos: i64) {
        self.played_nanos = self.played_nanos.max(nanos);
    }

    /// Where each track begins, when `ticks` is the play time at which it does.
    pub(super) fn starts(&self, ticks: impl Fn(TrackId) -> Option<i64>) -> Vec<Start> {
        let start = |rtp_track: &RtpTrack| {
            let timestamp = rtp_track.stamp(ticks(rtp_track.track)?);
            Some(Start {
                track: rtp_track.track,
                sequence: rtp_track.packetizer.next_sequence(),
                timestamp,
            })
        };
        self.list.iter().filter_map(start).collect()
    }

    /// Packetizes `unit`, which is played at `play_ticks`; `None` when its track is not played.
    pub(super) fn pack(
        &mut self,
        unit: &AccessUnit,
        play_ticks: i64,
        extension: Option<ReplayExtension>,
    ) -> Option<RtpUnit> {
        let rtp_track = self.list.iter_mut().find(|rtp_track| rtp_track.track == unit.track)?;
        let timestamp = rtp_track.stamp(play_ticks);
        let packets = rtp_track.packetizer.packetize_stamped(unit, timestamp, extension);
        let played = MediaTime { ticks: play_ticks, rate: unit.present.rate };
        rtp_track.rate.count(packets.len(), played);
        Some(RtpUnit {
            track: unit.track,
            run: unit.run,
            arrived: unit.arrived,
            present: unit.present,
            timestamp,
            captured: unit.captured,
            gap: rtp_track.rate.gap(),
            format: Format::of(&unit.params),
            starts: Vec::new(),
            role: OpenRole::of(unit),
            packets,
        })
    }
}

impl RtpTrack {
    fn stamp(&self, ticks: i64) -> u32 {
        // Only the low 32 bits are sent.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ticks = ticks as u32;
        self.base.wrapping_add(ticks)
    }
}
