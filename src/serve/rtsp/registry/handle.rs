//! One connection as the registry knows it.
//!
//! Owns: its activity and counters, as the connection reports them; the signal to end it. Figures
//! are written with every access unit, so they are single words without a lock.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;

use super::{FailureReport, SessionRegistry};
use crate::base::Stop;
use crate::base::sync::lock;
use crate::base::time::{BootTime, WallTime};
use crate::wire::rtsp::{Flowing, Session};

/// A connection in the list; dropping it takes it out.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    registry: SessionRegistry,
    stats: Arc<SessionStats>,
    /// A failure of it is filed.
    filed: bool,
}

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct SessionStats {
    number: u64,
    peer: SocketAddr,
    secure: bool,
    facts: Mutex<Facts>,
    bytes: AtomicU64,
    drops: AtomicU64,
    /// When the unit arrived here that was handed on last, in nanoseconds since boot; zero before
    /// the first.
    newest: AtomicU64,
    end: Stop,
}

#[derive(Debug, Default)]
struct Facts {
    user_agent: Option<String>,
    user: Option<Arc<str>>,
    stream: Option<String>,
    transport: &'static str,
    flow: Flowing,
    since: WallTime,
}

/// A session, as the API shows it.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct SessionReport {
    /// Its id in the API, which differs from the one in RTSP.
    pub id: String,
    /// Its address.
    pub peer: String,
    /// Its User-Agent.
    pub user_agent: Option<String>,
    /// The account; `None` where there are no accounts.
    pub user: Option<String>,
    /// Of which stream.
    pub stream: String,
    /// `tcp` (inside the connection), `udp` or `multicast`.
    pub transport: &'static str,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether media flows, and which way.
    pub state: Flowing,
    /// When it was set up.
    pub since: WallTime,
    /// Bytes of media handed to the socket, or taken from it.
    pub bytes: u64,
    /// Access units that it was too slow for.
    pub drops: u64,
    /// How far the last unit handed to it is behind the newest of the stream; `None` while it does
    /// not play.
    pub lag_ms: Option<u64>,
}

impl SessionStats {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// Its name in the API.
    pub(super) fn id(&self) -> String {
        format!("{:016x}", self.number)
    }

    pub(super) fn is_set_up(&self) -> bool {
        self.facts().stream.is_some()
    }

    /// Ends the connection; `false` when that was asked before.
    pub(super) fn end(&self) -> bool {
        let first = !self.end.is_cancelled();
        self.end.cancel();
        first
    }

    /// The account and stream of the session, and which way media flows.
    pub(super) fn doing(&self) -> Option<(Option<Arc<str>>, String, Flowing)> {
        let facts = self.facts();
        Some((facts.user.clone(), facts.stream.clone()?, facts.flow))
    }

    /// `newest` is when the newest unit of a stream came.
    pub(super) fn report(
        &self,
        newest: impl Fn(&str) -> Option<BootTime>,
    ) -> Option<SessionReport> {
        let facts = self.facts();
        let stream = facts.stream.clone()?;
        let handed = Some(self.newest.load(Relaxed)).filter(|_| facts.flow == Flowing::Playing);
        let handed = handed.filter(|&nanos| nanos > 0).map(BootTime::from_nanos);
        let lag = newest(&stream).zip(handed).map(|(newest, handed)| newest.since(handed));
        Some(SessionReport {
            id: self.id(),
            peer: self.peer.to_string(),
            user_agent: facts.user_agent.clone(),
            user: facts.user.as_deref().map(str::to_owned),
            stream,
            transport: facts.transport,
            secure: self.secure,
            state: facts.flow,
            since: facts.since,
            bytes: self.bytes.load(Relaxed),
            drops: self.drops.load(Relaxed),
            lag_ms: lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    /// A unit that arrived at `arrived` was handed to the socket.
    pub(crate) fn handed(&self, arrived: BootTime, bytes: usize) {
        self.took(bytes);
        self.newest.store(arrived.as_nanos(), Relaxed);
    }

    /// Bytes of media came from the peer.
    pub(crate) fn took(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// The peer was too slow for `units`.
    pub(crate) fn dropped(&self, units: u64) {
        self.drops.fetch_add(units, Relaxed);
    }
}

impl SessionRegistry {
    /// Puts a connection from `peer` into the list.
    pub(crate) fn enter(&self, peer: SocketAddr, secure: bool) -> SessionHandle {
        let stats = Arc::new(SessionStats {
            number: fastrand::u64(..),
            peer,
            secure,
            facts: Mutex::default(),
            bytes: AtomicU64::default(),
            drops: AtomicU64::default(),
            newest: AtomicU64::default(),
            end: Stop::new(),
        });
        self.open().insert(stats.number, Arc::clone(&stats));
        SessionHandle { registry: self.clone(), stats, filed: false }
    }
}

impl SessionHandle {
    /// Comes true when the connection shall end. Cancel safe.
    pub(crate) fn end(&self) -> Stop {
        self.stats.end.clone()
    }

    /// A request arrived: the session may be another one now.
    pub(crate) fn see(&mut self, wall: WallTime, session: &mut Session) {
        self.note(wall, session);
        if let Some(failure) = session.take_failure() {
            self.filed = true;
            let facts = self.stats.facts();
            self.registry.file(FailureReport {
                id: self.stats.id(),
                at: wall,
                peer: self.stats.peer.to_string(),
                user_agent: facts.user_agent.clone(),
                user: facts.user.as_deref().map(str::to_owned),
                reason: failure.reason,
                transcript: failure.transcript,
            });
        } else if self.filed && session.has_flowed() && session.view().is_some() {
            self.filed = false;
            self.registry.withdraw(&self.stats.id());
        }
    }

    fn note(&self, wall: WallTime, session: &Session) {
        let mut facts = self.stats.facts();
        facts.user_agent = session.user_agent().map(str::to_owned);
        facts.user = session.user().cloned();
        let Some(view) = session.view() else {
            facts.stream = None;
            return;
        };
        if facts.stream.as_deref() != Some(view.stream) {
            facts.stream = Some(view.stream.to_owned());
            facts.since = wall;
            for figure in [&self.stats.bytes, &self.stats.drops, &self.stats.newest] {
                figure.store(0, Relaxed);
            }
        }
        (facts.transport, facts.flow) = (view.transport, view.flow);
    }

    /// What counts for it, for who sends while the connection sleeps.
    pub(crate) fn stats(&self) -> &Arc<SessionStats> {
        &self.stats
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.registry.open().remove(&self.stats.number);
    }
}
