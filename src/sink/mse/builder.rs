//! The task that turns units into parts while somebody watches.
//!
//! Owns: the durations. A part cannot wait for its successor to know how long it lasts, so it
//! lasts as long as its predecessor did.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Mse, Part};
use crate::base::Stop;
use crate::base::time::MediaTime;
use crate::bus::{Allowance, Publisher};
use crate::media::{AccessUnit, TrackId};
use crate::sink::web_reader::{WebNext, WebReader};
use crate::wire::mp4::FragmentBuilder;
use crate::wire::web::WebFormat;

/// Longest duration that is taken over from the predecessor, in seconds: a longer distance was
/// a hole.
const DURATION_SECS_MAX: i64 = 2;

/// Fills the window until `stop`.
pub(super) async fn run(mse: Mse, window: Publisher<Part>, stop: Stop) {
    let mut units = WebReader::new(&mse.0.stream, Allowance::Window);
    let mut builder = Builder::default();
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            next = units.next() => next,
        };
        match next {
            WebNext::Unit(unit, format) => {
                let part = builder.build(&unit, format);
                mse.0.meter.unit(part.bytes.len());
                window.publish(Arc::new(part));
            }
            WebNext::Lagged(units) => mse.0.meter.lost(units),
            WebNext::Ended => return,
        }
    }
}

#[derive(Debug, Default)]
struct Builder {
    number: u64,
    offset: u64,
    /// The newest unit of each track: when, and how long.
    newest: BTreeMap<TrackId, (MediaTime, i64)>,
    key_nanos: Option<i64>,
    gop_ms: u64,
}

impl Builder {
    fn build(&mut self, unit: &Arc<AccessUnit>, format: Arc<WebFormat>) -> Part {
        self.measure_gop(unit, &format);
        let ticks = self.duration(unit);
        let mut fragment = FragmentBuilder::new(u32::try_from(self.number + 1).unwrap_or(1));
        fragment.push(Arc::clone(unit));
        let bytes = fragment.build(Some(&successor(unit, ticks))).to_bytes();
        let part = Part {
            number: self.number,
            offset: self.offset,
            format,
            present: unit.present,
            wall: unit.captured.wall,
            gop_ms: self.gop_ms,
            random_access: unit.random_access,
            arrived: unit.arrived,
            bytes,
        };
        self.number += 1;
        self.offset += part.bytes.len() as u64;
        part
    }

    /// Ticks that `unit` lasts.
    fn duration(&mut self, unit: &AccessUnit) -> i64 {
        let typical = i64::from(unit.params.typical_ticks(unit.data.len()));
        let longest = i64::from(unit.decode.rate.get()) * DURATION_SECS_MAX;
        let ticks = match self.newest.get(&unit.track) {
            None => typical,
            Some(&(at, before)) => {
                let since = unit.decode.ticks.saturating_sub(at.ticks);
                if (1..=longest).contains(&since) { since } else { before }
            }
        };
        self.newest.insert(unit.track, (unit.decode, ticks));
        ticks
    }

    fn measure_gop(&mut self, unit: &AccessUnit, format: &WebFormat) {
        if !unit.random_access || unit.track != format.lead() {
            return;
        }
        let at = unit.decode.as_nanos();
        let before = self.key_nanos.replace(at);
        self.gop_ms = before
            .and_then(|before| u64::try_from(at.saturating_sub(before) / 1_000_000).ok())
            .unwrap_or(0);
    }
}

/// A unit `ticks` behind `unit`, as the end of its duration.
fn successor(unit: &AccessUnit, ticks: i64) -> AccessUnit {
    let decode =
        MediaTime { ticks: unit.decode.ticks.saturating_add(ticks), rate: unit.decode.rate };
    AccessUnit { decode, present: decode, data: Bytes::new(), ..unit.clone() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
