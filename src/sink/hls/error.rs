//! Why a player gets no playlist or no segment.

use crate::dvr::DvrError;

/// Why there is no answer, in words for people.
#[derive(Debug, thiserror::Error)]
pub enum HlsError {
    /// Not enough segments yet, and waiting did not help.
    #[error("The stream has not brought enough pictures yet to begin with. Try again in a moment.")]
    TooEarly,
    /// No camera, and what was listed is old.
    #[error("The stream is offline: {reason}")]
    Offline {
        /// As the source said it.
        reason: String,
    },
    /// The segment has left the list and its grace is over.
    #[error(
        "This segment is not there any more: it has left the list, or its footage went to newer. \
         Reload the playlist."
    )]
    Expired,
    /// The disk that holds it cannot be read.
    #[error("The recording cannot be read: {0}.")]
    Disk(#[from] DvrError),
    /// There was never a segment of that name.
    #[error("There is no such segment.")]
    Unknown,
}
