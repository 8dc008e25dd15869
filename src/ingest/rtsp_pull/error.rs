//! Why a camera could not be pulled, in words that tell a person what to do.
//!
//! Owns: what the ending of a session means for a person.
//!
//! No text here holds anything that changes from try to try (ports, times, offsets): equal faults
//! must read equal, so that they are reported once and counted. Nor a URL's path or query, where
//! some cameras expect the password.

use std::io;
use std::time::Duration;

use super::transport_memory::AfterSilence;
use crate::base::fault::{Class, Fault};
use crate::ingest::camera_error::CameraError;
use crate::ingest::jpeg::JpegError;
use crate::ingest::raw::RawError;
use crate::ingest::rtp::MissingFrame;
use crate::wire::rtsp::client::{ClientRequest, ClientTransport, SessionEnd, TunnelRefusal};

/// What we were waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStep {
    /// The GET that opens a tunnel.
    Tunnel,
    /// OPTIONS.
    Options,
    /// DESCRIBE.
    Describe,
    /// SETUP of one track.
    Setup,
    /// PLAY.
    Play,
    /// Reading media.
    Read,
}

impl std::fmt::Display for PullStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tunnel => "RTSP over HTTP",
            Self::Options => "OPTIONS",
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
    /// It cannot be spoken to.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// Status 403.
    #[error(
        "The camera does not let this user see the stream. Give the user of stream '{stream}' the right to view it, or use another."
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
    /// A redirect to another host, or in circles.
    #[error(
        "The camera says that the stream is at {address}. Set `url` of stream '{stream}' to where it really is."
    )]
    Redirected {
        /// Which stream.
        stream: String,
        /// Host and port.
        address: String,
    },
    /// Credentials are wanted in another form.
    #[error(
        "The camera asks for a kind of log-in that is unknown here. Set the camera to Digest or Basic authentication."
    )]
    UnknownAuthentication,
    /// No transport suits both.
    #[error(
        "The camera offers no transport that stream '{stream}' may use. Set its `transport` to \"auto\", or allow RTP over TCP in the camera."
    )]
    NoTransport {
        /// Which stream.
        stream: String,
    },
    /// There is HTTP, and no RTSP inside it.
    #[error(
        "The device at {address} does not carry RTSP over HTTP. Set `transport` of stream '{stream}' to \"auto\", or name the port of its HTTP server in `url`."
    )]
    NoTunnel {
        /// Host and port.
        address: String,
        /// Which stream.
        stream: String,
    },
    /// The group cannot be joined.
    #[error(
        "The camera sends to the multicast group {group}, which cannot be joined from here. Set `transport` to \"tcp\" or \"udp\"."
    )]
    NoGroup {
        /// Its address.
        group: String,
    },
    /// Any other status.
    #[error("The camera refuses {step} with status {status}. Restart it, or check its own log.")]
    Status {
        /// The request.
        step: PullStep,
        /// What it said.
        status: u16,
    },
    /// Connected, but a request got no answer.
    #[error(
        "The camera at {address} does not answer {step} within {} s. Restart the camera, and check the port in `url` of stream '{stream}'.",
        waited.as_secs_f32()
    )]
    Silent {
        /// Host and port.
        address: String,
        /// Which stream.
        stream: String,
        /// The request.
        step: PullStep,
        /// How long we waited.
        waited: Duration,
    },
    /// The peer is not a camera, or a broken one.
    #[error(
        "The device at {address} does not speak RTSP: {what}. Check `url` of stream '{stream}'."
    )]
    NotRtsp {
        /// Host and port.
        address: String,
        /// What is wrong with it.
        what: &'static str,
        /// Which stream.
        stream: String,
    },
    /// A description without media.
    #[error(
        "The camera's stream cannot be used: {what}. Check the path in `url` of stream '{stream}', or update the camera."
    )]
    BadDescription {
        /// What is wrong with it.
        what: String,
        /// Which stream.
        stream: String,
    },
    /// No track of a codec that is carried.
    #[error("The camera offers {offers}. Set it to one of H.264, H.265, JPEG, AAC, G.711 or Opus.")]
    NothingCarried {
        /// What it offers.
        offers: String,
    },
    /// PLAY succeeded, then nothing came.
    #[error("The camera agrees to play, but nothing arrives by {by} within {} s. {advice}", waited.as_secs_f32())]
    NoMedia {
        /// The transport.
        by: &'static str,
        /// How long we waited.
        waited: Duration,
        /// What to do about it, or what is done.
        advice: String,
        /// The next life tries another transport.
        tries_another: bool,
    },
    /// Media came, and nothing that a picture could begin with.
    #[error("The camera sends {} within {} s. {}", missing.what(), waited.as_secs_f32(), missing.advice())]
    NoFirstFrame {
        /// What is missing.
        missing: MissingFrame,
        /// How long we waited.
        waited: Duration,
    },
    /// Frames came, then no more.
    #[error(
        "The camera has sent no frame for {} s, so it is asked again. Check its network and its power if this repeats.",
        waited.as_secs_f32()
    )]
    Stalled {
        /// How long we waited.
        waited: Duration,
    },
    /// The camera closed the connection.
    #[error(
        "The camera closed the connection. Restart it if this repeats, or let fewer programs watch it."
    )]
    Closed,
    /// The connection ended, and the camera did not close it.
    #[error("The connection to the camera broke. Check the network between if this repeats.")]
    Broken,
    /// The camera said TEARDOWN or REDIRECT.
    #[error(
        "The camera ended the session. Restart it if this repeats, or let fewer programs watch it."
    )]
    TornDown,
    /// More than one camera may bring.
    #[error(
        "The camera sends more than {max_mib_per_sec} MiB/s. Lower its bit rate, or it takes the others' share."
    )]
    Flooded {
        /// What is accepted.
        max_mib_per_sec: u64,
    },
    /// Its JPEG pictures cannot be encoded.
    #[error(transparent)]
    Jpeg(#[from] RawError<JpegError>),
    /// We were asked to stop; not reported.
    #[error("stopped")]
    Stopped,
}

