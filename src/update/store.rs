//! The daemon's side: the upload and the state of its update.
//!
//! Owns: the uploaded file, its id, and that only one update is processed at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::exchange::{BUNDLE, REPORT_PATH, REQUEST_PATH, Report, UpdateRequest, UpdateStep};
use super::rauc::Rauc;
use super::state::{Running, Update, UpdateState};
use crate::base::limits::{UPDATE_ANSWER_TIME_MAX, UPDATE_BYTES_MAX, UPDATE_FREE_BYTES_MIN};
use crate::base::random;

/// Why an update is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// This box is not updated by RAUC.
    #[error(
        "this system is not updated by images; update the package `holdfast` with its package manager"
    )]
    Unsupported,
    /// This system runs no image.
    #[error(
        "this system runs no image of Holdfast; stop it and delete its configuration and its data directory instead"
    )]
    NoReset,
    /// Another update is being processed.
    #[error("another update is being uploaded, inspected or installed; wait for its end")]
    Busy,
    /// Nothing was uploaded, or it was refused.
    #[error("no update is ready to be installed; upload one first")]
    NotReady,
    /// This image is on trial.
    #[error(
        "this version was started for the first time; try again when it was found well, within five minutes"
    )]
    OnTrial,
    /// It is larger than an update may be.
    #[error("an update has {max_bytes} bytes at most")]
    TooLarge {
        /// The bound.
        max_bytes: u64,
    },
    /// There is not enough room for it.
    #[error("the data partition has no room for it; put it on a USB stick labelled CONFIG instead")]
    NoRoom,
    /// The disk, or the helper's directory, cannot be written.
    #[error("the update cannot be written")]
    Io(#[from] io::Error),
}

/// The update of this box.
#[derive(Debug)]
pub struct Updates {
    root: PathBuf,
    data_dir: PathBuf,
    rauc: Rauc,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// Id of the upload that is being processed.
    id: Option<String>,
    /// Bytes received, and bytes expected.
    uploading: Option<(u64, Option<u64>)>,
    /// The last request to the helper, and when it was made.
    asked: Option<(UpdateStep, Instant)>,
}

impl Updates {
    /// The updates of the system below `root`. An upload of an earlier run of the daemon is kept
    /// if the helper's report names it, and removed otherwise.
    #[must_use]
    pub fn open(root: &Path, data_dir: &Path) -> Self {
        let rauc = Rauc::below(root);
        let report = Report::read(&below(root, REPORT_PATH));
        let bundle = data_dir.join(BUNDLE);
        let known = report.filter(|_| bundle.exists());
        if known.is_none()
            && let Some(dir) = bundle.parent()
        {
            let _ = fs::remove_dir_all(dir);
        }
        let now = Now { id: known.map(|report| report.id), ..Now::default() };
        Self { root: root.to_owned(), data_dir: data_dir.to_owned(), rauc, now: Mutex::new(now) }
    }

