//! Accounts, claim and sessions together, as servers and the command line use them.
//!
//! Owns: the order of checks, and which change ends which sessions. Calls that hash a password or
//! write a file block; run them on a thread for that.

mod noted;
mod tokens;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};

use super::account::{Account, AccountError, Role, StreamAccess, check};
use super::audit::AuditLog;
use super::claim::{Claim, ClaimError};
use super::credential::{LocalKey, SessionKey};
use super::identity::{Identity, Proof};
use super::password::{Busy, Hasher, PasswordHash};
use super::session::{SessionId, Sessions};
use super::store::{Accounts, Store, StoreError, Stored, Version};
use crate::base::Stop;
use crate::base::limits::{API_TOKENS_MAX, CLAIM_BUTTON_TIME, PEOPLE_MAX, TOKEN_LABEL_BYTES_MAX};
use crate::base::random;
use crate::base::secret::Secret;
use crate::base::time::{BootTime, SharedClock};

/// How far a box is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimStatus {
    /// There is no account.
    Unclaimed,
    /// There is no account, and codes are ignored for so long.
    Locked(Duration),
    /// There is an account.
    Claimed,
    /// The accounts cannot be read.
    Damaged,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it may see.
    pub streams: StreamAccess,
    /// Whether it may see recordings.
    pub past: bool,
    /// Its password.
    pub password: Secret,
}

/// What of an account changes.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// Its role.
    pub role: Option<Role>,
    /// What it may see.
    pub streams: Option<StreamAccess>,
    /// Whether it may see recordings.
    pub past: Option<bool>,
    /// Its password.
    pub password: Option<Secret>,
}

/// Why something was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The claim.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// What was chosen.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Name or password.
    #[error("name or password is wrong")]
    WrongPassword,
    /// Too many passwords at once.
    #[error("too many passwords are being checked right now; try again in a few seconds")]
    Busy,
    /// There is such an account.
    #[error("there is an account of this name already")]
    Exists,
    /// There is none.
    #[error("there is no account of this name")]
    Unknown,
    /// It would leave no one who can undo it.
    #[error("this is the last administrator; make another account an administrator first")]
    LastAdmin,
    /// Too many accounts.
    #[error("there are {PEOPLE_MAX} accounts, which is the most; delete one first")]
    Full,
    /// What people call a token.
    #[error("a token needs a label of 1 to {TOKEN_LABEL_BYTES_MAX} bytes")]
    TokenLabel,
    /// There is no such token.
    #[error("there is no token of this id")]
    TokenUnknown,
    /// Too many tokens.
    #[error("there are {API_TOKENS_MAX} tokens, which is the most; delete one first")]
    TokensFull,
    /// There is no account.
    #[error("this box has no account yet; make the first one before a token")]
    Unclaimed,
    /// The files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel.
    #[error("no random bytes")]
    Random(#[source] std::io::Error),
}

impl From<Busy> for AccessError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// Who may use the box.
#[derive(Debug)]
pub struct AccessControl {
    store: Store,
    audit: AuditLog,
    paces: Mutex<noted::Paces>,
    clock: SharedClock,
    hasher: Hasher,
    local: LocalKey,
    state: Mutex<AccessState>,
}

#[derive(Debug)]
struct AccessState {
    stored: Stored,
    version: Version,
    sessions: Sessions,
    claim: Claim,
    /// The directory could not be used so far.
    unusable: bool,
    /// Given when a token is good no more: one for each that was shown since the start.
    shown_tokens: HashMap<String, Stop>,
}

impl AccessControl {
    /// Opens the files in `dir`, and makes the key of the command line. While `dir` cannot be used
    /// no one is let in; recording does not wait for that.
    pub fn open(dir: &Path, clock: SharedClock) -> Result<Self, AccessError> {
        let local = LocalKey::new(random::bytes().map_err(AccessError::Random)?);
        let access = Self::over(Store::at(dir), local, clock);
        access.make_dir();
        Ok(access)
    }

