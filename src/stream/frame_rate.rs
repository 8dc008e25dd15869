//! The pace of a stream: the nominal picture rate of each track, one figure that does not flutter,
//! and how far apart the places are at which a reader can begin.
//!
//! Owns: the distances of the newest pictures, and the longest of an hour between places to begin. Reads no clock: media time tells.

use std::time::Duration;

use crate::base::limits::TRACKS_MAX;
use crate::media::{AccessUnit, RunId, Shape, TrackId};

/// Distances checked; the middle half of them counts, so that a late picture changes nothing.
const DISTANCES: usize = 16;
/// Fewer distances say nothing.
const DISTANCES_MIN: usize = 4;
/// The parameter sets are believed if they differ from the measured rate by no more than this, in
/// percent: many cameras write a rate that they do not keep.
const DECLARED_OFF_PERCENT_MAX: f64 = 10.0;
/// A usual rate replaces a measured one this close to it.
const USUAL_OFF_PERCENT_MAX: f64 = 4.0;
/// A rate that was announced stays until the measured one is further off than this.
const ANNOUNCED_OFF_PERCENT_MAX: f64 = 15.0;
/// The rates that cameras have.
const USUAL: [f64; 18] = [
    0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.25, 7.5, 8.0, 10.0, 12.5, 15.0, 20.0, 25.0, 30.0, 50.0,
    60.0,
];
const NANOS_PER_SEC: f64 = 1e9;

/// The longest distance of an hour counts, in two halves of which the older one is forgotten.
const HALF_HOUR_NANOS: i64 = 1_800_000_000_000;

/// The pace of a stream.
#[derive(Debug, Default)]
pub(super) struct FrameRates {
    tracks: [TrackPace; TRACKS_MAX],
    entries: Entries,
}

/// How far apart the places to begin are among the pictures.
#[derive(Debug, Default)]
struct Entries {
    newest: Option<(RunId, i64)>,
    half_since_nanos: i64,
    /// The longest of this half hour, and of the one before.
    longest_nanos: [i64; 2],
}

impl Entries {
    fn count(&mut self, run: RunId, at: i64) {
        if at.saturating_sub(self.half_since_nanos) > HALF_HOUR_NANOS {
            self.half_since_nanos = at;
            self.longest_nanos = [0, self.longest_nanos[0]];
        }
        if let Some((before_run, before)) = self.newest.replace((run, at))
            && before_run == run
        {
            self.longest_nanos[0] = self.longest_nanos[0].max(at.saturating_sub(before));
        }
    }
}

#[derive(Debug, Default)]
struct TrackPace {
    run: RunId,
    newest_nanos: Option<i64>,
    /// The newest distances in nanoseconds, overwritten in turn, and how many ever came.
    distances: [i64; DISTANCES],
    count: usize,
    /// What the parameter sets declare.
    declared: Option<f64>,
    announced: Option<f64>,
}

impl FrameRates {
    /// Counts a unit that is published.
    pub(super) fn count(&mut self, unit: &AccessUnit) {
        let Shape::Video { frame_secs, .. } = unit.params.shape else { return };
        let Some(pace) = self.tracks.get_mut(usize::from(unit.track.0)) else { return };
        let at = unit.decode.as_nanos();
        if unit.random_access() {
            self.entries.count(unit.run, at);
        }
        if pace.run != unit.run {
            (pace.run, pace.newest_nanos) = (unit.run, None);
        }
        if let Some(before) = pace.newest_nanos.replace(at) {
            pace.distances[pace.count % DISTANCES] = at.saturating_sub(before);
            pace.count = pace.count.wrapping_add(1).max(1);
        }
        pace.declared = frame_secs
            .filter(|&(over, under)| over > 0 && under > 0)
            .map(|(over, under)| f64::from(under) / f64::from(over));
    }

    /// The longest distance of places to begin in the last hour; `None` before there were two.
    pub(super) fn entry_interval_max(&self) -> Option<Duration> {
        let longest = self.entries.longest_nanos.into_iter().max().filter(|nanos| *nanos > 0)?;
        u64::try_from(longest).ok().map(Duration::from_nanos)
    }

    /// Pictures per second of `track`; `None` until a few have come.
    pub(super) fn nominal(&mut self, track: TrackId) -> Option<f64> {
        let pace = self.tracks.get_mut(usize::from(track.0))?;
        let measured = pace.measured()?;
        let stays = |rate: &f64| is_near(*rate, measured, ANNOUNCED_OFF_PERCENT_MAX);
        pace.announced = pace.announced.filter(stays).or_else(|| Some(pace.nearest(measured)));
        pace.announced
    }
}

