//! The purpose of the journal: pins hold, gaps have reasons, footage finds its place, and a disk
//! that does not take notes hurts nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::faulty::FaultyDisk;
use super::range_reader::RangeReader;
use super::ring::{append, close, durable, fragments, gate, until, verified};
use super::{BEGINS_UNIX_NANOS, TestClock, fragment, init};
use crate::base::time::{Clock, SystemClock, Trust, WallTime};
use crate::dvr::config::{Retention, RingConfig};
use crate::dvr::{
    Cause, Dvr, NewPin, PinError, RecordingState, RingReader, RingSizing, RingState, Writer, tool,
};

const SLOT_BYTES: u64 = 64 << 10;

struct House {
    dir: tempfile::TempDir,
    disk: FaultyDisk,
    clock: Arc<TestClock>,
}

impl House {
    fn new(clock: Arc<TestClock>) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), disk: FaultyDisk::default(), clock }
    }

    fn open(&self, boot: u8) -> (Dvr, Writer) {
        self.open_with(boot, Retention::default())
    }

    fn open_with(&self, boot: u8, keep: Retention) -> (Dvr, Writer) {
        let config = RingConfig {
            data_dir: self.dir.path().to_owned(),
            size: RingSizing::Bytes(SLOT_BYTES * 8),
            slot_bytes: Some(SLOT_BYTES),
        };
        let disk = Arc::new(self.disk.clone());
        let dvr = Dvr::open_on(disk, [boot; 16], config, self.clock.clone(), None).unwrap();
        until("opening", || dvr.status().ring == RingState::Ready);
        let writer = dvr.writer(&gate(), keep);
        (dvr, writer)
    }
}

fn date(second: i64) -> WallTime {
    WallTime::from_unix_nanos(BEGINS_UNIX_NANOS + second * 1_000_000_000)
}

fn wish(from: i64, until: i64) -> NewPin {
    NewPin {
        stream: gate(),
        from: date(from),
        until: date(until),
        reason: "burglary".to_owned(),
        owner: "ada".to_owned(),
        expires: None,
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

fn first_run_start(dvr: &Dvr) -> WallTime {
    dvr.listing(&gate()).runs[0].start
}

#[test]
fn a_protected_range_is_never_given_to_newer_footage() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..10, 20_000);
    until("the commit", || durable(&writer) == 10);
    let pin = wait(dvr.pin(wish(2, 5))).unwrap();
    append(&writer, 10..60, 20_000);
    until("the commit", || durable(&writer) == 60);
    let kept = |dvr: &Dvr| {
        let listing = dvr.listing(&gate()).between(date(2), date(5));
        listing.runs.iter().map(|run| (run.start, run.end)).collect::<Vec<_>>()
    };
    let held = kept(&dvr);
    assert_eq!(held.len(), 1, "{:?}", dvr.listing(&gate()));
    assert!(held[0].0 <= date(2) && held[0].1 >= date(5));
    close(dvr, writer);
    // It holds over a start, from the first slot on.
    let (dvr, writer) = house.open(2);
    assert_eq!(dvr.pins(), std::slice::from_ref(&pin));
    append(&writer, 100..150, 20_000);
    until("the commit", || durable(&writer) == 50);
    until("the index", || dvr.listing(&gate()).complete);
    assert_eq!(kept(&dvr), held);
    assert_eq!(dvr.listing(&gate()).pins, std::slice::from_ref(&pin));
    // When it is removed the ring turns over it.
    wait(dvr.unpin(u64::from_str_radix(&pin.id, 16).unwrap())).unwrap();
    append(&writer, 150..200, 20_000);
    until("the commit", || durable(&writer) == 100);
    assert!(kept(&dvr).is_empty());
    close(dvr, writer);
    verified(house.dir.path());
}

#[test]
fn fault_11_more_than_the_quota_is_not_protected_and_recording_goes_on() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..16, 20_000);
    until("the commit", || durable(&writer) == 16);
    let refused = wait(dvr.pin(wish(0, 14)));
    assert!(matches!(refused, Err(PinError::Full { .. })), "{refused:?}");
    wait(dvr.pin(wish(0, 4))).unwrap();
    wait(dvr.pin(wish(0, 7))).unwrap();
    let refused = wait(dvr.pin(wish(8, 12)));
    assert!(matches!(refused, Err(PinError::Full { .. })), "{refused:?}");
    append(&writer, 16..60, 20_000);
    until("the commit", || durable(&writer) == 60);
    assert_eq!(writer.status().lost, 0);
    close(dvr, writer);
}

