use super::book::{BOARD, Book, DAEMON, DaemonLife, RecoveryEntry, Reset};
use super::*;
use crate::base::time::{BootTime, Clock, SystemClock, WallTime};

const BOOT: &str = "0000000000000000000000000000000a";
const OTHER: &str = "0000000000000000000000000000000b";

fn at(secs: i64) -> WallTime {
    WallTime::from_unix_nanos((1_760_000_000 + secs) * 1_000_000_000)
}

fn death(secs: i64) -> RecoveryEntry {
    RecoveryEntry::new(
        Rung::DaemonRestart,
        DAEMON,
        "ended by itself (signal, SEGV)",
        BOOT,
        at(secs),
    )
}

fn alive_since(secs: i64) -> Book {
    let life = DaemonLife { boot: BOOT.to_owned(), since: at(secs).to_rfc3339(), oom_kills: 0 };
    Book { life: Some(life), ..Book::default() }
}

#[test]
fn an_end_that_was_asked_for_is_no_entry() {
    assert_eq!(Book::default().previous_end(BOOT, at(0), Reset::Watchdog), None);
}

#[test]
fn a_death_is_noted_once() {
    let mut book = alive_since(0);
    let entry = book.previous_end(BOOT, at(9), Reset::Unknown).expect("nobody ended that run");
    assert_eq!((entry.rung, entry.part.as_str()), (Rung::DaemonRestart, DAEMON));
    book.add(death(5));
    assert_eq!(
        book.previous_end(BOOT, at(9), Reset::Unknown),
        None,
        "systemd's word was there first"
    );
}

#[test]
fn another_boot_tells_reset_from_reboot() {
    let mut book = alive_since(0);
    let rung = |book: &Book, reset| book.previous_end(OTHER, at(900), reset).unwrap();
    assert!(rung(&book, Reset::Unknown).what.contains("power was lost"));
    assert!(rung(&book, Reset::Watchdog).what.contains("watchdog"));
    for death_at in [0, 100, 200, 300] {
        book.add(death(death_at));
    }
    assert_eq!(rung(&book, Reset::Unknown).rung, Rung::BoardReset, "four deaths reboot nothing");
    book.add(death(590));
    assert_eq!(rung(&book, Reset::Unknown).rung, Rung::Reboot);
    book.entries[0].last = at(-60).to_rfc3339();
    assert_eq!(
        rung(&book, Reset::Unknown).rung,
        Rung::BoardReset,
        "five within more than ten minutes"
    );
}

#[test]
fn what_hangs_is_named_and_is_no_second_death() {
    let mut book = alive_since(0);
    for death_at in [10, 20, 30] {
        book.add(RecoveryEntry::new(Rung::DaemonRestart, "web/x", "It hung.", BOOT, at(death_at)));
        book.add(death(death_at));
    }
    assert_eq!(book.previous_end(OTHER, at(60), Reset::Unknown).unwrap().rung, Rung::BoardReset);
}

