//! A stream served elsewhere: its readers are redirected.
//!
//! Owns: nothing but the address. The RTSP door does the telling.

use std::convert::Infallible;
use std::sync::Arc;

use url::Url;

use crate::base::fault::{Class, Fault};
use crate::stream::{Stream, StreamState};
use crate::supervise::TaskContext;

/// Where the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectConfig {
    /// `rtsp://host[:port]/path`, without user name and password.
    pub url: Url,
}

/// Why a life ended.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Fault for RedirectError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// One life: redirects readers until it is asked to stop.
pub async fn run(
    config: RedirectConfig,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RedirectError> {
    let host = config.url.host_str().unwrap_or_default();
    let reason = format!("This stream is served by {host}. Clients are redirected there.");
    stream.set_state(StreamState::Waiting { reason }, context.clock.wall());
    context.heartbeat.beat();
    context.stop.cancelled().await;
    Err(RedirectError::Stopped)
}
