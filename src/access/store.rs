//! The accounts on disk, and the other small files of `state_dir`.
//!
//! Owns: their names, modes and owners, and that two processes take turns.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Gid, Uid, chown, flock};
use serde::{Deserialize, Serialize};

use super::account::{Account, is_account_name};
use super::code::ClaimCode;
use super::credential::LocalKey;
use super::token::ApiToken;
use crate::base::file;
use crate::base::limits::{ACCOUNTS_FILE_BYTES_MAX, API_TOKENS_MAX, PEOPLE_MAX};
use crate::base::random;
use crate::base::time::WallTime;

const ACCOUNTS: &str = "accounts.json";
const LOCK: &str = "accounts.lock";
const CODE: &str = "claim-code";
const CLAIM_LOCK: &str = "claim-lock";
const LOCAL_KEY: &str = "local-key";
/// Bytes of the other files; more is damage.
const SMALL_BYTES_MAX: u64 = 256;
/// How a damaged file of accounts is set aside.
const DAMAGED: &str = "damaged";

/// The accounts by name, and the tokens by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Accounts {
    pub(super) people: BTreeMap<String, Account>,
    pub(super) tokens: BTreeMap<String, ApiToken>,
}

/// The form of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    accounts: Vec<Account>,
    #[serde(default)]
    tokens: Vec<ApiToken>,
}

/// What the file of accounts says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stored {
    /// These accounts; none before the claim.
    Accounts(Accounts),
    /// Unknown: it is damaged or cannot be read. The text says why.
    Damaged(String),
}

/// Identifies a version of the file; `None` if there is no file.
pub(super) type Version = Option<(u64, i64, i64, u64)>;

/// Why a file of `state_dir` could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The medium, or the permissions.
    #[error("{} cannot be used", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The accounts are damaged, so they are not changed.
    #[error("the accounts in {} cannot be read: {why}; `holdfast account reset` starts over", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The directory of the accounts.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// Held while one process changes the accounts.
struct Turn {
    _lock: File,
}

impl Store {
    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The store in `dir`, which is made where it is missing, for its owner alone.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let store = Self::at(dir);
        store.make()?;
        Ok(store)
    }

    /// The store in `dir`, which need not be there yet.
    pub(super) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes the directory where it is missing.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        let dir = &self.dir;
        let made = dir.parent().map_or(Ok(()), fs::create_dir_all);
        let made = made.and_then(|()| match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => own_as_parent(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        });
        made.and_then(|()| make_private(dir)).map_err(|source| self.failed("", source))
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.dir.clone() } else { self.dir.join(name) }
    }

    fn failed(&self, name: &str, source: io::Error) -> StoreError {
        StoreError::Io { path: self.path(name), source }
    }

    /// What the file says now.
    pub(super) fn read(&self) -> (Stored, Version) {
        let path = self.path(ACCOUNTS);
        let version = version(&path);
        let stored = match read_bounded(&path, ACCOUNTS_FILE_BYTES_MAX) {
            Ok(None) => Stored::Accounts(Accounts::default()),
            Ok(Some(text)) => parse(&text).map_or_else(Stored::Damaged, Stored::Accounts),
            Err(error) => Stored::Damaged(error.to_string()),
        };
        (stored, version)
    }

    /// Which version is there now.
    pub(super) fn version(&self) -> Version {
        version(&self.path(ACCOUNTS))
    }

    /// Changes the accounts as `change` says, which may refuse; on the medium when this returns.
    pub(super) fn update<E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut Accounts) -> Result<(), E>,
    ) -> Result<(), E> {
        let _turn = self.turn()?;
        let mut accounts = match self.read().0 {
            Stored::Accounts(accounts) => accounts,
            Stored::Damaged(why) => {
                return Err(StoreError::Damaged { path: self.path(ACCOUNTS), why }.into());
            }
        };
        change(&mut accounts)?;
        let Accounts { people, tokens } = accounts;
        let book = Book {
            accounts: people.into_values().collect(),
            tokens: tokens.into_values().collect(),
        };
        let text = serde_json::to_vec_pretty(&book)
            .map_err(|error| self.failed(ACCOUNTS, error.into()))?;
        self.write(ACCOUNTS, &text)?;
        Ok(())
    }

    /// Takes all accounts away, damaged ones too: these are kept beside under another name. The
    /// next claim needs a new code.
    pub fn reset(&self) -> Result<(), StoreError> {
        let _turn = self.turn()?;
        let path = self.path(ACCOUNTS);
        let damaged = matches!(self.read().0, Stored::Damaged(_));
        let gone = if damaged {
            fs::rename(&path, path.with_added_extension(DAMAGED))
        } else {
            fs::remove_file(&path)
        };
        gone.or_else(absent_is_fine).map_err(|source| self.failed(ACCOUNTS, source))?;
        for name in [CODE, CLAIM_LOCK] {
            let gone = fs::remove_file(self.path(name)).or_else(absent_is_fine);
            gone.map_err(|source| self.failed(name, source))?;
        }
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|source| self.failed("", source))
    }

    /// The claim code of this box; the first call makes it.
    pub fn claim_code(&self) -> Result<ClaimCode, StoreError> {
        let _turn = self.turn()?;
        let text = read_bounded(&self.path(CODE), SMALL_BYTES_MAX);
        let text = text.map_err(|source| self.failed(CODE, source))?;
        if let Some(code) = text.as_deref().and_then(ClaimCode::parse) {
            return Ok(code);
        }
        let random = random::bytes().map_err(|source| self.failed(CODE, source))?;
        let code = ClaimCode::new(random);
        self.write(CODE, format!("{}\n", code.shown()).as_bytes())?;
        Ok(code)
    }

    /// How long the claim stays locked, as was written before a restart.
    pub(super) fn claim_lock(&self, now: WallTime) -> Option<Duration> {
        let text = read_bounded(&self.path(CLAIM_LOCK), SMALL_BYTES_MAX).ok()??;
        let until: i64 = text.trim().parse().ok()?;
        let left = until.saturating_sub(now.as_unix_millis());
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }

    /// Writes down until when the claim is locked.
    pub(super) fn lock_claim(&self, until: WallTime) -> Result<(), StoreError> {
        self.write(CLAIM_LOCK, until.as_unix_millis().to_string().as_bytes())
    }

    /// Writes the key of the command line down for it.
    pub(super) fn keep_local_key(&self, key: &LocalKey) -> Result<(), StoreError> {
        self.write(LOCAL_KEY, format!("{}\n", key.reveal()).as_bytes())
    }

    /// The key that the daemon made at its start, for users who may read it.
    #[must_use]
    pub fn local_key(dir: &Path) -> Option<LocalKey> {
        LocalKey::parse(&read_bounded(&dir.join(LOCAL_KEY), SMALL_BYTES_MAX).ok()??)
    }

    /// Puts `bytes` in the place of `name`, for the owner of the directory.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name);
        let written = file::replace(&path, bytes).and_then(|()| own_as_parent(&path));
        written.map_err(|source| self.failed(name, source))
    }

    /// Waits for the turn to change something.
    fn turn(&self) -> Result<Turn, StoreError> {
        let path = self.path(LOCK);
        let taken = File::options().create(true).append(true).open(&path).and_then(|lock| {
            own_as_parent(&path)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        });
        taken.map(|lock| Turn { _lock: lock }).map_err(|source| self.failed(LOCK, source))
    }
}

