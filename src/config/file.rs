//! The configuration file, as something that is replaced whole.
//!
//! A text may be of several files, see `drop_in`; a change replaces one of them.
//!
//! Owns: the order of steps of a change, so that a power cut at any of them leaves the old text or
//! the new one, and no change is lost: the previous text is kept (the last [`CONFIG_HISTORY_MAX`]
//! texts, readable by the daemon only), the new text is written beside it and synced, the old one
//! is compared once more, and only then the new one replaces it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ConfigError;
use super::drop_in;
use crate::base::limits::CONFIG_HISTORY_MAX;
use crate::base::{device, file};

/// The directory of former texts.
const HISTORY: &str = "config.history";
/// Hexadecimal digits of a tag.
const TAG_DIGITS: usize = 32;

/// The file.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    history: PathBuf,
}

/// What a file said when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its text.
    pub text: String,
    /// What tells it from any other: half of its SHA-256, in hexadecimal digits.
    pub tag: String,
}

/// Why a file was not changed; the old text is there.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It was changed by another writer meanwhile.
    #[error("the configuration file was changed meanwhile")]
    Outdated,
    /// The new text differs in several files, or is of other ones.
    #[error("the change concerns several files: {}", files.join(", "))]
    SeveralFiles {
        /// Which.
        files: Vec<String>,
    },
    /// It is on a read-only file system, mounted over, or not the daemon's to change.
    #[error("{} cannot be changed from here", file.display())]
    ReadOnly {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("the disk with the configuration is full")]
    Full(#[source] io::Error),
    /// The disk fails.
    #[error("the configuration file cannot be written")]
    Write(#[source] io::Error),
}

/// A former text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Which; later ones have higher numbers.
    pub id: u64,
    /// When it was replaced, in seconds since 1970 as the machine believed.
    pub until_secs: u64,
    /// Its tag.
    pub tag: String,
}

/// The steps of a change, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The old text is kept.
    Keep,
    /// The new one is written beside it and synced.
    Draft,
    /// The old one is still what it was.
    Compare,
    /// The new one takes its place.
    Rename,
    /// The directory is synced.
    Sync,
}

const STEPS: [Step; 5] = [Step::Keep, Step::Draft, Step::Compare, Step::Rename, Step::Sync];

impl Snapshot {
    /// A text with its tag.
    #[must_use]
    pub fn new(text: String) -> Self {
        let mut tag = device::hex(&Sha256::digest(&text));
        tag.truncate(TAG_DIGITS);
        Self { text, tag }
    }
}

impl ConfigFile {
    /// The file at `path`; former texts are kept in `state_dir`.
    #[must_use]
    pub fn new(path: &Path, state_dir: &Path) -> Self {
        Self { path: path.to_owned(), history: state_dir.join(HISTORY) }
    }

    /// What it says now.
    pub fn read(&self) -> Result<Snapshot, ConfigError> {
        super::text(&self.path).map(Snapshot::new)
    }

    /// Puts `text` in the place of `before`.
    pub fn write(&self, before: &Snapshot, text: &str) -> Result<(), WriteError> {
        let (target, text) = self.changed(&before.text, text)?;
        self.write_until(before, (&target, text), STEPS.len()).inspect_err(|_| {
            let _ = fs::remove_file(draft_of(&target));
        })
    }

    /// The first `steps` steps of [`write`](Self::write).
    fn write_until(
        &self,
        before: &Snapshot,
        (target, text): (&Path, &str),
        steps: usize,
    ) -> Result<(), WriteError> {
        let failed = |error| sorted(target, error);
        for step in &STEPS[..steps] {
            match step {
                Step::Keep => self.keep(&before.text).map_err(failed)?,
                Step::Draft => draft(target, text).map_err(failed)?,
                Step::Compare => match self.read() {
                    Ok(now) if now == *before => {}
                    _ => return Err(WriteError::Outdated),
                },
                Step::Rename => fs::rename(draft_of(target), target).map_err(failed)?,
                Step::Sync => sync_dir(target).map_err(WriteError::Write)?,
            }
        }
        Ok(())
    }

