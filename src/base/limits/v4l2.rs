//! Video drivers.
//!
//! Owns: what one may claim of itself.

use std::time::Duration;

/// Buffers of one V4L2 queue (`VIDEO_MAX_FRAME` of the kernel); a driver that makes more is refused.
pub const V4L2_BUFFERS_MAX: u32 = 32;
/// Bytes of one plane of a V4L2 buffer; a driver that wants more mapped is refused.
pub const V4L2_PLANE_BYTES_MAX: u32 = 128 << 20;
/// How often one call to a video driver is made again because a signal interrupted it.
pub const V4L2_INTERRUPTS_MAX: u32 = 64;
/// Video nodes that are listed; a Pi has about twenty of its own.
pub const V4L2_NODES_MAX: usize = 64;
/// Age of a picture when it is taken out of the queue; one that says it is older has a clock of its
/// own, and its arrival counts.
pub const V4L2_STAMP_AGE_MAX: Duration = Duration::from_secs(10);
/// Controls of one device, and items of one menu, that are read; further ones are left out.
pub const V4L2_CONTROLS_MAX: usize = 256;
/// Formats of one device that are asked for.
pub const V4L2_FORMATS_MAX: u32 = 64;
