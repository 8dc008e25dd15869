//! The HLS output of one stream.

use std::sync::Arc;

use crate::bus::Stream;
use crate::supervise::Supervisor;

/// The HLS output of one stream.
#[derive(Debug)]
pub struct Hls {
    stream: Arc<Stream>,
    supervisor: Supervisor,
}

impl Hls {
    /// Makes the outlet of `stream`; its tasks live in `supervisor`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, supervisor: Supervisor) -> Self {
        Self { stream, supervisor }
    }
}
