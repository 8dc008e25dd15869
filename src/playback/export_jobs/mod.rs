//! Export jobs: ranges of several streams as one signed zip archive in the data directory.
//!
//! Owns: which jobs there are, their files below `exports/`, the room that they may take, and
//! the protection of their footage meanwhile. Does not own: the ring (`dvr`), the archive's
//! bytes (`wire::zip`), the device key (`base::device`).
//!
//! Invariants:
//! 1. A job that was accepted is on the medium before the answer goes out. After any end of the
//!    process it is there again, and an unfinished one restarts.
//! 2. One job runs at a time, on a thread whose reads and writes wait for those of others, with
//!    one fragment in memory.
//! 3. A job's footage is protected, with the owner `export`, from when it is accepted until it
//!    ends.
//! 4. ExportJobs take at most [`EXPORT_JOBS_SHARE_PERCENT_MAX`] of the volume, and leave what the ring has
//!    still to take and [`EXPORT_JOBS_LEFT_BYTES_MIN`] beside: a job that would take more is refused or
//!    ends with the reason, and leaves nothing behind.
//! 5. Nothing is written while the ring is not in its place.
//! 6. Every byte of an archive is a member's, which the signed manifest names with its SHA-256,
//!    or follows from the manifest: one flipped bit anywhere fails the check.
//!
//! [`EXPORT_JOBS_SHARE_PERCENT_MAX`]: crate::base::limits::EXPORT_JOBS_SHARE_PERCENT_MAX
//! [`EXPORT_JOBS_LEFT_BYTES_MIN`]: crate::base::limits::EXPORT_JOBS_LEFT_BYTES_MIN

mod archive;
mod job;
mod manifest;
mod pack;
mod room;
mod store;
pub mod verify;
mod worker;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tracing::info;

pub use job::{ExportJobRequest, JobState, JobView};

use self::job::{Job, Kept};
use self::room::Room;
use self::store::Store;
use crate::base::device::{DeviceKey, PublicKey, hex};
use crate::base::limits::EXPORT_JOBS_MAX;
use crate::base::name::StreamName;
use crate::base::random;
use crate::base::sync::lock;
use crate::base::time::{SharedClock, WallTime};
use crate::dvr::{Disk, Dvr, NewPin, PinError, RealDisk, RingState, Volume};
use crate::supervise::{Supervisor, TaskSpec};

/// Whose protected ranges these are.
const PIN_OWNER: &str = "export";
/// What the reason of such a range begins with; the job's name follows.
const PIN_REASON: &str = "export job ";

/// Why there is no such export.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The request makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// There is nothing to export.
    #[error("nothing of these streams is recorded between these times")]
    Nothing,
    /// Too many are kept.
    #[error(
        "{EXPORT_JOBS_MAX} exports are kept already; delete one with DELETE /api/v1/exports/ID"
    )]
    TooMany,
    /// It would take too much of the volume.
    #[error(
        "the export needs about {wanted_bytes} bytes, and exports may take {bytes} more now; \
         delete an older one with DELETE /api/v1/exports/ID, or export less"
    )]
    NoRoom {
        /// What it needs.
        wanted_bytes: u64,
        /// What there is.
        bytes: u64,
    },
    /// Its footage cannot be protected.
    #[error("the footage of the export cannot be protected: {0}; or export less at once")]
    Pin(#[from] PinError),
    /// No job has this name.
    #[error("no export has this id; GET /api/v1/exports lists them")]
    Unknown,
    /// It has no file yet, or never will.
    #[error("this export is not finished; GET /api/v1/exports/ID shows its progress")]
    NotDone,
    /// Not now.
    #[error("{0}")]
    NotNow(String),
}

/// The export jobs. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct ExportJobs(Arc<JobsState>);

