//! Why a camera could not be pulled, in words that tell a person what to do.
//!
//! Owns: the reading of retina's errors, which are opaque but for their status code.
//!
//! No text here holds anything that changes from try to try (ports, times, offsets): equal
//! faults must read equal, so that they are told once and counted. Nor a URL's path or query,
//! where some cameras want the password.

use std::time::Duration;

use crate::base::fault::{Class, Fault};
use crate::media::codec::ParamsError;

/// What we were waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connecting, then DESCRIBE.
    Describe,
    /// SETUP of one track.
    Setup,
    /// PLAY.
    Play,
    /// Reading media.
    Read,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Describe => "DESCRIBE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Read => "sending media",
        })
    }
}

/// Why a run ended. `Display` is for people; `stream` is the stream's name.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// Status 401 in spite of a user name and password.
    #[error(
        "The camera refuses the user name or password. Check `username` and `password` of stream '{stream}'."
    )]
    Refused {
        /// Which stream.
        stream: String,
    },
    /// Status 401, and the configuration has no user name.
    #[error(
        "The camera asks for a user name and password. Set `username` and `password` of stream '{stream}'."
    )]
    CredentialsMissing {
        /// Which stream.
        stream: String,
    },
    /// Status 403.
    #[error(
        "The camera lets this user not see the stream. Give the user of stream '{stream}' the right to view it, or use another."
    )]
    Forbidden {
        /// Which stream.
        stream: String,
    },
    /// Status 404.
    #[error("The camera has no such stream. Check the path in `url` of stream '{stream}'.")]
    NotFound {
        /// Which stream.
        stream: String,
    },
    /// A status of 300 to 399: followed nowhere, because it may point anywhere.
    #[error(
        "The camera sends us to another address, which is not followed. Set `url` of stream '{stream}' to where the stream really is."
    )]
    Redirected {
        /// Which stream.
        stream: String,
    },
    /// Any other status.
    #[error("The camera answers {step} with status {status}.")]
    Status {
        /// What was asked.
        step: Step,
        /// What it said.
        status: u16,
    },
    /// No connection.
    #[error(
        "Cannot reach the camera at {address}: {detail}. Check its power, its network and `url` of stream '{stream}'."
    )]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        detail: String,
        /// Which stream.
        stream: String,
    },
    /// Connected, but a request got no answer.
    #[error("The camera at {address} does not answer {step} within {} s.", waited.as_secs_f32())]
    Silent {
        /// Host and port.
        address: String,
        /// What was asked.
        step: Step,
        /// How long we waited.
        waited: Duration,
    },
    /// What came is not the RTSP, SDP or RTP that it should be.
    #[error("The camera speaks wrongly at {step}: {detail}.")]
    Garbled {
        /// Where.
        step: Step,
        /// What is wrong with it.
        detail: String,
    },
    /// No track of a codec that is carried.
    #[error(
        "The camera offers {offers}; H.264, H.265, AAC and G.711 are carried. Set the camera to one of these."
    )]
    NothingCarried {
        /// What it offers.
        offers: String,
    },
    /// PLAY succeeded, then nothing came that a picture could begin with.
    #[error("The camera sends no {what} within {} s.", waited.as_secs_f32())]
    NoFirstFrame {
        /// "media at all" or "key frame".
        what: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// Frames came, then no more.
    #[error("The camera has sent no frame for {} s.", waited.as_secs_f32())]
    Stalled {
        /// How long we waited.
        waited: Duration,
    },
    /// The connection ended.
    #[error("The camera closed the connection.")]
    Closed,
    /// More than one camera may bring.
    #[error(
        "The camera sends more than {max_mib_per_sec} MiB/s. Lower its bit rate, or it takes the others' share."
    )]
    Flooded {
        /// What is accepted.
        max_mib_per_sec: u64,
    },
    /// One message or frame that does not end.
    #[error("The camera sends a message or a frame that is larger than any may be.")]
    Overfull,
    /// Parameter sets that cannot be used.
    #[error("The camera describes its stream in a way that cannot be used")]
    Params(#[from] ParamsError),
    /// We were told to stop; nobody is told.
    #[error("stopped")]
    Stopped,
}

impl Fault for PullError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } | Self::CredentialsMissing { .. } | Self::Forbidden { .. } => {
                Class::Refused
            }
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Closed => Class::Network,
            _ => Class::Peer,
        }
    }
}

/// Whom we talk to, for the texts.
#[derive(Clone, Debug)]
pub(super) struct Whom {
    pub(super) stream: String,
    pub(super) address: String,
    pub(super) has_credentials: bool,
}

/// Longest piece of a peer's words that is shown.
const DETAIL_CHARS_MAX: usize = 200;

/// What retina's `error` at `step` means.
pub(super) fn from_retina(error: &retina::Error, step: Step, whom: &Whom) -> PullError {
    tracing::debug!(stream = whom.stream, error = %error, "pull failed");
    let stream = whom.stream.clone();
    if let Some(status) = error.status_code() {
        return match status {
            // A response that retina could not read carries its status too.
            200..=299 => garbled(error, step),
            300..=399 => PullError::Redirected { stream },
            401 if whom.has_credentials => PullError::Refused { stream },
            401 => PullError::CredentialsMissing { stream },
            403 => PullError::Forbidden { stream },
            404 => PullError::NotFound { stream },
            _ => PullError::Status { step, status },
        };
    }
    let text = error.to_string();
    // retina's errors are opaque; these prefixes are those of the pinned 0.4.21 and tested.
    if let Some(detail) = text.strip_prefix("Unable to connect to RTSP server: ") {
        return PullError::Unreachable {
            address: whom.address.clone(),
            detail: plain(detail),
            stream,
        };
    }
    if text.starts_with("Error reading from RTSP peer") || text.starts_with("Error writing to") {
        return PullError::Closed;
    }
    garbled(error, step)
}

fn garbled(error: &retina::Error, step: Step) -> PullError {
    PullError::Garbled { step, detail: plain(&error.to_string()) }
}

/// The first line of `text` without what changes from try to try, bounded, one line, printable.
fn plain(text: &str) -> String {
    let line = text.split('\n').next().unwrap_or_default();
    let line =
        line.split_once(": ").filter(|(head, _)| head.contains("CSeq=")).map_or(line, |s| s.1);
    let line = line.trim_end_matches(['.', ':', ' ']);
    line.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_credentials_read_as_a_person_would_say_it() {
        let error = PullError::Refused { stream: "gate".into() };
        assert_eq!(
            error.to_string(),
            "The camera refuses the user name or password. Check `username` and `password` of stream 'gate'."
        );
        assert_eq!(error.class(), Class::Refused);
    }

    #[test]
    fn only_the_first_line_is_shown_and_no_control_characters() {
        assert_eq!(plain("bad\u{1b}[31m sdp:\n\nconn: 127.0.0.1:40000"), "bad[31m sdp");
        assert_eq!(plain("200 response to DESCRIBE CSeq=7: no media"), "no media");
        assert_eq!(plain(&"x".repeat(999)).len(), DETAIL_CHARS_MAX);
    }

    #[test]
    fn a_wait_is_told_in_seconds() {
        let error = PullError::Stalled { waited: Duration::from_secs(10) };
        assert_eq!(error.to_string(), "The camera has sent no frame for 10 s.");
    }
}
