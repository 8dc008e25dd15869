//! fMP4 over WebSocket for the page's player.

use std::sync::Arc;

use crate::bus::Stream;
use crate::supervise::Supervisor;

/// fMP4 over WebSocket for the page's player.
#[derive(Debug)]
pub struct Mse {
    stream: Arc<Stream>,
    supervisor: Supervisor,
}

impl Mse {
    /// Makes the outlet of `stream`; its tasks live in `supervisor`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, supervisor: Supervisor) -> Self {
        Self { stream, supervisor }
    }
}
