//! What the ring and each stream in it are granted.

use std::path::PathBuf;
use std::time::Duration;

use crate::dvr::store::size::RingSizing;

/// Where the ring is and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// The directory that holds `ring/` and `index/`.
    pub data_dir: PathBuf,
    /// How large the ring is made, or grown to.
    pub size: RingSizing,
    /// Size of a slot when the ring is made; chosen from the ring's size when `None`.
    pub slot_bytes: Option<u64>,
}

/// What a stream is granted of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Bytes that other streams do not take from it.
    pub min_bytes: u64,
    /// Bytes that it does not exceed, rounded up to a slot.
    pub max_bytes: Option<u64>,
    /// Age that footage does not exceed, by whole slots and while the clock is trusted.
    pub max_age: Option<Duration>,
}
