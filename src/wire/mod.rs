//! Protocols as pure state and bytes: H.264 byte streams, RTSP, RTP, SDP, fMP4, HLS, zip.
//!
//! Owns: what goes over a wire or into a file, and when. Never opens a socket or a file, reads a
//! clock, spawns, or rolls dice: bytes, `now` and seeds come in, bytes and events go out.

pub mod annex_b;
pub mod hls;
pub mod mjpeg;
pub mod mp4;
pub mod rtp;
pub mod rtsp;
pub mod silence;
pub mod web;
mod web_mark;
pub mod web_units;
pub mod webvtt;
pub mod zip;
