use super::book::Book;
use super::*;
use crate::base::time::{SystemClock, WallTime};

const BOOT: &str = "0000000000000000000000000000000a";
const OTHER: &str = "0000000000000000000000000000000b";

fn at(secs: i64) -> WallTime {
    WallTime::from_unix_nanos((1_760_000_000 + secs) * 1_000_000_000)
}

fn death(secs: i64) -> Entry {
    Entry::new(Rung::DaemonRestart, DAEMON, "ended by itself (signal, SEGV)", BOOT, at(secs))
}

fn alive_since(secs: i64) -> Book {
    let life = Life { boot: BOOT.to_owned(), since: at(secs).to_rfc3339() };
    Book { life: Some(life), ..Book::default() }
}

#[test]
fn an_end_that_was_asked_for_is_no_entry() {
    assert_eq!(Book::default().previous_end(BOOT, at(0), true), None);
}

#[test]
fn a_death_is_noted_once() {
    let mut book = alive_since(0);
    let entry = book.previous_end(BOOT, at(9), false).expect("nobody ended that run");
    assert_eq!((entry.rung, entry.part.as_str()), (Rung::DaemonRestart, DAEMON));
    book.add(death(5));
    assert_eq!(book.previous_end(BOOT, at(9), false), None, "systemd's word was there first");
}

#[test]
fn another_boot_tells_reset_from_reboot() {
    let mut book = alive_since(0);
    let rung = |book: &Book, watchdog| book.previous_end(OTHER, at(900), watchdog).unwrap();
    assert!(rung(&book, false).what.contains("power was lost"));
    assert!(rung(&book, true).what.contains("watchdog"));
    for death_at in [0, 100, 200, 300] {
        book.add(death(death_at));
    }
    assert_eq!(rung(&book, false).rung, Rung::BoardReset, "four deaths reboot nothing");
    book.add(death(590));
    assert_eq!(rung(&book, false).rung, Rung::Reboot);
    book.entries[0].last = at(-60).to_rfc3339();
    assert_eq!(rung(&book, false).rung, Rung::BoardReset, "five within more than ten minutes");
}

#[test]
fn what_hangs_is_named_and_is_no_second_death() {
    let mut book = alive_since(0);
    for death_at in [10, 20, 30] {
        book.add(Entry::new(Rung::DaemonRestart, "web/x", "did not beat", BOOT, at(death_at)));
        book.add(death(death_at));
    }
    assert_eq!(book.previous_end(OTHER, at(60), false).unwrap().rung, Rung::BoardReset);
}

#[test]
fn a_flapping_camera_wears_nothing_and_pushes_nothing_out() {
    let mut book = Book::default();
    assert!(book.add(death(0)));
    let restart = |what: &str| Entry::new(Rung::PartRestart, "gate/source", what, BOOT, at(1));
    let written = (0..1_000).filter(|_| book.add(restart("refused"))).count();
    assert!(written <= 11, "{written} writes for 1,000 restarts");
    assert_eq!(book.entries[1].times, 1_000);
    for what in 0..2_000 {
        book.add(restart(&format!("reason {what}")));
    }
    assert_eq!(book.entries.len(), crate::base::limits::RECOVERY_ENTRIES_MAX);
    assert_eq!(book.entries[0], death(0));
}

#[test]
fn a_reason_has_an_end() {
    let entry = Entry::new(Rung::PartRestart, "x", &"ü".repeat(100_000), BOOT, at(0));
    assert!(entry.what.len() <= crate::base::limits::RECOVERY_TEXT_BYTES_MAX);
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

#[test]
fn the_log_outlives_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let log = RecoveryLog::open(dir.path(), clock()).unwrap();
    log.note(Rung::PartRestart, "gate/source", "refused");
    log.close();
    let log = RecoveryLog::open(dir.path(), clock()).unwrap();
    assert_eq!(log.entries().len(), 1, "{:?}", log.entries());
    assert_eq!(read(dir.path()).unwrap()[0].what, "refused");
    log.close();
}

#[test]
fn a_run_that_nobody_ended_is_seen_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book {
        life: Some(Life { boot: this_boot(), since: at(0).to_rfc3339() }),
        ..Book::default()
    };
    file::write(&dir.path().join(NAME), &book).unwrap();
    let log = RecoveryLog::open(dir.path(), clock()).unwrap();
    assert_eq!(log.entries()[0].rung, Rung::DaemonRestart);
    log.close();
}

#[test]
fn systemd_says_how_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let end =
        |result: &str, status: &str| ServiceEnd { result: result.into(), status: status.into() };
    note_end(dir.path(), &end("success", "0"), &clock()).unwrap();
    assert!(read(dir.path()).unwrap().is_empty());
    note_end(dir.path(), &end("watchdog", "ABRT"), &clock()).unwrap();
    note_end(dir.path(), &end("core-dump", "SEGV"), &clock()).unwrap();
    let what: Vec<_> = read(dir.path()).unwrap().into_iter().map(|entry| entry.what).collect();
    assert_eq!(what, ["did not answer systemd in time", "ended by itself (core-dump, SEGV)"]);
}

#[test]
fn damage_is_told_and_costs_only_the_log() {
    let dir = tempfile::tempdir().unwrap();
    for damage in [&b"{\"entries\":[{"[..], b"", b"[]", &[0xFF; 64], &vec![b' '; 2 << 20]] {
        std::fs::write(dir.path().join(NAME), damage).unwrap();
        assert!(read(dir.path()).is_err());
        let log = RecoveryLog::open(dir.path(), clock()).unwrap();
        assert!(log.entries().is_empty());
        log.close();
        assert!(read(dir.path()).unwrap().is_empty(), "written anew");
    }
}
