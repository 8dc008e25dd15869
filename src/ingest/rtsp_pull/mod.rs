//! Pulls an IP camera over RTSP: H.264, H.265, JPEG, AAC, G.711 and Opus, by TCP, UDP, multicast or inside HTTP.
//!
//! Owns: one connection's sockets and deadlines. Does not own: when the next one begins (see
//! `supervise`), the protocol (see `wire::rtsp::client`), the packets (see `ingest::rtp`).
//!
//! ```text
//! connection   link, ports ◄─► wire::rtsp::client (OPTIONS … PLAY, keepalives, TEARDOWN)
//!              packets ─► ingest::rtp (order, units, timeline) ─► Stream::publish
//! ```
//!
//! Invariants:
//! 1. One call of [`run`] is one session and one run; it ends by an error, never silently.
//! 2. Media time grows over all runs of a stream, whatever the camera's clock does.
//! 3. A run begins with a key frame; what comes before it is not published.
//! 4. A frame that is too large or not whole is dropped and counted; it does not end the run.
//! 5. The password is sent to the camera only; a URL's path and query are never shown, because some
//!    cameras expect the password there. No text of a library is shown.
//! 6. What a connection holds is bounded by limits with names: one message, and for each track
//!    the packets that wait for their turn and one access unit.
//! 7. Datagrams are heard from the camera's own address and sent there, nowhere else.

mod connection;
mod error;
mod link;
#[cfg(test)]
mod tests;
mod transport_memory;
mod udp;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use url::Url;

use self::transport_memory::TransportMemory;
pub use error::{PullError, PullStep};

use crate::base::limits::{
    PULL_CONNECT_TIME_MAX, PULL_DESCRIBE_TIME_MAX, PULL_FIRST_FRAME_TIME_MAX, PULL_IDLE_TIME_MAX,
    SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW,
};
use crate::base::secret::Secret;
use crate::base::sync::lock;
use crate::encode::EncoderSettings;
use crate::ingest::certificates::CameraCertificates;
use crate::ingest::rtp::TimelineEnd;
use crate::ingest::tls::Trust;
use crate::stream::Stream;
use crate::supervise::TaskContext;
use crate::wire::rtsp::client::Carrier;

/// How media travels from the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullTransport {
    /// What the camera offers: TCP, else UDP, else multicast.
    #[default]
    Auto,
    /// Inside the RTSP connection: nothing is lost on the way.
    Tcp,
    /// By UDP, for cameras that do TCP badly; LAN only.
    Udp,
    /// To a group that others may read too; LAN only.
    Multicast,
    /// Inside HTTP, or HTTPS for an rtsps:// address: where a firewall lets nothing else through.
    Http,
}

impl PullTransport {
    /// What carries the connection.
    #[must_use]
    pub fn carrier(self) -> Carrier {
        if self == Self::Http { Carrier::Http } else { Carrier::Direct }
    }
}

/// Which camera, and how to speak to it. Equal configurations pull the same camera the same way.
#[derive(Clone)]
pub struct PullConfig {
    /// `rtsp://host[:port]/path`, or rtsps, without user name and password.
    pub url: Url,
    /// User name, if the camera wants one.
    pub username: Option<String>,
    /// Password, if the camera wants one.
    pub password: Option<Secret>,
    /// How media travels.
    pub transport: PullTransport,
    /// Which certificate is believed of a camera at an rtsps:// address.
    pub trust: Trust,
    /// How pictures are encoded of a camera that has nothing but JPEG.
    pub encode: EncoderSettings,
    /// For how long it is pulled after the last who watched; `None`: all the time.
    pub on_demand: Option<Duration>,
    /// The certificates that cameras showed first; part of no comparison.
    pub known: CameraCertificates,
    /// The bounds; tests make them shorter.
    #[doc(hidden)]
    pub bounds: PullBounds,
    memory: Arc<PullMemory>,
}