impl Fault for PullError {
    fn class(&self) -> Class {
        match self {
            Self::Camera(error) => error.class(),
            Self::Forbidden { .. } => Class::Refused,
            Self::Silent { .. } | Self::Closed | Self::Broken | Self::TornDown => Class::Network,
            Self::Jpeg(error) => error.class(),
            _ => Class::Peer,
        }
    }
}

/// What is asked for after a transport that brought nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum NextTry<'a> {
    /// What silence taught.
    Auto(AfterSilence),
    /// The same: the configuration of this stream names it.
    Same(&'a str),
}

/// Whom we talk to, for the texts.
#[derive(Clone, Debug)]
pub(super) struct Whom {
    pub(super) stream: String,
    pub(super) address: String,
    pub(super) has_credentials: bool,
    pub(super) answer_time: Duration,
}

impl PullError {
    /// That none of `offers` is carried.
    pub(super) fn nothing_carried(offers: &str) -> Self {
        let offers = if offers.is_empty() { "no track" } else { offers };
        Self::NothingCarried { offers: offers.chars().take(100).collect() }
    }

    /// That nothing came by the transport that was `used`, and what follows.
    pub(super) fn no_media(used: ClientTransport, waited: Duration, then: NextTry<'_>) -> Self {
        let name = |transport| match transport {
            ClientTransport::Tcp => "TCP",
            ClientTransport::Udp => "UDP",
            ClientTransport::Multicast => "multicast",
        };
        let (mut by, mut tries_another) = (name(used), false);
        let advice = match then {
            NextTry::Auto(AfterSilence::Try(other)) => {
                tries_another = true;
                format!("{} is tried next.", name(other))
            }
            NextTry::Auto(AfterSilence::Again) => "Restart it if this repeats.".to_owned(),
            NextTry::Auto(AfterSilence::Neither) => {
                by = "TCP or UDP";
                "Restart it, or look for a firewall between it and the box.".to_owned()
            }
            NextTry::Same(stream) => {
                format!("Restart it, or set `transport` of stream '{stream}' to \"auto\".")
            }
        };
        Self::NoMedia { by, waited, advice, tries_another }
    }

    /// What it means that a connection failed.
    pub(super) fn from_socket(error: &io::Error) -> Self {
        if CameraError::is_hang_up(error) { Self::Closed } else { Self::Broken }
    }

    /// What it means that `whom` opens no tunnel.
    pub(super) fn from_refusal(why: TunnelRefusal, whom: &Whom) -> Self {
        let (stream, address) = (whom.stream.clone(), whom.address.clone());
        match why {
            TunnelRefusal::CredentialsMissing => CameraError::CredentialsMissing { stream }.into(),
            TunnelRefusal::CredentialsRefused => CameraError::Refused { stream }.into(),
            TunnelRefusal::UnknownAuthentication => Self::UnknownAuthentication,
            TunnelRefusal::Status(403) => Self::Forbidden { stream },
            TunnelRefusal::Status(_) | TunnelRefusal::NotHttp => Self::NoTunnel { address, stream },
        }
    }

