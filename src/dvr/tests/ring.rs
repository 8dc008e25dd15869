//! The whole ring on a real directory, with a disk that fails on command.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::faulty::FaultyDisk;
use super::{TestClock, fragment, init};
use crate::base::name::StreamName;
use crate::dvr::config::{Retention, RingConfig};
use crate::dvr::{Dvr, Listing, RecordingState, RingReader, RingSizing, RingState, Writer, tool};

const SLOT_BYTES: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(20);
const BOOT: [u8; 16] = [1; 16];

pub(crate) struct House {
    dir: tempfile::TempDir,
    pub(crate) disk: FaultyDisk,
}

impl House {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), disk: FaultyDisk::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn open(&self) -> Dvr {
        self.open_in(BOOT)
    }

    fn open_in(&self, boot: [u8; 16]) -> Dvr {
        open(self.path(), &self.disk, boot)
    }
}

fn open(dir: &Path, disk: &FaultyDisk, boot: [u8; 16]) -> Dvr {
    let config = RingConfig {
        data_dir: dir.to_owned(),
        size: RingSizing::Bytes(SLOT_BYTES * 8),
        slot_bytes: Some(SLOT_BYTES),
    };
    Dvr::open_on(Arc::new(disk.clone()), boot, config, TestClock::right(), None).unwrap()
}

pub(crate) fn gate() -> StreamName {
    StreamName::parse("gate").unwrap()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn writer(dvr: &Dvr) -> Writer {
    until("opening", || dvr.status().ring == RingState::Ready);
    dvr.writer(&gate(), Retention::default())
}

pub(crate) fn append(writer: &Writer, seconds: std::ops::Range<u32>, bytes: usize) {
    for at in seconds {
        writer.append(&init(), fragment(at, bytes), at == 0, false).unwrap();
    }
}

pub(crate) fn durable(writer: &Writer) -> u64 {
    writer.durable().borrow().map_or(0, |durable| durable.fragments)
}

pub(crate) fn close(dvr: Dvr, writer: Writer) {
    drop(writer);
    assert!(dvr.close(PATIENCE));
}

pub(crate) fn fragments(listing: &Listing) -> u64 {
    listing.runs.iter().map(|run| run.fragments).sum()
}

pub(crate) fn verified(dir: &Path) -> tool::VerifyReport {
    let mut said = Vec::new();
    let verdict = tool::verify(dir, &mut said).unwrap();
    assert!(verdict.is_sound(), "{}", String::from_utf8_lossy(&said));
    verdict
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if std::fs::copy(entry.path(), &target).is_err() {
            // A file that went away meanwhile: the image is of a moment without it.
        }
    }
}

#[test]
fn what_is_durable_is_there_after_a_start() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..5, 3_000);
    until("the commit", || durable(&writer) == 5);
    let listing = dvr.listing(&gate());
    assert_eq!((listing.runs.len(), fragments(&listing)), (1, 5));
    assert_eq!(writer.status().state, RecordingState::Recording);
    close(dvr, writer);
    // Another boot: another slot, and a gap between.
    let dvr = house.open_in([2; 16]);
    let writer = self::writer(&dvr);
    append(&writer, 10..12, 3_000);
    until("the commit", || durable(&writer) == 2);
    until("the index", || dvr.listing(&gate()).complete);
    let listing = dvr.listing(&gate());
    assert_eq!((listing.runs.len(), listing.gaps.len(), fragments(&listing)), (2, 1, 7));
    close(dvr, writer);
    assert_eq!(verified(house.path()).fragments, 7);
    assert_eq!(RingReader::open(house.path()).unwrap().laps().len(), 2);
}

#[test]
fn the_ring_turns_and_keeps_the_newest() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..100, 20_000);
    until("the commit", || durable(&writer) == 100);
    let listing = dvr.listing(&gate());
    assert_eq!(listing.runs.len(), 1);
    // Two go into each of eight slots: a third would fit, but not a quarter more of it, which
    // is kept for a key frame's followers.
    assert_eq!(fragments(&listing), 8 * 2);
    close(dvr, writer);
    assert_eq!(verified(house.path()).fragments, 16);
    let dvr = house.open();
    until("the index", || dvr.status().held_slots == 8 && dvr.listing(&gate()).complete);
    assert_eq!(dvr.listing(&gate()).runs, listing.runs);
    assert!(dvr.close(PATIENCE));
}

