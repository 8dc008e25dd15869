//! RTP packets of one stream, built once per access unit for all RTSP readers.

use std::sync::Arc;

use crate::bus::Stream;
use crate::supervise::Supervisor;

/// RTP packets of one stream, built once per access unit for all RTSP readers.
#[derive(Debug)]
pub struct Fanout {
    stream: Arc<Stream>,
    supervisor: Supervisor,
}

impl Fanout {
    /// Makes the outlet of `stream`; its tasks live in `supervisor`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, supervisor: Supervisor) -> Self {
        Self { stream, supervisor }
    }
}