/// Why a URL cannot be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `rtsp` nor `rtsps`.
    #[error("the address of a camera begins with rtsp:// or rtsps://")]
    Scheme,
    /// No host.
    #[error("the address names no host, such as rtsp://10.0.0.7:554/main")]
    Host,
    /// A user name or password inside.
    #[error("a user name and password do not belong in the address; set `username` and `password`")]
    UserInfo,
}

/// The bounds of one connection, each from `base::limits` unless a test says otherwise.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullBounds {
    pub connect: Duration,
    pub describe: Duration,
    pub first_frame: Duration,
    pub idle: Duration,
    pub bytes_per_sec: u64,
    pub rate_window: Duration,
}

impl Default for PullBounds {
    fn default() -> Self {
        Self {
            connect: PULL_CONNECT_TIME_MAX,
            describe: PULL_DESCRIBE_TIME_MAX,
            first_frame: PULL_FIRST_FRAME_TIME_MAX,
            idle: PULL_IDLE_TIME_MAX,
            bytes_per_sec: SOURCE_BYTES_PER_SEC_MAX,
            rate_window: SOURCE_RATE_WINDOW,
        }
    }
}

/// What outlives a connection: the timeline's end, and how media came. Shared by the clones of a [`PullConfig`], which all
/// mean the same camera.
#[derive(Default)]
struct PullMemory {
    end: Arc<TimelineEnd>,
    transports: Mutex<TransportMemory>,
}

impl PullMemory {
    fn end(&self) -> Arc<TimelineEnd> {
        Arc::clone(&self.end)
    }

    fn transports(&self) -> MutexGuard<'_, TransportMemory> {
        lock(&self.transports)
    }
}

impl PullConfig {
    /// A camera at `url`.
    pub fn new(
        url: Url,
        username: Option<String>,
        password: Option<Secret>,
        transport: PullTransport,
    ) -> Result<Self, UrlError> {
        Self::check_url(&url)?;
        let (encode, bounds) = (EncoderSettings::default(), PullBounds::default());
        Ok(Self {
            url,
            username,
            password,
            transport,
            trust: Trust::default(),
            encode,
            on_demand: None,
            known: CameraCertificates::default(),
            bounds,
            memory: Arc::default(),
        })
    }

    /// Whether `url` can be the address of a camera.
    pub fn check_url(url: &Url) -> Result<(), UrlError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        if !matches!(url.scheme(), "rtsp" | "rtsps") {
            return Err(UrlError::Scheme);
        }
        match url.host_str() {
            Some(host) if !host.is_empty() => Ok(()),
            _ => Err(UrlError::Host),
        }
    }

    /// Host and port, for people.
    #[must_use]
    pub fn address(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.transport.carrier().port_of(&self.url))
    }

    /// User name and password, if the camera wants any.
    fn credentials(&self) -> Option<(String, Secret)> {
        let password = || self.password.clone().unwrap_or_else(|| Secret::new(""));
        self.username.clone().map(|name| (name, password()))
    }
}

impl std::fmt::Debug for PullConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address())
            .field("username", &self.username)
            .field("password", &self.password)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl PartialEq for PullConfig {
    fn eq(&self, other: &Self) -> bool {
        let of = |config: &Self| {
            let Self { url, username, password, transport, .. } = config.clone();
            let Self { trust, encode, bounds, on_demand, .. } = config.clone();
            (url, username, password, transport, trust, encode, bounds, on_demand)
        };
        of(self) == of(other)
    }
}

impl Eq for PullConfig {}

/// One life: connects, publishes until something ends it, says why.
///
/// The stream is `Live` from the first key frame on; [`super::keep`] makes it `Offline` with the
/// error's words when this returns, and it stays so while the next life connects, so that a
/// person reads why.
pub async fn run(
    config: &PullConfig,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, PullError> {
    let whom = error::Whom {
        stream: stream.name().to_string(),
        address: config.address(),
        has_credentials: config.username.is_some(),
        answer_time: config.bounds.describe,
    };
    connection::PullConnection::new(config, &whom, &stream, &context).run().await
}
