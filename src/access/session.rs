//! Sessions of browsers: who signed in, since when, and for which scheme.
//!
//! Owns: their number and their age. They live in memory: after a restart people sign in again.

use std::collections::HashMap;
use std::sync::Arc;

use super::credential::{KEY_BYTES, KeyHash, SessionKey, hash};
use crate::base::Stop;
use crate::base::limits::{
    SESSION_IDLE_MAX, SESSION_LIFE_MAX, SESSIONS_PER_ACCOUNT_MAX, WEB_SESSIONS_MAX,
};
use crate::base::time::BootTime;

/// Names a session without being its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(u64);

/// All sessions, by the hash of their keys.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    next: u64,
    all: HashMap<KeyHash, Session>,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    account: String,
    /// A session is good only on the scheme that it was opened on.
    secure: bool,
    opened: BootTime,
    used: BootTime,
    ended: Stop,
    /// Requests and sockets of the session hold clones.
    held: Arc<()>,
}

/// A session that was found.
#[derive(Debug)]
pub(super) struct FoundSession {
    pub(super) id: SessionId,
    pub(super) account: String,
    pub(super) ended: Stop,
    pub(super) held: Arc<()>,
}

impl Session {
    fn is_over(&self, now: BootTime) -> bool {
        now.since(self.used) > SESSION_IDLE_MAX || now.since(self.opened) > SESSION_LIFE_MAX
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Sessions {
    /// Opens a session of `account`; where there are too many, the one that was idle longest ends.
    pub(super) fn open(
        &mut self,
        now: BootTime,
        account: &str,
        secure: bool,
        random: [u8; KEY_BYTES],
    ) -> SessionKey {
        self.sweep(now);
        self.make_room(|session| session.account == account, SESSIONS_PER_ACCOUNT_MAX);
        self.make_room(|_| true, WEB_SESSIONS_MAX);
        let key = SessionKey::new(random);
        let session = Session {
            id: SessionId(self.next),
            account: account.to_owned(),
            secure,
            opened: now,
            used: now,
            ended: Stop::new(),
            held: Arc::default(),
        };
        self.next += 1;
        self.all.insert(hash(key.reveal()), session);
        key
    }

    fn make_room(&mut self, counts: impl Fn(&Session) -> bool, most: usize) {
        let own = self.all.iter().filter(|(_, session)| counts(session));
        if own.clone().count() < most {
            return;
        }
        let oldest = own.min_by_key(|(_, session)| (session.used, session.id.0));
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.all.remove(&key);
        }
    }

    /// The session of `key`, which this use keeps from becoming idle.
    pub(super) fn find(&mut self, now: BootTime, key: &str, secure: bool) -> Option<FoundSession> {
        let key = hash(key);
        let session = self.all.get_mut(&key).filter(|session| session.secure == secure)?;
        if session.is_over(now) {
            self.all.remove(&key);
            return None;
        }
        session.used = now;
        Some(FoundSession {
            id: session.id,
            account: session.account.clone(),
            ended: session.ended.clone(),
            held: Arc::clone(&session.held),
        })
    }

    /// Ends a session; whatever runs for it ends too.
    pub(super) fn end(&mut self, id: SessionId) {
        self.all.retain(|_, session| session.id != id);
    }

    /// Ends the sessions of `account`, but not `except`.
    pub(super) fn end_of(&mut self, account: &str, except: Option<SessionId>) {
        let stays = |session: &Session| session.account != account || Some(session.id) == except;
        self.all.retain(|_, session| stays(session));
    }

    /// Ends those that are too old. An open socket is a use.
    pub(super) fn sweep(&mut self, now: BootTime) {
        self.all.retain(|_, session| {
            if Arc::strong_count(&session.held) > 1 {
                session.used = now;
            }
            !session.is_over(now)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(secs: u64) -> BootTime {
        BootTime::from_millis(secs * 1_000)
    }

    fn open(sessions: &mut Sessions, secs: u64, account: &str, n: u8) -> SessionKey {
        sessions.open(at(secs), account, false, [n; KEY_BYTES])
    }

    fn is_open(sessions: &mut Sessions, secs: u64, key: &SessionKey) -> bool {
        sessions.find(at(secs), key.reveal(), false).is_some()
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_after_a_day() {
        let mut sessions = Sessions::default();
        let idle = open(&mut sessions, 0, "anna", 1);
        let used = open(&mut sessions, 0, "anna", 2);
        let idle_secs = SESSION_IDLE_MAX.as_secs();
        assert!(is_open(&mut sessions, idle_secs, &used));
        assert!(!is_open(&mut sessions, idle_secs + 1, &idle));
        let mut now = idle_secs;
        while now < SESSION_LIFE_MAX.as_secs() {
            now += idle_secs;
            is_open(&mut sessions, now, &used);
        }
        assert!(!is_open(&mut sessions, now + 1, &used));
    }

    #[test]
    fn an_open_socket_keeps_a_session_but_not_for_longer_than_a_day() {
        let mut sessions = Sessions::default();
        let key = open(&mut sessions, 0, "anna", 1);
        let socket = sessions.find(at(0), key.reveal(), false).unwrap();
        let mut now = Duration::ZERO;
        while now < SESSION_LIFE_MAX {
            now += SESSION_IDLE_MAX / 2;
            sessions.sweep(at(now.as_secs()));
            assert_eq!(socket.ended.is_cancelled(), now > SESSION_LIFE_MAX, "{now:?}");
        }
        sessions.sweep(at(now.as_secs() + 1));
        assert!(socket.ended.is_cancelled());
    }

    #[test]
    fn a_session_is_good_on_its_own_scheme_only() {
        let mut sessions = Sessions::default();
        let key = sessions.open(at(0), "anna", true, [1; KEY_BYTES]);
        assert!(sessions.find(at(0), key.reveal(), false).is_none());
        assert!(sessions.find(at(0), key.reveal(), true).is_some());
    }

    #[test]
    fn a_further_session_ends_the_one_that_was_idle_longest() {
        let mut sessions = Sessions::default();
        let keys: Vec<_> = (0..8).map(|n| open(&mut sessions, u64::from(n), "anna", n)).collect();
        let bert = open(&mut sessions, 8, "bert", 100);
        assert!(is_open(&mut sessions, 9, &keys[0]));
        open(&mut sessions, 10, "anna", 50);
        assert!(!is_open(&mut sessions, 10, &keys[1]) && is_open(&mut sessions, 10, &keys[0]));
        assert!(is_open(&mut sessions, 10, &bert));
        for n in 0..200 {
            open(&mut sessions, 11, &format!("many-{n}"), n);
        }
        assert_eq!(sessions.all.len(), WEB_SESSIONS_MAX);
    }

    #[test]
    fn ending_ends_what_runs_for_it() {
        let mut sessions = Sessions::default();
        let [one, other] = [1, 2].map(|n| open(&mut sessions, 0, "anna", n));
        let [one, other] = [one, other].map(|key| sessions.find(at(0), key.reveal(), false));
        let (one, other) = (one.unwrap(), other.unwrap());
        sessions.end_of("bert", None);
        sessions.end_of("anna", Some(one.id));
        assert!(!one.ended.is_cancelled() && other.ended.is_cancelled());
        sessions.end(one.id);
        assert!(one.ended.is_cancelled());
    }
}
