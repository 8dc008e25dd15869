//! The board on which every task leaves its heartbeat and its last error.
//!
//! Owns: what is known of each task, and when one counts as hanging. Read by the watchdog and by
//! the health page; beating does no I/O and takes no lock.
//!
//! Who hangs, by this policy:
//!
//! | part | hangs when |
//! |---|---|
//! | recorders, RTSP and HTTP doors | it does not beat for its deadline, 10 s |
//! | every kept task, sources among them | it does not come back from one turn for 10 s: it spins, or waits for a lock |
//! | the storage thread | it does not beat for 30 s outside of calls to the disk |
//! | a camera that is silent, a disk that stalls | never: neither is mended by a new daemon |

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::limits::HEARTBEAT_AGE_MAX;
use crate::base::sync::lock;
use crate::base::time::{BootTime, SharedClock};

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It runs.
    Running,
    /// It failed and waits to be started again.
    Waiting,
}

/// What a task shows of itself, in nanoseconds since boot.
#[derive(Debug, Default)]
pub(super) struct TaskPulse {
    beat_nanos: AtomicU64,
    /// When the current turn of the task began; 0 between turns.
    turn_nanos: AtomicU64,
    /// It waits for a device, which is not its own fault.
    in_device: AtomicBool,
    /// How long the life did its work, one more than the nanoseconds; 0: it does not say.
    worked_nanos: AtomicU64,
}

impl TaskPulse {
    fn hangs(&self, now: BootTime, deadline: Option<Duration>) -> bool {
        let turn = self.turn_nanos.load(Relaxed);
        let turns = turn > 0 && now.since(BootTime::from_nanos(turn)) > HEARTBEAT_AGE_MAX;
        let late = deadline.is_some_and(|deadline| self.age(now) > deadline);
        turns || late && !self.in_device.load(Relaxed)
    }

    fn age(&self, now: BootTime) -> Duration {
        now.since(BootTime::from_nanos(self.beat_nanos.load(Relaxed)))
    }
}

#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) state: TaskState,
    pub(super) vital: Option<Duration>,
    pub(super) pulse: Arc<TaskPulse>,
    pub(super) restarts: u64,
    pub(super) last_error: Option<String>,
}

/// What is known of one task.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct TaskReport {
    /// Its name, such as `gate/source`.
    pub name: String,
    /// What it does now.
    pub state: TaskState,
    /// Whether the watchdog depends on it.
    pub vital: bool,
    /// Milliseconds since its last heartbeat.
    pub beat_age_ms: u64,
    /// Whether it does not hang, see above; always true for those that wait to be started again.
    pub beating: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it last failed.
    pub last_error: Option<String>,
}

/// The entries of all tasks.
#[derive(Debug, Default)]
pub(super) struct TaskBoard(Mutex<BTreeMap<String, TaskEntry>>);

impl TaskBoard {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TaskEntry>> {
        lock(&self.0)
    }

    pub(super) fn report(&self, now: BootTime) -> Vec<TaskReport> {
        self.lock()
            .iter()
            .map(|(name, entry)| {
                let age = entry.pulse.age(now);
                TaskReport {
                    name: name.clone(),
                    state: entry.state,
                    vital: entry.vital.is_some(),
                    beat_age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                    beating: entry.state == TaskState::Waiting
                        || !entry.pulse.hangs(now, entry.vital),
                    restarts: entry.restarts,
                    last_error: entry.last_error.clone(),
                }
            })
            .collect()
    }
}

/// A task's own handle to say that it is alive. Cheap enough for every unit.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub(super) pulse: Arc<TaskPulse>,
    pub(super) clock: SharedClock,
}

thread_local! {
    /// Whose thread this is, for calls to devices far below.
    static OWN: RefCell<Option<Heartbeat>> = const { RefCell::new(None) };
}

impl Heartbeat {
    pub(super) fn new(clock: &SharedClock) -> Self {
        let heartbeat = Self { pulse: Arc::default(), clock: Arc::clone(clock) };
        heartbeat.beat();
        heartbeat
    }

