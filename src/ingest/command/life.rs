//! One child from its start to its end: what it writes is read, cut, timed and published.
//!
//! Owns: the thread's loop and its deadlines.

use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::chatter::Chatter;
use super::child::Child;
use super::times::CommandTimes;
use super::{CommandConfig, CommandError};
use crate::base::limits::{SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, MediaTime, SharedClock};
use crate::ingest::rtp::{
    FloodGate, FrameProgress, Now, RtpFrame, RtpStamp, RunBuilder, TrackSpec,
};
use crate::media::codec::VIDEO_CLOCK_RATE;
use crate::media::{CodecParams, Kind};
use crate::stream::Stream;
use crate::supervise::{Heartbeat, TaskContext};
use crate::wire::annex_b::{Splitter, Unit};

/// How long nothing may come before it is looked whether to stop.
const LOOK_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// Bytes read at once: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// One life of the source.
pub(super) struct CommandRun {
    config: CommandConfig,
    stream: Arc<Stream>,
    clock: SharedClock,
    heartbeat: Heartbeat,
    stop: Arc<AtomicBool>,
    chatter: Chatter,
}

/// What happens to the bytes.
struct Pictures {
    splitter: Splitter,
    times: CommandTimes,
    run: RunBuilder,
    gate: FloodGate,
    /// When the unit that is gathered began to arrive.
    begun: BootTime,
    /// When the last picture was published, or the life began.
    newest: BootTime,
    heard: bool,
}

impl CommandRun {
    pub(super) fn new(
        config: CommandConfig,
        stream: Arc<Stream>,
        context: &TaskContext,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            config,
            chatter: Chatter::new(stream.name().clone()),
            stream,
            clock: Arc::clone(&context.clock),
            heartbeat: context.heartbeat.clone(),
            stop,
        }
    }

    pub(super) fn name(&self) -> &StreamName {
        self.stream.name()
    }

    fn program(&self) -> String {
        self.config.program().to_owned()
    }

    /// Runs the child until something ends it.
    pub(super) fn live(mut self) -> CommandError {
        let mut child = match Child::start(&self.config.command) {
            Ok(child) => child,
            Err(source) => return CommandError::Start { program: self.program(), source },
        };
        match self.read(&mut child) {
            Ok(()) => {
                let how = child.how_it_ended();
                let words = self.chatter.last_words(self.clock.boot());
                CommandError::Ended { program: self.program(), how, words }
            }
            Err(error) => {
                child.end();
                error
            }
        }
    }

    /// Reads until the child's output is over.
    fn read(&mut self, child: &mut Child) -> Result<(), CommandError> {
        let mut pictures = Pictures::new(self);
        let mut bytes = vec![0; READ_BYTES];
        let mut errors_open = true;
        while !self.stop.load(Relaxed) {
            let (output, errors) = ready(child, errors_open).map_err(|e| self.unread(e))?;
            if errors {
                let read = child.errors.read(&mut bytes).unwrap_or(0);
                errors_open = read > 0;
                self.chatter.receive(self.clock.boot(), &bytes[..read]);
            }
            if output {
                let read = child.output.read(&mut bytes).map_err(|e| self.unread(e))?;
                if read == 0 {
                    self.hear_out(child, errors_open);
                    return Ok(());
                }
                pictures.receive(self, &bytes[..read])?;
            }
            self.heartbeat.beat();
            pictures.check_overdue(self)?;
        }
        Err(CommandError::Stopped)
    }

    /// Reads what the child said before it closed its output.
    fn hear_out(&mut self, child: &mut Child, errors_open: bool) {
        let mut bytes = vec![0; READ_BYTES];
        if errors_open
            && ready_now(&child.errors)
            && let Ok(read) = child.errors.read(&mut bytes)
        {
            self.chatter.receive(self.clock.boot(), &bytes[..read]);
        }
    }

    fn unread(&self, source: std::io::Error) -> CommandError {
        CommandError::Read { program: self.program(), source }
    }
}

