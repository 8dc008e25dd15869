//! H.264 from the standard output of a program: cameras whose only way is their maker's software,
//! such as libcamera's on a Raspberry Pi and NVIDIA's on a Jetson.
//!
//! Owns: the program's whole life. It is named in the configuration file only, as a list of
//! arguments; no shell reads it, and nothing that comes over the network gets there.
//!
//! ```text
//! child ─ standard output ─► wire::annex_b (access units) ─► times ─► source::rtp (run) ─► Stream
//!       └ standard error ──► chatter (a few lines a minute) ─► log
//! ```
//!
//! Invariants:
//! 1. One life is one process and one run. It ends by an error, never silently.
//! 2. The child leads a process group of its own, all of which is killed when the life ends, and
//!    the kernel kills the child when this program dies.
//! 3. A unit's time is that of its arrival, evened out; a run begins with a key frame.
//! 4. A child that says nothing, too much or nonsense is ended and started again, later and later.
//! 5. Pictures out of order (B-frames) are refused: the byte stream does not say when they are
//!    shown.

mod chatter;
mod child;
mod life;
mod times;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::rtp::TimelineEnd;
use crate::base::fault::{Class, Fault, plain};
use crate::base::limits::{
    COMMAND_END_TIME_MAX, PULL_FIRST_FRAME_TIME_MAX, PULL_IDLE_TIME_MAX, SOURCE_BYTES_PER_SEC_MAX,
};
use crate::media::codec::ParamsError;
use crate::stream::Stream;
use crate::supervise::TaskContext;
use life::CommandRun;

/// Which program.
#[derive(Clone)]
pub struct CommandConfig {
    /// The program and its arguments; never empty. They may hold passwords.
    pub command: Vec<String>,
    /// How long the first picture, and every further one, may take; tests make them shorter.
    #[doc(hidden)]
    pub bounds: FrameTimeouts,
    end: Arc<TimelineEnd>,
}

/// How long pictures are waited for.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTimeouts {
    pub first_frame: Duration,
    pub idle: Duration,
}

impl CommandConfig {
    /// Runs `command`, which is not empty.
    #[must_use]
    pub fn new(command: Vec<String>) -> Self {
        let bounds =
            FrameTimeouts { first_frame: PULL_FIRST_FRAME_TIME_MAX, idle: PULL_IDLE_TIME_MAX };
        Self { command, bounds, end: Arc::default() }
    }

    /// Only the program itself, which may be shown.
    fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }
}

impl std::fmt::Debug for CommandConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("program", &self.program()).finish_non_exhaustive()
    }
}

impl PartialEq for CommandConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.command, self.bounds) == (&other.command, other.bounds)
    }
}

impl Eq for CommandConfig {}

/// Why the program gives no pictures.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error(
        "The program {program} could not be started: {}. Check `command` of the stream.",
        plain(source)
    )]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended.
    #[error("The program {program} ended ({how}){words}. It is started again.")]
    Ended {
        /// Its name.
        program: String,
        /// Its exit code or signal.
        how: String,
        /// What it said last, if it said anything.
        words: String,
    },
    /// Its output could not be read.
    #[error(
        "What the program {program} writes cannot be read: {}. It is started again.",
        plain(source)
    )]
    Read {
        /// Its name.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing to begin with came.
    #[error("The program {program} writes no {what} within {} s{words}. Let it write H.264 in Annex B, with a key frame every 2 s.", waited.as_secs())]
    NoFirstFrame {
        /// Its name.
        program: String,
        /// What was missing.
        what: &'static str,
        /// How long was waited.
        waited: Duration,
        /// What it said last, if it said anything.
        words: String,
    },
    /// Pictures came, and then no more.
    #[error("The program {program} has written no picture for {} s{words}. It is started again.", waited.as_secs())]
    Stalled {
        /// Its name.
        program: String,
        /// How long was waited.
        waited: Duration,
        /// What it said last, if it said anything.
        words: String,
    },
    /// It writes more than any camera does.
    #[error("The program {program} writes more than {} MiB/s. Lower its bit rate.", SOURCE_BYTES_PER_SEC_MAX >> 20)]
    Flooded {
        /// Its name.
        program: String,
    },
    /// It sends B-frames.
    #[error(
        "The program {program} writes B-frames. Switch them off (x264: tune zerolatency or bframes 0)."
    )]
    Reordered {
        /// Its name.
        program: String,
    },
    /// Its parameter sets cannot be used.
    #[error(
        "The parameter sets that the program {program} writes cannot be used. Let it write H.264 of the Baseline, Main or High profile."
    )]
    Params {
        /// Its name.
        program: String,
        /// Why.
        source: ParamsError,
    },
    /// No thread could be made for it.
    #[error("The box has no thread left for the program. Restart the box if this repeats.")]
    Thread(#[source] std::io::Error),
    /// The thread that reads it panicked.
    #[error(
        "An error of Holdfast ended the program. It is started again; report this if it repeats."
    )]
    ThreadEnded,
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Fault for CommandError {
    fn class(&self) -> Class {
        match self {
            Self::Start { .. } | Self::Reordered { .. } => Class::Config,
            Self::Thread(_) | Self::ThreadEnded | Self::Stopped => Class::Bug,
            _ => Class::Peer,
        }
    }
}

/// One life: runs the program and publishes what it sends until something ends it.
pub(super) async fn run(
    config: CommandConfig,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, CommandError> {
    let stop = StopOnDrop(Arc::default());
    let (tell, mut told) = oneshot::channel();
    let life = CommandRun::new(config, stream, &context, Arc::clone(&stop.0));
    // The thread that starts the child stays as long as the child does: the kernel takes its end
    // for the parent's death.
    thread::Builder::new()
        .name(format!("command-{}", life.name()))
        .spawn(move || tell.send(life.live()))
        .map_err(CommandError::Thread)?;
    let ended = tokio::select! {
        biased;
        () = context.stop.cancelled() => None,
        ended = &mut told => Some(ended.unwrap_or(CommandError::ThreadEnded)),
    };
    if let Some(error) = ended {
        return Err(error);
    }
    stop.0.store(true, Relaxed);
    let _ = tokio::time::timeout(2 * COMMAND_END_TIME_MAX, told).await;
    Err(CommandError::Stopped)
}

/// Tells the thread to end, also when the life is dropped without being asked.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