    /// Makes the directory, where that was not done yet; whether it is there now.
    fn make_dir(&self) -> bool {
        let made = self.store.make().and_then(|()| self.store.keep_local_key(&self.local));
        let failed = made.err();
        if let Some(error) = &failed {
            let told = std::mem::replace(&mut self.lock().unusable, true);
            if !told {
                let why = crate::base::fault::chain(error);
                error!(part = "access", error = why, "accounts cannot be kept, no one is let in");
            }
            self.lock().stored = Stored::Damaged(error.to_string());
            return false;
        }
        if std::mem::replace(&mut self.lock().unusable, false) {
            info!(part = "access", "accounts can be kept again");
            self.take_over(None);
        }
        true
    }

    /// Opens what is kept in `dir` beside the daemon, which keeps its key.
    pub fn beside(dir: &Path, clock: SharedClock) -> Result<Self, AccessError> {
        let local = LocalKey::new(random::bytes().map_err(AccessError::Random)?);
        Ok(Self::over(Store::open(dir)?, local, clock))
    }

    fn over(store: Store, local: LocalKey, clock: SharedClock) -> Self {
        let (stored, version) = store.read();
        if let Stored::Damaged(why) = &stored {
            error!(part = "access", error = why, "accounts cannot be read, no one is let in");
        }
        let mut claim = Claim::default();
        if let Some(wait) = store.claim_lock(clock.wall()) {
            claim.lock(clock.boot(), wait);
        }
        let state = AccessState {
            stored,
            version,
            sessions: Sessions::default(),
            claim,
            unusable: false,
            shown_tokens: HashMap::new(),
        };
        let audit = AuditLog::at(store.dir());
        let (paces, hasher) = (Mutex::default(), Hasher::default());
        Self { store, audit, paces, clock, hasher, local, state: Mutex::new(state) }
    }

    /// The files.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The log of who did what.
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    fn lock(&self) -> MutexGuard<'_, AccessState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the box is claimed.
    #[must_use]
    pub fn claim_status(&self) -> ClaimStatus {
        let state = self.lock();
        match &state.stored {
            Stored::Damaged(_) => ClaimStatus::Damaged,
            Stored::Accounts(accounts) if !accounts.people.is_empty() => ClaimStatus::Claimed,
            Stored::Accounts(_) => state
                .claim
                .locked(self.clock.boot())
                .map_or(ClaimStatus::Unclaimed, ClaimStatus::Locked),
        }
    }

    /// For how long the box can be claimed without its code, because somebody held its button.
    #[must_use]
    pub fn claim_window(&self) -> Option<Duration> {
        let unclaimed =
            matches!(self.claim_status(), ClaimStatus::Unclaimed | ClaimStatus::Locked(_));
        self.lock().claim.window(self.clock.boot()).filter(|_| unclaimed)
    }

    /// Somebody held the box's button: soon after power-on that opens a window in which a box without
    /// an account is claimed without its code. Whether it did.
    pub fn open_claim_window(&self) -> bool {
        let now = self.clock.boot();
        let late = now.since(BootTime::default()) > CLAIM_BUTTON_TIME;
        if late || matches!(self.claim_status(), ClaimStatus::Claimed | ClaimStatus::Damaged) {
            return false;
        }
        self.lock().claim.open_window(now);
        if let Err(error) = self.store.lock_claim(self.clock.wall()) {
            warn!(part = "access", %error, "the lock of the claim is not taken off the disk");
        }
        info!(part = "access", "the button was held: the box can be claimed without its code");
        true
    }

    /// Makes the first account, an administrator's, for a person who knows the claim code.
    pub fn claim(&self, typed: &str, name: &str, password: &Secret) -> Result<(), AccessError> {
        let code = self.store.claim_code()?;
        self.check_claim(&code, typed)?;
        check(name, password, Some(&code.shown()))?;
        let account = self.account(&NewAccount {
            name: name.to_owned(),
            role: Role::Admin,
            streams: StreamAccess::All,
            past: true,
            password: password.clone(),
        })?;
        self.change(|accounts| {
            if !accounts.people.is_empty() {
                return Err(ClaimError::Claimed.into());
            }
            accounts.people.insert(account.name.clone(), account);
            Ok(())
        })?;
        info!(part = "access", account = name, "box claimed");
        Ok(())
    }

