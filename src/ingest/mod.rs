//! Where streams come from: one file each, with reconnection.
//!
//! Owns: the way from a camera to [`Stream::publish`](crate::stream::Stream::publish). Must never
//! name a sink.
//!
//! Adding one: a file (or folder) here, an arm in [`SourceConfig`] and in [`keep`]; the compiler lists
//! what is missing then, and `src/config/example.toml` documents its keys.

pub mod camera_error;
pub mod certificates;
pub mod command;
pub mod fingerprint;
pub mod jpeg;
pub mod mjpeg;
mod on_demand;
pub mod pattern;
pub mod raw;
pub mod redirect;
mod rtp;
pub mod rtsp_pull;
pub mod rtsp_push;
mod run;
pub mod substream;
pub mod tls;
pub mod trial;
pub mod usb_recovery;
pub mod v4l2;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

pub use camera_error::CameraError;
pub use certificates::CameraCertificates;
pub use raw::RawTees;

use crate::base::fault::{Class, Fault, chain};
use crate::stream::{Stream, StreamState};
use crate::supervise::{PANICKED, Supervisor, TaskContext, TaskSpec};

/// What a stream's source is.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one per stream
pub enum SourceConfig {
    /// The test picture.
    Pattern(pattern::PatternConfig),
    /// An IP camera, pulled over RTSP.
    RtspPull(rtsp_pull::PullConfig),
    /// A camera that sends JPEG pictures over HTTP.
    Mjpeg(mjpeg::MjpegConfig),
    /// An encoder that pushes over RTSP.
    RtspPush(rtsp_push::PushConfig),
    /// A camera of this machine.
    V4l2(v4l2::V4l2Config),
    /// A program that writes H.264.
    Command(command::CommandConfig),
    /// The raw pictures of another stream, made smaller.
    Substream(substream::SubstreamConfig),
    /// Nothing here: the stream is served elsewhere.
    Redirect(redirect::RedirectConfig),
}

impl SourceConfig {
    /// The word that the configuration uses for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pattern(_) => "pattern",
            Self::RtspPull(_) => "rtsp_pull",
            Self::Mjpeg(_) => "mjpeg",
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
            Self::Substream(_)
            | Self::RtspPull(_)
            | Self::Mjpeg(_)
            | Self::RtspPush(_)
            | Self::Redirect(_) => false,
        }
    }

    /// For how long it runs after the last who wanted its stream; `None`: all the time.
    #[must_use]
    pub fn on_demand(&self) -> Option<Duration> {
        match self {
            Self::RtspPull(config) => config.on_demand,
            Self::Mjpeg(config) => config.on_demand,
            _ => None,
        }
    }

    /// What the RTSP door has to know of it besides its pictures.
    #[must_use]
    pub fn ingest(&self) -> Ingest {
        match self {
            Self::Pattern(_)
            | Self::RtspPull(_)
            | Self::Mjpeg(_)
            | Self::V4l2(_)
            | Self::Command(_)
            | Self::Substream(_) => Ingest::Closed,
            Self::RtspPush(config) => Ingest::Publish(config.publish_point()),
            Self::Redirect(config) => Ingest::Elsewhere(config.url.clone()),
        }
    }
}

/// How a peer other than a reader gets to a stream, or where else it must go.
#[derive(Clone, Debug, Default)]
pub enum Ingest {
    /// Not at all.
    #[default]
    Closed,
    /// It may publish there.
    Publish(Arc<rtsp_push::PublishPoint>),
    /// Everyone is sent there.
    Elsewhere(url::Url),
}

/// What all sources of the box share.
#[derive(Clone, Debug, Default)]
pub struct SharedSources {
    /// Through these sub-streams get their pictures.
    pub tees: RawTees,
    /// What cameras showed first.
    pub certificates: CameraCertificates,
}

