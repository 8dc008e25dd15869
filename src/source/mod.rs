//! Where streams come from: one file each, with reconnection.
//!
//! Owns: the way from a camera to [`Stream::publish`](crate::bus::Stream::publish). Must never
//! name a sink.

pub mod pattern;
pub mod rtsp_pull;