    /// The running image; `None` on a system that is not updated by images.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        let value = |file: &str, key: &str| {
            let text = fs::read_to_string(self.root.join(file)).ok()?;
            text.lines().find_map(|line| Some(line.strip_prefix(key)?.to_owned()))
        };
        Some(Running {
            version: value("usr/lib/holdfast/image", "VERSION=")?,
            slot: value("run/holdfast-image/boot", "SLOT=")?,
            on_trial: self.is_on_trial(),
        })
    }

    fn is_on_trial(&self) -> bool {
        self.root.join("run/holdfast-on-trial").exists()
    }

    /// Whether this box is updated by images.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn supported(&self) -> Result<(), UpdateError> {
        if self.rauc.is_here() { Ok(()) } else { Err(UpdateError::Unsupported) }
    }

    /// How far the update is.
    #[must_use]
    pub fn update(&self) -> Update {
        self.told(&self.lock())
    }

    fn told(&self, now: &Now) -> Update {
        if let Some((here, length)) = now.uploading {
            let percent = length.map(|length| here.saturating_mul(100) / length.max(1));
            let percent = percent.and_then(|percent| u8::try_from(percent).ok());
            return Update { state: UpdateState::Uploading, percent, ..Update::default() };
        }
        let Some(id) = &now.id else { return Update::default() };
        let report = Report::read(&below(&self.root, REPORT_PATH)).filter(|it| it.id == *id);
        // The helper's report may still be of the step before.
        let stale = |state| {
            state == UpdateState::Ready && matches!(now.asked, Some((UpdateStep::Install, _)))
        };
        match report.filter(|report| !stale(report.state)) {
            Some(Report { state, version, percent, message, .. }) => {
                Update { state, version, percent, message }
            }
            None => awaited(now),
        }
    }

    /// Begins an upload of `length` bytes, where that is known.
    ///
    /// # Errors
    ///
    /// The disk is too full, or another update is being processed.
    pub fn begin(self: &Arc<Self>, length: Option<u64>) -> Result<Upload, UpdateError> {
        self.supported()?;
        let mut now = self.lock();
        if self.is_on_trial() {
            return Err(UpdateError::OnTrial);
        }
        if is_busy(self.told(&now).state) {
            return Err(UpdateError::Busy);
        }
        let max_bytes = UPDATE_BYTES_MAX;
        if length.is_some_and(|bytes| bytes > max_bytes) {
            return Err(UpdateError::TooLarge { max_bytes });
        }
        let path = self.data_dir.join(BUNDLE);
        let dir = path.parent().unwrap_or(&self.data_dir);
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir)?;
        let room = free_bytes(dir)?.saturating_sub(UPDATE_FREE_BYTES_MIN);
        if length.unwrap_or(0) > room {
            return Err(UpdateError::NoRoom);
        }
        let draft = path.with_added_extension("part");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let id = u64::from_be_bytes(random::bytes()?);
        *now = Now { uploading: Some((0, length)), ..Now::default() };
        drop(now);
        let most = length.unwrap_or(room.min(max_bytes));
        Ok(Upload {
            updates: Arc::clone(self),
            file,
            draft,
            id: format!("{id:016x}"),
            here: 0,
            most,
        })
    }

    /// Requests the installation of the update that is ready.
    ///
    /// # Errors
    ///
    /// No update is ready.
    pub fn install(&self) -> Result<(), UpdateError> {
        self.supported()?;
        let mut now = self.lock();
        let state = self.told(&now).state;
        if is_busy(state) {
            return Err(UpdateError::Busy);
        }
        let id = now.id.clone().filter(|_| state == UpdateState::Ready);
        self.ask(&mut now, UpdateStep::Install, id.ok_or(UpdateError::NotReady)?)
    }

    /// Removes the uploaded update.
    ///
    /// # Errors
    ///
    /// It is being processed.
    pub fn discard(&self) -> Result<(), UpdateError> {
        self.supported()?;
        let mut now = self.lock();
        if is_busy(self.told(&now).state) {
            return Err(UpdateError::Busy);
        }
        *now = Now::default();
        if let Some(dir) = self.data_dir.join(BUNDLE).parent() {
            let _ = fs::remove_dir_all(dir);
        }
        Ok(())
    }

    fn ask(&self, now: &mut Now, step: UpdateStep, id: String) -> Result<(), UpdateError> {
        UpdateRequest { step, id: id.clone() }.send(&below(&self.root, REQUEST_PATH))?;
        *now = Now { id: Some(id), uploading: None, asked: Some((step, Instant::now())) };
        Ok(())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn is_busy(&self) -> bool {
        is_busy(self.update().state)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload in progress. Dropped before its end, it is removed.
#[derive(Debug)]
pub struct Upload {
    updates: Arc<Updates>,
    file: File,
    draft: PathBuf,
    id: String,
    here: u64,
    most: u64,
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// There are more than announced, or the disk cannot take them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UpdateError> {
        self.here += bytes.len() as u64;
        if self.here > self.most {
            return Err(UpdateError::TooLarge { max_bytes: self.most });
        }
        self.file.write_all(bytes)?;
        if let Some((here, _)) = &mut self.updates.lock().uploading {
            *here = self.here;
        }
        Ok(())
    }

    /// Ends the upload; the update is inspected next.
    ///
    /// # Errors
    ///
    /// The disk, or the helper's directory, cannot be written.
    pub fn finish(self) -> Result<(), UpdateError> {
        self.file.sync_all()?;
        fs::rename(&self.draft, self.updates.data_dir.join(BUNDLE))?;
        let mut now = self.updates.lock();
        let id = self.id.clone();
        self.updates.ask(&mut now, UpdateStep::Inspect, id)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
        self.updates.lock().uploading = None;
    }
}

/// The report on an update the helper has not reported on yet.
fn awaited(now: &Now) -> Update {
    let state = match now.asked {
        Some((UpdateStep::Install, _)) => UpdateState::Installing,
        Some((UpdateStep::Inspect, _)) | None => UpdateState::Checking,
    };
    let late = now.asked.is_none_or(|(_, since)| since.elapsed() > UPDATE_ANSWER_TIME_MAX);
    if late {
        let message = "The update service does not answer. Restart the box and try again.";
        let message = Some(message.to_owned());
        return Update { state: UpdateState::Refused, message, ..Update::default() };
    }
    Update { state, ..Update::default() }
}

fn is_busy(state: UpdateState) -> bool {
    match state {
        UpdateState::Uploading
        | UpdateState::Checking
        | UpdateState::Installing
        | UpdateState::Installed => true,
        UpdateState::None | UpdateState::Ready | UpdateState::Refused => false,
    }
}

/// `path` of the system below `root`.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
