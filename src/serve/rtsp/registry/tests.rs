//! The list, the failures and the ledger, without a network.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::failed_logins::{keep_failed_logins, read_failed_logins};
use super::*;
use crate::base::Stop;
use crate::base::limits::{AUTH_FAILURES_BYTES_MAX, AUTH_FAILURES_MAX};
use crate::base::time::{Clock, SharedClock, SystemClock};
use crate::supervise::Supervisor;
use crate::wire::rtsp::auth::{Access, Rules};
use crate::wire::rtsp::{Command, Session, Step};

fn peer() -> SocketAddr {
    "10.0.0.2:5000".parse().unwrap()
}

/// A session that has been asked for a stream that is not there.
fn failed_session() -> Session {
    let now = BootTime::from_millis(1);
    let mut session = Session::new(now, WallTime::default(), peer().ip(), 1);
    let text = "DESCRIBE rtsp://u:p@h/x RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: probe\r\n\r\n";
    session.receive(now, text.as_bytes());
    while !matches!(session.poll(now), Step::Wait { .. }) {
        let refusal = crate::wire::rtsp::Refusal::NoStream;
        session.command(now, Command::Refuse(refusal));
    }
    session
}

#[test]
fn the_last_failures_are_kept_newest_first_and_once_per_connection() {
    let registry = SessionRegistry::default();
    let mut first = registry.enter(peer(), false);
    for _ in 0..2 {
        first.see(WallTime::default(), &mut failed_session());
    }
    assert_eq!(registry.failed().len(), 1);
    let report = &registry.failed()[0];
    assert_eq!(report.reason, "404 Not Found: there is no such stream");
    assert_eq!((&report.peer[..], report.user_agent.as_deref()), ("10.0.0.2:5000", Some("probe")));
    assert!(report.transcript.contains("DESCRIBE rtsp://***@h/x"), "{}", report.transcript);
    let oldest = report.id.clone();
    for _ in 0..RTSP_FAILURES_MAX {
        registry.enter(peer(), false).see(WallTime::default(), &mut failed_session());
    }
    let failed = registry.failed();
    assert_eq!(failed.len(), RTSP_FAILURES_MAX);
    assert!(failed.iter().all(|failure| failure.id != oldest));
}

#[test]
fn only_what_is_set_up_is_listed_and_can_be_ended() {
    let registry = SessionRegistry::default();
    let handle = registry.enter(peer(), false);
    assert!(registry.sessions(|_| None).is_empty());
    let id = registry.open().values().next().unwrap().id();
    assert!(!registry.end(&id) && !registry.end("") && !handle.end().is_cancelled());
    drop(handle);
    assert!(registry.open().is_empty());
}

fn authorizer() -> Arc<Authorizer> {
    let rules = Rules { access: Access::Accounts([].into()), basic: false };
    Arc::new(Authorizer::new(&[7; 32], rules))
}

async fn wait(authorizer: &Authorizer, dir: &Path) -> Option<Duration> {
    read_failed_logins(authorizer, dir, &SystemClock).await;
    authorizer.failures().wait(SystemClock.boot(), peer().ip())
}

#[tokio::test]
async fn wrong_passwords_are_remembered_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(SystemClock);
    let supervisor = Supervisor::new(Stop::new(), clock);
    let before = authorizer();
    assert_eq!(wait(&before, dir.path()).await, None, "no file yet");
    keep_failed_logins(&before, dir.path(), &supervisor);
    // The task begins before it is asked to stop.
    tokio::task::yield_now().await;
    for _ in 0..2 * AUTH_FAILURES_MAX {
        before.failures().failed(SystemClock.boot(), peer().ip());
    }
    supervisor.stop().await;
    assert!(wait(&authorizer(), dir.path()).await.is_some());
}

#[tokio::test]
async fn a_ledger_that_is_damaged_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrong-passwords.json");
    let endless = "[".repeat(usize::try_from(AUTH_FAILURES_BYTES_MAX).unwrap() * 2);
    for text in ["", "{}", "\u{0}\u{0}", "{\"at_unix_ms\":", &endless] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(wait(&authorizer(), dir.path()).await, None);
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(wait(&authorizer(), dir.path()).await, None);
}
