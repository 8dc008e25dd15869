//! The RTSP server: one listener per address, one task per connection. `handshake` finds out
//! whether a connection is RTSP or one half of an HTTP tunnel.
//!
//! Owns: sockets (`transport`), limits on connections, pacing. Does not own: the protocol
//! (`wire::rtsp`), packets (`live::rtsp`).
//!
//! Invariants:
//! 1. No reader can hold up another one or the stream: units it does not take stay in the shared
//!    window. The packetizer task serves readers that keep up while their own task sleeps
//!    (`inline`).
//! 2. A reader that takes no byte for [`RTSP_WRITE_STALL_MAX`] is cut; one that vanishes too,
//!    by the kernel's user timeout of the same length.
//! 3. A TLS handshake that takes longer than [`TLS_HANDSHAKE_TIME_MAX`] ends its connection.
//! 4. The [`SessionRegistry`]'s authorizer authorizes a peer before anything is asked of a stream; a
//!    session that loses its right is ended.
//! 5. Media over UDP goes only to the connection's peer or to the stream's own group, at a pace
//!    the receiver's socket buffer can take.
//!
//! [`RTSP_WRITE_STALL_MAX`]: crate::base::limits::RTSP_WRITE_STALL_MAX
//! [`TLS_HANDSHAKE_TIME_MAX`]: crate::base::limits::TLS_HANDSHAKE_TIME_MAX

mod channel;
mod connection;
mod handshake;
mod inline;
pub mod multicast;
mod pacer;
mod play;
mod record;
pub mod registry;
mod send_queue;
mod server;
mod transport;
mod tunnels;
mod udp;

pub use registry::SessionRegistry;
pub use server::{RtspServer, ServerError};
