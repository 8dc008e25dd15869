//! Takes a stream that an encoder pushes over RTSP: H.264, H.265, AAC, G.711 and Opus.
//!
//! Owns: who may publish ([`PublishPoint`]), and what happens to a publisher's packets
//! ([`PushPublisher`]). Does not own: the connection; its owner acquires the publish point and
//! hands packets over.
//!
//! ```text
//! PublishPoint ── acquire ─► Publisher   packet ─► wire::rtp (order, reports) ─► ingest::rtp (frames, times)
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
mod publish_point;
mod publisher;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

pub use error::{PublishRefused, PushError};
pub use publish_point::{PublishPoint, check_offer, left_out};
pub use publisher::{Carriage, PushPublisher, TrackPacket};

use crate::stream::Stream;
use crate::supervise::TaskContext;

/// Who may publish, and the publish point itself, which clones share.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// Whether a second publisher replaces the first.
    pub take_over: bool,
    point: Arc<PublishPoint>,
}

impl PushConfig {
    /// A stream that waits for a publisher.
    #[must_use]
    pub fn new(take_over: bool) -> Self {
        Self { take_over, point: Arc::new(PublishPoint::new(take_over)) }
    }

    /// Where a publisher asks.
    #[must_use]
    pub fn publish_point(&self) -> Arc<PublishPoint> {
        Arc::clone(&self.point)
    }
}

impl PartialEq for PushConfig {
    fn eq(&self, other: &Self) -> bool {
        self.take_over == other.take_over
    }
}

impl Eq for PushConfig {}

/// One life: keeps the publish point of `stream` open until it is asked to stop.
pub async fn run(
    config: &PushConfig,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, PushError> {
    context.heartbeat.beat();
    config.point.open(stream, Arc::clone(&context.clock));
    context.stop.cancelled().await;
    config.point.close();
    Err(PushError::Stopped)
}
