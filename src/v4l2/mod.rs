//! Video devices of this machine: finding them, their formats and controls, buffers by mmap.
//!
//! Owns: the way to the kernel's V4L2 ([`VideoDevice`]), the [`Queue`] that both cameras and hardware
//! encoders use, and what is known of a node. Does not own: what pictures mean (`source`, `encode`).
//!
//! ```text
//! source/v4l2, encode ─► Queue, control ─► trait Driver ─► Device (ioctls, mmap)
//!                                                      └─► a driver that fails at will (tests)
//! ```
//!
//! Invariants:
//! 1. A buffer is lent to the driver once at most; only buffers that are ours are read or written.
//! 2. What a driver says (indices, lengths, counts, times, texts) is bounded before it is used; no
//!    driver makes us panic, hang, or keep a mapping or buffers after the queue has gone.
//! 3. A call that a signal interrupted is made again; any other error ends the queue, which is then
//!    reopened.
//! 4. All `unsafe` is in `device`.

pub mod clock;
pub mod control;
mod device;
mod driver;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod format;
pub mod node;
mod queue;
pub mod setting;
#[cfg(test)]
mod tests;

pub use control::{ControlError, ControlId, ControlInfo, ControlType};
pub use device::{Map, VideoDevice};
pub use driver::{
    BufferTime, BufferType, Capability, Dequeued, Driver, EncoderCommand, Filled, Interest,
    PLANES_MAX, PlaneRoom, Ready, Used,
};
pub use error::{Call, QueueError};
pub use format::{FourCc, FrameInterval, PixelColours, PixelFormat, PlaneFormat};
pub use queue::{Queue, VideoFrame, wait};
