//! Why a player gets no playlist or no segment.

/// Why there is no answer, in words for people.
#[derive(Debug, thiserror::Error)]
pub enum HlsError {
    /// Not enough segments yet, and waiting did not help.
    #[error("The stream has not sent enough pictures yet. Try again in a moment.")]
    TooEarly,
    /// No camera, and what was listed is old.
    #[error("The stream is offline: {reason}")]
    Offline {
        /// As the source said it.
        reason: String,
    },
    /// The segment has left the list and its grace is over.
    #[error(
        "This segment no longer exists: it has left the list, or newer footage replaced it. \
         Reload the playlist."
    )]
    Expired,
    /// `_HLS_part` alone says nothing.
    #[error("_HLS_part needs _HLS_msn.")]
    PartWithoutSegment,
    /// A segment is waited for that is far from coming.
    #[error("Segment {segment} is far ahead: the next one is {next}.")]
    FarAhead {
        /// The one asked for.
        segment: u64,
        /// The one in the making.
        next: u64,
    },
    /// What was waited for did not come.
    #[error("The requested part did not arrive within three target durations.")]
    TooLate,
    /// Too many wait already.
    #[error("Too many requests are waiting for this stream; ask again without _HLS_msn.")]
    Crowded,
    /// There was never a segment of that name.
    #[error("There is no such segment.")]
    Unknown,
}
