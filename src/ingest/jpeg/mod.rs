//! JPEG pictures that come over a network become a stream: read, and encoded as those of a local
//! camera are.
//!
//! Owns: the way from a whole JPEG to [`raw`](super::raw), and the pace that is learned before the
//! encoder is opened. Does not own: connections. Their owner puts pictures in and never waits.

mod gauge;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use self::gauge::Gauge;
use super::raw::{self, EncodeJob, EncoderQueue, RawError, RawTee};
use super::run::CaptureStamp;
use crate::base::Stop;
use crate::base::fault::{Class, Fault};
use crate::base::limits::{JPEG_PIXELS_MAX, JPEGS_UNREADABLE_MAX};
use crate::encode::EncoderSettings;
use crate::encode::convert::{JpegReader, jpeg_size};
use crate::stream::Stream;
use crate::supervise::TaskContext;

/// How long one wait for a picture lasts, and so how soon an end is seen.
const WAIT: Duration = Duration::from_millis(250);

/// Why pictures cannot become a stream.
#[derive(Debug, thiserror::Error)]
pub enum JpegError {
    /// They are larger than any that is encoded.
    #[error(
        "The camera's pictures have {width} × {height} pixels, more than can be encoded here. Set it to a smaller picture."
    )]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// None of many could be read.
    #[error("The camera's JPEG pictures cannot be read. Set it to baseline JPEG.")]
    Unreadable,
    /// The connection that brought them is gone.
    #[error("stopped")]
    Stopped,
}

impl Fault for JpegError {
    fn class(&self) -> Class {
        Class::Peer
    }
}

/// A JPEG, and when it was taken.
#[derive(Debug)]
struct JpegFrame {
    jpeg: Bytes,
    taken: CaptureStamp,
}

/// Where the pictures of one connection are read and encoded.
#[derive(Debug)]
pub(super) struct JpegEncoder {
    settings: EncoderSettings,
    stream: Arc<Stream>,
    context: TaskContext,
    gauge: Gauge,
    work: Option<Work>,
}

/// The encoder's run, once the pace is known.
#[derive(Debug)]
struct Work {
    frames: SyncSender<JpegFrame>,
    run: JoinHandle<RawError<JpegError>>,
    stop: Stop,
    /// Pictures skipped for lack of time since the last one put in.
    lost: u16,
}

impl JpegEncoder {
    /// For pictures of `stream`, which are encoded by `settings`.
    pub(super) fn new(
        settings: EncoderSettings,
        stream: Arc<Stream>,
        context: TaskContext,
    ) -> Self {
        Self { settings, stream, context, gauge: Gauge::default(), work: None }
    }

    /// Takes a picture. The first ones tell the pace and are not published.
    pub(super) async fn put(
        &mut self,
        jpeg: Bytes,
        taken: CaptureStamp,
    ) -> Result<(), RawError<JpegError>> {
        let Some(work) = &mut self.work else {
            if let Some(fps) = self.gauge.push(taken.at) {
                self.work = Some(self.begin(fps));
            }
            return Ok(());
        };
        if work.run.is_finished() {
            return Err((&mut work.run).await.unwrap_or(RawError::Ended("takes")));
        }
        let lost_before = taken.lost_before.saturating_add(work.lost);
        let frame = JpegFrame { jpeg, taken: CaptureStamp { lost_before, ..taken } };
        // The one being read and one behind it: the delay cannot grow.
        work.lost = match work.frames.try_send(frame) {
            Ok(()) => 0,
            Err(_) => lost_before.saturating_add(1),
        };
        Ok(())
    }

    fn begin(&self, fps: f32) -> Work {
        let (frames, taken) = sync_channel(1);
        let stop = self.context.stop.child_token();
        let context = TaskContext { stop: stop.clone(), ..self.context.clone() };
        let job = EncodeJob { settings: self.settings.clone(), fps, width: None };
        let stream = Arc::clone(&self.stream);
        let run = tokio::spawn(async move {
            let take = move |feed: &EncoderQueue| read_pictures(&taken, feed);
            let Err(error) = raw::run(job, Arc::<RawTee>::default(), stream, context, take).await;
            error
        });
        Work { frames, run, stop, lost: 0 }
    }

    /// Ends the run; nothing more of it is published.
    pub(super) async fn close(self) {
        let Some(work) = self.work else { return };
        work.stop.cancel();
        drop(work.frames);
        let _ = work.run.await;
    }
}

/// Reads pictures until the queue closes.
fn read_pictures(
    frames: &Receiver<JpegFrame>,
    feed: &EncoderQueue,
) -> Result<Infallible, JpegError> {
    let mut reader = JpegReader::default();
    let (mut lost, mut unreadable) = (0_u16, 0);
    while !feed.is_closed() {
        let JpegFrame { jpeg, taken } = match frames.recv_timeout(WAIT) {
            Ok(frame) => frame,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if !feed.wants() {
            continue;
        }
        let lost_before = taken.lost_before.saturating_add(lost);
        if let Ok((width, height)) = jpeg_size(&jpeg) {
            if u64::from(width) * u64::from(height) > JPEG_PIXELS_MAX {
                return Err(JpegError::TooLarge { width, height });
            }
            let mut picture = feed.canvas(width, height);
            if reader.read(&jpeg, &mut picture).is_ok() {
                // The loop sees that it is closed.
                let _ = feed.put(picture, CaptureStamp { lost_before, ..taken });
                (lost, unreadable) = (0, 0);
                continue;
            }
        }
        lost = lost_before.saturating_add(1);
        unreadable += 1;
        if unreadable == JPEGS_UNREADABLE_MAX {
            return Err(JpegError::Unreadable);
        }
    }
    Err(JpegError::Stopped)
}
