//! Where streams come from: one file each, with reconnection.
//!
//! Owns: the way from a camera to [`Stream::publish`](crate::bus::Stream::publish). Must never
//! name a sink.
//!
//! Adding one: a file (or folder) here, an arm in [`Config`] and in [`keep`]; the compiler lists
//! what is missing then, and `src/config/example.toml` documents its keys.

pub mod pattern;
pub mod rtsp_pull;

use std::sync::Arc;

use crate::bus::Stream;
use crate::supervise::{Supervisor, TaskSpec};

/// What a stream's source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// The test picture.
    Pattern(pattern::Config),
    /// An IP camera, pulled over RTSP.
    RtspPull(rtsp_pull::Config),
}

impl Config {
    /// The word that the configuration uses for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pattern(_) => "pattern",
            Self::RtspPull(_) => "rtsp_pull",
        }
    }
}

/// Keeps the source of `stream` running in `supervisor` until that is stopped.
pub fn keep(config: Config, stream: Arc<Stream>, supervisor: &Supervisor) {
    let spec = TaskSpec::new(format!("{}/source", stream.name()));
    let mut first = true;
    let mut life = move |stream: &Arc<Stream>| {
        if !std::mem::take(&mut first) {
            stream.meter.restarted();
        }
        Arc::clone(stream)
    };
    match config {
        Config::Pattern(config) => supervisor
            .keep(spec, move |context| pattern::run(config.clone(), life(&stream), context)),
        Config::RtspPull(config) => {
            let camera = rtsp_pull::Camera::new(config);
            supervisor
                .keep(spec, move |context| rtsp_pull::run(camera.clone(), life(&stream), context));
        }
    }
}
