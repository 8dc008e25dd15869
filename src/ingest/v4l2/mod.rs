//! Takes pictures from a camera of this machine (USB, or anything else with a V4L2 node).
//!
//! Owns: the life of one opening of a camera, until the error that ends it. Does not own: queues and
//! nodes (see [`crate::v4l2`]), encoding (see [`raw`](super::raw)), when the next life begins
//! (see `supervise`).
//!
//! ```text
//! camera   open, agree on a format and verify it, set controls ─► Camera
//! reel     Camera ─► picture after picture, with its time and what was lost before it
//! format   raw picture or JPEG ─► I420 ─► source::raw ─► encoder ─► Stream
//! coded    H.264 as the camera made it ─────────────────────────► Stream
//! ```
//!
//! Invariants:
//! 1. One call of [`run`] opens the camera once at most and ends by an error that says what to do.
//! 2. A camera is touched by one thread at a time, also over lives: the next one waits for the
//!    thread of the last. A driver that never comes back costs that thread and that camera, and
//!    ends the run, so that it is said.
//! 3. While a camera is away nothing is opened and no life ends: its node is looked for every
//!    [`CAMERA_LOOK_PAUSE`]. That is one `stat` a second; inotify would have to be set up anew on
//!    two levels each time the last camera leaves, since udev removes the whole directory.
//! 4. The format is asked for and verified at each opening. What a camera sends otherwise (a short
//!    JPEG, another size, an error flag) is counted as lost and does not end the run, unless there
//!    is nothing else for [`CAMERA_SILENCE_MAX`](crate::base::limits::CAMERA_SILENCE_MAX).
//! 5. A camera that stands still for that long has its queue rebuilt once before the run ends.

mod camera;
mod coded;
mod error;
mod format;
mod pulse;
mod reel;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tracing::{info, warn};

pub use error::CameraError;
pub use format::Wanted;

use super::raw::{self, Feed, Job, RawError, Tap};
use crate::base::fault::{Class, Fault};
use crate::base::limits::{CAMERA_LOOK_PAUSE, CAMERA_OPEN_TIME_MAX, CAMERA_RELEASE_TIME_MAX};
use crate::base::sync::lock;
use crate::base::time::SharedClock;
use crate::encode::EncoderSettings;
use crate::stream::{Stream, StreamState};
use crate::supervise::TaskContext;
use crate::v4l2::VideoDevice;
use crate::v4l2::node::{self, Role, VideoNode};
use crate::v4l2::setting::Value;
use camera::Camera;
use format::{Converter, Layout};
pub(super) use pulse::Pulse;
use reel::{Reel, Seen};

/// Which camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The only one there is.
    #[default]
    Auto,
    /// The one behind this node, best named by `/dev/v4l/by-path`.
    Node(PathBuf),
}

/// What is asked of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How pictures are coded.
    pub format: Wanted,
    /// Pixels across; `None`: as near to 1280 as the camera has it.
    pub width: Option<u32>,
    /// Pixels down; `None`: as near to 720 as the camera has it.
    pub height: Option<u32>,
    /// Pictures per second; the camera takes what is nearest.
    pub fps: u32,
}

impl Default for Wish {
    fn default() -> Self {
        Self { format: Wanted::Auto, width: None, height: None, fps: 25 }
    }
}

impl Wish {
    fn size(&self) -> (u32, u32) {
        (self.width_or_default(), self.height.unwrap_or(720))
    }

    /// Pixels across that are asked for.
    #[must_use]
    pub fn width_or_default(&self) -> u32 {
        self.width.unwrap_or(1_280)
    }

    /// Pictures per second that are asked for.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a handful of pictures per second
    pub fn fps(&self) -> f32 {
        self.fps as f32
    }
}

