//! One access unit as a `moof` + `mdat`, ready to be sent.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::{BUS_UNITS_MAX, MSE_WINDOW_BYTES_MAX, VIEWER_LAG_MAX};
use crate::base::time::{BootTime, MediaTime, WallTime};
use crate::stream::{Bounds, Item};
use crate::wire::web::WebFormat;

/// The bounds of a stream's window: somewhat more than a viewer may lag.
pub(super) const BOUNDS: Bounds = Bounds {
    bytes_max: MSE_WINDOW_BYTES_MAX,
    units_max: BUS_UNITS_MAX,
    span_max: VIEWER_LAG_MAX.saturating_mul(2),
    lag_bytes_max: u64::MAX,
};

/// One access unit as a fragment of its own.
#[derive(Debug)]
pub struct Part {
    /// Its number since the window was opened, without gaps.
    pub number: u64,
    /// Bytes of all parts before it.
    pub offset: u64,
    /// `moof` and `mdat`.
    pub bytes: Bytes,
    /// Its tracks; another pointer means a new init segment.
    pub format: Arc<WebFormat>,
    /// Presentation time.
    pub present: MediaTime,
    /// When it was captured.
    pub wall: WallTime,
    /// How long the GOP before this key frame lasted, in milliseconds; zero if unknown.
    pub gop_ms: u64,
    pub(super) random_access: bool,
    pub(super) arrived: BootTime,
}

impl Item for Part {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }
    fn random_access(&self) -> bool {
        self.random_access
    }
    fn arrived(&self) -> BootTime {
        self.arrived
    }
}
