//! A person's account: name, role, and what it may see.
//!
//! Owns: the rules for names and passwords, and how an account is written down.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, Serializer};

use super::password::PasswordHash;
use super::right::Right;
use crate::base::limits::{ACCOUNT_STREAMS_MAX, PASSWORD_CHARACTERS};
use crate::base::name::StreamName;
use crate::base::secret::Secret;

/// Longest name of an account, in bytes.
const NAME_BYTES_MAX: usize = 32;
/// Different characters that a password must have.
const DISTINCT_MIN: usize = 5;
/// What people choose who must choose twelve characters.
const COMMON: [&str; 12] = [
    "123456789012",
    "1234567890123",
    "administrator",
    "adminadminadmin",
    "changemechangeme",
    "holdfastholdfast",
    "iloveyou1234",
    "password1234",
    "passwordpassword",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
];

/// What an account may do; each role may what those before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Default,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watch.
    #[default]
    Viewer,
    /// Keep footage: marks, protected ranges, exports.
    Operator,
    /// Everything.
    Admin,
}

/// Streams that an account may see.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "StreamList")]
pub enum StreamAccess {
    /// Every stream, those of the future too.
    #[default]
    All,
    /// These streams, and their sub-streams.
    Only(BTreeSet<StreamName>),
}

/// As written: `"*"` or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum StreamList {
    All(String),
    Only(Vec<String>),
}

impl TryFrom<StreamList> for StreamAccess {
    type Error = String;

    fn try_from(list: StreamList) -> Result<Self, String> {
        let names = match list {
            StreamList::All(all) if all == "*" => return Ok(Self::All),
            StreamList::All(_) => return Err("streams are \"*\" or a list of names".to_owned()),
            StreamList::Only(names) if names.len() > ACCOUNT_STREAMS_MAX => {
                return Err(format!("at most {ACCOUNT_STREAMS_MAX} streams"));
            }
            StreamList::Only(names) => names,
        };
        let parse = |name: String| StreamName::parse(&name).map_err(|error| error.to_string());
        names.into_iter().map(parse).collect::<Result<_, _>>().map(Self::Only)
    }
}

impl schemars::JsonSchema for StreamAccess {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StreamAccess".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "const": "*" },
            { "type": "array", "items": { "type": "string" }, "maxItems": ACCOUNT_STREAMS_MAX },
        ] })
    }
}

impl Serialize for StreamAccess {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("*"),
            Self::Only(names) => serializer.collect_seq(names.iter().map(StreamName::as_str)),
        }
    }
}

impl StreamAccess {
    /// The streams that both cover.
    pub(super) fn both(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, streams) | (streams, Self::All) => streams.clone(),
            (Self::Only(one), Self::Only(other)) => {
                Self::Only(one.intersection(other).cloned().collect())
            }
        }
    }

    /// Whether it covers `stream`.
    #[must_use]
    pub fn covers(&self, stream: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name.as_str() == stream),
        }
    }
}

/// A person's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it may see; an administrator sees everything.
    pub streams: StreamAccess,
    /// Whether it may see recordings.
    pub past: bool,
    /// What is kept of its password.
    pub(super) password: PasswordHash,
}

/// Why the account is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The name.
    #[error("a name has 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'")]
    Name,
    /// The password is too short or too long.
    #[error(
        "a password has {} to {} characters; several words in a row are a good one",
        PASSWORD_CHARACTERS.start(),
        PASSWORD_CHARACTERS.end()
    )]
    PasswordLength,
    /// It is among those that are tried first.
    #[error("this password is among those that are tried first; choose another one")]
    PasswordCommon,
    /// It is, or contains, what others know.
    #[error("the password must not contain the account's name or the claim code")]
    PasswordKnown,
}

impl Account {
    /// One for tests, whose password is unknown.
    #[cfg(test)]
    pub(crate) fn test(name: &str, role: Role, streams: StreamAccess, past: bool) -> Self {
        Self { name: name.to_owned(), role, streams, past, password: PasswordHash::none() }
    }

