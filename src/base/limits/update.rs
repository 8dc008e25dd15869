//! Updates of the image.
//!
//! Owns: how large one may be, and how long its upload may take.

use std::time::Duration;

/// Largest update that is taken over HTTP; a larger one is refused before anything is written.
pub const UPDATE_BYTES_MAX: u64 = 1 << 30;
/// What an upload leaves free on the data partition.
pub const UPDATE_FREE_BYTES_MIN: u64 = 32 << 20;
/// Longest upload; one that is slower is dropped.
pub const UPDATE_UPLOAD_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// Longest silence within an upload.
pub const UPDATE_SILENCE_MAX: Duration = Duration::from_secs(30);
/// After so long without a word the update service counts as dead.
pub const UPDATE_ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest report of the update service.
pub const UPDATE_REPORT_BYTES_MAX: u64 = 16 << 10;
/// Longest line that is read of what RAUC says; what is behind it is dropped.
pub const UPDATE_LINE_BYTES_MAX: usize = 4 << 10;
/// How many lines of what RAUC says are kept for the log.
pub const UPDATE_LINES_MAX: usize = 64;