    /// Says "alive".
    pub fn beat(&self) {
        self.pulse.beat_nanos.store(self.clock.boot().as_nanos(), Relaxed);
    }

    /// Says for how long this life did its work, where that is less than it lasted: a camera's
    /// counts from its first picture. Pauses before the next life follow from it.
    pub fn worked(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.pulse.worked_nanos.store(nanos.saturating_add(1), Relaxed);
    }

    /// Takes what [`worked`](Self::worked) reported since the last call.
    pub(super) fn take_worked(&self) -> Option<Duration> {
        let told = self.pulse.worked_nanos.swap(0, Relaxed);
        told.checked_sub(1).map(Duration::from_nanos)
    }

    /// From now on calls to devices that this thread makes excuse it, see [`in_device`].
    pub fn adopt_thread(&self) {
        OWN.set(Some(self.clone()));
    }

    /// Runs one turn of a task, which is to come back soon.
    pub(super) fn turn<T>(&self, turn: impl FnOnce() -> T) -> T {
        self.pulse.turn_nanos.store(self.clock.boot().as_nanos(), Relaxed);
        let _over = Over(&self.pulse.turn_nanos);
        turn()
    }
}

/// Ends a turn, also when it panics.
struct Over<'a>(&'a AtomicU64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(0, Relaxed);
    }
}

/// A call to a device that may take as long as the device likes.
#[derive(Debug)]
pub struct DeviceCall(Heartbeat);

impl Drop for DeviceCall {
    fn drop(&mut self) {
        self.0.beat();
        self.0.pulse.in_device.store(false, Relaxed);
    }
}

/// Excuses the thread that calls a device, for as long as the returned guard lives; does nothing on
/// an unwatched thread. Not for nested calls.
#[must_use]
pub fn in_device() -> Option<DeviceCall> {
    let heartbeat = OWN.with_borrow(Clone::clone)?;
    heartbeat.pulse.in_device.store(true, Relaxed);
    Some(DeviceCall(heartbeat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::HandClock;

    fn heartbeat() -> (Arc<HandClock>, Heartbeat) {
        let hand = Arc::new(HandClock::at(BootTime::from_millis(1_000)));
        let clock: SharedClock = Arc::clone(&hand) as _;
        (hand, Heartbeat::new(&clock))
    }

    const DEADLINE: Option<Duration> = Some(Duration::from_secs(30));

    fn hangs(heartbeat: &Heartbeat, deadline: Option<Duration>) -> bool {
        heartbeat.pulse.hangs(heartbeat.clock.boot(), deadline)
    }

    #[test]
    fn a_disk_that_stalls_is_excused_and_a_thread_that_hangs_is_not() {
        let (hand, heartbeat) = heartbeat();
        heartbeat.adopt_thread();
        let call = in_device();
        hand.pass(Duration::from_secs(600));
        assert!(!hangs(&heartbeat, DEADLINE), "the disk has all the time it needs");
        drop(call);
        assert!(!hangs(&heartbeat, DEADLINE), "coming back is a beat");
        hand.pass(Duration::from_secs(29));
        assert!(!hangs(&heartbeat, DEADLINE));
        hand.pass(Duration::from_secs(2));
        assert!(hangs(&heartbeat, DEADLINE));
        heartbeat.beat();
        assert!(!hangs(&heartbeat, DEADLINE));
    }

    #[test]
    fn a_turn_without_end_hangs_also_where_no_beat_is_due() {
        let (hand, heartbeat) = heartbeat();
        heartbeat.turn(|| {
            hand.pass(Duration::from_secs(10));
            assert!(!hangs(&heartbeat, None));
            hand.pass(Duration::from_secs(1));
            assert!(hangs(&heartbeat, None));
        });
        hand.pass(Duration::from_secs(88));
        assert!(!hangs(&heartbeat, None), "waiting is no hanging");
    }
}
