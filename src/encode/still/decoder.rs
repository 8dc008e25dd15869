//! The daemon's side of the decoder children: the request handle, and the task that owns the child.
//!
//! Owns: the child's process, from the first request to its end when it falls idle. A child that
//! ends, or takes too long, costs the picture it was working on and is reported like any other
//! failed part: by `supervise`, which also paces the next start.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::message::{ChildReply, Coded, DecodeOutcome, Form, HEAD_BYTES, KeyFrame};
use super::{CHILD_COMMAND, DecoderJob, H265_FLAG, HevcLibrary};
use crate::base::fault::{Class, Fault};
use crate::base::limits::{
    DECODE_IDLE_TIME_MAX, DECODE_QUEUE_LEN_MAX, DECODE_TIME_MAX, DECODER_IDLE_TIME,
    DECODER_PAUSE_MAX, PICTURE_WAIT_MAX, SPRITE_WAIT_MAX,
};
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// How long a child may take to end when asked; then it is killed.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);
/// Longest text of a child that is repeated.
const WORDS_BYTES_MAX: usize = 512;

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StillError {
    /// The child could not be started.
    #[error("the picture decoder could not be started: {words}")]
    Start {
        /// What the system said.
        words: String,
    },
    /// It took too long and was killed.
    #[error("the picture decoder took longer than {secs} s and was ended")]
    TimedOut {
        /// How long it may take.
        secs: u64,
    },
    /// It ended while it had the picture, or between two.
    #[error("the picture decoder ended: {how}")]
    Ended {
        /// Its exit code or signal.
        how: String,
    },
    /// It made no picture of it.
    #[error("the key frame could not be decoded: {words}")]
    Undecodable {
        /// What it said.
        words: String,
    },
    /// It has no decoder for this codec.
    #[error("{words}")]
    NoDecoder {
        /// Why not, and what would help.
        words: String,
    },
    /// Too many pictures wait already, or this one has waited for too long.
    #[error("the picture decoder is busy")]
    Busy,
    /// The daemon is stopping.
    #[error("stopped")]
    Stopped,
}

impl Fault for StillError {
    fn class(&self) -> Class {
        match self {
            Self::Ended { .. } | Self::TimedOut { .. } | Self::Undecodable { .. } => Class::Peer,
            Self::NoDecoder { .. } => Class::Config,
            Self::Start { .. } | Self::Busy | Self::Stopped => Class::Bug,
        }
    }
}

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Still {
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
    /// What the caller requested: a JPEG, or the pixels of a tile.
    pub bytes: Bytes,
}

#[derive(Debug)]
struct StillRequest {
    frame: KeyFrame,
    form: Form,
    reply: oneshot::Sender<Result<Still, StillError>>,
}

/// The way to a decoder child. Clones lead to the same.
#[derive(Clone, Debug)]
pub struct StillDecoder {
    asks: mpsc::Sender<StillRequest>,
    wait_max: Duration,
}

impl StillDecoder {
    /// Keeps a child for `job` while there are requests: `program`, which must understand
    /// [`CHILD_COMMAND`].
    #[must_use]
    pub fn keep(
        program: PathBuf,
        job: DecoderJob,
        h265: HevcLibrary,
        supervisor: &Supervisor,
    ) -> Self {
        let (asks, asked) = mpsc::channel(DECODE_QUEUE_LEN_MAX);
        let (time_max, wait_max) = match job {
            DecoderJob::Pictures => (DECODE_TIME_MAX, PICTURE_WAIT_MAX),
            DecoderJob::Sprites => (DECODE_IDLE_TIME_MAX, SPRITE_WAIT_MAX),
        };
        let keeper =
            Arc::new(DecoderTask { program, job, h265, time_max, asked: Mutex::new(asked) });
        let spec = TaskSpec::new(format!("decoder/{}", job.as_str()));
        supervisor.keep(spec.paused_at_most(DECODER_PAUSE_MAX), move |context| {
            Arc::clone(&keeper).live(context)
        });
        Self { asks, wait_max }
    }

    /// Makes `form` of a key frame. One of a kind that no decoder here draws is refused at once.
    ///
    /// Cancel safe: work whose caller has gone is not begun.
    pub async fn still(&self, frame: KeyFrame, form: Form) -> Result<Still, StillError> {
        if let Some(words) = frame.undrawable() {
            return Err(StillError::NoDecoder { words: words.to_owned() });
        }
        let (reply, answer) = oneshot::channel();
        self.asks.try_send(StillRequest { frame, form, reply }).map_err(|_| StillError::Busy)?;
        let answer = tokio::time::timeout(self.wait_max, answer).await;
        answer.map_err(|_| StillError::Busy)?.map_err(|_| StillError::Stopped)?
    }
}

/// The task that has the child.
struct DecoderTask {
    program: PathBuf,
    job: DecoderJob,
    h265: HevcLibrary,
    time_max: Duration,
    /// Locked by the one life that runs.
    asked: Mutex<mpsc::Receiver<StillRequest>>,
}

