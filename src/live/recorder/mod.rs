//! Records one stream into the ring.
//!
//! Owns: where fragments end (`fragmenter`), the way from the bus to the DVR's queue, the last
//! known tracks of an absent stream (`recall`), and the reason for a gap within a run (`silence`).
//! Does not own: the disk. The recorder has the deepest allowance on the bus; what it loses all the
//! same is counted, logged, and marked in the seal.

mod fragmenter;
mod recall;
mod silence;
#[cfg(test)]
mod tests;
mod verdict;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use self::fragmenter::{CutFragment, Fragmenter};
use self::silence::Silence;
use self::verdict::RecordingHealth;
use crate::base::fault::{Class, Fault};
use crate::base::limits::{FRAGMENT_AGE_MAX, HEARTBEAT_AGE_MAX};
use crate::base::meter::{Meter, Totals};
use crate::base::time::{BootTime, SharedClock};
use crate::dvr::{Cause, Durable, Dvr, Footage, RecordingState, Retention, StreamStatus, Writer};
use crate::media::AccessUnit;
use crate::stream::{Allowance, Next, Stream, StreamState, Subscriber};
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// How much later than the last unit that the recorder took one must arrive to wake it: short against
/// the age at which a fragment is made durable. The units themselves wake it, no timer does.
const REST: Duration = Duration::from_millis(100);

/// The recorder of one stream.
#[derive(Debug)]
pub struct Recorder {
    stream: Arc<Stream>,
    writer: Arc<Writer>,
    meter: Arc<Meter>,
    sight: Arc<RecordingHealth>,
    clock: SharedClock,
}

/// Why a recorder's life ended.
#[derive(Debug, thiserror::Error)]
enum RecorderError {
    /// The stream itself is gone; its recorder goes with it when the plan says so.
    #[error("the stream ended")]
    Ended,
}

impl Fault for RecorderError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

impl Recorder {
    /// Records `stream` into `dvr` until `supervisor` stops.
    #[must_use]
    pub fn keep(
        stream: Arc<Stream>,
        dvr: &Dvr,
        supervisor: &Supervisor,
        config: Retention,
    ) -> Self {
        let writer = Arc::new(dvr.writer(stream.name(), config));
        let meter = Arc::new(Meter::default());
        let spec = TaskSpec::vital(format!("{}/recorder", stream.name()), HEARTBEAT_AGE_MAX);
        let (kept, counted) = (Arc::clone(&writer), Arc::clone(&meter));
        let (sight, clock) = (Arc::<RecordingHealth>::default(), Arc::clone(supervisor.clock()));
        let (recorded, seen) = (Arc::clone(&stream), Arc::clone(&sight));
        supervisor.spawn("recall", recall::recall(Arc::clone(&stream), dvr.clone()));
        let mut lives = 0u64;
        supervisor.keep(spec, move |context| {
            if lives > 0 {
                counted.restarted();
            }
            lives += 1;
            let (stream, writer) = (Arc::clone(&stream), Arc::clone(&kept));
            let sight = Arc::clone(&seen);
            let life = RecorderRun::new(stream, writer, Arc::clone(&counted), sight, lives > 1);
            life.run(context)
        });
        Self { stream: recorded, writer, meter, sight, clock }
    }

    /// How the recording goes.
    #[must_use]
    pub fn status(&self) -> StreamStatus {
        self.sight.judge(self.writer.status(), &self.stream, self.clock.boot())
    }

    /// The same without counting its bytes, for frequent callers; they are reported as 0.
    #[must_use]
    pub fn standing(&self) -> StreamStatus {
        self.sight.judge(self.writer.standing(), &self.stream, self.clock.boot())
    }

    /// What of it is on the medium.
    #[must_use]
    pub fn footage(&self) -> Footage {
        self.writer.footage()
    }

    /// What was recorded, handed over to the disk's queue, and what was lost on the way.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.meter.totals()
    }

    /// How far the stream is durable, as it grows.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<Option<Durable>> {
        self.writer.durable()
    }
}

/// One life of the recorder's task.
struct RecorderRun {
    stream: Arc<Stream>,
    writer: Arc<Writer>,
    meter: Arc<Meter>,
    cutter: Fragmenter,
    /// When the fragment in the making is ended at the latest.
    due: Option<Instant>,
    /// Units that arrived up to here were handed over by a recorder before this life.
    taken_until: BootTime,
    /// Whether the last fragment was refused: logged once per stretch.
    refusing: bool,
    sight: Arc<RecordingHealth>,
    /// It was informed that the stream is not recorded.
    told_idle: bool,
    silence: Silence,
}

/// What the bus brought.
enum RecorderInput {
    Unit(Arc<AccessUnit>),
    Lagged(u64),
    Ended,
    /// The source tells how it does.
    State(StreamState),
    /// The fragment in the making is as old as it may become.
    Due,
}

impl RecorderRun {
    fn new(
        stream: Arc<Stream>,
        writer: Arc<Writer>,
        meter: Arc<Meter>,
        sight: Arc<RecordingHealth>,
        after: bool,
    ) -> Self {
        let mut cutter = Fragmenter::default();
        if after {
            // The life before took units with it.
            let _ = cutter.lose();
        }
        let taken_until = writer.taken_until();
        Self {
            stream,
            writer,
            meter,
            cutter,
            due: None,
            taken_until,
            refusing: false,
            sight,
            told_idle: false,
            silence: Silence::default(),
        }
    }

