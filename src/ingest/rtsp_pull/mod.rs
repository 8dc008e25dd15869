//! Pulls an IP camera over RTSP: H.264, H.265, AAC and G.711, by TCP or UDP.
//!
//! Owns: the life of one connection, from DESCRIBE to the error that ends it. Does not own: when
//! the next one begins (see `supervise`), the protocol (retina speaks it).
//!
//! ```text
//! session   DESCRIBE, SETUP, PLAY, each within its time ─► frames
//! life      frame ─► source::rtp (timeline, decoding times) ─► Stream::publish
//! ```
//!
//! Invariants:
//! 1. One call of [`run`] is one connection and one run; it ends by an error, never silently.
//! 2. Media time grows over all runs of a stream, whatever the camera's clock does.
//! 3. A run begins with a key frame; what comes before it is not published.
//! 4. A frame that is too large or not whole is dropped and counted; it does not end the run.
//! 5. The password goes to retina and nowhere else; a URL's path and query are never told,
//!    because some cameras want the password there.
//! 6. While a message or frame is arriving, a connection holds at most
//!    [`PULL_HELD_BYTES_MAX`](crate::base::limits::PULL_HELD_BYTES_MAX) and what one poll can
//!    read (see `ledger`); retina 0.4.21 itself knows no such bound.

mod error;
mod ledger;
mod life;
mod session;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use retina::client::SessionGroup;
use url::Url;

pub use error::{PullError, Step};

use crate::base::limits::{
    PULL_CONNECT_TIME_MAX, PULL_DESCRIBE_TIME_MAX, PULL_FIRST_FRAME_TIME_MAX, PULL_IDLE_TIME_MAX,
    SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW,
};
use crate::base::secret::Secret;
use crate::base::sync::lock;
use crate::ingest::rtp::TimelineEnd;
use crate::stream::Stream;
use crate::supervise::TaskContext;

/// How media travels from the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Inside the RTSP connection: nothing is lost on the way.
    #[default]
    Tcp,
    /// By UDP, for cameras that do TCP badly; LAN only.
    Udp,
}

/// Which camera, and how to speak to it. Equal configurations pull the same camera the same way.
#[derive(Clone)]
pub struct Config {
    /// `rtsp://host[:port]/path`, without user name and password.
    pub url: Url,
    /// User name, if the camera wants one.
    pub username: Option<String>,
    /// Password, if the camera wants one.
    pub password: Option<Secret>,
    /// TCP or UDP.
    pub transport: Transport,
    /// The bounds; tests make them shorter.
    #[doc(hidden)]
    pub bounds: Bounds,
    memory: Arc<Memory>,
}

/// Why a URL cannot be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not `rtsp`.
    #[error("the address of a camera begins with rtsp://")]
    Scheme,
    /// No host.
    #[error("the address names no host, such as rtsp://10.0.0.7:554/main")]
    Host,
    /// A user name or password inside.
    #[error("user name and password do not belong into the address; set `username` and `password`")]
    UserInfo,
}

/// The bounds of one connection, each from `base::limits` unless a test says otherwise.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub connect: Duration,
    pub describe: Duration,
    pub first_frame: Duration,
    pub idle: Duration,
    pub bytes_per_sec: u64,
    pub rate_window: Duration,
}

impl Default for Bounds {
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

/// What outlives a connection: sessions that the camera may still hold, and the timeline's end.
/// Shared by the clones of a [`Config`], which all mean the same camera.
#[derive(Default)]
struct Memory {
    sessions: Mutex<Arc<SessionGroup>>,
    end: Arc<TimelineEnd>,
}

impl Memory {
    fn sessions(&self) -> Arc<SessionGroup> {
        Arc::clone(&lock(&self.sessions))
    }

    /// Drops `session` and hangs up without a goodbye.
    ///
    /// retina says TEARDOWN in a task of its own and reads on for five seconds to hear the
    /// answer, with no bound. A camera that floods is not given that: the task goes to a runtime
    /// that ends before it runs, and the connection with it.
    fn sever<T>(&self, session: T) {
        *lock(&self.sessions) = Arc::default();
        let Ok(nowhere) = tokio::runtime::Builder::new_current_thread().build() else { return };
        {
            let _inside = nowhere.enter();
            drop(session);
        }
        nowhere.shutdown_background();
    }

    fn end(&self) -> Arc<TimelineEnd> {
        Arc::clone(&self.end)
    }
}

impl Config {
    /// A camera at `url`.
    pub fn new(
        url: Url,
        username: Option<String>,
        password: Option<Secret>,
        transport: Transport,
    ) -> Result<Self, UrlError> {
        Self::check_url(&url)?;
        let (bounds, memory) = (Bounds::default(), Arc::default());
        Ok(Self { url, username, password, transport, bounds, memory })
    }

    /// Whether `url` can be the address of a camera.
    pub fn check_url(url: &Url) -> Result<(), UrlError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        if url.scheme() != "rtsp" {
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
        format!("{host}:{}", self.url.port().unwrap_or(554))
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address())
            .field("username", &self.username)
            .field("password", &self.password)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.username, &self.password, self.transport, self.bounds)
            == (&other.url, &other.username, &other.password, other.transport, other.bounds)
    }
}

impl Eq for Config {}

/// One life: connects, publishes until something ends it, says why.
///
/// The stream is `Live` from the first key frame on; [`super::keep`] makes it `Offline` with the
/// error's words when this returns, and it stays so while the next life connects, so that a
/// person reads why.
pub async fn run(
    config: &Config,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, PullError> {
    let whom = error::Whom {
        stream: stream.name().to_string(),
        address: config.address(),
        has_credentials: config.username.is_some(),
    };
    let Err(error) = connected(config, &stream, &context, &whom).await;
    if matches!(error, PullError::Stopped) {
        // The runtime may end with us; the camera is told before, if it listens.
        let goodbye = config.memory.sessions();
        let goodbye = goodbye.await_teardown();
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
    }
    Err(error)
}

async fn connected(
    config: &Config,
    stream: &Arc<Stream>,
    context: &TaskContext,
    whom: &error::Whom,
) -> Result<Infallible, PullError> {
    let mut ledger = ledger::Ledger::default();
    let mut opening = Box::pin(session::open(config, whom, &context.heartbeat));
    let link = tokio::select! {
        biased;
        () = context.stop.cancelled() => return Err(PullError::Stopped),
        link = ledger.watch(&mut opening) => link,
    };
    let Ok(link) = link else {
        config.memory.sever(opening);
        return Err(PullError::Overfull);
    };
    life::read(link?, ledger, config, stream, context, whom).await
}