impl DecoderTask {
    async fn live(self: Arc<Self>, context: TaskContext) -> Result<Infallible, StillError> {
        let mut asked = self.asked.lock().await;
        tokio::select! {
            biased;
            () = context.stop.cancelled() => Err(StillError::Stopped),
            ended = self.serve(&mut asked) => ended,
        }
    }

    /// Runs children one after the other, each from a first request until it falls idle.
    async fn serve(
        &self,
        asked: &mut mpsc::Receiver<StillRequest>,
    ) -> Result<Infallible, StillError> {
        loop {
            let Some(first) = asked.recv().await else { return std::future::pending().await };
            if first.reply.is_closed() {
                continue;
            }
            match Worker::start(&self.program, self.job, self.h265) {
                Ok(worker) => self.attend(worker, first, asked).await?,
                Err(error) => {
                    let _ = first.reply.send(Err(error.clone()));
                    return Err(error);
                }
            }
        }
    }

    /// Hands `worker` requests until it falls idle.
    async fn attend(
        &self,
        mut worker: Worker,
        first: StillRequest,
        asked: &mut mpsc::Receiver<StillRequest>,
    ) -> Result<(), StillError> {
        let mut next = Some(first);
        loop {
            let ask = if let Some(ask) = next.take() {
                Some(ask)
            } else {
                tokio::select! {
                    biased;
                    ended = worker.child.wait() => return Err(StillError::ended(ended)),
                    ask = asked.recv() => ask,
                    () = tokio::time::sleep(DECODER_IDLE_TIME) => None,
                }
            };
            let Some(ask) = ask else {
                worker.end().await;
                return Ok(());
            };
            if ask.reply.is_closed() {
                continue;
            }
            let done = self.one(&mut worker, &ask).await;
            let failed = done.as_ref().err().filter(|error| error.costs_the_child()).cloned();
            let _ = ask.reply.send(done);
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    async fn one(&self, worker: &mut Worker, ask: &StillRequest) -> Result<Still, StillError> {
        let secs = self.time_max.as_secs();
        let Some(head) = ask.frame.head(ask.form) else {
            return Err(StillError::Undecodable { words: "it is too long".to_owned() });
        };
        let reply = tokio::time::timeout(self.time_max, worker.converse(&head, &ask.frame)).await;
        let reply = match reply.map_err(|_| StillError::TimedOut { secs })? {
            Ok(reply) => reply,
            // It closed a pipe; how it ended says why.
            Err(error) => return Err(worker.told(&error).await),
        };
        let words = || {
            let words =
                String::from_utf8_lossy(&reply.bytes[..reply.bytes.len().min(WORDS_BYTES_MAX)]);
            words.into_owned()
        };
        match reply.outcome {
            DecodeOutcome::Picture => {
                let (width, height) = reply.size;
                Ok(Still { width, height, bytes: reply.bytes.into() })
            }
            DecodeOutcome::Undecodable => Err(StillError::Undecodable { words: words() }),
            DecodeOutcome::NoDecoder if ask.frame.coded() == Coded::H265 => {
                let words = self.h265.why_not(&words());
                Err(StillError::NoDecoder { words })
            }
            DecodeOutcome::NoDecoder => Err(StillError::NoDecoder { words: words() }),
        }
    }
}

impl StillError {
    fn ended(status: std::io::Result<std::process::ExitStatus>) -> Self {
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Self::Ended { how }
    }

    /// Whether the child is no more, or not to be trusted any more.
    fn costs_the_child(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::TimedOut { .. })
    }
}

/// A running child; it is killed when this is dropped.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Worker {
    fn start(program: &PathBuf, job: DecoderJob, h265: HevcLibrary) -> Result<Self, StillError> {
        let mut command = Command::new(program);
        command.args([CHILD_COMMAND, job.as_str()]);
        if h265 == HevcLibrary::Libde265 {
            command.arg(H265_FLAG);
        }
        let started = command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = started.map_err(|error| StillError::Start { words: error.to_string() })?;
        let taken = "the pipes were asked for when the child was made, and are taken once";
        let input = child.stdin.take().expect(taken);
        let output = child.stdout.take().expect(taken);
        Ok(Self { child, input, output })
    }

    async fn converse(
        &mut self,
        head: &[u8; HEAD_BYTES],
        frame: &KeyFrame,
    ) -> std::io::Result<ChildReply> {
        self.input.write_all(head).await?;
        for piece in frame.pieces() {
            self.input.write_all(piece).await?;
        }
        let mut head = [0; HEAD_BYTES];
        self.output.read_exact(&mut head).await?;
        let mut reply = ChildReply::announced(head)?;
        self.output.read_exact(&mut reply.bytes).await?;
        Ok(reply)
    }

    /// Why it stopped talking.
    async fn told(&mut self, error: &std::io::Error) -> StillError {
        match tokio::time::timeout(FAREWELL_TIME_MAX, self.child.wait()).await {
            Ok(ended) => StillError::ended(ended),
            Err(_) => StillError::Ended { how: error.to_string() },
        }
    }

    /// Lets it end by itself: its input is over.
    async fn end(self) {
        let Self { mut child, input, output } = self;
        drop((input, output));
        let _ = tokio::time::timeout(FAREWELL_TIME_MAX, child.wait()).await;
    }
}