    async fn run(mut self, context: TaskContext) -> Result<Infallible, RecorderError> {
        let mut units = self.stream.bus().subscribe(Allowance::Window);
        let mut state = self.stream.watch_state();
        state.mark_changed();
        loop {
            context.heartbeat.beat();
            // Nothing is in the making after a long silence: the unit that ends it is taken at once.
            let rest = if self.cutter.is_empty() { Duration::ZERO } else { REST };
            let due = self.due.unwrap_or_else(|| Instant::now() + FRAGMENT_AGE_MAX);
            tokio::select! {
                biased;
                () = context.stop.cancelled() => {
                    self.drain(&mut units);
                    // The supervisor asked for the end and does not start another life.
                    self.apply(RecorderInput::Ended)?;
                }
                Ok(()) = state.changed() => {
                    let (state, _) = state.borrow_and_update().clone();
                    self.sight.live((state == StreamState::Live).then(|| context.clock.boot()));
                    self.apply(RecorderInput::State(state))?;
                }
                // Whichever comes first: there is something to do.
                _ = tokio::time::timeout_at(due, units.rested(rest)) => {}
            }
            while let Some(next) = units.try_next() {
                self.apply(next.into())?;
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.apply(RecorderInput::Due)?;
            }
            self.tell_standing(context.clock.boot());
        }
    }

    /// Says once that nothing reaches the medium, and that it does again.
    fn tell_standing(&mut self, now: BootTime) {
        self.sight.keyless(self.cutter.waits_for_key());
        let status = self.sight.judge(self.writer.standing(), &self.stream, now);
        let (stream, reason) = (self.stream.name(), status.reason.unwrap_or_default());
        match status.state {
            RecordingState::Failed if !self.told_idle => {
                error!(stream = %stream, error = reason, "not recording");
                self.told_idle = true;
            }
            RecordingState::Recording if self.told_idle => {
                info!(stream = %stream, "recording again");
                self.told_idle = false;
            }
            _ => {}
        }
    }

    /// At the end: what is on the bus already is recorded, then the last fragment is closed.
    fn drain(&mut self, units: &mut Subscriber<AccessUnit>) {
        while let Some(Next::Item(unit)) = units.try_next() {
            self.take(unit);
        }
        let last = self.cutter.flush(None);
        self.store(last);
    }

    fn apply(&mut self, input: RecorderInput) -> Result<(), RecorderError> {
        match input {
            RecorderInput::Unit(unit) => self.take(unit),
            RecorderInput::Lagged(units) => {
                self.meter.lost(units);
                warn!(stream = %self.stream.name(), lag_units = units,
                    "recorder lagged, footage is lost");
                self.writer.begin_trouble(Cause::RecorderLagged, "");
                self.writer.end_trouble(Cause::RecorderLagged);
                self.due = None;
                let cut = self.cutter.lose();
                self.store(cut);
            }
            RecorderInput::State(
                StreamState::Offline { reason } | StreamState::Waiting { reason },
            ) => {
                self.writer.begin_trouble(Cause::CameraUnreachable, &reason);
            }
            RecorderInput::State(StreamState::Live) => {
                self.writer.end_trouble(Cause::CameraUnreachable);
            }
            RecorderInput::State(StreamState::Starting) => {}
            RecorderInput::Due => {
                self.due = None;
                let cut = self.cutter.flush(None);
                self.store(cut);
            }
            RecorderInput::Ended => {
                let cut = self.cutter.flush(None);
                self.store(cut);
                return Err(RecorderError::Ended);
            }
        }
        Ok(())
    }

    fn take(&mut self, unit: Arc<AccessUnit>) {
        if unit.arrived <= self.taken_until {
            return;
        }
        if let Some((from, text)) = self.silence.ended(&unit, self.stream.picture_interval()) {
            self.writer.note_trouble(Cause::CameraUnreachable, &text, from, unit.arrived);
        }
        self.meter.unit(unit.data.len());
        self.cutter.set_bytes_max(self.writer.fragment_bytes_max());
        let tracks = self.stream.tracks_now();
        let cut = self.cutter.push(unit, tracks.as_deref());
        if cut.is_some() {
            self.due = None;
        }
        self.store(cut);
        if !self.cutter.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + FRAGMENT_AGE_MAX - REST);
        }
    }

    fn store(&mut self, cut: Option<CutFragment>) {
        let Some(CutFragment { init, fragment, run_start, loss_before }) = cut else { return };
        let stored = self.writer.append(&init, fragment, run_start, loss_before);
        let refused = stored.is_err();
        if let Err(refused) = stored {
            self.meter.lost(refused.units);
            if !self.refusing {
                warn!(stream = %self.stream.name(), lost = refused.units,
                    "the disk does not keep up, footage is lost");
                // The disk's own state ends it.
                self.writer.begin_trouble(Cause::DiskStalled, "");
            }
        }
        self.refusing = refused;
    }
}

impl From<Next<AccessUnit>> for RecorderInput {
    fn from(next: Next<AccessUnit>) -> Self {
        match next {
            Next::Item(unit) => Self::Unit(unit),
            Next::Lagged(units) => Self::Lagged(units),
            Next::Ended => Self::Ended,
        }
    }
}
