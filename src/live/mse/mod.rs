//! fMP4 over WebSocket for the page's player.
//!
//! Owns: the fragments, one `moof` + `mdat` per access unit, built once for all viewers of a stream
//! and only while there is one. They are in a window of their own, from which each viewer reads at
//! its own pace; the socket belongs to the HTTP server.

mod builder;
mod part;
mod viewer;

use std::sync::{Arc, Mutex, MutexGuard};

pub use part::Part;
pub use viewer::{Viewer, ViewerEvent};

use crate::base::Stop;
use crate::base::limits::MSE_VIEWERS_MAX;
use crate::base::meter::Meter;
use crate::base::sync::lock;
use crate::stream::{Bus, Stream};
use crate::supervise::Supervisor;

/// fMP4 over WebSocket for the page's player.
#[derive(Clone, Debug)]
pub struct Mse(Arc<SharedMse>);

#[derive(Debug)]
struct SharedMse {
    stream: Arc<Stream>,
    supervisor: Supervisor,
    meter: Meter,
    watched: Mutex<WindowUse>,
}

/// The window while there are viewers.
#[derive(Debug, Default)]
struct WindowUse {
    viewers: usize,
    window: Option<MseWindow>,
}

#[derive(Debug)]
struct MseWindow {
    bus: Bus<Part>,
    /// Ends the task that fills it.
    stop: Stop,
}

/// Why there is no place for a viewer.
#[derive(Debug, thiserror::Error)]
pub enum MseError {
    /// As many as are allowed watch already.
    #[error("{viewers} viewers watch this stream already, which is the most it serves at once.")]
    Full {
        /// Viewers now.
        viewers: usize,
    },
}

impl SharedMse {
    fn watched(&self) -> MutexGuard<'_, WindowUse> {
        lock(&self.watched)
    }
}

impl Mse {
    /// Makes the outputs of `stream`; its tasks live in `supervisor`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, supervisor: Supervisor) -> Self {
        Self(Arc::new(SharedMse {
            stream,
            supervisor,
            meter: Meter::default(),
            watched: Mutex::default(),
        }))
    }

    /// Viewers now.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.watched().viewers
    }

    /// Fragments and bytes built, units that viewers were skipped.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// Takes a place among the viewers, at most [`MSE_VIEWERS_MAX`]; dropping it gives it back.
    pub fn view(&self) -> Result<Viewer, MseError> {
        let mut watched = self.0.watched();
        if watched.viewers >= MSE_VIEWERS_MAX {
            return Err(MseError::Full { viewers: watched.viewers });
        }
        watched.viewers += 1;
        let window = watched.window.get_or_insert_with(|| self.open());
        let bus = window.bus.clone();
        drop(watched);
        Ok(Viewer::new(bus, self.clone()))
    }

    /// A window and the task that fills it.
    fn open(&self) -> MseWindow {
        let (publisher, bus) = Bus::new(part::BOUNDS);
        let stop = self.0.supervisor.stop_signal().child_token();
        let builder = builder::run(self.clone(), publisher, stop.clone());
        self.0.supervisor.spawn("mse", builder);
        MseWindow { bus, stop }
    }

    fn leave(&self) {
        let mut watched = self.0.watched();
        watched.viewers = watched.viewers.saturating_sub(1);
        if watched.viewers == 0
            && let Some(window) = watched.window.take()
        {
            window.stop.cancel();
        }
    }
}