#[test]
fn what_cannot_be_protected_is_said() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..3, 1_000);
    until("the commit", || durable(&writer) == 3);
    let empty = wait(dvr.pin(wish(-100, -50)));
    assert_eq!(empty, Err(PinError::Empty { stream: gate() }));
    assert!(matches!(wait(dvr.pin(wish(5, 5))), Err(PinError::Wrong(_))));
    assert_eq!(wait(dvr.unpin(77)), Err(PinError::Unknown));
    let long = wait(dvr.mark(None, date(1), "x".repeat(300), None));
    assert!(matches!(long, Err(PinError::Wrong(_))));
    close(dvr, writer);
}

#[test]
fn a_pin_ends_by_a_trusted_clock_only() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..3, 1_000);
    until("the commit", || durable(&writer) == 3);
    let now = house.clock.wall();
    let expires = Some(now.offset_nanos(3_600_000_000_000));
    wait(dvr.pin(NewPin { expires, ..wish(0, 2) })).unwrap();
    let later = BEGINS_UNIX_NANOS + 7_200_000_000_000;
    house.clock.set(later, Trust::None);
    until("the step", || {
        dvr.facts().clock.newest([1; 16]).unwrap().utc > now.offset_nanos(1 << 42)
    });
    wait(dvr.mark(Some(gate()), date(1), "still".to_owned(), None)).unwrap();
    assert_eq!(dvr.pins().len(), 1);
    house.clock.set(later, Trust::Ntp);
    until("the end", || dvr.pins().is_empty());
    close(dvr, writer);
    let reader = RingReader::open(house.dir.path()).unwrap();
    assert!(reader.facts().pins.is_empty());
    assert_eq!(reader.facts().marks.len(), 1);
}

#[test]
fn a_stop_a_crash_and_another_boot_are_told_apart() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    let now = u32::try_from(SystemClock.boot().as_nanos() / 1_000_000_000).unwrap() + 1;
    append(&writer, now..now + 2, 1_000);
    until("the commit", || durable(&writer) == 2);
    let journal = house.dir.path().join("journal.log");
    until("the start", || journal.exists());
    // What a power cut leaves: the journal of a moment before the end.
    let cut = std::fs::read(&journal).unwrap();
    close(dvr, writer);
    let clean = std::fs::read(&journal).unwrap();
    for (left, cause) in [(cut, Cause::PowerLost), (clean, Cause::Restarted)] {
        std::fs::write(&journal, left).unwrap();
        let (dvr, writer) = house.open(2);
        append(&writer, now + 50..now + 52, 1_000);
        until("the commit", || durable(&writer) == 2);
        until("the index", || dvr.listing(&gate()).complete);
        let gap = dvr.listing(&gate()).gaps[0].clone();
        assert_eq!(gap.reason, cause, "{}", gap.message);
        close(dvr, writer);
        // The tool tells the same from the files alone.
        let reader = RingReader::open(house.dir.path()).unwrap();
        assert_eq!(tool::listings(&reader).unwrap()[&gate()].gaps[0].reason, cause);
        for lap in reader.laps().iter().skip(1) {
            let path = house.dir.path().join(format!("ring/{:06}.mp4", lap.slot));
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_life_begins_before_anything_is_recorded_in_it() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    let opened = SystemClock.boot();
    until("the start", || !dvr.facts().sessions.is_empty());
    assert!(dvr.facts().sessions[0].at <= opened);
    close(dvr, writer);
}

#[test]
fn why_a_camera_was_away_is_told_of_the_gap() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    let now = SystemClock.boot().as_nanos() / 1_000_000_000;
    let now = u32::try_from(now).unwrap();
    append(&writer, now - 10..now - 8, 1_000);
    writer.begin_trouble(Cause::CameraUnreachable, "connection refused");
    append(&writer, now + 30..now + 32, 1_000);
    until("the commit", || durable(&writer) == 4);
    until("the note", || !dvr.facts().troubles.is_empty());
    let gap = dvr.listing(&gate()).gaps[0].clone();
    assert_eq!(gap.reason, Cause::CameraUnreachable);
    assert!(gap.message.contains("connection refused"), "{}", gap.message);
    writer.end_trouble(Cause::CameraUnreachable);
    close(dvr, writer);
    let reader = RingReader::open(house.dir.path()).unwrap();
    assert!(reader.facts().troubles[0].until.is_some());
}