/// Which camera, and what is asked of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which camera.
    pub device: Choice,
    /// What is asked of it.
    pub wish: Wish,
    /// Controls that are set at each opening, by key, in this order.
    pub controls: Vec<(String, Value)>,
    /// How raw pictures are encoded; of a camera that encodes, the bit rate.
    pub encode: EncoderSettings,
    memory: Arc<Memory>,
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        (&self.device, &self.wish, &self.controls, &self.encode)
            == (&other.device, &other.wish, &other.controls, &other.encode)
    }
}

/// What outlives an opening; shared by the clones of a [`Config`], which all mean the same camera.
#[derive(Debug)]
struct Memory {
    /// Held by the thread that has the camera.
    seat: Arc<Semaphore>,
    /// The nodes there were when none of them was a camera (a Pi has many that are encoders).
    barren: Mutex<Vec<VideoNode>>,
}

impl Config {
    /// This camera, asked for that.
    #[must_use]
    pub fn new(
        device: Choice,
        wish: Wish,
        controls: Vec<(String, Value)>,
        encode: EncoderSettings,
    ) -> Self {
        let seat = Arc::new(Semaphore::new(1));
        let memory = Memory { seat, barren: Mutex::default() };
        Self { device, wish, controls, encode, memory: Arc::new(memory) }
    }

    /// Whether there is anything new to open. Opens nothing itself.
    fn is_there(&self) -> bool {
        match &self.device {
            Choice::Auto => node::nodes() != *lock(&self.memory.barren),
            Choice::Node(path) => path.exists(),
        }
    }

    /// The node to open. Blocks for as long as drivers do.
    fn node(&self) -> Result<PathBuf, CameraError> {
        if let Choice::Node(path) = &self.device {
            return Ok(path.clone());
        }
        let nodes = node::nodes();
        let cameras: Vec<_> = nodes.iter().filter(|node| is_camera(&node.path)).collect();
        let several = cameras.len() > 1;
        *lock(&self.memory.barren) = if cameras.is_empty() { nodes.clone() } else { Vec::new() };
        match cameras.first() {
            Some(only) if !several => Ok(only.path.clone()),
            Some(_) => Err(CameraError::Several { there: listed(cameras) }),
            None => Err(self.not_there()),
        }
    }

    fn not_there(&self) -> CameraError {
        let device = match &self.device {
            Choice::Auto => "any video node".to_owned(),
            Choice::Node(path) => path.display().to_string(),
        };
        CameraError::NotThere { device, there: listed(&node::nodes()) }
    }
}

/// Blocks for as long as the driver does.
fn is_camera(path: &Path) -> bool {
    node::capability(path).is_ok_and(|who| matches!(who.role(), Role::Camera(_)))
}

fn listed<'a>(nodes: impl IntoIterator<Item = &'a VideoNode>) -> String {
    let paths: Vec<_> = nodes.into_iter().map(|node| node.path.display().to_string()).collect();
    if paths.is_empty() { "none".to_owned() } else { paths.join(", ") }
}

/// A camera, the right to touch it, and who is told whether it gives pictures.
struct Held {
    camera: Camera<VideoDevice>,
    seat: OwnedSemaphorePermit,
    pulse: Arc<Pulse>,
}

