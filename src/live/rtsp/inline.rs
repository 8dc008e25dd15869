//! Readers that are served by the packetizer itself, as soon as a unit is packed.
//!
//! To wake a task for every reader and unit costs as much as half of what the write itself does,
//! and the last of many readers waits for all the others to be scheduled. So a reader that keeps up
//! lends what is needed to send to a [`InlineReader`] while its own task sleeps.
//!
//! Owns: who is enrolled. Does not own: sockets, or what a reader does.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard};

use super::SharedRtpOutput;
use crate::base::sync::lock;
use crate::base::time::{BootTime, SharedClock};

/// InlineReaders served before other tasks of the same thread get a turn.
const TURN_READERS: usize = 64;

/// A reader that is served by the packetizer.
pub trait InlineReader: Send + Sync {
    /// Sends what its reader has and the socket takes, without ever waiting. Called for every
    /// unit, and at the time that the last call returned.
    fn serve(&self, now: BootTime) -> Option<BootTime>;

    /// The packetizer ends: the reader's owner must read for itself again.
    fn wake(&self);
}

/// InlineReaders by number.
#[derive(Default)]
pub(super) struct InlineReaders(Mutex<Registered>);

#[derive(Default)]
struct Registered {
    next: u64,
    readers: BTreeMap<u64, Arc<dyn InlineReader>>,
}

impl std::fmt::Debug for InlineReaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("InlineReaders").field(&self.lock().readers.len()).finish()
    }
}

impl InlineReaders {
    fn lock(&self) -> MutexGuard<'_, Registered> {
        lock(&self.0)
    }

    pub(super) fn register(&self, reader: Arc<dyn InlineReader>) -> u64 {
        let mut registered = self.lock();
        let id = registered.next;
        registered.next += 1;
        registered.readers.insert(id, reader);
        id
    }

    /// Some readers behind number `after`, in order.
    fn some(&self, after: Option<u64>, into: &mut Vec<(u64, Arc<dyn InlineReader>)>) {
        let registered = self.lock();
        let behind = registered.readers.range((after.map_or(Unbounded, Excluded), Unbounded));
        into.extend(behind.take(TURN_READERS).map(|(&id, reader)| (id, Arc::clone(reader))));
    }

    pub(super) fn wake_all(&self) {
        let readers: Vec<_> = self.lock().readers.values().cloned().collect();
        for reader in readers {
            reader.wake();
        }
    }
}

/// A place among the readers; dropping it gives the place up.
#[derive(Debug)]
pub struct Registration {
    pub(super) shared: Arc<SharedRtpOutput>,
    pub(super) id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        // What the reader held is dropped outside the lock: it may hold a reader.
        let reader = self.shared.inline.lock().readers.remove(&self.id);
        drop(reader);
    }
}

/// The rounds that one packetizer makes.
#[derive(Default)]
pub(super) struct DeliveryRounds {
    turn: Vec<(u64, Arc<dyn InlineReader>)>,
    /// InlineReaders that have more to send, later.
    due: Vec<(BootTime, Arc<dyn InlineReader>)>,
}

impl DeliveryRounds {
    /// Serves every reader.
    pub(super) async fn deliver_all(&mut self, readers: &InlineReaders, clock: &SharedClock) {
        self.due.clear();
        let mut after = None;
        loop {
            readers.some(after, &mut self.turn);
            let Some((last, _)) = self.turn.last() else { return };
            after = Some(*last);
            let more = self.turn.len() == TURN_READERS;
            let now = clock.boot();
            for (_, reader) in self.turn.drain(..) {
                if let Some(at) = reader.serve(now) {
                    self.due.push((at, reader));
                }
            }
            if !more {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// When the next reader wants to be served again.
    pub(super) fn next_due(&self) -> Option<BootTime> {
        self.due.iter().map(|(at, _)| *at).min()
    }

    /// Serves the readers whose time has come.
    pub(super) fn deliver_due(&mut self, now: BootTime) {
        self.due.retain_mut(|(at, reader)| {
            if *at > now {
                return true;
            }
            let again = reader.serve(now);
            *at = again.unwrap_or(now);
            again.is_some()
        });
    }
}
