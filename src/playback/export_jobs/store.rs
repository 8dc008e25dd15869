//! The files of export jobs: what is kept of each, and its archive.
//!
//! Owns: their names, and that each change is there whole or not at all after a crash. All disk
//! work is done on threads for it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::job::{JobState, Kept};
use crate::base::file;
use crate::base::limits::{EXPORT_JOB_MANIFEST_BYTES_MAX, EXPORT_JOBS_MAX};

/// What is kept of a job, its archive, and either while it is being written; the first as
/// [`file::replace`] calls it.
const STATE: &str = "json";
const ARCHIVE: &str = "zip";
const DRAFT: &str = "new";
const PART: &str = "part";

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The archive of a job while it is being written.
    pub(super) fn part(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.{PART}"))
    }

    fn archive(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.{ARCHIVE}"))
    }

    fn state(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.{STATE}"))
    }

    /// Every job that is kept, the oldest first. Removes what belongs to none.
    pub(super) async fn read(&self) -> io::Result<Vec<Kept>> {
        let store = self.clone();
        blocking(move || store.read_now()).await
    }

    fn read_now(&self) -> io::Result<Vec<Kept>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let paths = fs::read_dir(&self.dir)?.map(|entry| entry.map(|entry| entry.path()));
        let paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
        let is = |path: &Path, kind: &str| path.extension().is_some_and(|found| found == kind);
        let mut found = Vec::new();
        for path in paths.iter().filter(|path| is(path, STATE)) {
            match self.read_state(path) {
                Some(kept) if found.len() < EXPORT_JOBS_MAX => found.push(kept),
                Some(_) => {}
                None => {
                    warn!(part = "exports", path = %path.display(), "damaged export forgotten");
                    fs::remove_file(path)?;
                }
            }
        }
        let is_known = |path: &Path, found: &[Kept]| {
            found.iter().any(|kept| kept.bytes.is_some() && self.archive(&kept.id) == *path)
        };
        for path in &paths {
            let leftover = is(path, ARCHIVE) && !is_known(path, &found);
            if leftover || is(path, PART) || is(path, DRAFT) {
                fs::remove_file(path)?;
            }
        }
        found.sort_by_key(|kept| kept.made);
        Ok(found)
    }

    /// What is kept of a job; `None` when it is damaged, or names an archive that is not there.
    fn read_state(&self, path: &Path) -> Option<Kept> {
        if fs::metadata(path).ok()?.len() > EXPORT_JOB_MANIFEST_BYTES_MAX {
            return None;
        }
        let kept: Kept = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let own = kept.id.len() == 16 && kept.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let whole = match (kept.state, kept.bytes) {
            (JobState::Done, Some(bytes)) => {
                fs::metadata(self.archive(&kept.id)).is_ok_and(|file| file.len() == bytes)
            }
            (JobState::Done, None) => false,
            (_, bytes) => bytes.is_none(),
        };
        (own && whole && self.state(&kept.id) == path).then_some(kept)
    }

    /// Brings what is kept of a job to the medium.
    pub(super) async fn keep(&self, kept: Kept) -> io::Result<()> {
        let store = self.clone();
        blocking(move || store.keep_now(&kept)).await
    }

    fn keep_now(&self, kept: &Kept) -> io::Result<()> {
        file::replace(&self.state(&kept.id), &serde_json::to_vec(kept)?)
    }

    /// Puts a finished archive in its place, and then what is kept of its job.
    pub(super) async fn finish(&self, kept: Kept) -> io::Result<()> {
        let store = self.clone();
        blocking(move || {
            fs::rename(store.part(&kept.id), store.archive(&kept.id))?;
            store.keep_now(&kept)
        })
        .await
    }

    /// Removes the archive of a job that is being written.
    pub(super) async fn drop_part(&self, id: String) -> io::Result<()> {
        let store = self.clone();
        blocking(move || gone(fs::remove_file(store.part(&id)))).await
    }

    /// Removes all of a job.
    pub(super) async fn remove(&self, id: String) -> io::Result<()> {
        let store = self.clone();
        blocking(move || {
            for path in [store.state(&id), store.archive(&id), store.part(&id)] {
                gone(fs::remove_file(path))?;
            }
            File::open(&store.dir)?.sync_all()
        })
        .await
    }

    /// Opens the archive of a job.
    pub(super) async fn open(&self, id: &str) -> io::Result<File> {
        let path = self.archive(id);
        blocking(move || File::open(path)).await
    }
}

/// Makes a file that only its owner reads, in place of whatever has the name.
pub(super) fn create(path: &Path) -> io::Result<File> {
    gone(fs::remove_file(path))?;
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
