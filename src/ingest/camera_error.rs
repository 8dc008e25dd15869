//! Why no camera on the net could be spoken to, whatever it is spoken to by.
//!
//! Owns: the words for what RTSP and HTTP have in common. No text holds a URL's path or query.

use std::io;

use crate::base::fault::{Class, Fault, plain};

/// What went wrong before a camera was asked for pictures. `stream` is the stream's name.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// No connection.
    #[error(
        "Cannot reach the camera at {address}: {detail}. Check its power, its network and `url` of stream '{stream}'."
    )]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why not, as the end of a sentence.
        detail: &'static str,
        /// Which stream.
        stream: String,
    },
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
    /// It shows a certificate that is not believed.
    #[error(
        "The camera shows a certificate that is not the one expected. If it was changed on purpose, set `tls = {{ fingerprint = \"{shown}\" }}` in the source of stream '{stream}'."
    )]
    Certificate {
        /// SHA-256 of the certificate that it shows.
        shown: String,
        /// Which stream.
        stream: String,
    },
    /// The authority that is to vouch for it cannot be read.
    #[error(
        "The file that `tls` of stream '{stream}' names as `ca` cannot be read, or holds no certificate in PEM."
    )]
    Authority {
        /// Which stream.
        stream: String,
    },
    /// No TLS where it was to be.
    #[error(
        "The device at {address} speaks no known version of TLS. Set `url` of stream '{stream}' to {plain}://, or look for an update of the camera."
    )]
    NoTls {
        /// Host and port.
        address: String,
        /// The scheme of the same without TLS.
        plain: &'static str,
        /// Which stream.
        stream: String,
    },
}

impl CameraError {
    /// Why no connection came about, as the end of a sentence.
    pub(super) fn why_unreachable(error: &io::Error) -> &'static str {
        // A name that cannot be looked up is no error of the system's.
        if error.raw_os_error().is_none() { "its name is not known here" } else { plain(error) }
    }

    /// Whether a connection ended because the camera closed it.
    pub(super) fn is_hang_up(error: &io::Error) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    }
}

impl Fault for CameraError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } | Self::CredentialsMissing { .. } => Class::Refused,
            Self::Unreachable { .. } => Class::Network,
            _ => Class::Peer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_camera_is_not_reached_is_said_without_the_systems_words() {
        let of = |errno| CameraError::why_unreachable(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::ECONNREFUSED), "it refuses the connection");
        assert_eq!(of(libc::EHOSTUNREACH), "no such host answers on this network");
        assert_eq!(of(libc::ENETUNREACH), "no network leads there");
        assert_eq!(of(libc::EMFILE), "the system refuses it");
        let unknown = io::Error::other("failed to lookup address information");
        assert_eq!(CameraError::why_unreachable(&unknown), "its name is not known here");
    }

    #[test]
    fn only_a_camera_that_hung_up_is_said_to_have_done_so() {
        let of = |errno| CameraError::is_hang_up(&io::Error::from_raw_os_error(errno));
        assert!(of(libc::ECONNRESET) && of(libc::EPIPE));
        assert!(!of(libc::ETIMEDOUT) && !of(libc::EHOSTUNREACH) && !of(libc::ENETDOWN));
    }
}