#[test]
fn a_disk_that_failed_is_told_of_the_gap() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    let now = u32::try_from(SystemClock.boot().as_nanos() / 1_000_000_000).unwrap();
    append(&writer, now - 10..now - 8, 1_000);
    until("the commit", || durable(&writer) == 2);
    house.disk.set(|faults| faults.write = Some(std::io::ErrorKind::StorageFull));
    append(&writer, now..now + 1, 1_000);
    until("the failure", || writer.status().state == RecordingState::Failed);
    until("the note", || !dvr.facts().troubles.is_empty());
    // The journal's disk is the same, and it says so as well.
    until("the journal", || dvr.status().journal.is_some());
    let refused = wait(dvr.mark(None, date(1), "lost".to_owned(), None));
    assert!(matches!(refused, Err(PinError::NotNow(_))), "{refused:?}");
    house.disk.set(|faults| faults.write = None);
    let mut at = now + 20;
    until("recording again", || {
        let _ = writer.append(&init(), fragment(at, 1_000), false, false);
        at += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
        durable(&writer) > 2 && dvr.status().journal.is_none()
    });
    let gap = dvr.listing(&gate()).gaps[0].clone();
    assert_eq!(gap.reason, Cause::DiskFailed, "{gap:?}");
    assert!(gap.message.contains("the disk is full"), "{}", gap.message);
    close(dvr, writer);
    let reader = RingReader::open(house.dir.path()).unwrap();
    assert_eq!(reader.facts().troubles[0].cause, Cause::DiskFailed);
    assert!(reader.facts().marks.is_empty());
}

#[test]
fn fault_26_footage_of_1970_moves_when_the_clock_is_set_and_no_slot_is_touched() {
    // The fragments are dated right; the clock is not, and they came through it.
    let house = House::new(TestClock::of(0, Trust::None));
    let (dvr, writer) = house.open(1);
    append(&writer, 0..3, 1_000);
    until("the commit", || durable(&writer) == 3);
    until("the clock", || dvr.facts().clock.newest([1; 16]).is_some());
    assert!(first_run_start(&dvr) < WallTime::from_unix_nanos(1 << 50));
    let slot = house.dir.path().join("ring/000000.mp4");
    let before = std::fs::read(&slot).unwrap();
    house.clock.set(BEGINS_UNIX_NANOS, Trust::Ntp);
    until("the move", || first_run_start(&dvr) == date(0));
    assert_eq!(std::fs::read(&slot).unwrap(), before);
    assert_eq!(dvr.listing(&gate()).runs.len(), 1);
    close(dvr, writer);
    let reader = RingReader::open(house.dir.path()).unwrap();
    assert_eq!(tool::listings(&reader).unwrap()[&gate()].runs[0].start, date(0));
}

#[test]
fn fault_27_a_clock_that_leaps_ten_years_deletes_nothing() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..10, 20_000);
    until("the commit", || durable(&writer) == 10);
    house.clock.set(BEGINS_UNIX_NANOS + 315_360_000_000_000_000, Trust::Ntp);
    until("the step", || dvr.facts().clock.steps([1; 16]).len() == 1);
    append(&writer, 10..12, 1_000);
    until("the commit", || durable(&writer) == 12);
    assert_eq!(fragments(&dvr.listing(&gate())), 12);
    close(dvr, writer);
    assert_eq!(verified(house.dir.path()).fragments, 12);
}

#[test]
fn a_journal_that_is_garbage_does_not_stop_anything() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..3, 1_000);
    until("the commit", || durable(&writer) == 3);
    close(dvr, writer);
    let journal = house.dir.path().join("journal.log");
    for garbage in [vec![0x5a; 10_000], Vec::new(), b"HFJ1HFJ1HFJ1".repeat(99)] {
        std::fs::write(&journal, garbage).unwrap();
        let (dvr, writer) = house.open(1);
        until("the index", || dvr.listing(&gate()).complete);
        assert_eq!(fragments(&dvr.listing(&gate())), 3);
        close(dvr, writer);
        let reader = RingReader::open(house.dir.path()).unwrap();
        assert_eq!(reader.facts().sessions.len(), 1);
        assert_eq!((reader.journal().damaged, reader.journal().torn_bytes), (0, 0));
    }
    // A directory in its place cannot be read, and is moved aside.
    std::fs::remove_file(&journal).unwrap();
    std::fs::create_dir(&journal).unwrap();
    let (dvr, writer) = house.open(1);
    close(dvr, writer);
    assert!(journal.is_file() && house.dir.path().join("journal.bad").is_dir());
}

