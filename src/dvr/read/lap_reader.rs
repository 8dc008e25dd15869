//! One lap of the ring, opened for reading under a lease.
//!
//! Owns: the lease, which ends with its last reader, and the check that the slot still holds that
//! lap. As long as a lap is leased its slot is skipped when one is needed for newer footage, if
//! another of the older half can go. Every way of reading footage while the daemon runs comes
//! through here.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::DISK_READ_WAIT_MAX;
use crate::base::name::StreamName;
use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::disk::{DiskFile, OpenMode};
use crate::dvr::error::DvrError;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::seal::{FragmentEntry, SEAL_BYTES, Seal, SlotHeader};
use crate::dvr::format::slot;
use crate::dvr::store::ring::Ring;
use crate::dvr::store::state::DvrState;

/// A lease on a lap; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<DvrState>,
    generation: u64,
}

impl Lease {
    /// Leases lap `generation`, whether the ring holds it or not.
    pub(crate) fn new(shared: &Arc<DvrState>, generation: u64) -> Self {
        shared.table().lease(generation);
        Self { shared: Arc::clone(shared), generation }
    }

    /// Leases lap `generation` of `stream` and returns its slot with the lease. `None` when the ring does
    /// not hold that lap of this stream.
    pub(crate) fn of_stream(
        shared: &Arc<DvrState>,
        generation: u64,
        stream: &StreamName,
    ) -> Option<(u32, Self)> {
        let mut table = shared.table();
        let is_it = |lap: &LapInfo| lap.generation == generation && lap.stream == *stream;
        let slot = table.held().find(|(_, lap)| is_it(lap)).map(|(slot, _)| slot)?;
        table.lease(generation);
        drop(table);
        Some((slot, Self { shared: Arc::clone(shared), generation }))
    }

    /// Which lap.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.table().release(self.generation);
    }
}

/// A lap that is being read, and leased meanwhile. Clones are handles to the same.
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
    /// Opens the leased lap, which `ring` holds in `slot`. `None` when the slot went to newer footage.
    /// Blocks on the disk.
    pub(crate) fn open(ring: &Ring, slot: u32, lease: Lease) -> Result<Option<Self>, DvrError> {
        let file = ring.open_slot(&*lease.shared.disk, slot, OpenMode::Read)?;
        let path = ring.slot_path(slot);
        let front = ring.read_front(&*file, slot);
        Ok(match front.map_err(DvrError::disk("read", path.clone()))? {
            SlotFront::Held { header, init, .. } if header.generation == lease.generation => {
                Some(Self(Arc::new(OpenLap { file, path, header, init, lease })))
            }
            _ => None,
        })
    }

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

    pub(crate) fn generation(&self) -> u64 {
        self.0.lease.generation
    }

    pub(crate) fn header(&self) -> &SlotHeader {
        &self.0.header
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.0.file
    }

    /// What `look` finds in its slot. Blocks on the disk.
    pub(crate) fn entries(
        &self,
        look: impl FnOnce(&dyn DiskFile, &SlotHeader) -> io::Result<Vec<FragmentEntry>>,
    ) -> Result<Vec<FragmentEntry>, DvrError> {
        let failed = DvrError::disk("read", self.0.path.clone());
        look(&*self.0.file, &self.0.header).map_err(failed)
    }

    /// Whether a reader can begin at `fragment`, which came with its seal.
    #[must_use]
    pub fn begins(fragment: &[u8]) -> bool {
        let seal = fragment.len().checked_sub(SEAL_BYTES).and_then(|at| fragment.get(at..));
        seal.and_then(Seal::peek).is_some_and(|seal| seal.entry.starts_with_key)
    }

    /// Reads the fragment that begins at `at`, with its seal, if it ends at `until` or before.
    ///
    /// It was checked against its seal, so what comes is the lap's own, or nothing.
    pub async fn fragment(&self, at: u64, until: u64) -> Result<Option<Vec<u8>>, DvrError> {
        let lap = Arc::clone(&self.0);
        blocking_read(&self.0.lease.shared, move || {
            if lap.lease.shared.table().is_removed(lap.header.slot) {
                return Ok(None);
            }
            let found = slot::fragment_at(&*lap.file, &lap.header, at, until);
            found.map_err(DvrError::disk("read", lap.path.clone()))
        })
        .await
    }
}

/// Does `work`, which blocks on the disk, on a thread of its own. A disk that hangs blocks a
/// bounded number of threads, and a caller that waits for one of them in vain gets an error.
pub(crate) async fn blocking_read<T: Send + 'static>(
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
