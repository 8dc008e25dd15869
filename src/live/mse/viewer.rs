//! One viewer's place in the window.
//!
//! Owns: when a viewer is too far behind, and what it gets then.

use std::sync::Arc;

use super::{Mse, Part};
use crate::base::limits::MSE_QUEUE_BYTES_MAX;
use crate::stream::{Allowance, Bus, Next, Subscriber, Viewing};
use crate::wire::web::WebFormat;

/// The next message for a viewer.
#[derive(Debug)]
pub enum ViewerEvent {
    /// From here on other tracks, or another run: restart with this init segment.
    Format(Arc<Part>),
    /// The next part.
    Part(Arc<Part>),
    /// So many parts were skipped; the next is a key frame.
    Dropped(u64),
    /// The stream is gone for good.
    Ended,
}

/// One viewer. Dropping it gives its place back.
#[derive(Debug)]
pub struct Viewer {
    parts: Subscriber<Part>,
    bus: Bus<Part>,
    format: Option<Arc<WebFormat>>,
    /// Taken out of the window, not sent yet.
    held: Option<Arc<Part>>,
    mse: Mse,
    _viewing: Viewing,
}

impl Viewer {
    pub(super) fn new(bus: Bus<Part>, mse: Mse) -> Self {
        let parts = bus.subscribe(Allowance::Viewer);
        let viewing = mse.0.stream.view();
        Self { parts, bus, format: None, held: None, mse, _viewing: viewing }
    }

    /// Waits for what comes next. Cancel safe.
    pub async fn next(&mut self) -> ViewerEvent {
        let part = match self.held.take() {
            Some(part) => part,
            None => match self.parts.next().await {
                Next::Item(part) => part,
                Next::Lagged(parts) => return self.dropped(parts),
                Next::Ended => return ViewerEvent::Ended,
            },
        };
        if let Some(start) = self.newer_start(&part) {
            let passed = start.number - part.number;
            self.parts = self.bus.subscribe(Allowance::Viewer);
            return self.dropped(passed);
        }
        if self.format.as_ref().is_none_or(|format| !Arc::ptr_eq(format, &part.format)) {
            self.format = Some(Arc::clone(&part.format));
            self.held = Some(Arc::clone(&part));
            return ViewerEvent::Format(part);
        }
        ViewerEvent::Part(part)
    }

    /// A later key frame, if more than [`MSE_QUEUE_BYTES_MAX`] wait behind `part`.
    fn newer_start(&self, part: &Part) -> Option<Arc<Part>> {
        let newest = self.bus.newest()?;
        if newest.offset - part.offset <= MSE_QUEUE_BYTES_MAX as u64 {
            return None;
        }
        self.bus.newest_start().filter(|start| start.number > part.number)
    }

    fn dropped(&self, parts: u64) -> ViewerEvent {
        self.mse.0.meter.lost(parts);
        ViewerEvent::Dropped(parts)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.mse.leave();
    }
}
