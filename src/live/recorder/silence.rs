//! Silences that end by themselves, within a run: each is a gap, and has a reason.
//!
//! Owns: when a picture comes so late that one is missing. Reads no clock.

use std::time::Duration;

use crate::base::limits::GAP_SPAN_MIN;
use crate::base::time::BootTime;
use crate::media::{AccessUnit, RunId, TrackId};

/// The newest picture: its run, its place on the timeline in nanoseconds, its arrival.
#[derive(Debug, Default)]
pub(super) struct Silence(Option<(RunId, i64, BootTime)>);

impl Silence {
    /// Whether `unit` ends a silence: since when it lasted, and what to report. `interval` is the
    /// time from one picture to the next, for cameras that are slow on purpose.
    pub(super) fn ended(
        &mut self,
        unit: &AccessUnit,
        interval: Option<Duration>,
    ) -> Option<(BootTime, String)> {
        if unit.track != TrackId(0) {
            return None;
        }
        let at = unit.decode.as_nanos();
        let (run, before, arrived) = self.0.replace((unit.run, at, unit.arrived))?;
        let hole = u64::try_from(at.saturating_sub(before)).map(Duration::from_nanos).ok()?;
        let most = interval.map_or(GAP_SPAN_MIN, |interval| GAP_SPAN_MIN.max(interval * 3));
        let is_silence = run == unit.run && hole >= most;
        is_silence.then(|| (arrived, format!("no picture came for {:.1} s", hole.as_secs_f64())))
    }
}
