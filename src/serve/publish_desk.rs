//! Where RTSP asks for a stream that begins with its publisher.
//!
//! Owns: the names that may be asked for, and the calls. Who begins and ends streams is above: it
//! takes one call after the other, changes of the configuration among them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::base::limits::PUBLISH_CALLS_MAX;
use crate::base::name::StreamName;
use crate::base::name_pattern::NamePattern;

/// Where calls are made. Clones call the same owner.
#[derive(Clone, Debug)]
pub struct PublishDesk {
    calls: mpsc::Sender<PublishCall>,
    patterns: Arc<ArcSwap<Vec<NamePattern>>>,
}

/// One call.
#[derive(Debug)]
pub enum PublishCall {
    /// A publisher wants this stream, which is not there.
    Begin {
        /// The stream.
        name: StreamName,
        /// Resolved once the stream waits for its publisher.
        reply: oneshot::Sender<Result<(), BeginRefused>>,
    },
    /// This stream has had no publisher for as long as it may.
    Vacated(StreamName),
}

/// Why a stream does not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginRefused {
    /// There are as many as there may be.
    #[error(
        "there are {max} streams of [publish.\"{pattern}\"] already; raise `streams_max`, or end one"
    )]
    Full {
        /// Of this pattern.
        pattern: NamePattern,
        /// So many.
        max: usize,
    },
    /// It will not begin now.
    #[error("the box is busy; try again")]
    Busy,
}

impl PublishDesk {
    /// A desk, and where its calls arrive.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<PublishCall>) {
        let (calls, arriving) = mpsc::channel(PUBLISH_CALLS_MAX);
        (Self { calls, patterns: Arc::default() }, arriving)
    }

    /// Lets publishers ask for streams of these patterns.
    pub fn admit(&self, patterns: Vec<NamePattern>) {
        self.patterns.store(Arc::new(patterns));
    }

    /// The stream called `name`, if a publisher may ask for it.
    #[must_use]
    pub fn name_of(&self, name: &str) -> Option<StreamName> {
        let admitted = self.patterns.load().iter().any(|pattern| pattern.matches(name));
        StreamName::parse(name).ok().filter(|_| admitted)
    }

    /// Asks for `name`. Never waits.
    pub fn begin(
        &self,
        name: StreamName,
    ) -> Result<oneshot::Receiver<Result<(), BeginRefused>>, BeginRefused> {
        let (reply, answer) = oneshot::channel();
        let call = PublishCall::Begin { name, reply };
        self.calls.try_send(call).map_err(|_| BeginRefused::Busy)?;
        Ok(answer)
    }

    /// Says that `name` is vacant. Waits while others are served.
    pub async fn vacated(&self, name: StreamName) {
        // When calls are no longer taken, everything ends.
        let _ = self.calls.send(PublishCall::Vacated(name)).await;
    }
}