#[derive(Debug)]
struct JobsState {
    dvr: Dvr,
    data_dir: PathBuf,
    /// Where the device key is.
    state_dir: PathBuf,
    store: Store,
    clock: SharedClock,
    /// In the order in which they were made.
    jobs: Mutex<Vec<Job>>,
    /// There once the ring was in its place and the jobs were read.
    key: Mutex<Option<Arc<DeviceKey>>>,
    /// There is something to do.
    wake: Notify,
    /// Held while files or the list change, so that both stay the same.
    turn: tokio::sync::Mutex<()>,
}

impl ExportJobs {
    /// The jobs below `data_dir`, which are carried out by a task of `supervisor`. They are read
    /// when the ring is in its place.
    #[must_use]
    pub fn open(dvr: Dvr, data_dir: PathBuf, state_dir: PathBuf, supervisor: &Supervisor) -> Self {
        let exports = Self(Arc::new(JobsState {
            dvr,
            store: Store::new(data_dir.join("exports")),
            data_dir,
            state_dir,
            clock: Arc::clone(supervisor.clock()),
            jobs: Mutex::default(),
            key: Mutex::default(),
            wake: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }));
        let worked = exports.clone();
        supervisor.keep(TaskSpec::new("exports"), move |context| {
            worker::run(Arc::clone(&worked.0), context)
        });
        exports
    }

    /// The key with which manifests are signed; `None` before the ring was in its place.
    #[must_use]
    pub fn device(&self) -> Option<PublicKey> {
        self.0.key().as_ref().map(|key| key.public())
    }

    /// Every job, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<JobView> {
        self.0.jobs().iter().map(Job::view).collect()
    }

    /// One job.
    pub fn get(&self, id: &str) -> Result<JobView, JobError> {
        self.0.jobs().iter().find(|job| job.kept.id == id).map(Job::view).ok_or(JobError::Unknown)
    }

    /// Accepts a job; returns when it is on the medium and its footage protected. An end that has
    /// not come yet is now.
    pub async fn create(&self, request: ExportJobRequest) -> Result<JobView, JobError> {
        let shared = &self.0;
        let request = request.checked(shared.clock.wall())?;
        shared.is_in_place()?;
        let expected_bytes = shared.estimate(&request)?;
        let _turn = shared.turn.lock().await;
        if shared.jobs().len() >= EXPORT_JOBS_MAX {
            return Err(JobError::TooMany);
        }
        shared.look_for_room(expected_bytes).await?;
        let kept = Kept::new(new_id()?, request, shared.clock.wall(), expected_bytes);
        shared.protect(&kept).await?;
        if let Err(error) = shared.store.keep(kept.clone()).await {
            shared.unprotect(&kept.id).await;
            return Err(JobError::NotNow(error.to_string()));
        }
        let job = Job::new(kept);
        let view = job.view();
        info!(part = "exports", id = view.id, bytes = expected_bytes, "export accepted");
        shared.jobs().push(job);
        shared.wake.notify_one();
        Ok(view)
    }

    /// The archive of a finished job, and its length.
    pub async fn file(&self, id: &str) -> Result<(File, u64), JobError> {
        let bytes = self.get(id)?.bytes.ok_or(JobError::NotDone)?;
        let opened = self.0.store.open(id).await;
        opened.map(|file| (file, bytes)).map_err(|error| JobError::NotNow(error.to_string()))
    }

    /// Ends a job that is not done, and removes what there is of it.
    pub async fn remove(&self, id: &str) -> Result<(), JobError> {
        let shared = &self.0;
        let _turn = shared.turn.lock().await;
        let found = {
            let mut jobs = shared.jobs();
            let at = jobs.iter().position(|job| job.kept.id == id);
            at.map(|at| jobs.remove(at)).ok_or(JobError::Unknown)?
        };
        found.progress.cancel();
        shared.unprotect(id).await;
        info!(part = "exports", id, "export removed");
        let removed = shared.store.remove(id.to_owned()).await;
        removed.map_err(|error| JobError::NotNow(error.to_string()))
    }
}

fn new_id() -> Result<String, JobError> {
    let bytes = random::bytes::<8>();
    bytes.map(|bytes| hex(&bytes)).map_err(|error| JobError::NotNow(error.to_string()))
}