#[test]
fn a_flapping_camera_wears_nothing_and_pushes_nothing_out() {
    let mut book = Book::default();
    assert!(book.add(death(0)));
    let restart =
        |what: &str| RecoveryEntry::new(Rung::PartRestart, "gate/source", what, BOOT, at(1));
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
    let entry = RecoveryEntry::new(Rung::PartRestart, "x", &"ü".repeat(100_000), BOOT, at(0));
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
        life: Some(DaemonLife { boot: this_boot(), since: at(0).to_rfc3339(), oom_kills: 0 }),
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
fn memory_that_ran_out_meanwhile_is_known() {
    let book = Book {
        life: Some(DaemonLife { boot: BOOT.to_owned(), since: at(0).to_rfc3339(), oom_kills: 3 }),
        ..Book::default()
    };
    assert!(book.ran_out_of_memory(BOOT, 4));
    assert!(!book.ran_out_of_memory(BOOT, 3), "before this life");
    assert!(!book.ran_out_of_memory(OTHER, 4), "another boot counts anew");
    assert!(!Book::default().ran_out_of_memory(BOOT, 4), "nobody lived");
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

/// A board that has been up for `up` since a date.
#[derive(Debug)]
struct Machine {
    up: BootTime,
    secs: i64,
}

impl Clock for Machine {
    fn boot(&self) -> BootTime {
        self.up
    }

    fn wall(&self) -> WallTime {
        at(self.secs)
    }
}

fn machine(up_secs: u64, secs: i64) -> SharedClock {
    Arc::new(Machine { up: BootTime::from_millis(up_secs * 1_000), secs })
}

/// A book whose last boot ended with five deaths, and one that its power took.
fn ended_by(own: bool, book: Book, secs: i64) -> Book {
    let mut book = Book {
        life: Some(DaemonLife {
            boot: OTHER.to_owned(),
            since: at(secs).to_rfc3339(),
            oom_kills: 0,
        }),
        ..book
    };
    for second in 0..if own { 5 } else { 0 } {
        let what = "ended by itself (signal, SEGV)";
        book.add(RecoveryEntry::new(Rung::DaemonRestart, DAEMON, what, OTHER, at(secs + second)));
    }
    book
}

/// What a start `up_secs` into a boot makes of `book`.
fn start(book: &Book, up_secs: u64, secs: i64) -> Book {
    let dir = tempfile::tempdir().unwrap();
    file::write(&dir.path().join(NAME), book).unwrap();
    let log = RecoveryLog::open(dir.path(), machine(up_secs, secs)).unwrap();
    log.close();
    file::read(&dir.path().join(NAME)).unwrap()
}

#[test]
fn three_reboots_within_an_hour_park_the_box() {
    let mut book = Book::default();
    for (times, parks) in [(1, false), (2, false), (3, true)] {
        book = start(&ended_by(true, book, times * 600), 20, times * 600 + 60);
        assert_eq!(book.parked.is_some(), parks, "{times} reboots");
    }
    let last = book.entries.last().unwrap();
    assert_eq!((last.rung, last.part.as_str()), (Rung::Park, BOARD));
    assert_eq!(last.rung.number(), 7);
    let again = start(&book, 40, 1_900);
    assert_eq!(again.parked, book.parked, "a start in between changes nothing");
    assert_eq!(again.entries.iter().filter(|entry| entry.rung == Rung::Park).count(), 1);
    let over = start(&book, 40 + 3_600, 1_860 + 3_600);
    assert!(over.parked.is_none() && over.reboots.is_empty());
}

#[test]
fn reboots_that_lie_apart_do_not_park() {
    let apart = (1..9).fold(Book::default(), |book, times| {
        start(&ended_by(true, book, times * 1_900), 20, times * 1_900 + 60)
    });
    assert!(apart.parked.is_none());
    // A clock that restarts at every boot: the boots themselves tell.
    let lasting = (1..9).fold(Book::default(), |book, _| {
        let begun = start(&ended_by(true, book, 0), 20, 30);
        start(&Book { life: None, ..begun }, 3_700, 3_700)
    });
    assert!(lasting.parked.is_none());
}

#[test]
fn power_that_flickers_parks_late() {
    let cut = |times: i64| {
        (1..=times).fold(Book::default(), |book, times| {
            start(&ended_by(false, book, times * 300), 20, times * 300 + 60)
        })
    };
    assert!(cut(5).parked.is_none());
    assert!(cut(6).parked.is_some());
}

#[test]
fn a_reset_is_explained_once_the_watchdog_is_known() {
    let mut book = (1..=5).fold(Book::default(), |book, times| {
        start(&ended_by(false, book, times * 300), 20, times * 300 + 60)
    });
    assert!(!book.explain_reset(OTHER), "another boot's");
    assert!(book.explain_reset(&this_boot()));
    assert!(book.entries.last().unwrap().what.contains("watchdog"));
    let (now, up) = (at(1_600), BootTime::from_millis(60_000));
    assert!(book.park_if_needed(&this_boot(), now, up), "it counts twice now");
}

#[test]
fn a_parked_box_is_not_booted_again_and_never_reaches_the_start_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let read = || file::read(&path).unwrap();
    assert_eq!(wait_for_reboot(dir.path(), &machine(20, 0)), Duration::ZERO);
    assert_eq!(read().entries[0].rung, Rung::Reboot);
    assert_eq!(read().reboots.len(), 1);

    let mut book = Book::default();
    for _ in 0..3 {
        book.count_reboot(true, at(0));
    }
    assert!(book.park_if_needed(&this_boot(), at(0), BootTime::from_millis(20_000)));
    file::write(&path, &book).unwrap();
    assert_eq!(wait_for_reboot(dir.path(), &machine(620, 600)), Duration::from_secs(3_000));
    assert_eq!(read(), book, "no reboot, no entry");
    assert_eq!(wait_for_reboot(dir.path(), &machine(20 + 3_600, 3_600)), Duration::ZERO);

    // Systemd gives up at the sixth start within ten minutes: this daemon dies at once.
    file::write(&path, &book).unwrap();
    let mut starts = vec![0u64];
    while starts.len() < 20 && starts[starts.len() - 1] < 3_000 {
        let now = starts[starts.len() - 1] + 1;
        let second = i64::try_from(now).unwrap();
        let pause = bear_with(dir.path(), &machine(20 + now, second)).as_secs();
        let mut book = read();
        let died = at(second + i64::try_from(pause).unwrap());
        book.add(RecoveryEntry::new(Rung::DaemonRestart, DAEMON, "died", &this_boot(), died));
        file::write(&path, &book).unwrap();
        starts.push(now + pause + 1);
    }
    let begun = |at: u64| starts.iter().filter(|&&start| (at..at + 600).contains(&start)).count();
    assert!(starts.iter().all(|&start| begun(start) <= 5), "{starts:?}");
}

#[test]
fn without_a_log_reboots_are_three_an_hour() {
    let nowhere = Path::new("/proc/none");
    assert_eq!(wait_for_reboot(nowhere, &machine(200, 0)), Duration::from_secs(1_000));
    assert_eq!(wait_for_reboot(nowhere, &machine(1_300, 0)), Duration::ZERO);
}

#[test]
fn a_note_of_another_command_is_taken_in_once() {
    let dir = tempfile::tempdir().unwrap();
    leave_note(dir.path(), Rung::PreviousImage, BOARD, "not well", &clock()).unwrap();
    for _ in 0..2 {
        let log = RecoveryLog::open(dir.path(), clock()).unwrap();
        assert_eq!(log.entries().len(), 1, "{:?}", log.entries());
        assert_eq!(log.entries()[0].rung.number(), 6);
        log.close();
    }
}

#[test]
fn a_park_ends_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let mut book = Book::default();
    for _ in 0..3 {
        book.count_reboot(true, at(0));
    }
    book.park_if_needed(&this_boot(), at(0), BootTime::default());
    file::write(&dir.path().join(NAME), &book).unwrap();
    let log = RecoveryLog::open(dir.path(), machine(20, 30)).unwrap();
    let parked = log.parked();
    assert!(parked.borrow().is_some());
    assert!(log.resume() && !log.resume());
    assert!(parked.borrow().is_none());
    log.close();
    assert!(file::read(&dir.path().join(NAME)).unwrap().parked.is_none());
}