impl TrackPace {
    #[allow(clippy::cast_precision_loss)] // distances of pictures are small
    fn measured(&self) -> Option<f64> {
        let mut known = self.distances.get(..self.count.min(DISTANCES))?.to_vec();
        if known.len() < DISTANCES_MIN {
            return None;
        }
        known.sort_unstable();
        let quarter = known.len() / 4;
        let middle = &known[quarter..known.len() - quarter];
        let sum: i64 = middle.iter().sum();
        (sum > 0).then(|| NANOS_PER_SEC * middle.len() as f64 / sum as f64)
    }

    fn nearest(&self, measured: f64) -> f64 {
        let declared =
            self.declared.filter(|rate| is_near(*rate, measured, DECLARED_OFF_PERCENT_MAX));
        let off = |rate: &f64| (rate - measured).abs();
        let usual = USUAL.into_iter().min_by(|a, b| off(a).total_cmp(&off(b)));
        let usual = usual.filter(|rate| is_near(*rate, measured, USUAL_OFF_PERCENT_MAX));
        declared.or(usual).unwrap_or(measured)
    }
}

fn is_near(rate: f64, other: f64, percent: f64) -> bool {
    (rate - other).abs() * 100.0 <= other * percent
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::base::time::MediaTime;
    use crate::media::CodecParams;

    fn params(frame_secs: Option<(u32, u32)>) -> Arc<CodecParams> {
        let sps = [0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
        let params = CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]).unwrap();
        let Shape::Video { width, height, aspect, .. } = params.shape else { panic!() };
        Arc::new(CodecParams {
            shape: Shape::Video { width, height, aspect, frame_secs },
            ..params
        })
    }

    fn picture(params: &Arc<CodecParams>, at_millis: i64) -> AccessUnit {
        let at = MediaTime { ticks: at_millis * 90, rate: params.clock_rate };
        AccessUnit::new(Arc::clone(params), at, Bytes::from_static(b"x"))
    }

    fn rates(params: &Arc<CodecParams>, at_millis: impl IntoIterator<Item = i64>) -> FrameRates {
        let mut rates = FrameRates::default();
        at_millis.into_iter().for_each(|at| rates.count(&picture(params, at)));
        rates
    }

    #[test]
    fn the_usual_rate_is_announced_however_the_times_tremble() {
        let plain = params(None);
        let late = |at: i64| if at % 16 == 7 { 30 } else { 0 };
        let trembling =
            |at: i64| at * 40 + late(at) + [0, 3, -4, 2, 1][usize::try_from(at % 5).unwrap()];
        let mut seen = rates(&plain, (0..40).map(trembling));
        for more in 40..80 {
            assert_eq!(seen.nominal(TrackId(0)), Some(25.0));
            seen.count(&picture(&plain, trembling(more)));
        }
        assert_eq!(rates(&plain, [0, 40]).nominal(TrackId(0)), None);
    }

    #[test]
    fn the_parameter_sets_are_believed_only_where_the_pictures_agree() {
        let ntsc = params(Some((1_001, 30_000)));
        let near = rates(&ntsc, (0..20).map(|at| at * 33)).nominal(TrackId(0)).unwrap();
        assert!((near - 29.97).abs() < 0.001, "{near}");
        assert_eq!(rates(&ntsc, (0..20).map(|at| at * 100)).nominal(TrackId(0)), Some(10.0));
    }

    #[test]
    fn the_longest_way_between_places_to_begin_counts_for_an_hour() {
        let plain = params(None);
        let mut seen = FrameRates::default();
        let mut key = |at: i64| {
            seen.count(&AccessUnit {
                entry: crate::media::Entry::key_frame(true),
                ..picture(&plain, at)
            });
            seen.entry_interval_max().map(|apart| apart.as_millis())
        };
        assert_eq!(key(1_000), None);
        assert_eq!(
            (key(3_000), key(15_000), key(17_000)),
            (Some(2_000), Some(12_000), Some(12_000))
        );
        let later = (18..7_400).map(|at| key(at * 1_000)).last().unwrap();
        assert_eq!(later, Some(1_000));
    }

    #[test]
    fn another_rate_is_announced_once_the_pictures_have_it() {
        let plain = params(None);
        let mut seen = rates(&plain, (0..20).map(|at| at * 40));
        assert_eq!(seen.nominal(TrackId(0)), Some(25.0));
        (0..20).for_each(|at| seen.count(&picture(&plain, 2_000 + at * 100)));
        assert_eq!(seen.nominal(TrackId(0)), Some(10.0));
    }
}
