//! Takes a stream that an encoder pushes over RTSP: H.264, H.265, AAC, G.711 and Opus.
//!
//! Owns: who may publish ([`Seat`]), and what becomes of a publisher's packets ([`Publisher`]).
//! Does not own: the connection; whoever has it asks for the seat and hands packets over.
//!
//! ```text
//! Seat ── sit ─► Publisher   packet ─► wire::rtp (order, reports) ─► source::rtp (frames, times)
//! ```
//!
//! Invariants:
//! 1. A stream has one publisher at a time. A second one is refused, or replaces the first when
//!    the configuration says `take_over`; of a replaced one nothing is published any more.
//! 2. One publisher is one run. It begins with a key frame; media time grows over all runs.
//! 3. What cannot be read costs the frame it belongs to, never the publisher. A publisher that
//!    brings no frame for a while, or too much at once, is dropped.
//! 4. A publisher holds at most one access unit per track and the reorder buffer.

mod error;
mod publisher;
mod seat;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

pub use error::{PushError, Unseated};
pub use publisher::{Came, Carriage, Publisher};
pub use seat::Seat;

use crate::stream::Stream;
use crate::supervise::TaskContext;

/// Who may publish, and the seat itself, which clones share.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether a second publisher replaces the first.
    pub take_over: bool,
    seat: Arc<Seat>,
}

impl Config {
    /// A stream that waits for a publisher.
    #[must_use]
    pub fn new(take_over: bool) -> Self {
        Self { take_over, seat: Arc::new(Seat::new(take_over)) }
    }

    /// Where a publisher asks.
    #[must_use]
    pub fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.take_over == other.take_over
    }
}

impl Eq for Config {}

/// One life: keeps the seat of `stream` open until it is told to stop.
pub async fn run(
    config: &Config,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, PushError> {
    context.heartbeat.beat();
    config.seat.open(stream, Arc::clone(&context.clock));
    context.stop.cancelled().await;
    config.seat.close();
    Err(PushError::Stopped)
}