    fn check_claim(&self, code: &super::ClaimCode, typed: &str) -> Result<(), AccessError> {
        if matches!(self.claim_status(), ClaimStatus::Claimed | ClaimStatus::Damaged) {
            return Err(ClaimError::Claimed.into());
        }
        let now = self.clock.boot();
        let (checked, locked) = {
            let mut state = self.lock();
            let before = state.claim.locked(now);
            (
                state.claim.check(now, code, typed),
                before.is_none() && state.claim.locked(now).is_some(),
            )
        };
        if let (true, Some(wait)) = (locked, self.lock().claim.locked(now)) {
            warn!(part = "access", "too many wrong claim codes, the claim is locked");
            let nanos = i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX);
            self.store.lock_claim(self.clock.wall().offset_nanos(nanos))?;
        }
        Ok(checked?)
    }

    /// Opens a session for a person who knows the password of `name`.
    pub fn sign_in(
        &self,
        name: &str,
        password: &Secret,
        secure: bool,
    ) -> Result<SessionKey, AccessError> {
        self.verify(name, password)?;
        self.open_session(name, secure)
    }

    /// Opens a session of `name`, who was let in.
    pub fn open_session(&self, name: &str, secure: bool) -> Result<SessionKey, AccessError> {
        let random = random::bytes().map_err(AccessError::Random)?;
        let mut state = self.lock();
        // The account may have gone while its password was hashed.
        let known = state.accounts().is_some_and(|accounts| accounts.people.contains_key(name));
        if !known {
            return Err(AccessError::WrongPassword);
        }
        Ok(state.sessions.open(self.clock.boot(), name, secure, random))
    }

    fn verify(&self, name: &str, password: &Secret) -> Result<(), AccessError> {
        let known = self
            .lock()
            .accounts()
            .and_then(|accounts| accounts.people.get(name).map(|account| account.password.clone()));
        let right = self.hasher.is(password, known.as_ref())?;
        if right { Ok(()) } else { Err(AccessError::WrongPassword) }
    }

    /// Who holds the session of `key` on this scheme.
    #[must_use]
    pub fn by_session(&self, key: &str, secure: bool) -> Option<Identity> {
        let mut state = self.lock();
        let found = state.sessions.find(self.clock.boot(), key, secure)?;
        let account = state.accounts()?.people.get(&found.account)?;
        Some(Identity::of(account, Proof::Session(found.id), found.ended, found.held))
    }

    /// A user who can read the box's own files.
    #[must_use]
    pub fn by_local_key(&self, shown: &str) -> Option<Identity> {
        self.local.is(shown).then(|| Identity::unlimited(Proof::Local))
    }

    /// Ends a session.
    pub fn sign_out(&self, session: SessionId) {
        self.lock().sessions.end(session);
    }

    /// Changes the password of `name`, who knows the old one; the other sessions end.
    pub fn change_password(
        &self,
        name: &str,
        (old, new): (&Secret, &Secret),
        session: Option<SessionId>,
    ) -> Result<(), AccessError> {
        self.verify(name, old)?;
        check(name, new, None)?;
        let hash = self.hash(new)?;
        self.change_but(session, |accounts| {
            accounts.people.get_mut(name).ok_or(AccessError::Unknown)?.password = hash;
            Ok(())
        })
    }

    /// All accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        self.lock()
            .accounts()
            .map(|accounts| accounts.people.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Makes an account.
    pub fn add(&self, new: &NewAccount) -> Result<Account, AccessError> {
        check(&new.name, &new.password, None)?;
        let account = self.account(new)?;
        self.change(|accounts| {
            if accounts.people.contains_key(&account.name) {
                return Err(AccessError::Exists);
            }
            if accounts.people.len() >= PEOPLE_MAX {
                return Err(AccessError::Full);
            }
            accounts.people.insert(account.name.clone(), account.clone());
            Ok(())
        })?;
        Ok(account)
    }

    /// Changes an account; its sessions end.
    pub fn alter(&self, name: &str, change: &AccountChange) -> Result<Account, AccessError> {
        let hash = match &change.password {
            Some(password) => {
                check(name, password, None)?;
                Some(self.hash(password)?)
            }
            None => None,
        };
        let mut changed = None;
        self.change(|accounts| {
            let account = accounts.people.get_mut(name).ok_or(AccessError::Unknown)?;
            account.role = change.role.unwrap_or(account.role);
            account.past = change.past.unwrap_or(account.past);
            if let Some(streams) = &change.streams {
                account.streams = streams.clone();
            }
            if let Some(hash) = hash {
                account.password = hash;
            }
            changed = Some(account.clone());
            has_admin(accounts)
        })?;
        changed.ok_or(AccessError::Unknown)
    }

    /// Deletes an account; its sessions end.
    pub fn remove(&self, name: &str) -> Result<(), AccessError> {
        self.change(|accounts| {
            accounts.people.remove(name).ok_or(AccessError::Unknown)?;
            accounts.tokens.retain(|_, token| token.maker.as_deref() != Some(name));
            has_admin(accounts)
        })
    }

    fn account(&self, new: &NewAccount) -> Result<Account, AccessError> {
        Ok(Account {
            name: new.name.clone(),
            role: new.role,
            streams: new.streams.clone(),
            past: new.past,
            password: self.hash(&new.password)?,
        })
    }

    fn hash(&self, password: &Secret) -> Result<PasswordHash, AccessError> {
        let salt = random::bytes().map_err(AccessError::Random)?;
        Ok(self.hasher.hash(password, salt)?)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Accounts) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        self.change_but(None, change)
    }

    /// Changes the accounts on disk and takes them over; the session `except` stays.
    fn change_but(
        &self,
        except: Option<SessionId>,
        change: impl FnOnce(&mut Accounts) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        self.store.update(change)?;
        self.take_over(except);
        Ok(())
    }

    /// What has to be done every second: ends old sessions, takes over what another process, such as
    /// `holdfast account`, wrote, and notes in the audit log what was only counted so far.
    pub fn sweep(&self) {
        let unusable = self.lock().unusable;
        if unusable && !self.make_dir() {
            return;
        }
        self.note_due();
        let now = self.clock.boot();
        let (wall, version) = (self.clock.wall(), self.store.version());
        let changed = {
            let mut state = self.lock();
            state.sessions.sweep(now);
            state.end_old_tokens(wall);
            state.version != version
        };
        if changed {
            self.take_over(None);
        }
    }

    /// Reads the accounts and ends the sessions of those that changed.
    fn take_over(&self, except: Option<SessionId>) {
        let mut state = self.lock();
        let (stored, version) = self.store.read();
        if let Stored::Damaged(why) = &stored {
            error!(part = "access", error = why, "accounts cannot be read, no one is let in");
        }
        let before = std::mem::replace(&mut state.stored, stored);
        state.version = version;
        let Stored::Accounts(before) = before else { return };
        state.end_changed_tokens(&before);
        for account in before.people.values() {
            let now = state.accounts().and_then(|accounts| accounts.people.get(&account.name));
            let same_rights = now.is_some_and(|now| {
                now.role == account.role
                    && now.streams == account.streams
                    && now.past == account.past
            });
            if now != Some(account) {
                state.sessions.end_of(&account.name, except.filter(|_| same_rights));
            }
        }
    }
}

impl AccessState {
    fn accounts(&self) -> Option<&Accounts> {
        match &self.stored {
            Stored::Accounts(accounts) => Some(accounts),
            Stored::Damaged(_) => None,
        }
    }
}

/// Refuses what leaves no administrator.
fn has_admin(accounts: &Accounts) -> Result<(), AccessError> {
    let left = accounts.people.values().any(|account| account.role == Role::Admin);
    if left { Ok(()) } else { Err(AccessError::LastAdmin) }
}

#[cfg(test)]
mod tests;
