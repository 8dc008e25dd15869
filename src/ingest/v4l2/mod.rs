//! Takes pictures from a camera of this machine (USB, or anything else with a V4L2 node).
//!
//! Owns: the life of one opening of a camera, until the error that ends it. Does not own: queues and
//! nodes (see [`crate::v4l2`]), encoding (see [`raw`](super::raw)), when the next life begins
//! (see `supervise`).
//!
//! ```text
//! camera   open, agree on a format and verify it, set controls ─► Camera
//! capture     Camera ─► picture after picture, with its time and what was lost before it
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
//! 5. A camera that stalls for that long has its queue rebuilt once before the run ends.

mod camera;
mod camera_watchdog;
mod capture;
mod coded;
mod error;
mod format;
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
pub use format::FormatChoice;

use super::raw::{self, EncodeJob, EncoderQueue, RawError, RawTee};
use crate::base::fault::{Class, Fault};
use crate::base::limits::{CAMERA_LOOK_PAUSE, CAMERA_OPEN_TIME_MAX, CAMERA_RELEASE_TIME_MAX};
use crate::base::sync::lock;
use crate::base::time::SharedClock;
use crate::encode::EncoderSettings;
use crate::stream::{Stream, StreamState};
use crate::supervise::TaskContext;
use crate::v4l2::VideoDevice;
use crate::v4l2::node::{self, NodeRole, VideoNode};
use crate::v4l2::setting::Value;
use camera::OpenCamera;
pub(super) use camera_watchdog::CameraWatchdog;
use capture::{Capture, FrameFate};
use format::{BufferLayout, Converter};

/// Which camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CameraChoice {
    /// The only one there is.
    #[default]
    Auto,
    /// The one behind this node, best named by `/dev/v4l/by-path`.
    Node(PathBuf),
}

/// The settings requested of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureWish {
    /// How pictures are coded.
    pub format: FormatChoice,
    /// Pixels across; `None`: as near to 1280 as the camera has it.
    pub width: Option<u32>,
    /// Pixels down; `None`: as near to 720 as the camera has it.
    pub height: Option<u32>,
    /// Pictures per second; the camera takes what is nearest.
    pub fps: u32,
}

impl Default for CaptureWish {
    fn default() -> Self {
        Self { format: FormatChoice::Auto, width: None, height: None, fps: 25 }
    }
}

impl CaptureWish {
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

/// Which camera, and its settings.
#[derive(Clone, Debug)]
pub struct V4l2Config {
    /// Which camera.
    pub device: CameraChoice,
    /// Its settings.
    pub wish: CaptureWish,
    /// Controls that are set at each opening, by key, in this order.
    pub controls: Vec<(String, Value)>,
    /// How raw pictures are encoded; of a camera that encodes, the bit rate.
    pub encode: EncoderSettings,
    memory: Arc<CameraMemory>,
}

impl PartialEq for V4l2Config {
    fn eq(&self, other: &Self) -> bool {
        (&self.device, &self.wish, &self.controls, &self.encode)
            == (&other.device, &other.wish, &other.controls, &other.encode)
    }
}

/// What outlives an opening; shared by the clones of a [`V4l2Config`], which all mean the same camera.
#[derive(Debug)]
struct CameraMemory {
    /// Held by the thread that has the camera.
    seat: Arc<Semaphore>,
    /// The nodes there were when none of them was a camera (a Pi has many that are encoders).
    barren: Mutex<Vec<VideoNode>>,
}

impl V4l2Config {
    /// This camera, asked for that.
    #[must_use]
    pub fn new(
        device: CameraChoice,
        wish: CaptureWish,
        controls: Vec<(String, Value)>,
        encode: EncoderSettings,
    ) -> Self {
        let seat = Arc::new(Semaphore::new(1));
        let memory = CameraMemory { seat, barren: Mutex::default() };
        Self { device, wish, controls, encode, memory: Arc::new(memory) }
    }

    /// Whether there is anything new to open. Opens nothing itself.
    fn is_there(&self) -> bool {
        match &self.device {
            CameraChoice::Auto => node::nodes() != *lock(&self.memory.barren),
            CameraChoice::Node(path) => path.exists(),
        }
    }

    /// The node to open. Blocks for as long as drivers do.
    fn node(&self) -> Result<PathBuf, CameraError> {
        if let CameraChoice::Node(path) = &self.device {
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
            CameraChoice::Auto => "any video node".to_owned(),
            CameraChoice::Node(path) => path.display().to_string(),
        };
        CameraError::NotThere { device, there: listed(&node::nodes()) }
    }
}

/// Blocks for as long as the driver does.
fn is_camera(path: &Path) -> bool {
    node::capability(path).is_ok_and(|who| matches!(who.role(), NodeRole::Camera(_)))
}

fn listed<'a>(nodes: impl IntoIterator<Item = &'a VideoNode>) -> String {
    let paths: Vec<_> = nodes.into_iter().map(|node| node.path.display().to_string()).collect();
    if paths.is_empty() { "none".to_owned() } else { paths.join(", ") }
}

