//! Where a sub-stream takes the raw pictures of its main stream.
//!
//! Owns: which stream has such a place. Both ends look it up by the main stream's name, in any
//! order, and either may be started anew alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::feed::{Feed, Shot};
use crate::base::name::StreamName;
use crate::base::sync::lock;

/// The taps of all streams; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Taps(Arc<Mutex<BTreeMap<StreamName, Weak<Tap>>>>);

/// One main stream's pictures on their way to its sub-stream.
#[derive(Debug, Default)]
pub(crate) struct Tap(Mutex<Option<Feed>>);

impl Taps {
    /// The tap of the main stream `name`. It lasts as long as somebody has it.
    pub(crate) fn of(&self, name: &StreamName) -> Arc<Tap> {
        let mut taps = lock(&self.0);
        taps.retain(|_, tap| tap.strong_count() > 0);
        if let Some(tap) = taps.get(name).and_then(Weak::upgrade) {
            return tap;
        }
        let tap = Arc::new(Tap::default());
        taps.insert(name.clone(), Arc::downgrade(&tap));
        tap
    }
}

impl Tap {
    fn lock(&self) -> MutexGuard<'_, Option<Feed>> {
        lock(&self.0)
    }

    /// From now on pictures go to `feed`.
    pub(super) fn lead_to(&self, feed: Feed) {
        *self.lock() = Some(feed);
    }

    /// Hands over a picture that the main stream takes too.
    pub(super) fn give(&self, shot: &Arc<Shot>) {
        let mut feed = self.lock();
        if let Some(open) = &*feed
            && open.share(Arc::clone(shot)).is_err()
        {
            *feed = None;
        }
    }
}
