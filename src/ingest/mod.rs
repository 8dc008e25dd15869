//! Where streams come from: one file each, with reconnection.
//!
//! Owns: the way from a camera to [`Stream::publish`](crate::stream::Stream::publish). Must never
//! name a sink.
//!
//! Adding one: a file (or folder) here, an arm in [`Config`] and in [`keep`]; the compiler lists
//! what is missing then, and `src/config/example.toml` documents its keys.

pub mod command;
pub mod pattern;
pub mod raw;
pub mod redirect;
pub mod revive;
mod rtp;
pub mod rtsp_pull;
pub mod rtsp_push;
mod run;
pub mod substream;
pub mod v4l2;

use std::convert::Infallible;
use std::sync::Arc;

pub use raw::Taps;

use crate::base::fault::{Fault, chain};
use crate::stream::{Stream, StreamState};
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// What a stream's source is.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one per stream
pub enum Config {
    /// The test picture.
    Pattern(pattern::Config),
    /// An IP camera, pulled over RTSP.
    RtspPull(rtsp_pull::Config),
    /// An encoder that pushes over RTSP.
    RtspPush(rtsp_push::Config),
    /// A camera of this machine.
    V4l2(v4l2::Config),
    /// A program that writes H.264.
    Command(command::Config),
    /// The raw pictures of another stream, made smaller.
    Substream(substream::Config),
    /// Nothing here: the stream is to be had elsewhere.
    Redirect(redirect::Config),
}

impl Config {
    /// The word that the configuration uses for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pattern(_) => "pattern",
            Self::RtspPull(_) => "rtsp_pull",
            Self::RtspPush(_) => "rtsp_push",
            Self::V4l2(_) => "v4l2",
            Self::Command(_) => "command",
            Self::Substream(_) => "substream",
            Self::Redirect(_) => "redirect",
        }
    }

    /// Whether its pictures are made on this board, so that no network is needed for them.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Pattern(_) | Self::V4l2(_) | Self::Command(_) => true,
            // A sub-stream is there when the camera that it is made from is.
            Self::Substream(_) | Self::RtspPull(_) | Self::RtspPush(_) | Self::Redirect(_) => false,
        }
    }

    /// What the RTSP door has to know of it besides its pictures.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        match self {
            Self::Pattern(_)
            | Self::RtspPull(_)
            | Self::V4l2(_)
            | Self::Command(_)
            | Self::Substream(_) => Entrance::Closed,
            Self::RtspPush(config) => Entrance::Seat(config.seat()),
            Self::Redirect(config) => Entrance::Elsewhere(config.url.clone()),
        }
    }
}

/// How a peer that is no reader gets to a stream, or where else it has to go.
#[derive(Clone, Debug, Default)]
pub enum Entrance {
    /// Not at all.
    #[default]
    Closed,
    /// It may publish there.
    Seat(Arc<rtsp_push::Seat>),
    /// Everybody is sent there.
    Elsewhere(url::Url),
}

/// Keeps the source of `stream` running in `supervisor` until that is stopped; through `taps`
/// sub-streams get their pictures.
pub fn keep(config: Config, stream: Arc<Stream>, taps: &Taps, supervisor: &Supervisor) {
    match config {
        Config::Pattern(config) => {
            let tap = taps.of(stream.name());
            keep_lives(stream, supervisor, move |stream, context| {
                pattern::run(config.clone(), Arc::clone(&tap), stream, context)
            });
        }
        Config::V4l2(config) => {
            let tap = taps.of(stream.name());
            let part = format!("{}/source", stream.name());
            let recovery = supervisor.recovery().cloned();
            let pulse = v4l2::Pulse::new(part, recovery, Arc::clone(supervisor.clock()));
            let pulse = Arc::new(pulse);
            supervisor.spawn("revival", Arc::clone(&pulse).watch());
            keep_lives(stream, supervisor, move |stream, context| {
                let (config, tap, pulse) = (config.clone(), Arc::clone(&tap), Arc::clone(&pulse));
                v4l2::run(config, tap, pulse, stream, context)
            });
        }
        Config::Substream(config) => {
            let tap = taps.of(&config.of);
            keep_lives(stream, supervisor, move |stream, context| {
                substream::run(config.clone(), Arc::clone(&tap), stream, context)
            });
        }
        Config::Command(config) => keep_lives(stream, supervisor, move |stream, context| {
            command::run(config.clone(), stream, context)
        }),
        Config::RtspPull(config) => keep_lives(stream, supervisor, move |stream, context| {
            let config = config.clone();
            async move { rtsp_pull::run(&config, stream, context).await }
        }),
        Config::RtspPush(config) => keep_lives(stream, supervisor, move |stream, context| {
            let config = config.clone();
            async move { rtsp_push::run(&config, stream, context).await }
        }),
        Config::Redirect(config) => keep_lives(stream, supervisor, move |stream, context| {
            redirect::run(config.clone(), stream, context)
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
        if stream.state().0 == StreamState::Live {
            // The last life panicked and could not say so.
            stream.set_state(StreamState::Starting, clock.wall());
        }
        let stop = context.stop.clone();
        let ended = life(Arc::clone(&stream), context);
        async move {
            let Err(error) = ended.await;
            if !stop.is_cancelled() {
                stream.meter.restarted();
                stream.set_state(StreamState::Offline { reason: chain(&error) }, clock.wall());
            }
            Err(error)
        }
    });
}
