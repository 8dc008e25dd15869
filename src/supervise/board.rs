//! The board on which every task leaves its heartbeat and its last error.
//!
//! Owns: what is known of each task. Read by the watchdog and by the health page; beating does
//! no I/O and takes no lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::time::{BootTime, SharedClock};

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It runs.
    Running,
    /// It failed and waits to be started again.
    Waiting,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) state: TaskState,
    pub(super) vital: Option<Duration>,
    pub(super) beat_nanos: Arc<AtomicU64>,
    pub(super) restarts: u64,
    pub(super) last_error: Option<String>,
}

/// What is known of one task.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TaskReport {
    /// Its name, such as `gate/source`.
    pub name: String,
    /// What it does now.
    pub state: TaskState,
    /// Whether the watchdog depends on it.
    pub vital: bool,
    /// Milliseconds since its last heartbeat.
    pub beat_age_ms: u64,
    /// Whether the heartbeat is younger than its deadline; always true for tasks without one
    /// and for those that wait to be started again, which do not hang.
    pub beating: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it last failed.
    pub last_error: Option<String>,
}

/// The entries of all tasks.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<BTreeMap<String, Entry>>);

impl Board {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn report(&self, now: BootTime) -> Vec<TaskReport> {
        self.lock()
            .iter()
            .map(|(name, entry)| {
                let age = now.since(BootTime::from_nanos(entry.beat_nanos.load(Relaxed)));
                TaskReport {
                    name: name.clone(),
                    state: entry.state,
                    vital: entry.vital.is_some(),
                    beat_age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                    beating: entry.state == TaskState::Waiting
                        || entry.vital.is_none_or(|deadline| age <= deadline),
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
    pub(super) beat_nanos: Arc<AtomicU64>,
    pub(super) clock: SharedClock,
}

impl Heartbeat {
    /// Says "alive".
    pub fn beat(&self) {
        self.beat_nanos.store(self.clock.boot().as_nanos(), Relaxed);
    }
}