    /// The one file in which `after` differs from `before`, and what it is to say. Its links are
    /// followed: the new one is written beside the real one.
    fn changed<'a>(&self, before: &str, after: &'a str) -> Result<(PathBuf, &'a str), WriteError> {
        let old: BTreeMap<_, _> = drop_in::files(&self.path, before).collect();
        let new: BTreeMap<_, _> = drop_in::files(&self.path, after).collect();
        let differs = |path: &&PathBuf| old.get(*path) != new.get(*path);
        let paths: BTreeSet<_> = old.keys().chain(new.keys()).filter(differs).collect();
        let mut all = paths.iter();
        let path = match (all.next(), all.next()) {
            (Some(path), None) if old.contains_key(*path) && new.contains_key(*path) => *path,
            (None, _) => &self.path,
            _ => {
                let files = paths.iter().map(|path| path.display().to_string()).collect();
                return Err(WriteError::SeveralFiles { files });
            }
        };
        let target = fs::canonicalize(path).map_err(|error| sorted(path, error))?;
        Ok((target, new.get(path).copied().unwrap_or_default()))
    }

    /// Keeps a former text, and forgets the oldest.
    fn keep(&self, text: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.history)?;
        let former = self.numbers()?;
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
        let id = former.last().map_or(1, |(id, _)| id + 1);
        let path = self.history.join(format!("{id}-{now}.toml"));
        file::replace(&path, text.as_bytes())?;
        let surplus = (former.len() + 1).saturating_sub(CONFIG_HISTORY_MAX);
        for (id, until) in former.into_iter().take(surplus) {
            fs::remove_file(self.history.join(format!("{id}-{until}.toml")))?;
        }
        Ok(())
    }

    /// Numbers and dates of the former texts, oldest first.
    fn numbers(&self) -> io::Result<Vec<(u64, u64)>> {
        let entries = match fs::read_dir(&self.history) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let number = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            let (id, until) = name.to_str()?.strip_suffix(".toml")?.split_once('-')?;
            Some((id.parse().ok()?, until.parse().ok()?))
        };
        let mut numbers: Vec<_> = entries.filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The former texts, newest first.
    pub fn history(&self) -> io::Result<Vec<Former>> {
        let mut former = Vec::new();
        for (id, until_secs) in self.numbers()?.into_iter().rev() {
            if let Some(text) = self.former(id)? {
                former.push(Former { id, until_secs, tag: Snapshot::new(text).tag });
            }
        }
        Ok(former)
    }

    /// The text of `id`.
    pub fn former(&self, id: u64) -> io::Result<Option<String>> {
        let numbers = self.numbers()?;
        let Some((id, until)) = numbers.into_iter().find(|(number, _)| *number == id) else {
            return Ok(None);
        };
        fs::read_to_string(self.history.join(format!("{id}-{until}.toml"))).map(Some)
    }
}

fn draft_of(target: &Path) -> PathBuf {
    target.with_added_extension("new")
}

