//! Every numeric bound of the house, so that no peer, camera or disk can grow us without end.
//!
//! Owns: the numbers and what happens at each, in a file for the room whose bounds they are;
//! callers name them without it. Names end with the unit.

mod access;
mod board;
mod config;
mod dvr;
mod encode;
mod event;
mod gpio;
mod ingest;
mod live;
mod media;
mod serve;
mod stream;
mod supervise;
mod update;
mod usb;
mod v4l2;
mod webhook;
mod wire;

pub use access::*;
pub use board::*;
pub use config::*;
pub use dvr::*;
pub use encode::*;
pub use event::*;
pub use gpio::*;
pub use ingest::*;
pub use live::*;
pub use media::*;
pub use serve::*;
pub use stream::*;
pub use supervise::*;
pub use update::*;
pub use usb::*;
pub use v4l2::*;
pub use webhook::*;
pub use wire::*;
