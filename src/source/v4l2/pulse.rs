//! Whether one camera gives pictures, told to who brings dead ones back.
//!
//! Owns: the pace of telling, once a second, from threads that may block; it outlives the runs.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::time::{BootTime, SharedClock};
use crate::source::revive::Revival;
use crate::supervise::recovery::RecoveryLog;

/// From one word to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// The life of one camera as the first two rungs of the ladder see it.
#[derive(Debug)]
pub(in crate::source) struct Pulse {
    part: String,
    recovery: Option<RecoveryLog>,
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For the node that was opened last.
    revival: Option<Revival>,
    told: BootTime,
}

impl Pulse {
    /// For the source called `part`.
    pub(in crate::source) fn new(
        part: String,
        recovery: Option<RecoveryLog>,
        clock: SharedClock,
    ) -> Self {
        Self { part, recovery, clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The camera is behind `node`. What is known of it stays, unless it is another one.
    pub(super) fn is_behind(&self, node: &Path) {
        let mut state = self.state();
        if state.revival.as_ref().is_none_or(|revival| revival.node() != node) {
            let (recovery, clock) = (self.recovery.clone(), self.clock.clone());
            state.revival = Some(Revival::new(node, &self.part, recovery, clock));
        }
    }

    /// The camera gives pictures.
    pub(super) fn alive(&self) {
        self.tell(Revival::alive);
    }

    /// It gives none, for whatever reason.
    pub(super) fn dead(&self) {
        self.tell(Revival::dead);
    }

    fn tell(&self, word: impl FnOnce(&mut Revival)) {
        let now = self.clock.boot();
        let mut state = self.state();
        if now.since(state.told) < PAUSE {
            return;
        }
        state.told = now;
        if let Some(revival) = &mut state.revival {
            word(revival);
        }
    }
}
