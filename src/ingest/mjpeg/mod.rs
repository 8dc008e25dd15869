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

use url::Url;

pub use error::MjpegError;

use super::raw::RawError;
use crate::base::secret::Secret;
use crate::encode::EncoderSettings;
use crate::stream::Stream;
use crate::supervise::TaskContext;

/// Which camera, and how its pictures are encoded.
#[derive(Clone)]
pub struct MjpegConfig {
    /// `http://host[:port]/path`, without user name and password.
    pub url: Url,
    /// User name and password, if the camera wants any.
    pub credentials: Option<(String, Secret)>,
    /// How its pictures are encoded.
    pub encode: EncoderSettings,
}

impl MjpegConfig {
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
        let is_known = url.scheme() == "http" && url.host_str().is_some_and(|h| !h.is_empty());
        (!is_known).then_some("the address of such a camera begins with http:// and its host")
    }
}

impl std::fmt::Debug for MjpegConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MjpegConfig").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl PartialEq for MjpegConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.credentials, &self.encode)
            == (&other.url, &other.credentials, &other.encode)
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
