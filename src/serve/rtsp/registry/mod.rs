//! The sessions of all RTSP listeners: authorization, who is connected, who failed.
//!
//! Owns: the list of connections and the last failures, both for the API; failed logins on disk; the
//! configured accounts.
//! Does not own: connections; each reports about itself through its [`SessionHandle`].

mod credentials;
mod failed_logins;
mod handle;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

pub use credentials::SubStreams;
pub use failed_logins::{FailedLoginsError, keep_failed_logins, read_failed_logins};
pub use handle::SessionReport;
pub(super) use handle::{SessionHandle, SessionStats};

use self::credentials::Configured;
use crate::base::limits::{RTSP_FAILURES_MAX, RTSP_SESSION_TIMEOUT};
use crate::base::sync::lock;
use crate::base::time::{BootTime, WallTime};
use crate::wire::rtsp::Flowing;
use crate::wire::rtsp::auth::{Authorizer, Right};

/// The RTSP sessions of all listeners. Clones share it.
#[derive(Clone, Debug)]
pub struct SessionRegistry(Arc<RegistryState>);

#[derive(Debug)]
struct RegistryState {
    authorizer: Arc<Authorizer>,
    configured: Configured,
    port: AtomicU16,
    session_timeout: Mutex<Duration>,
    sessions: Mutex<BTreeMap<u64, Arc<SessionStats>>>,
    failures: Mutex<VecDeque<FailureReport>>,
}

/// A client that failed, as the API shows it.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct FailureReport {
    /// Names it in the API.
    pub id: String,
    /// When it failed last.
    pub at: WallTime,
    /// Its address.
    pub peer: String,
    /// Its User-Agent.
    pub user_agent: Option<String>,
    /// The account it signed in to.
    pub user: Option<String>,
    /// Why it was refused, or why its connection ended.
    pub reason: String,
    /// The dialogue, without secrets.
    #[serde(skip)]
    pub transcript: String,
}

impl SessionRegistry {
    /// A registry whose sessions `authorizer` authorizes.
    #[must_use]
    pub fn new(authorizer: Authorizer) -> Self {
        Self(Arc::new(RegistryState {
            authorizer: Arc::new(authorizer),
            configured: Configured::default(),
            port: AtomicU16::default(),
            session_timeout: Mutex::new(RTSP_SESSION_TIMEOUT),
            sessions: Mutex::default(),
            failures: Mutex::default(),
        }))
    }

    /// The rules of who may do what.
    #[must_use]
    pub fn authorizer(&self) -> &Arc<Authorizer> {
        &self.0.authorizer
    }

    /// The port of plain RTSP, for the addresses that people are shown; 0 without one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port.load(Relaxed)
    }

    /// Plain RTSP is served at `port`.
    pub fn serve_at(&self, port: u16) {
        self.0.port.store(port, Relaxed);
    }

    /// How long a peer may be silent.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        *lock(&self.0.session_timeout)
    }

    /// Lets the peers of sessions to come be silent for so long.
    pub fn wait_for_peers(&self, timeout: Duration) {
        *lock(&self.0.session_timeout) = timeout;
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<SessionStats>>> {
        lock(&self.0.sessions)
    }

    fn failures(&self) -> MutexGuard<'_, VecDeque<FailureReport>> {
        lock(&self.0.failures)
    }

    /// All sessions, oldest first. `newest` says when the newest unit of a
    /// stream came.
    #[must_use]
    pub fn sessions(&self, newest: impl Fn(&str) -> Option<BootTime>) -> Vec<SessionReport> {
        let sessions: Vec<_> = self.open().values().cloned().collect();
        let mut reports: Vec<_> = sessions.iter().filter_map(|v| v.report(&newest)).collect();
        reports.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        reports
    }

    /// Ends the session `id`, connection and all; `false` when there is none.
    #[must_use]
    pub fn end(&self, id: &str) -> bool {
        let sessions = self.open();
        let found = sessions.values().find(|stats| stats.id() == id);
        found.is_some_and(|stats| stats.is_set_up() && stats.end())
    }

    /// Ends every session that the rules no longer allow, and those of the accounts `renewed`, who have to
    /// sign in again.
    fn end_unauthorized(&self, renewed: &HashSet<String>) {
        let sessions: Vec<_> = self.open().values().cloned().collect();
        let strangers = sessions.iter().filter(|stats| {
            stats.doing().is_some_and(|(user, stream, flow)| {
                if user.as_ref().is_some_and(|user| renewed.contains(&**user)) {
                    return true;
                }
                let lets = |right| self.0.authorizer.still_lets(user.as_deref(), right, &stream);
                !match flow {
                    Flowing::Playing => lets(Right::Read),
                    Flowing::Recording => lets(Right::Publish),
                    Flowing::Paused => lets(Right::Read) || lets(Right::Publish),
                }
            })
        });
        for stats in strangers {
            stats.end();
        }
    }

    /// The last clients that failed, newest first.
    #[must_use]
    pub fn failed(&self) -> Vec<FailureReport> {
        self.failures().iter().rev().cloned().collect()
    }

    /// Keeps `report`; one of the same connection is replaced, the oldest leave first.
    fn file(&self, report: FailureReport) {
        let mut failures = self.failures();
        failures.retain(|old| old.id != report.id);
        failures.push_back(report);
        while failures.len() > RTSP_FAILURES_MAX {
            failures.pop_front();
        }
    }

    /// Forgets the failure of a connection that got what it wanted after all.
    fn withdraw(&self, id: &str) {
        self.failures().retain(|old| old.id != id);
    }
}

impl Default for SessionRegistry {
    /// Lets everyone in; for tests.
    fn default() -> Self {
        Self::new(Authorizer::open())
    }
}

#[cfg(test)]
mod tests;
