//! What a stream's pictures and sound are like: how often a picture comes, and one to begin at, whether
//! the announced sound does, and how often their parameters change.
//!
//! Owns: what was learned of the run that is on. Reads no clock: the units tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::BootTime;
use crate::media::{AccessUnit, ClockSource, CodecParams, Entry, Interval, Kind, RunId, TrackId};

/// How long pictures come without sound before that is a state of its own.
const SOUND_AWAITED: Duration = Duration::from_millis(1_500);

/// How the sound does that a stream announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundState {
    /// It comes, or is still awaited.
    Playing,
    /// It was announced and nothing came of it.
    Silent,
    /// Nothing comes since this moment.
    Stopped(BootTime),
}

/// How often the parameters of a stream's tracks changed since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParamChanges {
    /// In the content of parameter sets alone.
    pub params: u64,
    /// In what a decoder has to know before: codec, profile, size.
    pub shape: u64,
}

/// What is known of the pictures of one run.
#[derive(Debug, Default)]
pub(super) struct PicturePace {
    run: RunId,
    /// When its first and its newest unit arrived.
    arrived: Option<(BootTime, BootTime)>,
    pictures: Interval,
    entries: Interval,
    /// The class of the newest place to begin.
    pub(super) entry: Option<Entry>,
    /// When the newest sound came.
    sound: Option<BootTime>,
    /// Who dated the newest picture.
    pub(super) dated_by: Option<ClockSource>,
    /// The parameters of each track, over runs.
    params: BTreeMap<TrackId, Arc<CodecParams>>,
    pub(super) changes: ParamChanges,
}

impl PicturePace {
    /// Counts a published unit. Another run starts afresh, but for the last report.
    ///
    /// Returns whether that was the first change of what a decoder must know before.
    pub(super) fn count(&mut self, unit: &AccessUnit) -> bool {
        if self.run != unit.run {
            let Self { entry, changes, .. } = *self;
            let params = std::mem::take(&mut self.params);
            *self = Self { run: unit.run, entry, params, changes, ..Self::default() };
        }
        let before = self.changes.shape;
        self.compare(unit);
        let is_first = before == 0 && self.changes.shape == 1;
        let first = self.arrived.map_or(unit.arrived, |(first, _)| first);
        self.arrived = Some((first, unit.arrived));
        if unit.params.kind() != Kind::Video {
            self.sound = Some(unit.arrived);
            return is_first;
        }
        self.dated_by = Some(unit.captured.source);
        self.pictures.push(unit.decode.as_nanos());
        if unit.entry.is_some() {
            self.entries.push(unit.decode.as_nanos());
            self.entry = unit.entry;
        }
        is_first
    }

    /// Counts a change of the track's parameters.
    fn compare(&mut self, unit: &AccessUnit) {
        match self.params.get(&unit.track) {
            Some(known) if Arc::ptr_eq(known, &unit.params) || **known == *unit.params => return,
            Some(known) if known.is_alike(&unit.params) => self.changes.params += 1,
            Some(_) => self.changes.shape += 1,
            None => {}
        }
        self.params.insert(unit.track, Arc::clone(&unit.params));
    }

    /// How the sound does, if there is to be one.
    pub(super) fn sound(&self) -> SoundState {
        let Some((first, newest)) = self.arrived else { return SoundState::Playing };
        match self.sound {
            None if newest.since(first) > SOUND_AWAITED => SoundState::Silent,
            Some(at) if newest.since(at) > SOUND_AWAITED => SoundState::Stopped(at),
            _ => SoundState::Playing,
        }
    }

    /// From the arrival of the first unit to that of the newest.
    pub(super) fn flowed(&self) -> Duration {
        self.arrived.map_or(Duration::ZERO, |(first, newest)| newest.since(first))
    }

    /// From one picture to the next.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.pictures.learned().map(nanos)
    }

    /// From one place to begin to the next.
    pub(super) fn entry_interval(&self) -> Option<Duration> {
        self.entries.learned().map(nanos)
    }
}

fn nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::base::time::MediaTime;

    use crate::media::codec::Law;

    const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0xb0];

    fn video(profile: u8, level: u8) -> Arc<CodecParams> {
        let sps = [0x67, profile, 0, level, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
        Arc::new(CodecParams::from_h264_sets(&sps, PPS).unwrap())
    }

    fn unit(track: u8, params: &Arc<CodecParams>, ms: u64) -> AccessUnit {
        let arrived = BootTime::from_millis(ms);
        let nanos = i64::try_from(arrived.as_nanos()).unwrap();
        let time = MediaTime::from_nanos(nanos, params.clock_rate);
        AccessUnit {
            track: TrackId(track),
            arrived,
            ..AccessUnit::new(Arc::clone(params), time, bytes::Bytes::new())
        }
    }

    #[test]
    fn sound_is_silent_playing_or_stopped() {
        let sound = Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1));
        let (picture, mut pace) = (video(0x64, 0x33), PicturePace::default());
        let mut seen = vec![pace.sound()];
        for ms in (0..6_000).step_by(100) {
            pace.count(&unit(0, &picture, ms));
            if (2_000..3_000).contains(&ms) {
                pace.count(&unit(1, &sound, ms));
            }
            if seen.last() != Some(&pace.sound()) {
                seen.push(pace.sound());
            }
        }
        let stopped = SoundState::Stopped(BootTime::from_millis(2_900));
        assert_eq!(seen, [SoundState::Playing, SoundState::Silent, SoundState::Playing, stopped]);
    }

    #[test]
    fn changes_of_sets_and_of_the_decoder_are_counted_apart() {
        let mut pace = PicturePace::default();
        let kinds = [video(0x64, 0x33), video(0x64, 0x28), video(0x6e, 0x33)];
        for (ms, kind) in [(0, 0), (1, 0), (2, 1), (3, 0), (4, 2), (5, 2), (6, 0)] {
            pace.count(&unit(0, &kinds[kind], ms));
        }
        assert_eq!(pace.changes, ParamChanges { params: 2, shape: 2 });
    }
}
