//! The task that carries the jobs out, one after the other.
//!
//! Owns: when jobs are read, begin, end, begin again and expire.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::JobsState;
use super::job::{Job, JobState, Kept, Progress};
use super::pack::{PackError, Packer};
use crate::base::device::{DeviceKey, DeviceKeyError};
use crate::base::fault::{Class, Fault};
use crate::base::limits::{EXPORT_JOB_LOOK_PAUSE, EXPORT_JOB_TIDY_PAUSE, STOP_TIME_MAX};
use crate::dvr::RingState;
use crate::supervise::TaskContext;

/// Why the task ended; it begins again.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkerError {
    /// The jobs cannot be read.
    #[error("exports cannot be read")]
    Read(#[source] io::Error),
    /// There is no device key.
    #[error("no device key")]
    Key(#[from] DeviceKeyError),
    /// No thread could be made.
    #[error("no thread for an export")]
    Thread(#[source] io::Error),
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Fault for WorkerError {
    fn class(&self) -> Class {
        match self {
            Self::Read(_) | Self::Key(_) | Self::Thread(_) => Class::Disk,
            Self::Stopped => Class::Bug,
        }
    }
}

/// One life of the task.
pub(super) async fn run(
    shared: Arc<JobsState>,
    context: TaskContext,
) -> Result<Infallible, WorkerError> {
    loop {
        context.heartbeat.beat();
        if shared.dvr.status().ring == RingState::Ready {
            if shared.key().is_none() {
                shared.read().await?;
            }
            shared.tidy().await;
            while let Some((kept, progress)) = shared.next() {
                shared.carry_out(kept, progress, &context).await?;
            }
        }
        let pause =
            if shared.key().is_none() { EXPORT_JOB_LOOK_PAUSE } else { EXPORT_JOB_TIDY_PAUSE };
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(WorkerError::Stopped),
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl JobsState {
    /// Reads what a former life left, and the device key; makes it at the first start.
    async fn read(&self) -> Result<(), WorkerError> {
        let (data_dir, state_dir) = (self.data_dir.clone(), self.state_dir.clone());
        let found = tokio::task::spawn_blocking(move || {
            DeviceKey::adopt(&data_dir, &state_dir)?;
            DeviceKey::find_or_make(&state_dir)
        });
        let found = found.await;
        let (key, made) = found.map_err(io::Error::other).map_err(WorkerError::Read)??;
        if made {
            info!(part = "exports", sha256 = key.public().fingerprint(), "device key made");
        }
        let kept = self.store.read().await.map_err(WorkerError::Read)?;
        *self.jobs() = kept.into_iter().map(Job::new).collect();
        *self.key() = Some(Arc::new(key));
        Ok(())
    }

    /// Drops what has expired, and protection without a job.
    async fn tidy(&self) {
        let _turn = self.turn.lock().await;
        let (now, trust) = (self.now(), self.clock.quality().trust);
        let expired = |job: &Job| job.kept.has_expired(now, trust);
        let ids: Vec<String> =
            self.jobs().iter().filter(|job| expired(job)).map(|job| job.kept.id.clone()).collect();
        for id in ids {
            match self.store.remove(id.clone()).await {
                Ok(()) => self.jobs().retain(|job| job.kept.id != id),
                Err(error) => warn!(part = "exports", id, %error, "expired export stays"),
            }
        }
        let is_active = |id: &str| {
            let active = [JobState::Queued, JobState::Running];
            self.jobs().iter().any(|job| job.kept.id == id && active.contains(&job.kept.state))
        };
        for (pin, of) in self.pins() {
            if !is_active(&of) {
                // What fails is tried again at the next look.
                let _ = self.dvr.unpin(pin).await;
            }
        }
    }

    /// The job whose turn it is, which runs from now on.
    fn next(&self) -> Option<(Kept, Arc<Progress>)> {
        let mut jobs = self.jobs();
        let job = jobs.iter_mut().find(|job| job.kept.state == JobState::Queued)?;
        // A life before this one may have left it half done.
        job.progress = Arc::default();
        job.kept.state = JobState::Running;
        Some((job.kept.clone(), Arc::clone(&job.progress)))
    }

    async fn carry_out(
        self: &Arc<Self>,
        kept: Kept,
        progress: Arc<Progress>,
        context: &TaskContext,
    ) -> Result<(), WorkerError> {
        let Some(key) = self.key().clone() else { return Ok(()) };
        let (end, mut ended) = oneshot::channel();
        let packer = Packer {
            shared: Arc::clone(self),
            target: self.store.part(&kept.id),
            kept: kept.clone(),
            progress: Arc::clone(&progress),
            key,
        };
        info!(part = "exports", id = kept.id, "export begun");
        let thread = std::thread::Builder::new().name("export".to_owned());
        let spawned = thread.spawn(move || {
            let _ = end.send(packer.run());
        });
        if let Err(error) = spawned {
            self.requeue(&kept.id);
            return Err(WorkerError::Thread(error));
        }
        let done = tokio::select! {
            biased;
            () = context.stop.cancelled() => {
                progress.cancel();
                // It is on the medium as waiting, and begins again with the next life.
                let _ = tokio::time::timeout(STOP_TIME_MAX / 4, &mut ended).await;
                return Err(WorkerError::Stopped);
            }
            done = &mut ended => done,
        };
        // A sender that went without a word: the thread panicked.
        let crashed = || PackError::Write(io::Error::other("the export ended unexpectedly"));
        self.conclude(kept, done.unwrap_or_else(|_| Err(crashed()))).await;
        Ok(())
    }

    fn requeue(&self, id: &str) {
        if let Some(job) = self.jobs().iter_mut().find(|job| job.kept.id == id) {
            job.kept.state = JobState::Queued;
        }
    }

    /// Writes down how a job ended.
    async fn conclude(&self, mut kept: Kept, done: Result<u64, PackError>) {
        let _turn = self.turn.lock().await;
        let is_known = self.jobs().iter().any(|job| job.kept.id == kept.id);
        if !is_known {
            // It was removed; the thread may have made its file anew.
            let _ = self.store.drop_part(kept.id).await;
            return;
        }
        kept.finished = Some(self.now());
        let failure = match done {
            Ok(bytes) => {
                (kept.state, kept.bytes) = (JobState::Done, Some(bytes));
                self.store.finish(kept.clone()).await.err().map(|error| error.to_string())
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = failure {
            error!(part = "exports", id = kept.id, error = reason, "export failed");
            (kept.state, kept.bytes, kept.reason) = (JobState::Failed, None, Some(reason));
            let _ = self.store.drop_part(kept.id.clone()).await;
            if let Err(error) = self.store.keep(kept.clone()).await {
                // The next life tries the job again.
                warn!(part = "exports", id = kept.id, %error, "failed export not noted");
            }
        } else {
            info!(part = "exports", id = kept.id, bytes = kept.bytes, "export done");
        }
        self.unprotect(&kept.id).await;
        if let Some(job) = self.jobs().iter_mut().find(|job| job.kept.id == kept.id) {
            job.kept = kept;
        }
    }
}
