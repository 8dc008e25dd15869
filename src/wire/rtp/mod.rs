//! RTP payload formats and RTCP reports: access units in, packets out.
//!
//! Owns: how each codec is cut into packets ([`payload`]), the numbers in their headers
//! ([`Packer`]), and sender reports ([`rtcp`]). Packets come out already framed for the RTSP
//! connection (`$`, channel, length), all of one access unit in one piece of memory, so that a
//! reader over TCP costs one write and a reader over UDP costs slices.

mod extension;
mod packer;
mod packet;
pub mod payload;
pub mod rtcp;

pub use extension::ReplayExtension;
pub use packer::Packer;
pub use packet::{FRAME_HEAD_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX, Packets, interleaved};
