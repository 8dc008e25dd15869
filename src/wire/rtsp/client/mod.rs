//! RTSP 1.0 as a client: one session with a camera, as a state machine without sockets.
//!
//! Owns: the requests to a camera, their order, and the meaning of its answers. Does not own:
//! connections and datagrams; the driver opens what [`ClientEvent`]s ask for. The contract is the
//! server's: after each input, [`poll`](ClientSession::poll) until it says [`ClientStep::Wait`].
//!
//! Cameras are sloppy where RFC 2326 is strict, so this is not: an answer is taken for the
//! request that waits whatever number it carries, a session id and ports may be missing, and
//! while media flows nothing that a camera says or leaves out ends the session but its TEARDOWN.

mod answer;
mod request;
mod session;
#[cfg(test)]
mod tests;
mod tunnel;

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use rtsp_types::Url;

use super::description::SessionDescription;
use super::live::Medium;
use crate::base::secret::Secret;
use crate::base::time::BootTime;

pub use session::ClientSession;
pub use tunnel::{HttpTunnel, TunnelAnswer, TunnelRefusal};

/// Which camera, and how to speak to it.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The stream, without user info.
    pub url: Url,
    /// User name and password, if it wants any.
    pub credentials: Option<(String, Secret)>,
    /// What the connection itself goes over.
    pub carrier: Carrier,
    /// How media may travel, the first choice first.
    pub transports: Vec<ClientTransport>,
    /// How long a camera may take to answer.
    pub answer_time: Duration,
    /// For what must not be guessed.
    pub seed: u64,
}

/// What carries the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// TCP, or TLS for an rtsps:// address.
    #[default]
    Direct,
    /// HTTP, or HTTPS for an rtsps:// address ([`HttpTunnel`]).
    Http,
}

impl Carrier {
    /// The port that `url` names, or else the one of RTSP (RFC 2326 §3.2, RFC 7826 §22.14.1) or
    /// of HTTP.
    #[must_use]
    pub fn port_of(self, url: &Url) -> u16 {
        let default = match (self, url.scheme()) {
            (Self::Direct, "rtsps") => 322,
            (Self::Direct, _) => 554,
            (Self::Http, "rtsps") => 443,
            (Self::Http, _) => 80,
        };
        url.port().unwrap_or(default)
    }

    /// Where a redirect to `url` leads from a camera at `port`. Inside HTTP one that names RTSP's
    /// own port, or none, means the stream and not the way to it.
    fn redirected_port(self, url: &Url, port: u16) -> u16 {
        match (self, url.port()) {
            (Self::Http, None | Some(322 | 554)) => port,
            _ => self.port_of(url),
        }
    }
}

/// How media travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTransport {
    /// Inside the RTSP connection.
    Tcp,
    /// As datagrams to us.
    Udp,
    /// As datagrams to a group.
    Multicast,
}

/// The next step.
#[derive(Debug)]
pub enum ClientStep {
    /// Send these bytes to the camera.
    Send(Bytes),
    /// Something for the driver.
    Event(ClientEvent),
    /// Nothing until there is input, or until this instant.
    Wait {
        /// When to poll again; `None` when only input matters.
        until: Option<BootTime>,
    },
}

/// A request or a notice to the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// Connect to the camera's host at this port, anew; answer with [`ClientCommand::Connected`].
    Connect {
        /// The port there.
        port: u16,
    },
    /// The camera has these media. Answer with [`ClientCommand::SetUp`].
    Described(SessionDescription),
    /// Media of a track is to come as datagrams. Answer with [`ClientCommand::Ports`].
    OpenPorts {
        /// Its place in the description.
        medium: usize,
    },
    /// A track is set up.
    SetUp {
        /// Its place in the description.
        medium: usize,
        /// How its packets come.
        path: Path,
    },
    /// The camera will not send this track, with this status.
    NotSetUp {
        /// Its place in the description.
        medium: usize,
        /// What it said.
        status: u16,
    },
    /// Media will come.
    Playing,
    /// A packet that came inside the connection.
    Media {
        /// Of which medium of the description.
        medium: usize,
        /// RTP or RTCP.
        kind: Medium,
        /// The packet, unchecked.
        packet: Bytes,
    },
    /// The session is over; close the connection once everything is sent.
    Ended(SessionEnd),
}

/// How the packets of a track come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Inside the connection; our reports go out by this channel.
    Tcp {
        /// Channel of RTCP.
        rtcp: u8,
    },
    /// To the ports that were opened.
    Udp {
        /// The camera's RTP and RTCP ports, if it says them.
        server_port: Option<(u16, u16)>,
    },
    /// To a group.
    Multicast {
        /// Its address.
        group: Ipv4Addr,
        /// Its RTP port; RTCP has the next one.
        port: u16,
    },
}

impl Path {
    /// The transport that it is.
    #[must_use]
    pub fn transport(self) -> ClientTransport {
        match self {
            Self::Tcp { .. } => ClientTransport::Tcp,
            Self::Udp { .. } => ClientTransport::Udp,
            Self::Multicast { .. } => ClientTransport::Multicast,
        }
    }
}

/// What the driver answers or wishes.
#[derive(Clone, Debug)]
pub enum ClientCommand {
    /// There is a new connection.
    Connected,
    /// The connection has ended.
    Disconnected,
    /// Set these media up, by their places in the description.
    SetUp(Vec<usize>),
    /// These ports are open for RTP and RTCP; `None`: none can be.
    Ports(Option<(u16, u16)>),
    /// Media came as datagrams.
    Heard,
    /// Send this report of ours.
    Report {
        /// Channel of the track.
        channel: u8,
        /// An RTCP packet.
        packet: Bytes,
    },
    /// Say goodbye.
    Leave,
}

/// What was being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// OPTIONS.
    Options,
    /// DESCRIBE.
    Describe,
    /// SETUP of one track.
    SetUp,
    /// PLAY.
    Play,
    /// Nothing: media flows.
    Media,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// 401, and no credentials are configured.
    CredentialsMissing,
    /// 401 in spite of credentials.
    CredentialsRefused,
    /// The camera wants credentials in a way that is unknown here.
    UnknownAuthentication,
    /// It refuses with this status.
    Status {
        /// The request.
        asked: ClientRequest,
        /// What it said.
        status: u16,
    },
    /// It sends us to another host.
    Elsewhere {
        /// Host and port.
        address: String,
    },
    /// It sends us somewhere again and again, or nowhere.
    RedirectedInCircles,
    /// No transport that may be used is one that it offers.
    NoTransport,
    /// No answer came in time.
    Silent {
        /// The request.
        asked: ClientRequest,
    },
    /// The answer is not RTSP.
    NotRtsp {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Its description cannot be used.
    BadDescription {
        /// What is wrong with it.
        what: String,
    },
    /// The camera closed the connection.
    Closed {
        /// What was being asked.
        asked: ClientRequest,
    },
    /// The camera said goodbye.
    TornDown,
    /// We said goodbye.
    Left,
}
