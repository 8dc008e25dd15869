//! From raw pictures to a published stream: what all sources share that encode here.
//!
//! Owns: the way of a picture from its capture to [`Stream::publish`], and what happens to it when
//! there is no time to encode it. Does not own: cameras; a source brings a function that takes
//! pictures and puts them into an [`EncoderQueue`], on a thread of its own.
//!
//! ```text
//! source's thread:  feed.wants()?  make the picture  feed.put() ─┬─► encoder's thread ─► Stream
//!                                                                └─► RawTee ─► sub-stream: the same, smaller
//! ```
//!
//! Invariants:
//! 1. The thread that takes pictures is never made to wait: of two pictures that wait for the
//!    encoder the older one is thrown away and counted as lost. The delay cannot grow.
//! 2. Where that continues, the rate of pictures is lowered in steps, and raised again carefully
//!    (see `pace`); the log, the API and the metrics say so. A picture skipped on purpose is not a
//!    loss.
//! 3. A sub-stream gets what its main stream takes, and may take less of it. It costs the main
//!    stream nothing but processor time.
//! 4. Nothing of a run is published after it ended, unless the encoder hangs for longer than
//!    [`END_TIME_MAX`].

mod encoder;
mod encoder_queue;
mod pace;
mod tee;

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;

pub use tee::RawTees;

pub(crate) use encoder_queue::{Closed, EncoderQueue};
pub(crate) use tee::RawTee;

use crate::base::fault::{Class, Fault};
use crate::encode::{EncodeError, EncoderSettings};
use crate::media::codec::ParamsError;
use crate::stream::Stream;
use crate::supervise::TaskContext;
use encoder::EncoderRun;

/// How long the threads of a run may take to end.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// What is made of raw pictures.
#[derive(Clone, Debug)]
pub(crate) struct EncodeJob {
    /// How they are encoded.
    pub(crate) settings: EncoderSettings,
    /// Pictures per second that the camera brings.
    pub(crate) fps: f32,
    /// Pixels across of what is published; `None`: those of the pictures. Never more than those.
    pub(crate) width: Option<u32>,
}

/// Why a source of raw pictures stopped. `E` is what can go wrong where they are taken.
#[derive(Debug, thiserror::Error)]
pub enum RawError<E> {
    /// No picture could be taken.
    #[error(transparent)]
    Source(E),
    /// The encoder failed.
    #[error(
        "The pictures could not be encoded. Set `encoder` to another one, or the pictures smaller, if this repeats."
    )]
    Encode(#[from] EncodeError),
    /// What the encoder says of itself cannot be read.
    #[error(
        "What the encoder writes cannot be read. Set `encoder` to another one if this repeats."
    )]
    Params(#[from] ParamsError),
    /// No thread could be made.
    #[error("The box has no thread left for these pictures. Restart the box if this repeats.")]
    Thread(#[source] std::io::Error),
    /// A thread ended without a word.
    #[error(
        "An error of Holdfast ended the thread that {0} pictures. It is started again; report this if it repeats."
    )]
    Ended(&'static str),
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
}

impl<E: Fault> Fault for RawError<E> {
    fn class(&self) -> Class {
        match self {
            Self::Source(error) => error.class(),
            _ => Class::Bug,
        }
    }
}

/// One life of a source: `take` puts pictures into the feed, until it fails or the feed is closed;
/// they are encoded, published, and shared through `tee`.
pub(crate) async fn run<E, F>(
    job: EncodeJob,
    tee: Arc<RawTee>,
    stream: Arc<Stream>,
    context: TaskContext,
    take: F,
) -> Result<Infallible, RawError<E>>
where
    E: Fault,
    F: FnOnce(&EncoderQueue) -> Result<Infallible, E> + Send + 'static,
{
    let feed = EncoderQueue::new(job.fps, Arc::clone(&context.clock), Some(tee));
    let mut threads = EncodeThreads::new(&stream);
    threads.encode(job, &feed, &stream, &context)?;
    let shots = feed.clone();
    threads.start("takes", move || {
        let Err(error) = take(&shots);
        RawError::Source(error)
    })?;
    Err(threads.ended(feed, &stream, context).await)
}

/// One life of a sub-stream: what `tee` gives is made smaller, encoded and published.
pub(crate) async fn run_sub<E: Fault>(
    job: EncodeJob,
    tee: Arc<RawTee>,
    stream: Arc<Stream>,
    context: TaskContext,
) -> Result<Infallible, RawError<E>> {
    let feed = EncoderQueue::new(job.fps, Arc::clone(&context.clock), None);
    let mut threads = EncodeThreads::new(&stream);
    threads.encode(job, &feed, &stream, &context)?;
    tee.lead_to(feed.clone());
    Err(threads.ended(feed, &stream, context).await)
}

/// The threads of one life, each of which says why it ended.
struct EncodeThreads<E> {
    name: String,
    tell: Option<mpsc::Sender<RawError<E>>>,
    told: mpsc::Receiver<RawError<E>>,
}

impl<E: Fault> EncodeThreads<E> {
    fn new(stream: &Stream) -> Self {
        let (tell, told) = mpsc::channel(2);
        Self { name: stream.name().to_string(), tell: Some(tell), told }
    }

    fn encode(
        &mut self,
        job: EncodeJob,
        feed: &EncoderQueue,
        stream: &Arc<Stream>,
        context: &TaskContext,
    ) -> Result<(), RawError<E>> {
        let encoder = EncoderRun::new(job, feed.clone(), Arc::clone(stream), context);
        self.start("encodes", move || encoder.run())
    }

    fn start(
        &mut self,
        does: &'static str,
        work: impl FnOnce() -> RawError<E> + Send + 'static,
    ) -> Result<(), RawError<E>> {
        let Some(tell) = self.tell.clone() else { return Err(RawError::Stopped) };
        let work = move || {
            let ended = catch_unwind(AssertUnwindSafe(work));
            // When the run was asked to end, the receiver is gone.
            let _ = tell.blocking_send(ended.unwrap_or(RawError::Ended(does)));
        };
        let thread = thread::Builder::new().name(format!("{does}-{}", self.name));
        thread.spawn(work).map(drop).map_err(RawError::Thread)
    }

    /// Waits for the first to end, or the order to, and sees that the others do.
    async fn ended(
        mut self,
        feed: EncoderQueue,
        stream: &Stream,
        context: TaskContext,
    ) -> RawError<E> {
        self.tell = None;
        let ended = tokio::select! {
            biased;
            () = context.stop.cancelled() => RawError::Stopped,
            ended = self.told.recv() => ended.unwrap_or(RawError::Ended("takes")),
        };
        feed.close();
        let others = async { while self.told.recv().await.is_some() {} };
        let _ = tokio::time::timeout(END_TIME_MAX, others).await;
        stream.set_encoding(None);
        ended
    }
}

#[cfg(test)]
mod tests;
