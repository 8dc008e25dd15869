//! Where streams go: one cursor each, and the stream never waits for any of them.
//!
//! Owns: the way from a [`Bus`](crate::bus::Bus) to a reader or a disk. Must never block the
//! publisher.

mod duration;
pub mod evidence;
pub mod export;
pub mod hls;
pub mod mse;
mod outlet;
pub mod recorder;
pub mod replay;
pub mod rtsp_play;
mod shelf;
pub mod sprite;
pub mod thumbnail;
mod web_reader;

pub use outlet::{Outlet, Readers};
