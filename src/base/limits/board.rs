//! What is read of the board, and how often.
//!
//! Owns: the files in which the kernel tells something, GPIO lines, the count of what was written.

use std::time::Duration;

/// Bytes read of a file in which the kernel tells something; the rest is not read.
pub const BOARD_FILE_BYTES_MAX: u64 = 16 << 10;
/// Entries read of a directory in which the kernel tells something.
pub const BOARD_ENTRIES_MAX: usize = 256;
/// Characters of a text that the kernel tells, such as a model; the rest is cut off.
pub const BOARD_TEXT_CHARS_MAX: usize = 128;
/// Entries of a device tree's `compatible` that are checked.
pub const BOARD_COMPATIBLE_MAX: usize = 32;
/// Temperatures reported.
pub const BOARD_TEMPERATURES_MAX: usize = 64;
/// Pause between two looks at the board.
pub const BOARD_LOOK_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two notes on what was written to the disk, so that counting wears nothing: a
/// power cut forgets this much.
pub const WRITTEN_NOTE_PAUSE: Duration = Duration::from_secs(3_600);
/// Disks whose writes are counted; the one seen longest ago leaves first.
pub const WRITTEN_DISKS_MAX: usize = 8;
/// Largest file of that count; a larger one is not ours.
pub const WRITTEN_FILE_BYTES_MAX: u64 = 64 << 10;
/// Longest name of a GPIO line; the kernel's are shorter than 32 bytes.
pub const GPIO_LINE_CHARS_MAX: usize = 48;