#[test]
fn new_parameters_end_the_slot() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..2, 1_000);
    let other = crate::wire::mp4::init_segment(&crate::media::Tracks::new(
        crate::media::RunId(1),
        [super::params(), super::params()],
    ));
    writer.append(&other, fragment(2, 1_000), false, false).unwrap();
    until("the commit", || durable(&writer) == 3);
    // No gap in time, so one run over both slots.
    assert_eq!(dvr.listing(&gate()).runs.len(), 1);
    close(dvr, writer);
    assert_eq!(RingReader::open(house.path()).unwrap().laps().len(), 2);
}

/// What is done to an index at rest.
type Damage = fn(&Path);

#[test]
fn fault_5_an_index_that_is_lost_or_damaged_is_built_again() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..30, 20_000);
    until("the commit", || durable(&writer) == 30);
    close(dvr, writer);
    let wanted = {
        let reader = RingReader::open(house.path()).unwrap();
        tool::listings(&reader).unwrap().remove(&gate()).unwrap().runs
    };
    // And how often it was rebuilt by then; sled mends its `conf` itself.
    let damages: [(Damage, usize); 4] = [
        (|_| {}, 0),
        (|index| std::fs::remove_dir_all(index).unwrap(), 1),
        (|index| std::fs::write(index.join("db"), vec![0; 300_000]).unwrap(), 2),
        (|index| std::fs::write(index.join("conf"), b"garbage").unwrap(), 2),
    ];
    for (damage, rebuilds) in damages {
        damage(&house.path().join("index"));
        let dvr = house.open();
        until("the index", || dvr.status().held_slots == 8 && dvr.listing(&gate()).complete);
        assert_eq!(dvr.listing(&gate()).runs, wanted);
        // The journal tells it.
        until("the note", || dvr.facts().rebuilds.len() == rebuilds);
        assert!(dvr.close(PATIENCE));
    }
}

#[test]
fn fault_10_a_ring_that_finds_no_space_turns_in_what_it_has() {
    let house = House::new();
    house.disk.set(|faults| faults.room = Some(3));
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..40, 20_000);
    until("the commit", || durable(&writer) == 40);
    assert_eq!(writer.status().lost, 0);
    assert_eq!(dvr.status().held_slots, 3);
    close(dvr, writer);
    assert!(verified(house.path()).fragments >= 5);
}

#[test]
fn fault_13_a_read_only_disk_is_told_and_left_again() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..3, 3_000);
    until("the commit", || durable(&writer) == 3);
    house.disk.set(|faults| faults.write = Some(std::io::ErrorKind::ReadOnlyFilesystem));
    append(&writer, 3..9, 3_000);
    until("the failure", || writer.status().lost == 6);
    let status = writer.status();
    assert_eq!(status.state, RecordingState::Failed);
    assert!(status.reason.unwrap().contains("the disk is read-only"));
    house.disk.set(|faults| faults.write = None);
    let mut at = 9;
    until("recording again", || {
        append(&writer, at..at + 1, 3_000);
        at += 1;
        std::thread::sleep(Duration::from_millis(50));
        writer.status().state == RecordingState::Recording && durable(&writer) > 3
    });
    let listing = dvr.listing(&gate());
    assert_eq!((listing.runs.len(), listing.gaps.len()), (2, 1), "the hole shows");
    close(dvr, writer);
    verified(house.path());
}

#[test]
fn fault_14_a_slot_whose_sync_failed_is_never_synced_again() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..2, 3_000);
    until("the commit", || durable(&writer) == 2);
    // The making of slots syncs as well, and is not meant.
    until("the space", || dvr.shared.table().slots.len() == 8);
    house.disk.set(|faults| faults.syncs = 1);
    append(&writer, 2..3, 3_000);
    until("the failure", || writer.status().lost == 1);
    append(&writer, 4..6, 3_000);
    until("the commit", || durable(&writer) == 4);
    assert_eq!(dvr.status().ring, RingState::Ready);
    close(dvr, writer);
    let failed = house.disk.failed();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].1, 0, "synced again: {failed:?}");
    assert_eq!(verified(house.path()).fragments, 4);
    let reader = RingReader::open(house.path()).unwrap();
    let listing = tool::listings(&reader).unwrap().remove(&gate()).unwrap();
    assert_eq!((listing.runs.len(), listing.gaps.len()), (2, 1));
}

#[test]
fn fault_16_a_stalled_disk_is_told_and_nobody_waits_for_it() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..1, 1_000);
    until("the commit", || durable(&writer) == 1);
    house.disk.set(|faults| faults.stalled = true);
    let begun = Instant::now();
    let mut refused = 0;
    for at in 1..1_400 {
        refused += u32::from(writer.append(&init(), fragment(at, 100), false, false).is_err());
    }
    assert!(refused > 0, "the queue is bounded");
    assert!(begun.elapsed() < Duration::from_secs(10));
    house.disk.set(|faults| faults.stalled = false);
    until("the commit", || durable(&writer) == u64::from(1_400 - refused));
    assert_eq!(writer.status().lost, u64::from(refused));
    close(dvr, writer);
    verified(house.path());
}