fn parse(text: &str) -> Result<Accounts, String> {
    let book: Book = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if book.accounts.is_empty() || book.accounts.len() > PEOPLE_MAX {
        return Err(format!("it has {} accounts", book.accounts.len()));
    }
    if book.tokens.len() > API_TOKENS_MAX {
        return Err(format!("it has {} tokens", book.tokens.len()));
    }
    let tokens = book.tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
    let mut accounts = Accounts { tokens, ..Accounts::default() };
    for account in book.accounts {
        if !is_account_name(&account.name) || accounts.people.contains_key(&account.name) {
            return Err("it has a name that is wrong or there twice".to_owned());
        }
        accounts.people.insert(account.name.clone(), account);
    }
    Ok(accounts)
}

fn version(path: &Path) -> Version {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
}

/// The text of a file; `None` when it is not there.
fn read_bounded(path: &Path, most: u64) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    let read = file.take(most + 1).read_to_string(&mut text)?;
    if read as u64 > most {
        return Err(io::Error::other("it is larger than it can be"));
    }
    Ok(Some(text))
}

/// Gives what root made to the owner of the directory, who is the daemon.
pub(super) fn own_as_parent(path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let owner = fs::metadata(parent.unwrap_or(Path::new(".")))?;
    let ids = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(chown(path, Some(ids.0), Some(ids.1))?)
}

/// Takes the directory away from everyone else, if it is ours.
fn make_private(dir: &Path) -> io::Result<()> {
    const OWNER_ONLY: u32 = 0o700;
    if fs::metadata(dir)?.mode() & 0o777 == OWNER_ONLY {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(OWNER_ONLY))
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn everything_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("data/state");
        let store = Store::open(&state).unwrap();
        let code = store.claim_code().unwrap();
        store.keep_local_key(&LocalKey::new([7; 32])).unwrap();
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join(CODE)), 0o600);
        assert_eq!(mode(&state.join(LOCAL_KEY)), 0o600);
        assert!(store.claim_code().unwrap().is(&code), "it is made once");
        fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
        Store::open(&state).unwrap();
        assert_eq!(mode(&state), 0o700);
    }

    #[test]
    fn no_damage_is_an_empty_list() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.read(), (Stored::Accounts(Accounts::default()), None));
        let path = dir.path().join(ACCOUNTS);
        let huge = " ".repeat(usize::try_from(ACCOUNTS_FILE_BYTES_MAX).unwrap() + 1);
        for text in ["", "{", "{}", "{\"accounts\":[]}", "[]", "\0\0\0\0", &huge] {
            fs::write(&path, text).unwrap();
            assert!(matches!(store.read().0, Stored::Damaged(_)), "{text:.20}");
            let changed = store.update::<StoreError>(|_| Ok(()));
            assert!(matches!(changed, Err(StoreError::Damaged { .. })));
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is left as it is");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(store.read().0, Stored::Damaged(_)), "a directory");
    }

    #[test]
    fn a_reset_sets_damage_aside_and_makes_a_new_code() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let before = store.claim_code().unwrap();
        fs::write(dir.path().join(ACCOUNTS), "{").unwrap();
        store.reset().unwrap();
        assert_eq!(store.read().0, Stored::Accounts(Accounts::default()));
        assert!(dir.path().join("accounts.json.damaged").exists());
        assert!(!store.claim_code().unwrap().is(&before));
        store.reset().unwrap();
    }

    #[test]
    fn a_locked_claim_stays_locked_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let now = WallTime::from_unix_nanos(1_795_363_523_000_000_000);
        assert_eq!(store.claim_lock(now), None);
        store.lock_claim(now.offset_nanos(5_000_000_000)).unwrap();
        assert_eq!(store.claim_lock(now), Some(Duration::from_secs(5)));
        assert_eq!(store.claim_lock(now.offset_nanos(5_000_000_000)), None);
    }
}
