//! The nominal picture rate of each track: one figure that does not flutter.
//!
//! Owns: the distances of the newest pictures. Reads no clock: media time tells.

use crate::base::limits::TRACKS_MAX;
use crate::media::{AccessUnit, RunId, Shape, TrackId};

/// Distances looked at; their median counts, so that a late picture changes nothing.
const DISTANCES: usize = 16;
/// Fewer distances say nothing.
const DISTANCES_MIN: usize = 4;
/// The parameter sets are believed if they are no further from what is measured, in percent: many
/// cameras write a rate that they do not keep.
const DECLARED_OFF_PERCENT_MAX: f64 = 10.0;
/// A usual rate stands in for a measured one this close to it.
const USUAL_OFF_PERCENT_MAX: f64 = 4.0;
/// A rate that was announced stays until the measured one is further off than this.
const ANNOUNCED_OFF_PERCENT_MAX: f64 = 15.0;
/// The rates that cameras have.
const USUAL: [f64; 18] = [
    0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.25, 7.5, 8.0, 10.0, 12.5, 15.0, 20.0, 25.0, 30.0, 50.0,
    60.0,
];
const NANOS_PER_SEC: f64 = 1e9;

/// The rates of a stream's tracks.
#[derive(Debug, Default)]
pub(super) struct FrameRates([TrackPace; TRACKS_MAX]);

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
        let Some(pace) = self.0.get_mut(usize::from(unit.track.0)) else { return };
        let at = unit.decode.as_nanos();
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

    /// Pictures per second of `track`; `None` until a few have come.
    pub(super) fn nominal(&mut self, track: TrackId) -> Option<f64> {
        let pace = self.0.get_mut(usize::from(track.0))?;
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
        known.sort_unstable();
        let median = *known.get(known.len() / 2).filter(|_| known.len() >= DISTANCES_MIN)?;
        (median > 0).then(|| NANOS_PER_SEC / median as f64)
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
    use crate::base::time::{BootTime, MediaTime, WallTime};
    use crate::media::{Captured, ClockSource, CodecParams};

    fn params(frame_secs: Option<(u32, u32)>) -> Arc<CodecParams> {
        let sps = [0x67, 0x64, 0, 0x33, 0xac, 0x15, 0x14, 0xa0, 0xa0, 0x2f, 0xf9, 0x50];
        let params = CodecParams::from_h264_sets(&sps, &[0x68, 0xee, 0x3c, 0xb0]).unwrap();
        let Shape::Video { width, height, .. } = params.shape else { panic!() };
        Arc::new(CodecParams { shape: Shape::Video { width, height, frame_secs }, ..params })
    }

    fn picture(params: &Arc<CodecParams>, at_millis: i64) -> AccessUnit {
        let at = MediaTime { ticks: at_millis * 90, rate: params.clock_rate };
        AccessUnit {
            track: TrackId(0),
            run: RunId(1),
            decode: at,
            present: at,
            arrived: BootTime::default(),
            captured: Captured { wall: WallTime::default(), source: ClockSource::Arrival },
            entry: None,
            leading: None,
            lost_before: 0,
            params: Arc::clone(params),
            data: Bytes::from_static(b"x"),
        }
    }

    fn rates(params: &Arc<CodecParams>, at_millis: impl IntoIterator<Item = i64>) -> FrameRates {
        let mut rates = FrameRates::default();
        at_millis.into_iter().for_each(|at| rates.count(&picture(params, at)));
        rates
    }

    #[test]
    fn the_usual_rate_is_announced_however_the_times_tremble() {
        let plain = params(None);
        let trembling = |at: i64| at * 40 + [0, 3, -4, 2, 60][usize::try_from(at % 5).unwrap()];
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
    fn another_rate_is_announced_once_the_pictures_have_it() {
        let plain = params(None);
        let mut seen = rates(&plain, (0..20).map(|at| at * 40));
        assert_eq!(seen.nominal(TrackId(0)), Some(25.0));
        (0..20).for_each(|at| seen.count(&picture(&plain, 2_000 + at * 100)));
        assert_eq!(seen.nominal(TrackId(0)), Some(10.0));
    }
}
