//! What a stream has on the medium, for those who follow it while it is being recorded.
//!
//! Owns: the newest fragments of a stream in memory, without their media, so that a playlist
//! costs no reading; and the reading of a lap, which is leased meanwhile.

use crate::dvr::catalogue::recent::DurableFragment;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::DISK_READ_WAIT_MAX;
use crate::base::time::WallTime;
use crate::dvr::disk::{DiskFile, OpenMode};
use crate::dvr::error::DvrError;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::seal::{FragmentEntry, Identity, SlotHeader};
use crate::dvr::format::slot;
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

    /// Where a fragment stands by what is known of the clock now.
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
        read(&self.shared, move || of.open_now(generation)).await
    }

    pub(crate) fn open_now(&self, generation: u64) -> Result<Option<LapReader>, DvrError> {
        let ring = self.shared.ring().ok_or(DvrError::NoSlot)?;
        let Some((slot, lease)) = self.lease(generation) else { return Ok(None) };
        let file = ring.open_slot(&*self.shared.disk, slot, OpenMode::Read)?;
        let path = ring.slot_path(slot);
        let front = ring.read_front(&*file, slot);
        Ok(match front.map_err(DvrError::disk("read", path.clone()))? {
            SlotFront::Held { header, init, .. } if header.generation == generation => {
                Some(LapReader(Arc::new(OpenLap { file, path, header, init, lease })))
            }
            _ => None,
        })
    }

    fn lease(&self, generation: u64) -> Option<(u32, Lease)> {
        let mut table = self.shared.table();
        let mut held = table.held();
        let (slot, _) =
            held.find(|(_, held)| held.generation == generation && held.stream == self.log.name)?;
        drop(held);
        table.lease(generation);
        Some((slot, Lease { shared: Arc::clone(&self.shared), generation }))
    }
}

/// A lap that is there, and is passed over when a slot is needed as [`LapReader`] is; nothing of it
/// was read.
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
        self.footage.open(self.lease.generation).await
    }
}

/// A lap that is being read. As long as it lives its slot is passed over when one is needed for
/// newer footage, if another of the older half can go. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct LapReader(Arc<OpenLap>);

#[derive(Debug)]
struct OpenLap {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    header: SlotHeader,
    init: Bytes,
    lease: Lease,
}

impl LapReader {
    /// Its `ftyp` and `moov`.
    #[must_use]
    pub fn init(&self) -> &Bytes {
        &self.0.init
    }

    /// Bytes of the slot that it is in.
    #[must_use]
    pub fn slot_bytes(&self) -> u64 {
        self.0.header.slot_bytes
    }

    /// What `look` finds in its slot. Blocks on the disk.
    pub(crate) fn entries(
        &self,
        look: impl FnOnce(&dyn DiskFile, &SlotHeader) -> io::Result<Vec<FragmentEntry>>,
    ) -> Result<Vec<FragmentEntry>, DvrError> {
        let failed = DvrError::disk("read", self.0.path.clone());
        look(&*self.0.file, &self.0.header).map_err(failed)
    }

    /// Reads the fragment that begins at `at`, with its seal, if it ends at `until` or before.
    ///
    /// It was checked against its seal, so what comes is the lap's own, or nothing.
    pub async fn fragment(&self, at: u64, until: u64) -> Result<Option<Vec<u8>>, DvrError> {
        let lap = Arc::clone(&self.0);
        read(&self.0.lease.shared, move || {
            if lap.lease.shared.table().is_removed(lap.header.slot) {
                return Ok(None);
            }
            let found = slot::fragment_at(&*lap.file, &lap.header, at, until);
            found.map_err(DvrError::disk("read", lap.path.clone()))
        })
        .await
    }
}

#[derive(Debug)]
struct Lease {
    shared: Arc<DvrState>,
    generation: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.table().release(self.generation);
    }
}

/// Does `work`, which blocks on the disk, on a thread of its own. A disk that hangs holds up a
/// bounded number of threads, and who waits for one of them is told.
pub(crate) async fn read<T: Send + 'static>(
    shared: &DvrState,
    work: impl FnOnce() -> Result<T, DvrError> + Send + 'static,
) -> Result<T, DvrError> {
    let stalled = || DvrError::Stalled { secs: DISK_READ_WAIT_MAX.as_secs() };
    let turn = Arc::clone(&shared.reads).acquire_owned();
    let turn = tokio::time::timeout(DISK_READ_WAIT_MAX, turn).await;
    let turn = turn.map_err(|_| stalled())?.map_err(|_| stalled())?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    let done = tokio::time::timeout(DISK_READ_WAIT_MAX, done).await;
    done.map_err(|_| stalled())?.map_err(|_| stalled())?
}
