//! A disk in trouble is reported within five seconds, in words, and the state clears by itself;
//! nothing has to be appended for it.

use std::time::{Duration, Instant};

use super::ring::{House, append, close, durable, until, verified, writer};
use crate::dvr::{Dvr, RecordingState, RingState};

/// How soon a person must be informed.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Waits for a ring that failed, and returns why.
fn failure(dvr: &Dvr) -> String {
    let begun = Instant::now();
    until("the failure", || matches!(dvr.status().ring, RingState::Failed { .. }));
    assert!(begun.elapsed() < TOLD_WITHIN, "{:?}", begun.elapsed());
    match dvr.status().ring {
        RingState::Failed { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn fault_16_a_disk_that_hangs_is_told_in_words() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..1, 1_000);
    until("the commit", || durable(&writer) == 1);
    house.disk.set(|faults| faults.stalled = true);
    let begun = Instant::now();
    append(&writer, 1..2, 1_000);
    until("the words", || writer.status().state == RecordingState::Failed);
    assert!(begun.elapsed() < TOLD_WITHIN, "{:?}", begun.elapsed());
    let reason = writer.status().reason.unwrap();
    assert!(reason.contains("The disk has taken no data for"), "{reason}");
    house.disk.set(|faults| faults.stalled = false);
    until("recording again", || writer.status().state == RecordingState::Recording);
    until("the commit", || durable(&writer) == 2);
    assert_eq!(writer.status().lost, 0);
    close(dvr, writer);
}

#[test]
fn fault_18_another_volume_in_its_place_is_not_written_to() {
    let house = House::new();
    house.disk.set(|faults| faults.volume = Some(7));
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..1, 1_000);
    until("the commit", || durable(&writer) == 1);
    house.disk.set(|faults| faults.volume = Some(8));
    let reason = failure(&dvr);
    assert!(reason.contains("another volume"), "{reason}");
    assert_eq!(writer.status().state, RecordingState::Failed);
    house.disk.set(|faults| faults.volume = Some(7));
    until("the return", || dvr.status().ring == RingState::Ready);
    append(&writer, 10..11, 1_000);
    until("the commit", || durable(&writer) == 2);
    close(dvr, writer);
    assert_eq!(verified(house.path()).fragments, 2);
}

#[test]
fn fault_20_a_disk_that_becomes_read_only_is_told_before_anything_is_to_be_written() {
    let house = House::new();
    let dvr = house.open();
    until("opening", || dvr.status().ring == RingState::Ready);
    house.disk.set(|faults| faults.write = Some(std::io::ErrorKind::ReadOnlyFilesystem));
    let reason = failure(&dvr);
    assert!(reason.contains("the disk is read-only"), "{reason}");
    house.disk.set(|faults| faults.write = None);
    until("the return", || dvr.status().ring == RingState::Ready);
    assert!(dvr.close(Duration::from_secs(20)));
}

#[test]
fn fault_10_a_disk_filled_by_others_is_told() {
    let house = House::new();
    house.disk.set(|faults| faults.room = Some(3));
    let dvr = house.open();
    let begun = Instant::now();
    until("the words", || dvr.status().short.is_some());
    assert!(begun.elapsed() < TOLD_WITHIN, "{:?}", begun.elapsed());
    let short = dvr.status().short.unwrap();
    assert!(short.contains("the disk is full"), "{short}");
    assert_eq!(dvr.status().ring, RingState::Ready);
    assert!(dvr.close(Duration::from_secs(20)));
}
