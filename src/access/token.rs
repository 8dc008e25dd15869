//! API tokens: what programs show in place of a person's session.
//!
//! Owns: their form and what of the maker's rights a token has. Only the hash of one is kept.

use serde::{Deserialize, Serialize};

use super::account::{Account, Role, StreamAccess};
use super::credential::{KEY_BYTES, hash, hex};
use crate::base::secret::Secret;
use crate::base::time::WallTime;

/// In front of a token, so that a text search finds one where it should not be.
const PREFIX: &str = "hft_";
/// Bytes of the name of a token.
const ID_BYTES: usize = 8;

/// What a token is good for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Whatever its role may do.
    #[default]
    Api,
    /// `/metrics` alone.
    Metrics,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What people call it.
    pub label: String,
    /// What it may do; no more than its maker.
    pub role: Role,
    /// What it may see.
    pub streams: StreamAccess,
    /// Whether it may see recordings.
    pub past: bool,
    /// What it is good for.
    pub scope: TokenScope,
    /// Until when it is good.
    pub expires: Option<WallTime>,
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// Names it without being it.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// The account that made it, and without which it is nothing; `None`: the command line.
    pub maker: Option<String>,
    /// What it may do.
    pub role: Role,
    /// What it may see.
    pub streams: StreamAccess,
    /// Whether it may see recordings.
    pub past: bool,
    /// What it is good for.
    pub scope: TokenScope,
    /// Until when it is good, in Unix milliseconds.
    pub expires_unix_ms: Option<i64>,
    /// SHA-256 of it, in hexadecimal.
    pub(super) hash: String,
}

impl ApiToken {
    /// A token out of unguessable bytes, and the text that is shown once.
    pub(super) fn new(
        new: &NewToken,
        maker: Option<&str>,
        random: [u8; KEY_BYTES],
        id: [u8; ID_BYTES],
    ) -> (Self, Secret) {
        let text = format!("{PREFIX}{}", hex(&random));
        let token = Self {
            id: hex(&id),
            label: new.label.clone(),
            maker: maker.map(str::to_owned),
            role: new.role,
            streams: new.streams.clone(),
            past: new.past,
            scope: new.scope,
            expires_unix_ms: new.expires.map(WallTime::as_unix_millis),
            hash: hex(&hash(&text)),
        };
        (token, Secret::new(text))
    }

    /// Whether it is good no more.
    pub(super) fn is_over(&self, now: WallTime) -> bool {
        self.expires_unix_ms.is_some_and(|until| until <= now.as_unix_millis())
    }

    /// What it may: never more than its maker may now.
    pub(super) fn rights(&self, maker: Option<&Account>) -> (Role, StreamAccess, bool) {
        let Some(maker) = maker else { return (self.role, self.streams.clone(), self.past) };
        if maker.role == Role::Admin {
            return (self.role, self.streams.clone(), self.past);
        }
        let streams = self.streams.both(&maker.streams);
        (self.role.min(maker.role), streams, self.past && maker.past)
    }
}

/// The hash under which a presented token is stored; `None` for what is not a token.
pub(super) fn shown_hash(text: &str) -> Option<String> {
    let digits = text.strip_prefix(PREFIX)?;
    (digits.len() == 2 * KEY_BYTES).then(|| hex(&hash(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(role: Role, expires: Option<WallTime>) -> (ApiToken, Secret) {
        let (streams, scope) = (StreamAccess::All, TokenScope::Api);
        let new = NewToken { label: "ci".to_owned(), role, streams, past: true, scope, expires };
        ApiToken::new(&new, Some("anna"), [7; KEY_BYTES], [1; ID_BYTES])
    }

    #[test]
    fn a_token_is_found_by_its_hash_and_its_text_is_not_kept() {
        let (token, text) = token(Role::Viewer, None);
        assert_eq!(shown_hash(text.reveal()), Some(token.hash.clone()));
        assert!(!serde_json::to_string(&token).unwrap().contains(&text.reveal()[4..20]));
        for wrong in ["", "hft_", "hft_00", &text.reveal()[1..]] {
            assert_ne!(shown_hash(wrong), Some(token.hash.clone()));
        }
    }

    #[test]
    fn a_token_ends_and_has_no_more_than_its_maker() {
        let at = WallTime::from_unix_nanos(5_000_000_000);
        let (limited, _) = token(Role::Admin, Some(at));
        assert!(limited.is_over(at) && !limited.is_over(at.offset_nanos(-1_000_000)));
        let streams: StreamAccess = serde_json::from_str("[\"gate\"]").unwrap();
        let maker = Account::test("anna", Role::Operator, streams.clone(), false);
        assert_eq!(limited.rights(Some(&maker)), (Role::Operator, streams, false));
        assert_eq!(limited.rights(None), (Role::Admin, StreamAccess::All, true));
    }
}
