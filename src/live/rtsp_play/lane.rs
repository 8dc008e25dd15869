//! Readers that are served by the packer itself, as soon as a unit is packed.
//!
//! To wake a task for every reader and unit costs as much as half of what the write itself does,
//! and the last of many readers waits for all the others to be scheduled. So a reader that keeps up
//! lends what is needed to send to a [`Lane`] while its own task sleeps.
//!
//! Owns: who is enrolled. Does not own: sockets, or what a lane does.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use crate::base::time::{BootTime, SharedClock};

/// Lanes served before other tasks of the same thread get a turn.
const TURN_LANES: usize = 64;

/// A reader that is served by the packer.
pub trait Lane: Send + Sync {
    /// Sends what its reader has and the socket takes, without ever waiting. Called for every
    /// unit, and at the time that the last call returned.
    fn serve(&self, now: BootTime) -> Option<BootTime>;

    /// The packer ends: whoever owns the lane has to look for himself.
    fn wake(&self);
}

/// Lanes by number.
#[derive(Default)]
pub(super) struct Lanes(Mutex<Enrolments>);

#[derive(Default)]
struct Enrolments {
    next: u64,
    lanes: BTreeMap<u64, Arc<dyn Lane>>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lanes").field(&self.lock().lanes.len()).finish()
    }
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Enrolments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enrol(&self, lane: Arc<dyn Lane>) -> u64 {
        let mut enrolments = self.lock();
        let id = enrolments.next;
        enrolments.next += 1;
        enrolments.lanes.insert(id, lane);
        id
    }

    /// Some lanes behind number `after`, in order.
    fn some(&self, after: Option<u64>, into: &mut Vec<(u64, Arc<dyn Lane>)>) {
        let enrolments = self.lock();
        let behind = enrolments.lanes.range((after.map_or(Unbounded, Excluded), Unbounded));
        into.extend(behind.take(TURN_LANES).map(|(&id, lane)| (id, Arc::clone(lane))));
    }

    pub(super) fn wake_all(&self) {
        let lanes: Vec<_> = self.lock().lanes.values().cloned().collect();
        for lane in lanes {
            lane.wake();
        }
    }
}

/// A place among the lanes; dropping it gives the place up.
#[derive(Debug)]
pub struct Enrolled {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        // What the lane held is dropped outside the lock: it may hold a reader.
        let lane = self.shared.lanes.lock().lanes.remove(&self.id);
        drop(lane);
    }
}

/// The rounds that one packer makes.
#[derive(Default)]
pub(super) struct Rounds {
    turn: Vec<(u64, Arc<dyn Lane>)>,
    /// Lanes that have more to send, later.
    due: Vec<(BootTime, Arc<dyn Lane>)>,
}

impl Rounds {
    /// Serves every lane.
    pub(super) async fn all(&mut self, lanes: &Lanes, clock: &SharedClock) {
        self.due.clear();
        let mut after = None;
        loop {
            lanes.some(after, &mut self.turn);
            let Some((last, _)) = self.turn.last() else { return };
            after = Some(*last);
            let more = self.turn.len() == TURN_LANES;
            let now = clock.boot();
            for (_, lane) in self.turn.drain(..) {
                if let Some(at) = lane.serve(now) {
                    self.due.push((at, lane));
                }
            }
            if !more {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// When the next lane wants to be served again.
    pub(super) fn next(&self) -> Option<BootTime> {
        self.due.iter().map(|(at, _)| *at).min()
    }

    /// Serves the lanes whose time has come.
    pub(super) fn due(&mut self, now: BootTime) {
        self.due.retain_mut(|(at, lane)| {
            if *at > now {
                return true;
            }
            let again = lane.serve(now);
            *at = again.unwrap_or(now);
            again.is_some()
        });
    }
}
