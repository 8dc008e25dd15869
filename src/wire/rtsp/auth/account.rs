//! Stream accounts: who may read and publish what.
//!
//! Owns: their names, rights and generated passwords. Of a password only HA1 is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::REALM;
use super::digest::Algorithm;
use crate::base::name_pattern::NamePattern;
use crate::base::secret::Secret;

/// Letters of a generated password: all that need no quoting in any URL, shell or form.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Letters of a generated password: 62^22 is a little more than 2^130.
const PASSWORD_LETTERS: usize = 22;
/// Random bytes that a password is made of. Some are left aside; that so many are, that too few
/// remain, happens once in 10^24 times.
pub const PASSWORD_SEED_BYTES: usize = 64;

/// What an account may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To watch: DESCRIBE, SETUP, PLAY.
    Read,
    /// To send: ANNOUNCE, SETUP, RECORD.
    Publish,
}

/// Streams that a right covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every stream, those of the future too.
    All,
    /// These streams, and those whose names have these patterns.
    Only(BTreeSet<NamePattern>),
}

impl Scope {
    /// No stream.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// Whether it covers `stream`.
    #[must_use]
    pub fn covers(&self, stream: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(stream)),
        }
    }
}

/// A stream account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// HA1 by MD5, in lower-case hexadecimal.
    pub ha1: Secret,
    /// HA1 by SHA-256, where it is used.
    pub ha1_sha256: Option<Secret>,
    /// What it may watch.
    pub read: Scope,
    /// Where it may send.
    pub publish: Scope,
    /// Whether it may watch recordings.
    pub past: bool,
    /// The person whose it is, and without whom it is nothing; `None`: the box's own.
    pub owner: Option<String>,
}

impl Account {
    /// One that belongs to nobody and is asked for MD5 alone.
    #[must_use]
    pub fn new(ha1: Secret, read: Scope, publish: Scope) -> Self {
        Self { ha1, ha1_sha256: None, read, publish, past: true, owner: None }
    }

    /// Whether a session that was let in by this one may go on under `now`, as far as it is not about a
    /// stream: the password is the same, and the past is not lost.
    pub(super) fn goes_on_as(&self, now: &Self) -> bool {
        self.ha1 == now.ha1 && (now.past || !self.past)
    }

    /// Whether it has `right` on `stream`.
    #[must_use]
    pub fn may(&self, right: Right, stream: &str) -> bool {
        match right {
            Right::Read => self.read.covers(stream),
            Right::Publish => self.publish.covers(stream),
        }
    }

    /// The HA1 for `algorithm`.
    pub(super) fn ha1(&self, algorithm: Algorithm) -> Option<&Secret> {
        match algorithm {
            Algorithm::Md5 => Some(&self.ha1),
            Algorithm::Sha256 => self.ha1_sha256.as_ref(),
        }
    }
}

/// The accounts by name.
pub type Accounts = BTreeMap<String, Account>;

/// A new password and what is kept of it.
#[derive(Debug)]
pub struct Credential {
    /// Shown once, kept nowhere.
    pub password: Secret,
    /// HA1 by MD5.
    pub ha1: Secret,
    /// HA1 by SHA-256.
    pub ha1_sha256: Secret,
}

impl Credential {
    /// A password for `username`, of 22 letters and digits, made from unguessable bytes.
    #[must_use]
    pub fn generate(username: &str, random: &[u8; PASSWORD_SEED_BYTES]) -> Self {
        // Bytes from 248 on would make the first letters more likely than the others.
        let fair = random.iter().filter(|byte| **byte < 248);
        let letters = fair.map(|byte| char::from(LETTERS[usize::from(byte % 62)]));
        Self::of(username, Secret::new(letters.take(PASSWORD_LETTERS).collect::<String>()))
    }

    /// What is kept of `password`, which somebody chose for `username`.
    #[must_use]
    pub fn of(username: &str, password: Secret) -> Self {
        Self {
            ha1: Algorithm::Md5.ha1(username, REALM, &password),
            ha1_sha256: Algorithm::Sha256.ha1(username, REALM, &password),
            password,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_covers_its_streams_only() {
        let gate: BTreeSet<_> = [NamePattern::parse("gate").unwrap()].into();
        let account = Account::new(Secret::new("x"), Scope::All, Scope::Only(gate));
        assert!(account.may(Right::Read, "yard") && account.may(Right::Publish, "gate"));
        for other in ["yard", "", "gate/", "GATE", "gate/../yard"] {
            assert!(!account.may(Right::Publish, other), "{other}");
        }
        let publish = Scope::Only([NamePattern::parse("cam-*").unwrap()].into());
        let account = Account { publish, ..account };
        assert!(account.may(Right::Publish, "cam-7"));
        assert!(!account.may(Right::Publish, "cam-") && !account.may(Right::Publish, "gate"));
    }

    #[test]
    fn generated_passwords_are_letters_and_digits_and_only_hashes_remain() {
        let mut random = [0; PASSWORD_SEED_BYTES];
        for (n, byte) in random.iter_mut().enumerate() {
            *byte = u8::try_from(n * 4 + 3).unwrap();
        }
        let made = Credential::generate("nvr", &random);
        assert_eq!(made.password.reveal().len(), PASSWORD_LETTERS);
        assert!(made.password.reveal().bytes().all(|letter| letter.is_ascii_alphanumeric()));
        assert_eq!(made.ha1, Algorithm::Md5.ha1("nvr", REALM, &made.password));
        assert_eq!(made.ha1_sha256.reveal().len(), Algorithm::Sha256.digits());
        assert!(!format!("{made:?}").contains(made.password.reveal()));
    }
}
