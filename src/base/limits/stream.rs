//! How much of a stream is kept in memory for its viewers, and how often it may break off.
//!
//! Owns: the window of one stream, and when one is not well.

use std::time::Duration;

/// Bytes of one stream's window; the oldest units leave first.
pub const BUS_BYTES_MAX: usize = 48 << 20;
/// Units of one stream's window, against floods of tiny units; the oldest leave first.
pub const BUS_UNITS_MAX: usize = 8_192;
/// Age of the oldest unit in a stream's window; the recorder may lag this far.
pub const BUS_SPAN_MAX: Duration = Duration::from_secs(20);
/// How far a viewer may lag before it is moved to the newest key frame.
pub const VIEWER_LAG_MAX: Duration = Duration::from_secs(5);
/// A stream that broke off more often than this within [`INTERRUPTIONS_SPAN`] is not well.
pub const INTERRUPTIONS_WELL_MAX: usize = 3;
/// Over how long interruptions of a stream are counted.
pub const INTERRUPTIONS_SPAN: Duration = Duration::from_secs(600);
/// Interruptions of a stream that are remembered; the oldest leave first.
pub const INTERRUPTIONS_KEPT_MAX: usize = 256;