/// Waits until the child has written something: to its output, to its errors.
fn ready(child: &Child, errors_open: bool) -> std::io::Result<(bool, bool)> {
    let mut files =
        [PollFd::new(&child.output, PollFlags::IN), PollFd::new(&child.errors, PollFlags::IN)];
    let watched = if errors_open { 2 } else { 1 };
    match poll(&mut files[..watched], Some(&LOOK_PAUSE)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((!files[0].revents().is_empty(), errors_open && !files[1].revents().is_empty()))
}

fn ready_now(file: &impl AsFd) -> bool {
    let mut files = [PollFd::new(file, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut files, Some(&now)), Ok(1))
}

impl Pictures {
    fn new(life: &CommandRun) -> Self {
        let track = TrackSpec {
            kind: Kind::Video,
            clock_rate: VIDEO_CLOCK_RATE,
            params: None,
            is_jpeg: false,
        };
        let now = life.clock.boot();
        Self {
            splitter: Splitter::default(),
            times: CommandTimes::default(),
            run: RunBuilder::new(Arc::clone(&life.stream), Arc::clone(&life.config.end), &[track]),
            gate: FloodGate::new(SOURCE_BYTES_PER_SEC_MAX, SOURCE_RATE_WINDOW),
            begun: now,
            newest: now,
            heard: false,
        }
    }

    fn receive(&mut self, life: &CommandRun, bytes: &[u8]) -> Result<(), CommandError> {
        let now = Now { boot: life.clock.boot(), wall: life.clock.wall() };
        if !self.gate.pass(now.boot, bytes.len()) {
            return Err(CommandError::Flooded { program: life.program() });
        }
        self.splitter.receive(bytes);
        while let Some(unit) = self.splitter.poll() {
            self.heard = true;
            self.publish(life, unit, now)?;
        }
        Ok(())
    }

    /// Publishes a unit, which began to arrive when the one before it was cut.
    fn publish(&mut self, life: &CommandRun, unit: Unit, now: Now) -> Result<(), CommandError> {
        if unit.is_reordered {
            return Err(CommandError::Reordered { program: life.program() });
        }
        if let Some((sps, pps)) = &unit.sets {
            let unusable = |source| CommandError::Params { program: life.program(), source };
            self.run.reshape(0, CodecParams::from_h264_sets(sps, pps).map_err(unusable)?);
        }
        let arrived = std::mem::replace(&mut self.begun, now.boot);
        let late = i64::try_from(now.boot.since(arrived).as_nanos()).unwrap_or(i64::MAX);
        let now = Now { boot: arrived, wall: now.wall.offset_nanos(-late) };
        let nanos = i64::try_from(self.times.place(arrived).as_nanos()).unwrap_or(i64::MAX);
        let ticks = MediaTime::from_nanos(nanos, VIDEO_CLOCK_RATE).ticks;
        let frame =
            RtpFrame { stamp: RtpStamp { ticks, elapsed: 0 }, loss: unit.lost, data: unit.data };
        if self.run.place(0, frame, now) == FrameProgress::Frame {
            self.newest = life.clock.boot();
        }
        Ok(())
    }

    /// Whether pictures fail to come.
    fn check_overdue(&self, life: &mut CommandRun) -> Result<(), CommandError> {
        let now = life.clock.boot();
        let silent: Duration = now.since(self.newest);
        let bounds = life.config.bounds;
        let program = life.program();
        if self.run.has_begun() && silent > bounds.idle {
            let words = life.chatter.last_words(now);
            return Err(CommandError::Stalled { program, waited: bounds.idle, words });
        }
        if !self.run.has_begun() && silent > bounds.first_frame {
            let what = if self.heard { "key frame" } else { "H.264" };
            let words = life.chatter.last_words(now);
            let waited = bounds.first_frame;
            return Err(CommandError::NoFirstFrame { program, what, waited, words });
        }
        Ok(())
    }
}
