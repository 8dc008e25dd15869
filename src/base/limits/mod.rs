//! Every numeric bound of the house, so that no peer, camera or disk can grow us without end.
//!
//! Owns: the numbers and what happens at each, in a file for the room whose bounds they are; callers
//! name them without it. Units stand last in the names.

mod board;
mod bus;
mod config;
mod dvr;
mod encode;
mod media;
mod panel;
mod serve;
mod sink;
mod source;
mod supervise;
mod usb;
mod v4l2;
mod wire;

pub use board::*;
pub use bus::*;
pub use config::*;
pub use dvr::*;
pub use encode::*;
pub use media::*;
pub use panel::*;
pub use serve::*;
pub use sink::*;
pub use source::*;
pub use supervise::*;
pub use usb::*;
pub use v4l2::*;
pub use wire::*;