/// A camera, the right to touch it, and the watchdog that learns whether it gives pictures.
struct CameraInUse {
    camera: OpenCamera<VideoDevice>,
    seat: OwnedSemaphorePermit,
    watchdog: Arc<CameraWatchdog>,
}

/// One life: waits for the camera, opens it, publishes until something ends it, says why.
pub(super) async fn run(
    config: V4l2Config,
    tee: Arc<RawTee>,
    watchdog: Arc<CameraWatchdog>,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<CameraError>> {
    let opened = tokio::select! {
        biased;
        () = context.stop.cancelled() => Err(CameraError::Stopped),
        opened = opened(&config, &watchdog, &stream, &context) => opened,
    };
    let held = opened.map_err(|error| match error {
        CameraError::Stopped => RawError::Stopped,
        error => RawError::Source(error),
    })?;
    let seat = Arc::clone(&config.memory.seat);
    let life = TaskContext { stop: context.stop.child_token(), ..context };
    let stop = life.stop.clone();
    let run = filmed(held, config.encode, tee, stream, life);
    let ended = match watchdog.watch_over(run, stop).await {
        Some(ended) => ended,
        None => Err(RawError::Source(CameraError::Stuck)),
    };
    // The next user of the camera, here or elsewhere, finds it free.
    let _ = timeout(CAMERA_RELEASE_TIME_MAX, seat.acquire()).await;
    ended
}

/// Publishes what a camera gives until something ends it.
async fn filmed(
    held: CameraInUse,
    settings: EncoderSettings,
    tee: Arc<RawTee>,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<CameraError>> {
    if held.camera.layout == BufferLayout::H264 {
        return coded::run(held, stream, context).await.map_err(RawError::Source);
    }
    let job = EncodeJob { settings, fps: held.camera.fps, width: None };
    let clock = Arc::clone(&context.clock);
    raw::run(job, tee, stream, context, move |feed| film(held, feed, clock)).await
}

async fn opened(
    config: &V4l2Config,
    watchdog: &Arc<CameraWatchdog>,
    stream: &Arc<Stream>,
    context: &TaskContext,
) -> Result<CameraInUse, CameraError> {
    await_node(config, stream, context).await;
    let seat = Arc::clone(&config.memory.seat).acquire_owned();
    let seat = timeout(CAMERA_RELEASE_TIME_MAX, seat).await.map_err(|_| CameraError::Stuck)?;
    // The semaphore is never closed.
    let seat = seat.map_err(|_| CameraError::Stopped)?;
    let (tell, told) = oneshot::channel();
    let (config, watchdog, name) =
        (config.clone(), Arc::clone(watchdog), stream.name().to_string());
    let opening = thread::Builder::new().name(format!("opens-{name}"));
    let opening = opening.spawn(move || {
        let held =
            open(&config, &watchdog, &name).map(|camera| CameraInUse { camera, seat, watchdog });
        // The receiver is gone if it took too long: the camera is closed again.
        let _ = tell.send(held);
    });
    opening.map_err(CameraError::Thread)?;
    match timeout(CAMERA_OPEN_TIME_MAX, told).await {
        Ok(Ok(held)) => held,
        Ok(Err(_)) => Err(CameraError::Driver { detail: "opening it panicked".to_owned() }),
        Err(_) => Err(CameraError::Stuck),
    }
}

fn open(
    config: &V4l2Config,
    watchdog: &CameraWatchdog,
    stream: &str,
) -> Result<OpenCamera<VideoDevice>, CameraError> {
    let path = config.node()?;
    watchdog.is_behind(&path);
    camera::open(&path, config, stream).inspect_err(|error| {
        // It would come back unchanged.
        if matches!(error, CameraError::Busy) || error.class() == Class::Config {
            watchdog.is_nowhere();
        }
    })
}

/// Waits until the camera's node is there; says once that it is not.
async fn await_node(config: &V4l2Config, stream: &Stream, context: &TaskContext) {
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

/// Takes raw pictures until the queue closes.
fn film(
    held: CameraInUse,
    feed: &EncoderQueue,
    clock: SharedClock,
) -> Result<Infallible, CameraError> {
    let CameraInUse { camera, seat: _seat, watchdog } = held;
    let (width, height) = (camera.format.width, camera.format.height);
    let mut converter = Converter::new(&camera.format);
    let mut capture = Capture::new(camera, clock, Some(watchdog));
    while !feed.is_closed() {
        capture.turn(|planes, taken| {
            if !feed.wants() {
                return Ok(FrameFate::LeftOut);
            }
            let mut picture = feed.canvas(width, height);
            converter.convert(planes, &mut picture)?;
            // The loop sees that it is closed.
            let _ = feed.put(picture, taken);
            Ok(FrameFate::Taken)
        })?;
    }
    Err(CameraError::Stopped)
}
