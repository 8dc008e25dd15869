//! What can come to a connection, one at a time.

use std::sync::Arc;

use super::super::play::PlayNext;
use super::super::record::PublisherInput;
use crate::media::Tracks;
use crate::playback::PlaybackError;
use crate::serve::publish_desk::BeginRefused;

/// What there was to wait for.
pub(super) enum Input {
    Socket {
        readable: bool,
    },
    Unit(PlayNext),
    Tracks,
    /// The recordings answered.
    Past(PlaybackReply),
    /// A stream was asked for that begins with its publisher.
    Begun(Result<(), BeginRefused>),
    /// The group of a member gets nothing more.
    GroupEnded,
    Report,
    PublisherInput(PublisherInput),
    Timer,
    /// Inline delivery needs its owner.
    Inline,
}

/// What the recordings answer.
pub(super) enum PlaybackReply {
    /// The tracks of a recording.
    Described(Result<Arc<Tracks>, PlaybackError>),
    /// The first unit is there, or none will be.
    Ready(Result<(), PlaybackError>),
}
