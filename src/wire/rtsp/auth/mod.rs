//! Who may do what over RTSP, and read media over HTTP: Digest and Basic, accounts and their
//! rights, wrong passwords.
//!
//! Owns: the [`Authorizer`], shared by all connections of all doors. Does not own: where accounts come
//! from and where the ledger of wrong passwords is kept; key and time come in.
//!
//! Invariants:
//! 1. OPTIONS is open, as players need it; everything else needs an account as soon as there is
//!    one. There is no exception for loopback.
//! 2. Of a password only HA1 is kept. Digests are compared in constant time, and an account that
//!    is not there takes as long as a wrong password.
//! 3. A nonce is good on its own connection only: 60 s until its first use, then for as long as the
//!    connection lasts. A right proof with another nonce gets `stale=true`.
//! 4. A password is checked only while few wrong ones came, from its address and in all. Addresses
//!    that were right before do not wait for what others do.
//! 5. A refusal says the same whether or not there is such a stream or such an account.

mod account;
mod attempts;
mod challenge;
mod digest;
mod failures;
mod header;
mod media;
mod nonce;
mod state;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;

pub use crate::access::is_account_name;
pub use account::{Account, Accounts, Credential, PASSWORD_SEED_BYTES, Right, Scope};
pub use attempts::{Attempt, Attempts, Outcome};
pub(crate) use challenge::Challenge;
pub use digest::Algorithm;
pub use failures::{Failures, SavedFailures};
pub(super) use header::masked;
pub use media::MediaReader;
pub(crate) use media::{MediaAsking, MediaLack};
pub(super) use state::{Admitted, Asking, AuthState};

use crate::base::Stop;
use nonce::Nonces;

/// The realm of every account. One plain word: some recorders mix up others.
pub const REALM: &str = "holdfast";

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every client, for tests.
    Everybody,
    /// Every client on loopback: the box is open to it.
    ThisComputer,
    /// No one: there is no account.
    Nobody,
    /// These accounts.
    Accounts(Accounts),
}

/// What the authorizer goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who is let in.
    pub access: Access,
    /// Whether a password may be said where others can read along.
    pub basic: bool,
}

impl Rules {
    /// These accounts; if there are none, no one.
    #[must_use]
    pub fn new(accounts: Accounts, basic: bool) -> Self {
        let none = accounts.is_empty();
        let access = if none { Access::Nobody } else { Access::Accounts(accounts) };
        Self { access, basic }
    }

    /// The same, but if there are none, clients on this computer.
    #[must_use]
    pub fn or_this_computer(self) -> Self {
        match self.access {
            Access::Nobody => Self { access: Access::ThisComputer, ..self },
            _ => self,
        }
    }

    fn account(&self, username: &str) -> Option<&Account> {
        match &self.access {
            Access::Accounts(accounts) => accounts.get(username),
            Access::Everybody | Access::ThisComputer | Access::Nobody => None,
        }
    }

    /// Whether a Digest of `algorithm` is offered: SHA-256 when all accounts can be asked for it.
    fn offers(&self, algorithm: Algorithm) -> bool {
        match (&self.access, algorithm) {
            (_, Algorithm::Md5) => true,
            (Access::Accounts(accounts), Algorithm::Sha256) => {
                accounts.values().all(|account| account.ha1_sha256.is_some())
            }
            (_, Algorithm::Sha256) => false,
        }
    }
}

/// Guards the doors.
#[derive(Debug)]
pub struct Authorizer {
    rules: ArcSwap<Rules>,
    /// For each account that reads over HTTP: given when it is not what it was, so that all of it ends.
    readers: Mutex<HashMap<String, Stop>>,
    nonces: Nonces,
    failures: Mutex<Failures>,
    attempts: Mutex<Attempts>,
}

impl Authorizer {
    /// Goes by `rules`. `key` must be unguessable, and another one at every start.
    #[must_use]
    pub fn new(key: &[u8; 32], rules: Rules) -> Self {
        Self {
            rules: ArcSwap::from_pointee(rules),
            readers: Mutex::default(),
            nonces: Nonces::new(key),
            failures: Mutex::default(),
            attempts: Mutex::default(),
        }
    }

    /// Lets everyone in.
    #[must_use]
    pub fn open() -> Self {
        Self::new(&[0; 32], Rules { access: Access::Everybody, basic: false })
    }

    /// Goes by other rules from now on; the accounts whose sessions end whatever they are about, because
    /// the password is another one or the past is lost. Those that are gone are not among them.
    pub fn change(&self, rules: Rules) -> HashSet<String> {
        let before = self.rules();
        if *before == rules {
            return HashSet::new();
        }
        self.rules.store(Arc::new(rules));
        let now = self.rules();
        crate::base::sync::lock(&self.readers).retain(|name, ended| {
            let stays = before.account(name) == now.account(name);
            if !stays {
                ended.cancel();
            }
            stays
        });
        let Access::Accounts(accounts) = &before.access else { return HashSet::new() };
        let renewed = accounts.iter().filter(|(name, account)| {
            now.account(name).is_some_and(|now| !account.goes_on_as(now))
        });
        renewed.map(|(name, _)| name.clone()).collect()
    }

    /// Whether `username`, who was let in before, may watch recordings; `None` is a client let in without an
    /// account.
    #[must_use]
    pub fn allows_past(&self, username: Option<&str>) -> bool {
        username.is_none_or(|name| self.rules().account(name).is_some_and(|known| known.past))
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Whether `peer` has to sign in before anything but OPTIONS is answered.
    #[must_use]
    pub fn needs_account(&self, peer: IpAddr) -> bool {
        match self.rules().access {
            Access::Everybody => false,
            Access::ThisComputer => !peer.is_loopback(),
            Access::Accounts(_) | Access::Nobody => true,
        }
    }

    /// Whether `username`, who was let in before, still has `right` on `stream`; `None` is a client
    /// let in without an account.
    #[must_use]
    pub fn still_lets(&self, username: Option<&str>, right: Right, stream: &str) -> bool {
        let rules = self.rules();
        match (&rules.access, username) {
            (Access::Everybody | Access::ThisComputer, None) => true,
            (_, None) => false,
            (_, Some(name)) => rules.account(name).is_some_and(|known| known.may(right, stream)),
        }
    }

    /// The ledger of wrong passwords.
    pub fn failures(&self) -> MutexGuard<'_, Failures> {
        crate::base::sync::lock(&self.failures)
    }

    /// Notes that a sign-in to the account `username` was looked at.
    fn note(&self, rules: &Rules, username: &str, from: Origin, outcome: Outcome) {
        let account = rules.account(username).map(|_| username.into());
        let Origin { peer, secure, http } = from;
        self.attempts().note(Attempt { account, peer, secure, http, outcome });
    }

    /// Sign-ins since they were last taken.
    pub fn attempts(&self) -> MutexGuard<'_, Attempts> {
        crate::base::sync::lock(&self.attempts)
    }
}

/// Where a sign-in comes from.
#[derive(Clone, Copy, Debug)]
struct Origin {
    peer: IpAddr,
    secure: bool,
    http: bool,
}

#[cfg(test)]
mod tests;
