//! The RTSP door: one listener, one task per connection. What a connection is, RTSP or one half
//! of an HTTP tunnel, is found out by `arrival`.
//!
//! Owns: sockets (`link` says what carries a connection), limits on connections, pacing. Does not own: the protocol (`wire::rtsp`),
//! packets (`live::rtsp`).
//!
//! Invariants:
//! 1. No reader can hold up another one or the stream: what it does not take stays on the bus,
//!    once for all. One that keeps up is served by the packer itself while its task sleeps (`lane`).
//! 2. A reader that takes no byte for [`RTSP_WRITE_STALL_MAX`] is cut; one that vanishes too,
//!    by the kernel's user timeout of the same length.
//! 3. A TLS handshake that takes longer than [`TLS_HANDSHAKE_TIME_MAX`] ends its connection.
//! 4. What a peer may do is for the [`Reception`]'s guard to say, before anything is asked of a
//!    stream; who lost a right is cut.
//! 5. Media over UDP goes to the connection's peer or to the stream's own group, nowhere else, at
//!    a pace its socket buffer can take.
//!
//! [`RTSP_WRITE_STALL_MAX`]: crate::base::limits::RTSP_WRITE_STALL_MAX
//! [`TLS_HANDSHAKE_TIME_MAX`]: crate::base::limits::TLS_HANDSHAKE_TIME_MAX

mod arrival;
mod channel;
mod connection;
mod door;
mod guests;
mod lane;
mod link;
pub mod multicast;
mod outgoing;
mod pace;
mod play;
pub mod reception;
mod record;
mod tunnels;
mod udp;

pub use door::{DoorError, RtspDoor};
pub use reception::Reception;
