//! Why publishing is refused, and why a publisher ended, in words for people.

use std::time::Duration;

use crate::base::fault::{Class, Fault};
use crate::ingest::rtp::MissingFrame;

/// Why a publisher is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefused {
    /// Another client publishes already.
    #[error("another publisher is using this stream")]
    Taken,
    /// The stream begins or ends this very moment.
    #[error("the stream is not ready")]
    Closed,
    /// None of the announced media can be carried.
    #[error(
        "this offers {offers}; supported are H.264, H.265, AAC (mpeg4-generic), G.711 and Opus"
    )]
    NotCarried {
        /// The encodings offered.
        offers: String,
    },
}

/// Why a publisher ended. `Display` is what a person reads as the reason why the stream is away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It said so.
    #[error("The publisher has ended the stream. Waiting for the next one.")]
    Left,
    /// It said so, and may continue.
    #[error("The publisher has paused the stream. Waiting for it to continue.")]
    Paused,
    /// Its connection ended.
    #[error("The publisher is gone: its connection ended. Check its power and its network.")]
    Gone,
    /// It brought nothing.
    #[error("The publisher sent nothing for 10 s. Check its network.")]
    Silent,
    /// Another one took its place.
    #[error("Another publisher took over. If both are yours, give each a stream of its own.")]
    Replaced,
    /// Nothing came that a picture could begin with.
    #[error("The publisher sends {} within {} s. {}", missing.what(), waited.as_secs_f32(), missing.advice())]
    NoFirstFrame {
        /// What is missing.
        missing: MissingFrame,
        /// How long we waited.
        waited: Duration,
    },
    /// Frames came, then no more.
    #[error("The publisher has sent no whole frame for {} s. Check its network.", waited.as_secs_f32())]
    Stalled {
        /// How long we waited.
        waited: Duration,
    },
    /// More than one source may bring.
    #[error(
        "The publisher sends more than {max_mib_per_sec} MiB/s. Lower its bit rate, or it takes the others' share."
    )]
    Flooded {
        /// What is accepted.
        max_mib_per_sec: u64,
    },
    /// We were asked to stop; not reported.
    #[error("stopped")]
    Stopped,
}

impl Fault for PushError {
    fn class(&self) -> Class {
        match self {
            Self::Gone | Self::Silent => Class::Network,
            _ => Class::Peer,
        }
    }
}
