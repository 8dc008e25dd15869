//! A made sub-stream: the raw pictures of another stream, smaller, encoded a second time.
//!
//! Owns: its settings. The pictures come through [`raw`](super::raw); while its main stream has
//! none it has none either, and waits.

use std::convert::Infallible;
use std::sync::Arc;

use super::raw::{self, EncodeJob, RawError, RawTee};
use crate::base::fault::{Class, Fault};
use crate::base::name::StreamName;
use crate::encode::EncoderSettings;
use crate::stream::Stream;
use crate::supervise::TaskContext;

/// What the sub-stream is like.
#[derive(Clone, Debug, PartialEq)]
pub struct SubstreamConfig {
    /// Whose pictures it shows.
    pub of: StreamName,
    /// Pixels across, never more than the main stream has; the height follows.
    pub width: u32,
    /// Pictures per second of the main stream.
    pub fps: f32,
    /// How it is encoded.
    pub encode: EncoderSettings,
}

impl SubstreamConfig {
    /// How it is encoded unless said otherwise.
    #[must_use]
    pub fn settings() -> EncoderSettings {
        EncoderSettings { bitrate_bps: 500_000, ..EncoderSettings::default() }
    }
}

/// Nothing is captured here, so no capture can fail.
#[derive(Debug, thiserror::Error)]
pub enum NoCamera {}

impl Fault for NoCamera {
    fn class(&self) -> Class {
        match *self {}
    }
}

/// One life of the sub-stream.
pub(super) async fn run(
    config: SubstreamConfig,
    tee: Arc<RawTee>,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<NoCamera>> {
    let job = EncodeJob { settings: config.encode, fps: config.fps, width: Some(config.width) };
    raw::run_sub(job, tee, stream, context).await
}