/// One life: waits for the camera, opens it, publishes until something ends it, says why.
pub(super) async fn run(
    config: Config,
    tap: Arc<Tap>,
    pulse: Arc<Pulse>,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<CameraError>> {
    let opened = tokio::select! {
        biased;
        () = context.stop.cancelled() => Err(CameraError::Stopped),
        opened = opened(&config, &pulse, &stream, &context) => opened,
    };
    let held = opened.map_err(|error| match error {
        CameraError::Stopped => RawError::Stopped,
        error => RawError::Source(error),
    })?;
    let seat = Arc::clone(&config.memory.seat);
    let life = TaskContext { stop: context.stop.child_token(), ..context };
    let stop = life.stop.clone();
    let run = filmed(held, config.encode, tap, stream, life);
    let ended = match pulse.watch_over(run, stop).await {
        Some(ended) => ended,
        None => Err(RawError::Source(CameraError::Stuck)),
    };
    // Whoever opens the camera next, here or elsewhere, finds it free.
    let _ = timeout(CAMERA_RELEASE_TIME_MAX, seat.acquire()).await;
    ended
}

/// Publishes what a camera gives until something ends it.
async fn filmed(
    held: Held,
    settings: EncoderSettings,
    tap: Arc<Tap>,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<CameraError>> {
    if held.camera.layout == Layout::H264 {
        return coded::run(held, stream, context).await.map_err(RawError::Source);
    }
    let job = Job { settings, fps: held.camera.fps, width: None };
    let clock = Arc::clone(&context.clock);
    raw::run(job, tap, stream, context, move |feed| film(held, feed, clock)).await
}

async fn opened(
    config: &Config,
    pulse: &Arc<Pulse>,
    stream: &Arc<Stream>,
    context: &TaskContext,
) -> Result<Held, CameraError> {
    await_node(config, stream, context).await;
    let seat = Arc::clone(&config.memory.seat).acquire_owned();
    let seat = timeout(CAMERA_RELEASE_TIME_MAX, seat).await.map_err(|_| CameraError::Stuck)?;
    // Nobody closes the semaphore.
    let seat = seat.map_err(|_| CameraError::Stopped)?;
    let (tell, told) = oneshot::channel();
    let (config, pulse, name) = (config.clone(), Arc::clone(pulse), stream.name().to_string());
    let opening = thread::Builder::new().name(format!("opens-{name}"));
    let opening = opening.spawn(move || {
        let held = open(&config, &pulse, &name).map(|camera| Held { camera, seat, pulse });
        // Nobody listens any more when it took too long: the camera is closed again.
        let _ = tell.send(held);
    });
    opening.map_err(CameraError::Thread)?;
    match timeout(CAMERA_OPEN_TIME_MAX, told).await {
        Ok(Ok(held)) => held,
        Ok(Err(_)) => Err(CameraError::Driver { detail: "opening it panicked".to_owned() }),
        Err(_) => Err(CameraError::Stuck),
    }
}

fn open(config: &Config, pulse: &Pulse, stream: &str) -> Result<Camera<VideoDevice>, CameraError> {
    let path = config.node()?;
    pulse.is_behind(&path);
    camera::open(&path, config, stream).inspect_err(|error| {
        // It would come back as it is.
        if matches!(error, CameraError::Busy) || error.class() == Class::Config {
            pulse.is_nowhere();
        }
    })
}

/// Waits until the camera's node is there; says once that it is not.
async fn await_node(config: &Config, stream: &Stream, context: &TaskContext) {
    if config.is_there() {
        return;
    }
    let away = config.not_there();
    warn!(stream = %stream.name(), error = %away, "waiting for the camera");
    stream.set_state(StreamState::Offline { reason: away.to_string() }, context.clock.wall());
    while !config.is_there() {
        context.heartbeat.beat();
        tokio::time::sleep(CAMERA_LOOK_PAUSE).await;
    }
    info!(stream = %stream.name(), "camera is there");
}

/// Takes raw pictures until nobody wants them any more.
fn film(held: Held, feed: &Feed, clock: SharedClock) -> Result<Infallible, CameraError> {
    let Held { camera, seat: _seat, pulse } = held;
    let (width, height) = (camera.format.width, camera.format.height);
    let mut converter = Converter::new(&camera.format);
    let mut reel = Reel::new(camera, clock, Some(pulse));
    while !feed.is_closed() {
        reel.turn(|planes, taken| {
            if !feed.wants() {
                return Ok(Seen::LeftOut);
            }
            let mut picture = feed.canvas(width, height);
            converter.convert(planes, &mut picture)?;
            // The loop sees that it is closed.
            let _ = feed.put(picture, taken);
            Ok(Seen::Taken)
        })?;
    }
    Err(CameraError::Stopped)
}
