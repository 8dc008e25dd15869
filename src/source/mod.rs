//! Where streams come from: one file each, with reconnection.
//!
//! Owns: the way from a camera to [`Stream::publish`](crate::bus::Stream::publish). Must never
//! name a sink.
//!
//! Adding one: a file (or folder) here, an arm in [`Config`] and in [`keep`]; the compiler lists
//! what is missing then, and `src/config/example.toml` documents its keys.

pub mod pattern;
pub mod rtsp_pull;

use std::convert::Infallible;
use std::sync::Arc;

use crate::base::fault::{Fault, chain};
use crate::bus::{State, Stream};
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// What a stream's source is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one per stream
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
    match config {
        Config::Pattern(config) => keep_lives(stream, supervisor, move |stream, context| {
            pattern::run(config.clone(), stream, context)
        }),
        Config::RtspPull(config) => keep_lives(stream, supervisor, move |stream, context| {
            let config = config.clone();
            async move { rtsp_pull::run(&config, stream, context).await }
        }),
    }
}

/// Keeps one kind of source alive; between its lives the stream says why it is offline.
fn keep_lives<L, F, E>(stream: Arc<Stream>, supervisor: &Supervisor, mut life: L)
where
    L: FnMut(Arc<Stream>, TaskContext) -> F + Send + 'static,
    F: Future<Output = Result<Infallible, E>> + Send + 'static,
    E: Fault,
{
    let spec = TaskSpec::new(format!("{}/source", stream.name()));
    supervisor.keep(spec, move |context| {
        let (stream, clock) = (Arc::clone(&stream), Arc::clone(&context.clock));
        if stream.state().0 == State::Live {
            // The last life panicked and could not say so.
            stream.set_state(State::Starting, clock.wall());
        }
        let stop = context.stop.clone();
        let ended = life(Arc::clone(&stream), context);
        async move {
            let Err(error) = ended.await;
            if !stop.is_cancelled() {
                stream.meter.restarted();
                stream.set_state(State::Offline { reason: chain(&error) }, clock.wall());
            }
            Err(error)
        }
    });
}
