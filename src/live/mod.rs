//! Where live streams go: one cursor each, and the stream never waits for any of them.
//!
//! Owns: the way from a [`Bus`](crate::stream::Bus) to a reader or a disk. Must never block the
//! publisher.

pub mod hls;
pub mod mse;
mod outputs;
pub mod recorder;
pub mod rtsp;
pub mod thumbnail;
mod web_reader;

pub use outputs::{Readers, StreamOutputs};
