//! RTP payload formats and RTCP reports: access units in, packets out; and packets that come in.
//!
//! Owns: how each codec is cut into packets ([`payload`]), the numbers in their headers
//! ([`Packer`]), and sender reports ([`rtcp`]). Packets come out already framed for the RTSP
//! connection (`$`, channel, length), all of one access unit in one piece of memory, so that a
//! reader over TCP costs one write and a reader over UDP costs slices. Packets that come in are
//! read ([`Received`]), put in order ([`Order`]) and reported on ([`Reception`]); what is in them
//! is for the source.

mod extension;
mod order;
mod packer;
mod packet;
pub mod payload;
mod received;
mod reception;
pub mod rtcp;

pub use extension::ReplayExtension;
pub use order::{Order, Ordered, Travel};
pub use packer::Packer;
pub use packet::{FRAME_HEAD_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX, Packets, interleaved};
pub use received::{Received, Unwrap};
pub use reception::Reception;