    /// Whether it has `right` on `stream`.
    #[must_use]
    pub fn may(&self, right: Right, stream: &str) -> bool {
        let admin = self.role == Role::Admin;
        admin || (self.streams.covers(stream) && (right == Right::Live || self.past))
    }
}

/// Whether `name` can be an account's: 1 to 32 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, which
/// no URL and no header quotes.
#[must_use]
pub fn is_account_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

/// Checks a password that somebody chose for a player or recorder called `name`.
///
/// # Errors
///
/// It is too short or too long, contains the name, or is among those that are tried first.
pub fn check_password(name: &str, password: &Secret) -> Result<(), AccountError> {
    check(name, password, None)
}

/// Checks a chosen password; `code` is the claim code, where one was used.
pub(super) fn check(name: &str, password: &Secret, code: Option<&str>) -> Result<(), AccountError> {
    if !is_account_name(name) {
        return Err(AccountError::Name);
    }
    let plain = password.reveal();
    if !PASSWORD_CHARACTERS.contains(&plain.chars().count()) {
        return Err(AccountError::PasswordLength);
    }
    let lower = plain.to_lowercase();
    let letters = |text: &str| {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    // A name of three letters is in many good passwords by chance.
    let named = name.len() > 3 && lower.contains(&name.to_lowercase());
    if named || code.is_some_and(|code| letters(plain).contains(&letters(code))) {
        return Err(AccountError::PasswordKnown);
    }
    let distinct: BTreeSet<char> = lower.chars().collect();
    if COMMON.contains(&lower.as_str()) || distinct.len() < DISTINCT_MIN {
        return Err(AccountError::PasswordCommon);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(name: &str, password: &str) -> Option<AccountError> {
        check(name, &Secret::new(password), Some("K7QM-4XZP")).err()
    }

    #[test]
    fn passwords_are_long_and_nobody_knows_them() {
        assert_eq!(fault("anna", "correct horse battery"), None);
        assert_eq!(fault("ann", "channel tunnel"), None, "a short name is in it by chance");
        for (name, password, wanted) in [
            ("a b", "correct horse battery", AccountError::Name),
            ("anna", "elevenchars", AccountError::PasswordLength),
            ("anna", "I am Anna and well", AccountError::PasswordKnown),
            ("anna", "my k7qm4xzp and me", AccountError::PasswordKnown),
            ("anna", "Password1234", AccountError::PasswordCommon),
            ("anna", "abababababab", AccountError::PasswordCommon),
        ] {
            assert_eq!(fault(name, password), Some(wanted), "{password}");
        }
        assert_eq!(fault("anna", &"ab c".repeat(33)), Some(AccountError::PasswordLength));
    }

    #[test]
    fn a_limited_account_sees_its_streams_and_perhaps_no_recording() {
        let gate: StreamAccess = serde_json::from_str("[\"gate\"]").unwrap();
        let account = |role, past| Account::test("x", role, gate.clone(), past);
        let viewer = account(Role::Viewer, false);
        assert!(viewer.may(Right::Live, "gate") && !viewer.may(Right::Past, "gate"));
        assert!(!viewer.may(Right::Live, "yard") && !viewer.may(Right::Live, "gate/"));
        assert!(account(Role::Operator, true).may(Right::Past, "gate"));
        assert!(account(Role::Admin, false).may(Right::Past, "yard"));
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }

    #[test]
    fn streams_are_all_or_a_list() {
        let read = |text: &str| serde_json::from_str::<StreamAccess>(text).ok();
        assert_eq!(read("\"*\""), Some(StreamAccess::All));
        let gate = read("[\"gate\"]").unwrap();
        assert!(gate.covers("gate") && !gate.covers("yard"));
        assert_eq!(serde_json::to_string(&gate).unwrap(), "[\"gate\"]");
        assert_eq!(serde_json::to_string(&StreamAccess::All).unwrap(), "\"*\"");
        for wrong in ["\"gate\"", "[\"../x\"]", "null", "[1]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_need_no_quoting() {
        assert!(is_account_name("nvr") && is_account_name("Synology-2.office_1"));
        for name in ["", "a b", "a:b", "a\"b", "ü", &"x".repeat(33)] {
            assert!(!is_account_name(name), "{name}");
        }
    }
}