impl JobsState {
    fn jobs(&self) -> MutexGuard<'_, Vec<Job>> {
        lock(&self.jobs)
    }

    fn key(&self) -> MutexGuard<'_, Option<Arc<DeviceKey>>> {
        lock(&self.key)
    }

    /// Whether the ring is in its place and the jobs are known.
    fn is_in_place(&self) -> Result<Arc<DeviceKey>, JobError> {
        if let RingState::Failed { reason } = self.dvr.status().ring {
            return Err(JobError::NotNow(reason));
        }
        let not_yet =
            "The ring is being opened, or the device key is not available; the log has more.";
        self.key().clone().ok_or_else(|| JobError::NotNow(not_yet.to_owned()))
    }

    /// About how many bytes a request amounts to.
    fn estimate(&self, request: &ExportJobRequest) -> Result<u64, JobError> {
        let mut bytes = 0;
        for stream in &request.streams {
            let listing = self.dvr.listing(stream);
            if !listing.complete {
                let reading =
                    "The ring is still being read after a start; /api/v1/storage shows how far.";
                return Err(JobError::NotNow(reading.to_owned()));
            }
            let runs = listing.between(request.start, request.end).runs;
            bytes +=
                runs.iter().map(|run| job::share(run, request.start, request.end)).sum::<u64>();
        }
        if bytes == 0 { Err(JobError::Nothing) } else { Ok(bytes) }
    }

    async fn look_for_room(&self, wanted_bytes: u64) -> Result<(), JobError> {
        let volume = self.volume().await.map_err(|error| JobError::NotNow(error.to_string()))?;
        let bytes = self.room(volume).bytes();
        if wanted_bytes <= bytes { Ok(()) } else { Err(JobError::NoRoom { wanted_bytes, bytes }) }
    }

    async fn volume(&self) -> std::io::Result<Volume> {
        let dir = self.data_dir.clone();
        let asked = tokio::task::spawn_blocking(move || RealDisk.volume(&dir)).await;
        asked.map_err(std::io::Error::other)?
    }

    /// What further exports may take of `volume`.
    fn room(&self, volume: Volume) -> Room {
        let jobs = self.jobs();
        Room {
            volume,
            ring_bytes: self.dvr.status().untaken_bytes,
            held_bytes: jobs.iter().filter_map(|job| job.kept.bytes).sum(),
            promised_bytes: jobs.iter().map(Job::promised_bytes).sum(),
        }
    }

    /// Protects what the job will read. Streams of which nothing is recorded there have nothing
    /// to protect.
    async fn protect(&self, kept: &Kept) -> Result<(), JobError> {
        for stream in &kept.request.streams {
            match self.dvr.pin(pin_of(kept, stream)).await {
                Ok(_) | Err(PinError::Empty { .. }) => {}
                Err(error) => {
                    self.unprotect(&kept.id).await;
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Ends the protection of what job `id` reads. What fails is tried again by the worker.
    async fn unprotect(&self, id: &str) {
        for (pin, of) in self.pins() {
            if of == id {
                let _ = self.dvr.unpin(pin).await;
            }
        }
    }

    /// The protected ranges of exports: their names, and whose they are.
    fn pins(&self) -> Vec<(u64, String)> {
        let pins = self.dvr.pins().into_iter().filter(|pin| pin.owner == PIN_OWNER);
        let ours = pins.filter_map(|pin| {
            let job = pin.reason.strip_prefix(PIN_REASON)?.to_owned();
            Some((u64::from_str_radix(&pin.id, 16).ok()?, job))
        });
        ours.collect()
    }

    fn now(&self) -> WallTime {
        self.clock.wall()
    }
}

fn pin_of(kept: &Kept, stream: &StreamName) -> NewPin {
    NewPin {
        stream: stream.clone(),
        from: kept.request.start,
        until: kept.request.end,
        reason: format!("{PIN_REASON}{}", kept.id),
        owner: PIN_OWNER.to_owned(),
        expires: None,
    }
}
