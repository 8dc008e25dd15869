//! What a stream has on the medium, for readers that follow it while it is being recorded.
//!
//! Owns: the newest fragments of a stream in memory, without their media, so that a playlist
//! costs no reading; and which of its laps can be read.

use std::sync::Arc;

use crate::base::time::WallTime;
use crate::dvr::catalogue::recent::DurableFragment;
use crate::dvr::error::DvrError;
use crate::dvr::format::seal::Identity;
use crate::dvr::read::lap_reader::{LapReader, Lease, blocking_read};
use crate::dvr::store::state::{DvrState, StreamLog};

/// The recorded footage of one stream. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Footage {
    pub(crate) shared: Arc<DvrState>,
    pub(crate) log: Arc<StreamLog>,
}

impl Footage {
    pub(crate) fn new(shared: Arc<DvrState>, log: Arc<StreamLog>) -> Self {
        Self { shared, log }
    }

    /// The newest fragments behind a position, oldest first; those of [`RECENT_SPAN_MAX`] at
    /// most. Touches no disk.
    #[must_use]
    pub fn after(&self, position: (u64, u64)) -> Vec<DurableFragment> {
        self.log.recent().after(position)
    }

    /// Whether what comes now is lost: the disk fails, or takes nothing.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.log.is_failing(&self.shared.ring_state(), self.shared.clock.boot())
    }

    /// Date of a fragment by what is known of the clock now.
    #[must_use]
    pub fn date(&self, stored: &DurableFragment) -> WallTime {
        let entry = &stored.entry;
        self.shared.facts().clock.place(stored.boot, entry.boot_time, entry.wall)
    }

    /// Whether a lap of this number was ever begun in the ring.
    #[must_use]
    pub fn was_begun(&self, generation: u64) -> bool {
        generation > 0 && generation <= self.shared.table().next_generation
    }

    /// Takes hold of a lap of the stream. `None` when the ring does not hold that lap of this
    /// stream: it went to newer footage, or there never was one. Touches no disk.
    pub fn hold(&self, generation: u64) -> Result<Option<LapLease>, DvrError> {
        let ring = self.shared.ring().ok_or(DvrError::NoSlot)?.identity;
        let lease = self.lease(generation);
        Ok(lease.map(|(_, lease)| LapLease { footage: self.clone(), ring, lease }))
    }

    /// Opens a lap of the stream for reading. `None` when the ring does not hold that lap of
    /// this stream.
    pub async fn open(&self, generation: u64) -> Result<Option<LapReader>, DvrError> {
        let of = self.clone();
        blocking_read(&self.shared, move || of.open_now(generation)).await
    }

    pub(crate) fn open_now(&self, generation: u64) -> Result<Option<LapReader>, DvrError> {
        let ring = self.shared.ring().ok_or(DvrError::NoSlot)?;
        let Some((slot, lease)) = self.lease(generation) else { return Ok(None) };
        LapReader::open(&ring, slot, lease)
    }

    fn lease(&self, generation: u64) -> Option<(u32, Lease)> {
        Lease::of_stream(&self.shared, generation, &self.log.name)
    }
}

/// A lap that exists, and is spared when a slot is needed as [`LapReader`] is; nothing of it was
/// read.
#[derive(Debug)]
pub struct LapLease {
    footage: Footage,
    ring: Identity,
    lease: Lease,
}

impl LapLease {
    /// The ring that holds it: together with the lap's number this names its bytes for ever.
    #[must_use]
    pub fn ring(&self) -> Identity {
        self.ring
    }

    /// Opens it for reading. `None` when it has gone meanwhile.
    pub async fn open(&self) -> Result<Option<LapReader>, DvrError> {
        self.footage.open(self.lease.generation()).await
    }
}
