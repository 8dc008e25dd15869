//! Reads a stream's units as HLS and MSE need them: only carried tracks, each with its format.
//!
//! Owns: when a new format begins. A format begins at a place where a reader can begin, never
//! in between.

use std::sync::Arc;

use tokio::sync::watch;

use crate::media::{AccessUnit, Tracks};
use crate::stream::{Allowance, Next, Stream, Subscriber};
use crate::wire::web::WebFormat;

/// One reader of a stream.
#[derive(Debug)]
pub(super) struct WebReader {
    units: Subscriber<AccessUnit>,
    tracks: watch::Receiver<Option<Arc<Tracks>>>,
    format: Option<Arc<WebFormat>>,
    /// The format has changed and no unit at which a reader can begin has come since.
    waiting: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum WebNext {
    /// A unit as browsers are shown it, and the tracks among which it stands.
    Unit(Arc<AccessUnit>, Arc<WebFormat>),
    /// Units were passed over; the next is a place to begin.
    Lagged(u64),
    /// The stream is gone for good.
    Ended,
}

impl WebReader {
    /// Begins at the newest place at which a reader can begin.
    pub(super) fn new(stream: &Stream, allowance: Allowance) -> Self {
        Self {
            units: stream.bus().subscribe(allowance),
            tracks: stream.tracks(),
            format: None,
            waiting: true,
        }
    }

    /// Waits for the next carried unit. Cancel safe.
    pub(super) async fn next(&mut self) -> WebNext {
        loop {
            match self.units.next().await {
                Next::Item(unit) => {
                    if let Some(format) = self.admit(&unit)
                        && let Some(unit) = format.shown(&unit)
                    {
                        return WebNext::Unit(unit, format);
                    }
                }
                Next::Lagged(units) => return WebNext::Lagged(units),
                Next::Ended => return WebNext::Ended,
            }
        }
    }

    fn admit(&mut self, unit: &AccessUnit) -> Option<Arc<WebFormat>> {
        if self.format.as_ref().is_none_or(|format| format.differs(unit)) {
            self.refresh(unit);
        }
        let format = self.format.as_ref().filter(|format| format.carries(unit.track))?;
        if self.waiting && !unit.random_access() {
            return None;
        }
        self.waiting = false;
        Some(Arc::clone(format))
    }

    /// Makes the format that `unit` needs. The stream tells its newest tracks only: units of a
    /// run that is over already are left out, because nobody knows their neighbours any more.
    fn refresh(&mut self, unit: &AccessUnit) {
        let tracks = self.tracks.borrow_and_update().clone();
        let Some(tracks) = tracks.filter(|tracks| tracks.run == unit.run) else {
            self.format = None;
            self.waiting = true;
            return;
        };
        let mut tracks = Tracks::clone(&tracks);
        if let Some(track) = tracks.list.get_mut(usize::from(unit.track.0)) {
            track.params = Arc::clone(&unit.params);
        }
        if self.format.as_ref().is_some_and(|format| format.describes(&tracks)) {
            return;
        }
        self.format = WebFormat::new(tracks).map(Arc::new);
        self.waiting = true;
    }
}
