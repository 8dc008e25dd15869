//! Where a sub-stream takes the raw pictures of its main stream.
//!
//! Owns: which stream has such a place. Both ends look it up by the main stream's name, in any
//! order, and either may be restarted alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::encoder_queue::{EncoderQueue, RawFrame};
use crate::base::name::StreamName;
use crate::base::sync::lock;

/// The tees of all streams; clones share them.
#[derive(Clone, Debug, Default)]
pub struct RawTees(Arc<Mutex<BTreeMap<StreamName, Weak<RawTee>>>>);

/// One main stream's pictures on their way to its sub-stream.
#[derive(Debug, Default)]
pub(crate) struct RawTee(Mutex<Option<EncoderQueue>>);

impl RawTees {
    /// The tee of the main stream `name`. It lives as long as it has a user.
    pub(crate) fn of(&self, name: &StreamName) -> Arc<RawTee> {
        let mut tees = lock(&self.0);
        tees.retain(|_, tee| tee.strong_count() > 0);
        if let Some(tee) = tees.get(name).and_then(Weak::upgrade) {
            return tee;
        }
        let tee = Arc::new(RawTee::default());
        tees.insert(name.clone(), Arc::downgrade(&tee));
        tee
    }
}

impl RawTee {
    fn lock(&self) -> MutexGuard<'_, Option<EncoderQueue>> {
        lock(&self.0)
    }

    /// From now on pictures go to `feed`.
    pub(super) fn lead_to(&self, feed: EncoderQueue) {
        *self.lock() = Some(feed);
    }

    /// Hands over a picture that the main stream takes too.
    pub(super) fn give(&self, shot: &Arc<RawFrame>) {
        let mut feed = self.lock();
        if let Some(open) = &*feed
            && open.share(Arc::clone(shot)).is_err()
        {
            *feed = None;
        }
    }
}
