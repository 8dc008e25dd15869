//! Everything that reads the archive: replay, export, pictures and sprites.
//!
//! Owns: the way from the ring ([`dvr`](crate::dvr)) to a reader of the past. Never touches a live
//! stream's window but to pass on into it, and never writes footage.

pub mod evidence;
pub mod export;
pub mod pictures;
pub mod replay;
pub mod sprite;