#[test]
fn evictions_are_added_up() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..40, 20_000);
    until("the commit", || durable(&writer) == 40);
    close(dvr, writer);
    let reader = RingReader::open(house.dir.path()).unwrap();
    let (slots, bytes) = reader.facts().evicted[&gate()];
    // Two fragments a slot: twenty slots were begun, eight are there.
    assert_eq!(slots, 12);
    assert!(bytes >= 12 * 2 * 20_000);
}

#[test]
fn an_age_limit_is_honoured_while_the_clock_is_trusted() {
    let house = House::new(TestClock::right());
    let keep = Retention { max_age: Some(Duration::from_secs(3_600)), ..Retention::default() };
    let (dvr, writer) = house.open_with(1, keep);
    let now = u32::try_from(SystemClock.boot().as_nanos() / 1_000_000_000).unwrap();
    append(&writer, now - 5..now, 20_000);
    until("the commit", || durable(&writer) == 5);
    close(dvr, writer);
    // Two hours later, in another boot; the date is not trusted at first.
    house.clock.set(BEGINS_UNIX_NANOS + 7_200_000_000_000, Trust::None);
    let (dvr, writer) = house.open_with(2, keep);
    append(&writer, now + 7_200..now + 7_201, 1_000);
    until("the index", || dvr.listing(&gate()).complete && durable(&writer) == 1);
    dvr.pass_age_limit();
    wait(dvr.mark(None, date(1), "a note behind the pass".to_owned(), None)).unwrap();
    assert_eq!(dvr.status().held_slots, 4);
    house.clock.set(BEGINS_UNIX_NANOS + 7_200_000_000_000, Trust::Ntp);
    until("the pass", || {
        dvr.pass_age_limit();
        dvr.status().held_slots == 1
    });
    assert_eq!(fragments(&dvr.listing(&gate())), 1);
    close(dvr, writer);
    assert_eq!(verified(house.dir.path()).fragments, 1);
}

#[test]
fn a_reader_gets_its_range_from_a_key_frame_on() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..10, 20_000);
    until("the commit", || durable(&writer) == 10);
    let mut replay = RangeReader::open(&dvr, &gate(), date(3), date(6)).unwrap();
    let mut starts = Vec::new();
    while let Some(piece) = replay.next_piece().unwrap() {
        let second = u32::try_from(piece.entry.boot_time.as_nanos() / 1_000_000_000).unwrap();
        assert_eq!(piece.bytes, fragment(second, 20_000).to_bytes());
        assert_eq!(piece.init, init());
        starts.push(piece.start);
    }
    assert_eq!(starts, [date(3), date(4), date(5)]);
    close(dvr, writer);
}

#[test]
fn a_slot_that_is_reused_under_a_reader_is_an_error_and_never_other_bytes() {
    let house = House::new(TestClock::right());
    let (dvr, writer) = house.open(1);
    append(&writer, 0..16, 20_000);
    until("the commit", || durable(&writer) == 16);
    // Two slots are leased; the others turn over around them.
    let mut replay = RangeReader::open(&dvr, &gate(), date(0), date(4)).unwrap();
    append(&writer, 16..40, 20_000);
    until("the commit", || durable(&writer) == 40);
    assert!(replay.next_piece().unwrap().is_some());
    // A reader of everything leaves nothing else to take, and newer footage goes before it.
    let all = RangeReader::open(&dvr, &gate(), date(-100), date(1_000)).unwrap();
    append(&writer, 40..100, 20_000);
    until("the commit", || durable(&writer) == 100);
    assert_eq!(writer.status().lost, 0, "readers never stop recording");
    let error = replay.next_piece().unwrap_err();
    assert!(error.to_string().contains("overwritten by newer footage"), "{error}");
    assert!(replay.next_piece().is_err(), "of the second slot as well");
    assert!(replay.next_piece().unwrap().is_none());
    drop((replay, all));
    let newest = dvr.listing(&gate()).runs.last().unwrap().clone();
    assert!(newest.end == date(100) && newest.fragments >= 8, "{newest:?}");
    close(dvr, writer);
}
