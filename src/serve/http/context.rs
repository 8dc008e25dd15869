//! What every handler gets: the box's services, and what HTTP keeps of its own between requests.
//!
//! Owns: the state that all listening addresses share, so that limits and figures are the box's,
//! not an address's, and survive a restart of an accept loop.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use super::archive_stats::ArchiveStats;
use super::driver_queue::DriverQueue;
use super::plan_cache::PlanCache;
use super::route_entry::RouteEntry;
use super::trial_places::TrialPlaces;
use crate::base::limits::EVENT_READERS_MAX;
use crate::playback::hls::FragmentCache;
use crate::serve::Services;

/// The services behind HTTP. It is made once, and every HTTP server gets the same one.
#[derive(Debug)]
pub struct HttpContext {
    services: Arc<Services>,
    /// Fragments of the ring that players ask for.
    pub(super) fragments: FragmentCache,
    /// Current readers of recordings, and how downloads ended.
    pub(super) stats: ArchiveStats,
    /// The files of the last downloads.
    pub(super) plans: PlanCache,
    /// Lets one request at a time ask the video drivers.
    pub(super) drivers: DriverQueue,
    /// Cameras that are tried now.
    pub(super) trials: TrialPlaces,
    /// How many more may read the event stream.
    pub(super) event_readers: Arc<Semaphore>,
    /// Who may use which route.
    pub(super) routes: OnceLock<Vec<RouteEntry>>,
}

impl HttpContext {
    /// A context over `services` without connections.
    #[must_use]
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            fragments: FragmentCache::default(),
            stats: ArchiveStats::default(),
            plans: PlanCache::default(),
            drivers: DriverQueue::default(),
            trials: TrialPlaces::default(),
            event_readers: Arc::new(Semaphore::new(EVENT_READERS_MAX)),
            routes: OnceLock::new(),
        }
    }
}

impl Deref for HttpContext {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}
