//! Why nothing is played, or no more.

use crate::base::time::WallTime;

/// Why nothing is played, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaybackError {
    /// All places are taken.
    #[error("too many recordings are being played; try again later")]
    TooMany,
    /// Nothing is recorded where playback would begin.
    #[error("{}", nothing(*from, *extent))]
    NothingThere {
        /// Where that is.
        from: WallTime,
        /// From when to when anything is recorded.
        extent: Option<(WallTime, WallTime)>,
    },
    /// The footage was overwritten during playback.
    #[error("the footage was overwritten by newer footage during playback")]
    Reused,
    /// The disk does not give the footage, or the footage makes no sense.
    #[error("the recording cannot be read")]
    Unreadable,
    /// The stream was removed from the configuration.
    #[error("the stream was removed from the configuration")]
    StreamEnded,
}

fn nothing(from: WallTime, extent: Option<(WallTime, WallTime)>) -> String {
    let from = from.to_rfc3339();
    match extent {
        Some((oldest, newest)) => {
            let (oldest, newest) = (oldest.to_rfc3339(), newest.to_rfc3339());
            format!(
                "nothing is recorded from {from} on; this stream has recordings from {oldest} to \
                 {newest}"
            )
        }
        None => format!("nothing is recorded from {from} on"),
    }
}

impl PlaybackError {
    /// The same as a constant, for the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooMany => "too many recordings are being played",
            Self::NothingThere { .. } => "nothing is recorded there",
            Self::Reused => "the footage was overwritten during playback",
            Self::Unreadable => "the recording cannot be read",
            Self::StreamEnded => "the stream was removed from the configuration",
        }
    }
}