/// Writes `text` beside `target`, with its mode and, as far as that is allowed, its owner.
fn draft(target: &Path, text: &str) -> io::Result<()> {
    let path = draft_of(target);
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let old = fs::metadata(target)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let _ = fchown(&file, Some(old.uid()), Some(old.gid()))
        .or_else(|_| fchown(&file, None, Some(old.gid())));
    file.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o777))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_dir(target: &Path) -> io::Result<()> {
    File::open(target.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn sorted(file: &Path, source: io::Error) -> WriteError {
    use io::ErrorKind::{
        PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull,
    };
    match source.kind() {
        ReadOnlyFilesystem | ResourceBusy | PermissionDenied => {
            WriteError::ReadOnly { file: file.to_owned(), source }
        }
        StorageFull | QuotaExceeded => WriteError::Full(source),
        _ => WriteError::Write(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# old\n[ring]\nsize = \"50%\"\n";
    const NEW: &str = "# new\n[ring]\nsize = \"60%\"\n";

    fn file(dir: &Path) -> ConfigFile {
        fs::write(dir.join("holdfast.toml"), OLD).unwrap();
        ConfigFile::new(&dir.join("holdfast.toml"), &dir.join("state"))
    }

    #[test]
    fn a_cut_at_any_step_leaves_the_old_text_or_the_new_one() {
        for cut in 0..=STEPS.len() {
            let dir = tempfile::tempdir().unwrap();
            let file = file(dir.path());
            let before = file.read().unwrap();
            let (target, text) = file.changed(OLD, NEW).unwrap();
            file.write_until(&before, (&target, text), cut).unwrap();
            let is_new = STEPS[..cut].contains(&Step::Rename);
            let after = file.read().unwrap();
            assert_eq!(after.text, if is_new { NEW } else { OLD }, "cut behind {cut} steps");
            // Whatever the cut left behind, the next change goes through.
            let next = format!("{NEW}# next\n");
            file.write(&after, &next).unwrap();
            assert_eq!(file.read().unwrap().text, next);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the file and the history");
        }
    }

    #[test]
    fn what_somebody_changed_meanwhile_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        let before = file.read().unwrap();
        fs::write(dir.path().join("holdfast.toml"), "# theirs\n").unwrap();
        assert!(matches!(file.write(&before, NEW), Err(WriteError::Outdated)));
        assert_eq!(file.read().unwrap().text, "# theirs\n");
        assert!(!dir.path().join("holdfast.toml.new").exists());
        assert_ne!(file.read().unwrap().tag, before.tag);
    }

    #[test]
    fn mode_and_links_stay_and_the_last_ten_texts_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        let _ = file(&real);
        let target = real.join("holdfast.toml");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        let link = dir.path().join("link.toml");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let file = ConfigFile::new(&link, &dir.path().join("state"));
        for n in 0..15 {
            let before = file.read().unwrap();
            file.write(&before, &format!("# {n}\n")).unwrap();
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        let history = file.history().unwrap();
        assert_eq!(history.len(), CONFIG_HISTORY_MAX);
        assert_eq!(file.former(history[0].id).unwrap().as_deref(), Some("# 13\n"));
        assert_eq!(history[0].tag, Snapshot::new("# 13\n".to_owned()).tag);
        assert_eq!(file.former(1).unwrap(), None);
        let kept = dir.path().join("state/config.history");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&kept), 0o700);
        assert!(fs::read_dir(&kept).unwrap().all(|entry| mode(&entry.unwrap().path()) == 0o600));
    }

    #[test]
    fn a_change_replaces_one_file_of_several() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        let dropped = dir.path().join("conf.d/a.toml");
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        fs::write(&dropped, OLD).unwrap();
        let before = file.read().unwrap();
        let changed = format!("{}# more\n", before.text);
        file.write(&before, &changed).unwrap();
        assert_eq!(fs::read_to_string(&dropped).unwrap(), format!("{OLD}# more\n"));
        assert_eq!(fs::read_to_string(dir.path().join("holdfast.toml")).unwrap(), OLD);
        let now = file.read().unwrap();
        assert_eq!(file.former(1).unwrap().unwrap(), before.text);
        // Both at once would leave half of it after a power cut.
        let both = now.text.replace("50%", "60%");
        let other = now.text.replace("a.toml", "b.toml");
        for text in [&both, &other] {
            let told = file.write(&now, text);
            assert!(matches!(&told, Err(WriteError::SeveralFiles { files }) if files.len() == 2));
        }
        assert_eq!(file.read().unwrap(), now);
    }

    #[test]
    fn a_directory_that_takes_nothing_is_told_apart_from_a_full_disk() {
        let at = Path::new("holdfast.toml");
        let read_only =
            |kind| matches!(sorted(at, io::Error::from(kind)), WriteError::ReadOnly { .. });
        assert!(
            read_only(io::ErrorKind::ReadOnlyFilesystem) && read_only(io::ErrorKind::ResourceBusy)
        );
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(sorted(at, full), WriteError::Full(_)));
    }
}
