//! Pulls a camera that sends JPEG pictures over HTTP.
//!
//! Owns: one connection, its deadlines and its log-in. Does not own: what is a picture (see
//! `wire::mjpeg`), what happens to pictures (see `ingest::jpeg`), when the next connection begins.
//!
//! Invariants:
//! 1. One call of [`run`] is one connection; it ends by an error, never silently.
//! 2. The password is sent to the camera only; a URL's path and query are never shown.
//! 3. What is held is bounded: one head or one picture, and two pictures before the encoder.

mod connection;
mod error;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use error::MjpegError;

use super::raw::RawError;
use crate::base::secret::Secret;
use crate::encode::EncoderSettings;
use crate::ingest::certificates::CameraCertificates;
use crate::ingest::tls::Trust;
use crate::stream::Stream;
use crate::supervise::TaskContext;

/// Which camera, and how its pictures are encoded.
#[derive(Clone)]
pub struct MjpegConfig {
    /// `http://host[:port]/path`, or https, without user name and password.
    pub url: Url,
    /// User name and password, if the camera wants any.
    pub credentials: Option<(String, Secret)>,
    /// Which certificate is believed of a camera at an https:// address.
    pub trust: Trust,
    /// How its pictures are encoded.
    pub encode: EncoderSettings,
    /// For how long it is pulled after the last who watched; `None`: all the time.
    pub on_demand: Option<Duration>,
    /// The certificates that cameras showed first; part of no comparison.
    pub known: CameraCertificates,
}

impl MjpegConfig {
    /// A camera at `url`.
    #[must_use]
    pub fn new(url: Url, credentials: Option<(String, Secret)>) -> Self {
        Self {
            url,
            credentials,
            trust: Trust::default(),
            encode: EncoderSettings::default(),
            on_demand: None,
            known: CameraCertificates::default(),
        }
    }

    /// Host and port, for people.
    #[must_use]
    pub fn address(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.url.port_or_known_default().unwrap_or(80))
    }

    /// What is wrong with `url` as the address of such a camera, if anything.
    #[must_use]
    pub fn url_fault(url: &Url) -> Option<&'static str> {
        if !url.username().is_empty() || url.password().is_some() {
            return Some(
                "user name and password do not belong into the address; set `username` and `password`",
            );
        }
        let is_http = matches!(url.scheme(), "http" | "https");
        let is_known = is_http && url.host_str().is_some_and(|host| !host.is_empty());
        (!is_known)
            .then_some("the address of such a camera begins with http:// or https:// and its host")
    }
}

impl std::fmt::Debug for MjpegConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MjpegConfig").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl PartialEq for MjpegConfig {
    fn eq(&self, other: &Self) -> bool {
        fn of(config: &MjpegConfig) -> impl PartialEq {
            let MjpegConfig { url, credentials, trust, encode, on_demand, .. } = config.clone();
            (url, credentials, trust, encode, on_demand)
        }
        of(self) == of(other)
    }
}

/// One life: connects, publishes until something ends it, says why.
pub async fn run(
    config: &MjpegConfig,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<MjpegError>> {
    connection::run(config, stream, context).await
}
