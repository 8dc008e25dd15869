//! Who sent a request, as far as that was proved, and what they may.
//!
//! Owns: the one place where a role and a list of streams become a yes or a no.

use std::sync::Arc;

use super::account::{Account, Role, StreamAccess};
use super::right::Right;
use super::session::SessionId;
use super::token::{ApiToken, TokenScope};
use crate::base::Stop;

/// How a caller proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By nothing: the box is open to this computer.
    Open,
    /// By a key that only the box's own user and root can read.
    Local,
    /// By the cookie of a session.
    Session(SessionId),
    /// By an API token.
    Token,
    /// By the password of a stream account.
    StreamAccount,
    /// By an API token that is good for the metrics alone.
    MetricsToken,
}

impl Proof {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Local => "local",
            Self::Session(_) => "session",
            Self::Token => "token",
            Self::StreamAccount => "stream account",
            Self::MetricsToken => "metrics token",
        }
    }
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account's name; empty where there is none.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// What they may see.
    pub streams: StreamAccess,
    /// Whether they may see recordings.
    pub past: bool,
    /// How they proved it.
    pub proof: Proof,
    /// Given when they lose what they have now: whatever runs for them ends.
    pub ended: Stop,
    /// Held while a request or a socket of theirs is served.
    pub(super) _held: Option<Arc<()>>,
}

impl Identity {
    /// A caller with every right.
    #[must_use]
    pub fn unlimited(proof: Proof) -> Self {
        Self {
            name: "".into(),
            role: Role::Admin,
            streams: StreamAccess::All,
            past: true,
            proof,
            ended: Stop::new(),
            _held: None,
        }
    }

    /// The caller with `account`.
    pub(super) fn of(account: &Account, proof: Proof, ended: Stop, held: Arc<()>) -> Self {
        let admin = account.role == Role::Admin;
        Self {
            name: account.name.as_str().into(),
            role: account.role,
            streams: if admin { StreamAccess::All } else { account.streams.clone() },
            past: account.past || admin,
            proof,
            ended,
            _held: Some(held),
        }
    }

    /// Who shows `token`.
    pub(super) fn of_token(token: &ApiToken, maker: Option<&Account>, ended: Stop) -> Self {
        let (role, streams, past) = token.rights(maker);
        let proof = match token.scope {
            TokenScope::Api => Proof::Token,
            TokenScope::Metrics => Proof::MetricsToken,
        };
        let name = format!("token {}", token.id).into();
        Self { name, role, streams, past, proof, ended, _held: None }
    }

    /// A player that showed the password of the stream account `name`: it may watch `streams`, and their
    /// recordings if `past`.
    #[must_use]
    pub fn of_stream_account(
        name: Arc<str>,
        streams: StreamAccess,
        past: bool,
        ended: Stop,
    ) -> Self {
        let proof = Proof::StreamAccount;
        Self { name, role: Role::Viewer, streams, past, proof, ended, _held: None }
    }

    /// The name, or what stands for one.
    #[must_use]
    pub fn shown_name(&self) -> String {
        match self.proof {
            Proof::Open => "this computer".to_owned(),
            Proof::Local => "command line".to_owned(),
            _ => self.name.to_string(),
        }
    }

    /// Whether they have `right` on `stream`.
    #[must_use]
    pub fn may(&self, right: Right, stream: &str) -> bool {
        self.streams.covers(stream) && (right == Right::Live || self.past)
    }

    /// Whether they may see every stream.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.streams == StreamAccess::All
    }
}