    /// What the ending of a session with `whom` means.
    pub(super) fn from_ending(why: SessionEnd, whom: &Whom) -> Self {
        let (stream, address) = (whom.stream.clone(), whom.address.clone());
        match why {
            SessionEnd::CredentialsRefused => CameraError::Refused { stream }.into(),
            SessionEnd::UnknownAuthentication => Self::UnknownAuthentication,
            SessionEnd::Status { status: 401, .. } if whom.has_credentials => {
                CameraError::Refused { stream }.into()
            }
            SessionEnd::CredentialsMissing | SessionEnd::Status { status: 401, .. } => {
                CameraError::CredentialsMissing { stream }.into()
            }
            SessionEnd::Status { status: 403, .. } => Self::Forbidden { stream },
            SessionEnd::Status { status: 404, .. } => Self::NotFound { stream },
            SessionEnd::Status { asked, status } => Self::Status { step: asked.into(), status },
            SessionEnd::Elsewhere { address } => Self::Redirected { stream, address },
            SessionEnd::RedirectedInCircles => {
                Self::Redirected { stream, address: "an address that leads nowhere".to_owned() }
            }
            SessionEnd::NoTransport => Self::NoTransport { stream },
            SessionEnd::Silent { asked } => {
                Self::Silent { address, stream, step: asked.into(), waited: whom.answer_time }
            }
            SessionEnd::NotRtsp { what } => Self::NotRtsp { address, what, stream },
            SessionEnd::BadDescription { what } => Self::BadDescription { what, stream },
            SessionEnd::Closed { .. } => Self::Closed,
            SessionEnd::TornDown => Self::TornDown,
            SessionEnd::Left => Self::Stopped,
        }
    }
}

impl From<ClientRequest> for PullStep {
    fn from(asked: ClientRequest) -> Self {
        match asked {
            ClientRequest::Options => Self::Options,
            ClientRequest::Describe => Self::Describe,
            ClientRequest::SetUp => Self::Setup,
            ClientRequest::Play => Self::Play,
            ClientRequest::Media => Self::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_credentials_read_as_a_person_would_say_it() {
        let error = PullError::from(CameraError::Refused { stream: "gate".into() });
        assert_eq!(
            error.to_string(),
            "The camera refuses the user name or password. Check `username` and `password` of stream 'gate'."
        );
        assert_eq!(error.class(), Class::Refused);
    }

    #[test]
    fn a_wait_is_told_in_seconds() {
        let error = PullError::Stalled { waited: Duration::from_secs(10) };
        assert!(error.to_string().starts_with("The camera has sent no frame for 10 s, so"));
    }

    #[test]
    fn every_ending_says_what_to_do() {
        use AfterSilence::{Again, Neither, Try};
        use MissingFrame::{Described, KeyFrame, Media, Readable, Sets};

        let (stream, waited) = (|| "gate".to_owned(), Duration::from_secs(15));
        let address = || "10.0.0.7:554".to_owned();
        let what = "the description names no media".to_owned();
        let mut errors = vec![
            PullError::Silent {
                address: address(),
                stream: stream(),
                step: PullStep::Play,
                waited,
            },
            PullError::BadDescription { what, stream: stream() },
            PullError::Stalled { waited },
            PullError::Closed,
            PullError::Broken,
            PullError::TornDown,
            PullError::Status { step: PullStep::Play, status: 500 },
            PullError::no_media(ClientTransport::Udp, waited, NextTry::Same("gate")),
        ];
        errors.extend(
            [Media, Described, Readable, Sets, KeyFrame]
                .map(|missing| PullError::NoFirstFrame { missing, waited }),
        );
        errors
            .extend([Again, Neither, Try(ClientTransport::Udp)].map(|then| {
                PullError::no_media(ClientTransport::Tcp, waited, NextTry::Auto(then))
            }));
        for text in errors.iter().map(ToString::to_string) {
            let told = ["Restart", "Check", "Set ", "asked again", "is tried next"];
            assert!(told.iter().any(|word| text.contains(word)), "what is to be done? {text}");
            assert!(
                text.ends_with('.') && text.len() < 200 && !text.contains("os error"),
                "{text}"
            );
        }
    }
}
