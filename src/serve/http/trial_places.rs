//! How many cameras are tried at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::limits::TRIALS_MAX;

/// The places.
#[derive(Debug)]
pub(super) struct TrialPlaces(Arc<Semaphore>);

impl Default for TrialPlaces {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TRIALS_MAX)))
    }
}

impl TrialPlaces {
    /// A place, if there is one; it is free again when it is dropped.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}
