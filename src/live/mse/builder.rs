//! The task that turns units into parts while there are viewers.
//!
//! Owns: the numbers of the parts.

use std::sync::Arc;

use super::{Mse, Part};
use crate::base::Stop;
use crate::live::web_reader::{SoundRule, WebNext, WebReader};
use crate::media::AccessUnit;
use crate::media::duration::Durations;
use crate::stream::{Allowance, Publisher};
use crate::wire::mp4::FragmentBuilder;
use crate::wire::web::WebFormat;

/// Fills the window until `stop`.
pub(super) async fn run(mse: Mse, window: Publisher<Part>, stop: Stop) {
    let mut units = WebReader::new(&mse.0.stream, Allowance::Window, SoundRule::Follow);
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
    durations: Durations,
    key_nanos: Option<i64>,
    gop_ms: u64,
}

impl Builder {
    fn build(&mut self, unit: &Arc<AccessUnit>, format: Arc<WebFormat>) -> Part {
        self.measure_gop(unit, &format);
        let successor = self.durations.successor(unit);
        let mut fragment = FragmentBuilder::new(u32::try_from(self.number + 1).unwrap_or(1));
        fragment.push(Arc::clone(unit));
        let bytes = fragment.build(Some(&successor)).to_bytes();
        let part = Part {
            number: self.number,
            offset: self.offset,
            format,
            present: unit.present,
            wall: unit.captured.wall,
            gop_ms: self.gop_ms,
            random_access: unit.random_access(),
            arrived: unit.arrived,
            bytes,
        };
        self.number += 1;
        self.offset += part.bytes.len() as u64;
        part
    }

    fn measure_gop(&mut self, unit: &AccessUnit, format: &WebFormat) {
        if !unit.random_access() || unit.track != format.lead() {
            return;
        }
        let at = unit.decode.as_nanos();
        let before = self.key_nanos.replace(at);
        self.gop_ms = before
            .and_then(|before| u64::try_from(at.saturating_sub(before) / 1_000_000).ok())
            .unwrap_or(0);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
