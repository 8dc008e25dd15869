//! The newest picture of one stream as JPEG.

use std::sync::Arc;

use crate::bus::Stream;
use crate::supervise::Supervisor;

/// The newest picture of one stream as JPEG.
#[derive(Debug)]
pub struct Thumbnail {
    stream: Arc<Stream>,
    supervisor: Supervisor,
}

impl Thumbnail {
    /// Makes the outlet of `stream`; its decoder children live in `supervisor`.
    #[must_use]
    pub fn new(stream: Arc<Stream>, supervisor: Supervisor) -> Self {
        Self { stream, supervisor }
    }
}