#[test]
fn fault_17_a_ring_that_went_away_is_not_made_anew_in_its_place() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..1, 1_000);
    until("the commit", || durable(&writer) == 1);
    let (ring, away) = (house.path().join("ring"), house.path().join("away"));
    std::fs::rename(&ring, &away).unwrap();
    // Large ones, so that the next slot is needed.
    append(&writer, 1..9, 30_000);
    until("the failure", || writer.status().state == RecordingState::Failed);
    assert!(!ring.exists());
    std::fs::rename(&away, &ring).unwrap();
    let mut at = 9;
    until("recording again", || {
        append(&writer, at..at + 1, 3_000);
        at += 1;
        std::thread::sleep(Duration::from_millis(50));
        writer.status().state == RecordingState::Recording
    });
    close(dvr, writer);
    verified(house.path());
}

#[test]
fn a_missing_directory_is_waited_for() {
    let house = House::new();
    std::fs::write(house.path().join("ring"), "a file in the way").unwrap();
    let dvr = house.open();
    until("the failure", || matches!(dvr.status().ring, RingState::Failed { .. }));
    let writer = dvr.writer(&gate(), Retention::default());
    assert_eq!(writer.status().state, RecordingState::Failed);
    std::fs::remove_file(house.path().join("ring")).unwrap();
    until("opening", || dvr.status().ring == RingState::Ready);
    append(&writer, 0..1, 1_000);
    until("the commit", || durable(&writer) == 1);
    close(dvr, writer);
}

#[test]
fn a_second_process_does_not_write() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..1, 1_000);
    until("the commit", || durable(&writer) == 1);
    let other = house.open();
    until("the refusal", || matches!(other.status().ring, RingState::Failed { .. }));
    let RingState::Failed { reason } = other.status().ring else { panic!("it opened") };
    assert!(reason.contains("in use by another process"), "{reason}");
    close(dvr, writer);
    // It is tried again, and works as soon as the first is gone.
    until("opening", || other.status().ring == RingState::Ready);
    assert!(other.close(PATIENCE));
}

#[test]
fn a_torn_tail_is_cut_off_at_the_next_start() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..3, 3_000);
    until("the commit", || durable(&writer) == 3);
    close(dvr, writer);
    let reader = RingReader::open(house.path()).unwrap();
    let lap = reader.laps()[0];
    let (_, contents) = reader.contents(lap).unwrap().unwrap();
    let path = house.path().join(format!("ring/{:06}.mp4", lap.slot));
    let mut bytes = std::fs::read(&path).unwrap();
    let end = usize::try_from(contents.end).unwrap();
    bytes[end..end + 100].copy_from_slice(&fragment(3, 3_000).to_bytes()[..100]);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(verified(house.path()).torn_tails, 1);
    // In the next boot the stream does not record; the torn end goes all the same.
    let dvr = house.open_in([2; 16]);
    until("mending", || verified(house.path()).torn_tails == 0);
    until("the index", || dvr.listing(&gate()).complete);
    assert_eq!(fragments(&dvr.listing(&gate())), 3);
    assert!(dvr.close(PATIENCE));
}

#[test]
fn an_image_of_any_moment_holds_all_that_was_durable() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    let mut at = 0;
    for round in 0..6u8 {
        append(&writer, at..at + 2, 9_000);
        at += 2;
        std::thread::sleep(Duration::from_millis(u64::from(round) * 7 % 40 * 3));
        // The oldest slots may be reused while they are copied; the newest fragment may not.
        let until_then = writer.durable().borrow().map(|durable| durable.until);
        let image = tempfile::tempdir().unwrap();
        copy_tree(&house.path().join("ring"), &image.path().join("ring"));
        verified(image.path());
        let listings = tool::listings(&RingReader::open(image.path()).unwrap()).unwrap();
        let found = listings.get(&gate()).and_then(|listing| listing.runs.last());
        assert!(found.map(|run| run.end) >= until_then, "round {round}");
        // A process that starts on it continues at once.
        let disk = FaultyDisk::default();
        let again = open(image.path(), &disk, [round; 16]);
        let other = self::writer(&again);
        append(&other, 1_000..1_001, 1_000);
        until("the commit", || durable(&other) == 1);
        close(again, other);
        verified(image.path());
    }
    close(dvr, writer);
}
