//! RTSP 1.0 (RFC 2326) as a server: framing, the session state machine, SDP.
//!
//! Owns: everything a connection says and when it must end. Does not own: sockets, streams,
//! packets; the driver asks [`Session`] what to do and tells it what became of it.
//!
//! Invariants:
//! 1. Nothing is parsed before its length has met a limit; what is kept of a peer is bounded by
//!    the input limit of [`Session::wants_bytes`] plus one reply and a short transcript.
//! 2. Every request gets one reply, in order. While a reply waits for the driver, later requests
//!    stay unread.
//! 3. A request that cannot be delimited ends the connection; any other refused request leaves
//!    the state as it was and the connection open.
//! 4. A session belongs to its connection and to the account that began it; its id opens nothing
//!    elsewhere.

pub mod auth;
mod channel;
mod frame;
mod live;
mod method;
mod offer;
mod range;
mod refusal;
mod reply;
mod sdp;
mod session;
mod target;
mod transcript;
mod transport;
mod wish;

pub use channel::Channel;
pub use live::{Medium, Routed};
pub use offer::{Offer, OfferedMedium};
pub use range::{Span, Unreadable};
pub use refusal::Refusal;
pub use session::{Command, Event, Flowing, Session, Start, Step, View};
pub use target::Target;
pub use transcript::Failure;
pub use transport::Route;
pub use wish::{Frames, Onvif, Scale, What, Wish};
