//! A stream that is to be had elsewhere: who asks for it is told where.
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
    /// It was told to.
    #[error("stopped")]
    Stopped,
}

impl Fault for RedirectError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// One life: says where the stream is until it is told to stop.
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
