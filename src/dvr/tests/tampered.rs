//! Slots and rings that are deleted, exchanged or cut while the program records: reported, healed,
//! and never other footage in their place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ring::{House, append, close, durable, fragments, gate, until, verified, writer};
use crate::dvr::{Dvr, RingState, Writer};

/// Two of them go into a slot.
const BYTES: usize = 20_000;

fn slot(house: &House, number: u32) -> PathBuf {
    house.path().join(format!("ring/{number:06}.mp4"))
}

/// A ring that records: six fragments in three slots, the last of which is open.
fn recording_ring(house: &House) -> (Dvr, Writer) {
    let dvr = house.open();
    let writer = writer(&dvr);
    until("all slots", || dvr.status().untaken_bytes == 0);
    append(&writer, 0..6, BYTES);
    until("the commit", || durable(&writer) == 6);
    // It has checked the slots as they are.
    std::thread::sleep(Duration::from_millis(2_100));
    (dvr, writer)
}

fn told(dvr: &Dvr, words: &str) {
    until(words, || dvr.status().damage.iter().any(|one| one.contains(words)));
}

/// Records on and returns what is listed then.
fn recorded_on(dvr: &Dvr, writer: &Writer, seconds: std::ops::Range<u32>) -> u64 {
    let before = durable(writer);
    let more = u64::from(seconds.end - seconds.start);
    append(writer, seconds, BYTES);
    until("the commit", || durable(writer) == before + more);
    until("reading", || dvr.listing(&gate()).complete);
    fragments(&dvr.listing(&gate()))
}

#[test]
fn slots_that_are_deleted_are_told_and_made_again_and_recording_goes_on() {
    let house = House::new();
    let (dvr, writer) = recording_ring(&house);
    // A finished one, and the one that is being written.
    std::fs::remove_file(slot(&house, 0)).unwrap();
    std::fs::remove_file(slot(&house, 2)).unwrap();
    told(&dvr, "Slots 000000, 000002 were deleted while the program ran.");
    assert_eq!(recorded_on(&dvr, &writer, 6..9), 2 + 3);
    until("the slots are made again", || {
        dvr.status().untaken_bytes == 0 && slot(&house, 0).exists() && slot(&house, 2).exists()
    });
    close(dvr, writer);
    assert_eq!(verified(house.path()).fragments, 5);
}

#[test]
fn slots_that_are_exchanged_keep_their_footage_and_are_told() {
    let house = House::new();
    let (dvr, writer) = recording_ring(&house);
    let aside = house.path().join("aside");
    std::fs::rename(slot(&house, 0), &aside).unwrap();
    std::fs::rename(slot(&house, 2), slot(&house, 0)).unwrap();
    std::fs::rename(&aside, slot(&house, 2)).unwrap();
    told(&dvr, "Slots 000000, 000002 were changed by something else");
    told(&dvr, "The front of slot 000002 is damaged");
    assert_eq!(recorded_on(&dvr, &writer, 6..8), 8);
    let mut cursor = dvr.recording_cursor(&gate()).unwrap();
    let begin = dvr.listing(&gate()).runs[0].start;
    assert!(cursor.seek(begin, crate::dvr::Direction::Forward).unwrap());
    for at in 0..8 {
        let read = cursor.forward(false).unwrap().unwrap();
        assert_eq!(read.bytes, super::fragment(at, BYTES).to_bytes(), "fragment {at}");
    }
    close(dvr, writer);
}

#[test]
fn a_slot_that_is_cut_while_it_is_written_is_left_and_one_that_is_a_copy_is_freed() {
    let house = House::new();
    let (dvr, writer) = recording_ring(&house);
    let open = std::fs::OpenOptions::new().write(true).open(slot(&house, 2)).unwrap();
    open.set_len(30_000).unwrap();
    told(&dvr, "Slot 000002 was changed by something else");
    // The first of its two fragments is whole.
    assert_eq!(recorded_on(&dvr, &writer, 6..8), 5 + 2);
    // A new file under the name of another slot.
    std::fs::copy(slot(&house, 0), house.path().join("copy")).unwrap();
    std::fs::rename(house.path().join("copy"), slot(&house, 1)).unwrap();
    told(&dvr, "Slot 000001 was changed by something else");
    assert_eq!(recorded_on(&dvr, &writer, 8..10), 3 + 4);
    close(dvr, writer);
}

#[test]
fn a_ring_that_is_deleted_alone_is_made_again_and_one_that_is_moved_is_waited_for() {
    let house = House::new();
    let (dvr, writer) = recording_ring(&house);
    let (ring, aside) = (house.path().join("ring"), house.path().join("ring.aside"));
    std::fs::rename(&ring, &aside).unwrap();
    until("the failure", || matches!(dvr.status().ring, RingState::Failed { .. }));
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(!ring.exists(), "something was made where the ring was");
    std::fs::rename(&aside, &ring).unwrap();
    until("the return", || dvr.status().ring == RingState::Ready);
    assert_eq!(recorded_on(&dvr, &writer, 6..8), 8);
    assert!(dvr.status().damage.is_empty(), "{:?}", dvr.status().damage);
    until("the deletion", || std::fs::remove_dir_all(&ring).is_ok() && !ring.exists());
    told(&dvr, "ring was deleted while the program ran");
    until("a new ring", || dvr.status().ring == RingState::Ready);
    assert_eq!(recorded_on(&dvr, &writer, 8..10), 2);
    close(dvr, writer);
    assert_eq!(verified(house.path()).fragments, 2);
}

fn fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn a_pipe_or_a_directory_in_the_place_of_a_slot_is_told_and_passed_over() {
    let house = House::new();
    let (dvr, writer) = recording_ring(&house);
    close(dvr, writer);
    for number in [0, 1] {
        std::fs::remove_file(slot(&house, number)).unwrap();
    }
    fifo(&slot(&house, 0));
    std::fs::create_dir(slot(&house, 1)).unwrap();
    let dvr = house.open();
    let writer = super::ring::writer(&dvr);
    for number in [0, 1] {
        told(&dvr, &format!("Slot {number:06} cannot be read"));
    }
    append(&writer, 6..40, BYTES);
    until("the commit", || durable(&writer) == 34);
    assert!(slot(&house, 1).is_dir() && dvr.status().bad_slots == 2);
    // Put in order again while it runs.
    std::fs::remove_file(slot(&house, 0)).unwrap();
    std::fs::remove_dir(slot(&house, 1)).unwrap();
    until("the slots are made", || dvr.status().bad_slots == 0 && dvr.status().untaken_bytes == 0);
    close(dvr, writer);
}

#[test]
fn a_pipe_or_a_directory_in_the_place_of_other_files_is_told() {
    for make in [fifo as fn(&Path), |path: &Path| std::fs::create_dir(path).unwrap()] {
        for name in ["ring/ring.toml", "lock", "journal.log"] {
            let house = House::new();
            let (dvr, writer) = recording_ring(&house);
            close(dvr, writer);
            std::fs::remove_file(house.path().join(name)).unwrap();
            make(&house.path().join(name));
            let dvr = house.open();
            until(name, || {
                let status = dvr.status();
                let ring = match status.ring {
                    RingState::Failed { reason } => reason,
                    _ => String::new(),
                };
                let told = [ring, status.journal.unwrap_or_default()].concat();
                // Everything that can be put aside is, and recording continues.
                told.contains(name)
                    || name == "journal.log" && house.path().join("journal.bad").exists()
            });
            assert!(dvr.close(Duration::from_secs(20)));
        }
    }
}
