//! Failed logins on disk, so that a restart does not forgive guessing.
//!
//! Owns: one small file, written as a whole when something changed and put in place at once.
//! Losing the last seconds of it forgives a few guesses; a damaged one counts as none.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use crate::base::fault::{Class, Fault};
use crate::base::file;
use crate::base::limits::{
    AUTH_FAILURES_BYTES_MAX, AUTH_FAILURES_PAUSE, AUTH_FAILURES_READ_TIME_MAX,
};
use crate::base::time::Clock;
use crate::supervise::{Supervisor, TaskContext, TaskSpec};
use crate::wire::rtsp::auth::{Authorizer, SavedFailures};

/// The file's name.
const NAME: &str = "wrong-passwords.json";

/// Why failed logins are not kept.
#[derive(Debug, thiserror::Error)]
pub enum FailedLoginsError {
    /// It could not be written; it is tried again.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The task was stopped.
    #[error("stopped")]
    Stopped,
}

impl Fault for FailedLoginsError {
    fn class(&self) -> Class {
        match self {
            Self::Write { .. } => Class::Disk,
            Self::Stopped => Class::Bug,
        }
    }
}

/// Reads what was kept in `data_dir` before a restart. A disk that hangs delays nothing.
pub async fn read_failed_logins(authorizer: &Authorizer, data_dir: &Path, clock: &dyn Clock) {
    let path = data_dir.join(NAME);
    let task = tokio::task::spawn_blocking(move || read(&path));
    match tokio::time::timeout(AUTH_FAILURES_READ_TIME_MAX, task).await {
        Ok(Ok(Ok(Some(ledger)))) => {
            authorizer.failures().restore(clock.boot(), clock.wall(), &ledger);
        }
        Ok(Ok(Ok(None))) => {}
        Ok(Ok(Err(error))) => warn!(part = "rtsp", %error, "failed logins not read, none count"),
        Ok(Err(_)) | Err(_) => warn!(part = "rtsp", "failed logins not read in time, none count"),
    }
}

fn read(path: &Path) -> io::Result<Option<SavedFailures>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(AUTH_FAILURES_BYTES_MAX).read_to_string(&mut text)?;
    serde_json::from_str(&text).map(Some).map_err(io::Error::other)
}

/// Keeps the failed logins of `authorizer` in `data_dir`, as the task `rtsp/ledger`.
pub fn keep_failed_logins(authorizer: &Arc<Authorizer>, data_dir: &Path, supervisor: &Supervisor) {
    let (authorizer, path) = (Arc::clone(authorizer), data_dir.join(NAME));
    supervisor.keep(TaskSpec::new("rtsp/ledger"), move |context| {
        run(Arc::clone(&authorizer), path.clone(), context)
    });
}

/// One life of the task. A ledger that could not be written is written by the next.
async fn run(
    authorizer: Arc<Authorizer>,
    path: PathBuf,
    context: TaskContext,
) -> Result<Infallible, FailedLoginsError> {
    let mut written = 0;
    let mut told = authorizer.failures().counts();
    loop {
        let stopped = tokio::select! {
            biased;
            () = context.stop.cancelled() => true,
            () = tokio::time::sleep(AUTH_FAILURES_PAUSE) => false,
        };
        let (ledger, changes, counts, last) = {
            let failures = authorizer.failures();
            let ledger = failures.saved(context.clock.boot(), context.clock.wall());
            (ledger, failures.changes(), failures.counts(), failures.last())
        };
        if let (true, Some(peer)) = (counts != told, last) {
            let (wrong, refused) = (counts.0 - told.0, counts.1 - told.1);
            warn!(part = "rtsp", %peer, wrong, refused, "wrong passwords");
            told = counts;
        }
        if changes != written {
            write(&path, &ledger).await?;
            written = changes;
        }
        if stopped {
            return Err(FailedLoginsError::Stopped);
        }
    }
}

async fn write(path: &Path, ledger: &SavedFailures) -> Result<(), FailedLoginsError> {
    let failed = |source| FailedLoginsError::Write { path: path.to_owned(), source };
    let text = serde_json::to_vec(ledger).map_err(|error| failed(error.into()))?;
    let target = path.to_owned();
    let written = tokio::task::spawn_blocking(move || file::replace(&target, &text)).await;
    written.map_err(io::Error::other).and_then(|done| done).map_err(failed)
}
