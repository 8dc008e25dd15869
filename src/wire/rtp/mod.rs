//! RTP payload formats and RTCP reports: access units in, packets out; and packets that come in.
//!
//! Owns: how each codec is cut into packets ([`payload`]), the numbers in their headers
//! ([`Packetizer`]), and sender reports ([`rtcp`]). Packets come out already framed for the RTSP
//! connection (`$`, channel, length), all of one access unit in one piece of memory, so that a
//! reader over TCP costs one write and a reader over UDP costs slices. Packets that come in are
//! read ([`RtpPacket`]), put in order ([`JitterBuffer`]) and reported on ([`ReceiverStats`]); what is in them
//! is for the source.

mod extension;
mod jitter_buffer;
mod packet;
mod packetizer;
pub mod payload;
mod receiver_stats;
pub mod rtcp;
mod rtp_packet;

pub use extension::ReplayExtension;
pub use jitter_buffer::{Delivery, JitterBuffer, OrderedPacket};
pub use packet::{FRAME_HEAD_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX, Packets, interleaved};
pub use packetizer::Packetizer;
pub use receiver_stats::ReceiverStats;
pub use rtp_packet::{RtpPacket, TimestampUnwrapper};