/// Keeps the source of `stream` running in `supervisor` until that is stopped.
pub fn keep(
    config: SourceConfig,
    stream: Arc<Stream>,
    shared: &SharedSources,
    supervisor: &Supervisor,
) {
    let SharedSources { tees, certificates } = shared;
    let linger = config.on_demand();
    stream.demand().set_on_demand(linger.is_some());
    match config {
        SourceConfig::Pattern(config) => {
            let tee = tees.of(stream.name());
            keep_lives(stream, supervisor, move |stream, context| {
                pattern::run(config.clone(), Arc::clone(&tee), stream, context)
            });
        }
        SourceConfig::V4l2(config) => {
            let tee = tees.of(stream.name());
            let part = format!("{}/source", stream.name());
            let recovery = supervisor.recovery().cloned();
            let watchdog =
                v4l2::CameraWatchdog::new(part, recovery, Arc::clone(supervisor.clock()));
            let watchdog = Arc::new(watchdog);
            supervisor.spawn("usb", Arc::clone(&watchdog).watch());
            keep_lives(stream, supervisor, move |stream, context| {
                let (config, tee, watchdog) =
                    (config.clone(), Arc::clone(&tee), Arc::clone(&watchdog));
                v4l2::run(config, tee, watchdog, stream, context)
            });
        }
        SourceConfig::Substream(config) => {
            let tee = tees.of(&config.of);
            keep_lives(stream, supervisor, move |stream, context| {
                substream::run(config.clone(), Arc::clone(&tee), stream, context)
            });
        }
        SourceConfig::Command(config) => keep_lives(stream, supervisor, move |stream, context| {
            command::run(config.clone(), stream, context)
        }),
        SourceConfig::RtspPull(config) => {
            let mut config = config;
            config.known = certificates.clone();
            keep_wanted(stream, supervisor, linger, move |stream, context| {
                let config = config.clone();
                async move { rtsp_pull::run(&config, stream, context).await }
            });
        }
        SourceConfig::Mjpeg(config) => {
            let config = mjpeg::MjpegConfig { known: certificates.clone(), ..config };
            keep_wanted(stream, supervisor, linger, move |stream, context| {
                let config = config.clone();
                async move { mjpeg::run(&config, stream, context).await }
            });
        }
        SourceConfig::RtspPush(config) => keep_lives(stream, supervisor, move |stream, context| {
            let config = config.clone();
            async move { rtsp_push::run(&config, stream, context).await }
        }),
        SourceConfig::Redirect(config) => keep_lives(stream, supervisor, move |stream, context| {
            redirect::run(config.clone(), stream, context)
        }),
    }
}

/// Keeps a source alive that may run on demand.
fn keep_wanted<L, F, E>(
    stream: Arc<Stream>,
    supervisor: &Supervisor,
    linger: Option<Duration>,
    life: L,
) where
    L: FnMut(Arc<Stream>, TaskContext) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Infallible, E>> + Send + 'static,
    E: Fault,
{
    let Some(linger) = linger else { return keep_lives(stream, supervisor, life) };
    keep_lives(stream, supervisor, move |stream, context| {
        on_demand::run(stream, context, linger, life.clone())
    });
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
            let reason = PANICKED.to_owned();
            stream.set_state(StreamState::Offline { reason }, clock.wall());
        }
        let (stop, heartbeat) = (context.stop.clone(), context.heartbeat.clone());
        let ended = life(Arc::clone(&stream), context);
        async move {
            let Err(error) = ended.await;
            let is_live = stream.state().0 == StreamState::Live;
            heartbeat.worked(if is_live { stream.flowed() } else { Duration::ZERO });
            let (text, whole) = (error.to_string(), chain(&error));
            if !stop.is_cancelled() {
                stream.meter.restarted();
                let reason = text.clone();
                stream.set_state(StreamState::Offline { reason }, clock.wall());
                if whole != text {
                    tracing::debug!(stream = %stream.name(), error = whole, "source ended");
                }
            }
            Err(SourceEnd { text, class: error.class() })
        }
    });
}

/// Why a life of a source ended, in the words that people read: without those of libraries below.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct SourceEnd {
    text: String,
    class: Class,
}

impl Fault for SourceEnd {
    fn class(&self) -> Class {
        self.class
    }
}
