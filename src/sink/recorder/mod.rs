//! Records one stream into the ring.

/// The recorder of one stream.
#[derive(Debug)]
pub struct Recorder {}
