//! A ring whose `ring.toml` or slots were damaged between two lives: nothing that was sealed is
//! lost, and all of it is reported.

use std::collections::BTreeSet;
use std::path::Path;

use super::ring::{House, append, close, durable, fragments, gate, until, verified, writer};
use crate::dvr::disk::RealDisk;
use crate::dvr::store::ring::Ring;
use crate::dvr::{Dvr, RingReader, RingState, tool};

/// Two of them go into a slot.
const BYTES: usize = 20_000;

/// A ring with `count` fragments, at rest.
fn recorded(count: u32) -> House {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..count, BYTES);
    until("the commit", || durable(&writer) == u64::from(count));
    close(dvr, writer);
    house
}

fn laps(ring: &Ring) -> BTreeSet<(u32, u64)> {
    let found = ring.clone().read_fronts(&RealDisk).unwrap();
    found.table.held().map(|(slot, held)| (slot, held.generation)).collect()
}

fn found(data_dir: &Path) -> (Ring, Option<String>) {
    Ring::find_or_recover(&RealDisk, data_dir).unwrap().expect("a ring")
}

fn known(dvr: &Dvr) -> u64 {
    until("reading", || dvr.listing(&gate()).complete);
    fragments(&dvr.listing(&gate()))
}

#[test]
fn every_wrong_bit_of_ring_toml_is_seen_and_costs_no_slot() {
    let house = recorded(6);
    let path = house.path().join("ring/ring.toml");
    let text = std::fs::read(&path).unwrap();
    let comment = String::from_utf8(text.clone()).unwrap().rfind("# crc32c").unwrap();
    let (whole, why) = found(house.path());
    assert_eq!(why, None);
    let all = laps(&whole);
    assert_eq!(all.len(), 3);
    for bit in 0..text.len() * 8 {
        let mut text = text.clone();
        text[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, text).unwrap();
        let (ring, why) = found(house.path());
        assert_eq!((ring.identity, ring.slot_bytes), (whole.identity, whole.slot_bytes), "{bit}");
        assert!(why.is_some() || bit / 8 >= comment, "bit {bit} was believed");
        assert_eq!(laps(&ring), all, "bit {bit}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(laps(&found(house.path()).0), all);
}

#[test]
fn a_ring_without_its_ring_toml_goes_on_and_says_so() {
    for damage in ["missing", "cut", "edited"] {
        let house = recorded(6);
        let path = house.path().join("ring/ring.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        match damage {
            "missing" => std::fs::remove_file(&path).unwrap(),
            "cut" => std::fs::write(&path, "").unwrap(),
            _ => std::fs::write(&path, text.replace("ring = \"", "ring = \"x")).unwrap(),
        }
        let dvr = house.open();
        let writer = writer(&dvr);
        append(&writer, 6..8, BYTES);
        until("the commit", || durable(&writer) == 2);
        assert_eq!(known(&dvr), 8, "{damage}");
        let told = dvr.status().damage;
        assert!(told.len() == 1 && told[0].contains("made again"), "{told:?}");
        close(dvr, writer);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{damage}");
        assert_eq!(verified(house.path()).fragments, 8);
    }
}

#[test]
fn a_slot_whose_front_has_a_wrong_bit_is_played_told_and_overwritten_last() {
    let house = recorded(6);
    let slot = house.path().join("ring/000000.mp4");
    let mut bytes = std::fs::read(&slot).unwrap();
    bytes[40] ^= 4;
    std::fs::write(&slot, &bytes).unwrap();
    let mut said = Vec::new();
    let verdict = tool::verify(house.path(), &mut said).unwrap();
    assert_eq!((verdict.fragments, verdict.damaged), (6, 1), "{}", String::from_utf8_lossy(&said));
    let dvr = house.open();
    let writer = writer(&dvr);
    assert_eq!(known(&dvr), 6);
    let told = dvr.status().damage;
    assert!(told.len() == 1 && told[0].contains("slot 000000"), "{told:?}");
    // Everything else is overwritten twice; what is damaged stays as it is.
    append(&writer, 6..50, BYTES);
    until("the commit", || durable(&writer) == 44);
    assert_eq!(known(&dvr), 8 * 2);
    assert!(std::fs::read(&slot).unwrap() == bytes, "the damaged slot was written to");
    let mut tape = dvr.recording_cursor(&gate()).unwrap();
    let begin = dvr.listing(&gate()).runs[0].start;
    assert!(tape.seek(begin, crate::dvr::Direction::Forward).unwrap());
    let first = tape.forward(false).unwrap().unwrap();
    assert_eq!(first.bytes, super::fragment(0, BYTES).to_bytes());
    close(dvr, writer);
}

/// Flips every `step`th bit of the front of each slot, one at a time: all fragments are still found, and
/// the slot is named.
fn flip_fronts(house: &House, fragments: u64, step: usize) {
    use std::os::unix::fs::FileExt;
    let whole = RingReader::open(house.path()).unwrap();
    assert!(whole.damaged_fronts().is_empty());
    for &lap in whole.laps() {
        let (header, _) = whole.contents(lap).unwrap().unwrap();
        let path = house.path().join(format!("ring/{:06}.mp4", header.slot));
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut front =
            vec![0; header.init_bytes as usize + crate::dvr::format::seal::HEADER_BYTES];
        file.read_exact_at(&mut front, 0).unwrap();
        for bit in (0..front.len() * 8).step_by(step) {
            let (at, right) = (bit / 8, front[bit / 8]);
            file.write_all_at(&[right ^ 1 << (bit % 8)], at as u64).unwrap();
            let reader = RingReader::open(house.path()).unwrap();
            let found =
                |lap: &_| reader.contents(*lap).unwrap().map_or(0, |(_, held)| held.entries.len());
            let found: usize = reader.laps().iter().map(found).sum();
            assert_eq!(found as u64, fragments, "slot {} bit {bit}", header.slot);
            assert_eq!(reader.damaged_fronts(), &[header.slot][..], "bit {bit}");
            file.write_all_at(&[right], at as u64).unwrap();
        }
    }
}

#[test]
fn a_wrong_bit_anywhere_in_a_front_loses_nothing_and_is_told() {
    flip_fronts(&recorded(6), 6, 31);
}

/// Three fronts at a time, until 200 or for `MINUTES`: part of `make soak`.
#[test]
#[ignore = "runs for an hour; make soak"]
fn every_wrong_bit_of_two_hundred_fronts_loses_nothing() {
    let minutes = std::env::var("MINUTES").ok().and_then(|text| text.parse::<u64>().ok());
    let begun = std::time::Instant::now();
    for _ in 0..67 {
        flip_fronts(&recorded(6), 6, 1);
        if minutes.is_some_and(|minutes| begun.elapsed().as_secs() >= minutes * 60) {
            break;
        }
    }
}

#[test]
fn a_slot_whose_front_is_noise_is_found_by_its_seals() {
    let house = recorded(6);
    let slot = house.path().join("ring/000001.mp4");
    let mut bytes = std::fs::read(&slot).unwrap();
    for (at, byte) in bytes[..512].iter_mut().enumerate() {
        *byte = at.to_le_bytes()[0].wrapping_mul(73) ^ 0x5a;
    }
    std::fs::write(&slot, &bytes).unwrap();
    let reader = RingReader::open(house.path()).unwrap();
    assert_eq!((reader.laps().len(), reader.damaged_fronts()), (3, &[1][..]));
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 6..8, BYTES);
    until("the commit", || durable(&writer) == 2);
    until("the search", || fragments(&dvr.listing(&gate())) == 8);
    assert!(std::fs::read(&slot).unwrap() == bytes, "the damaged slot was written to");
    close(dvr, writer);
}

#[test]
fn slots_that_are_cut_swapped_or_gone_cost_what_is_missing_and_are_told() {
    let house = recorded(8);
    let slot = |number: u32| house.path().join(format!("ring/{number:06}.mp4"));
    let cut = std::fs::OpenOptions::new().write(true).open(slot(0)).unwrap();
    // The second of its two fragments is missing.
    cut.set_len(30_000).unwrap();
    std::fs::rename(slot(1), house.path().join("aside")).unwrap();
    std::fs::rename(slot(2), slot(1)).unwrap();
    std::fs::rename(house.path().join("aside"), slot(2)).unwrap();
    std::fs::remove_file(slot(3)).unwrap();
    let dvr = house.open();
    let writer = writer(&dvr);
    assert_eq!(known(&dvr), 8 - 1 - 2);
    let told = dvr.status().damage;
    for number in 0..3 {
        assert!(told.iter().any(|one| one.contains(&format!("{number:06}"))), "{told:?}");
    }
    close(dvr, writer);
}

#[test]
fn a_data_directory_that_is_deleted_is_made_again_and_one_that_is_moved_is_waited_for() {
    let house = House::new();
    let dvr = house.open();
    let writer = writer(&dvr);
    append(&writer, 0..4, BYTES);
    until("the commit", || durable(&writer) == 4);
    let aside = house.path().with_extension("aside");
    std::fs::rename(house.path(), &aside).unwrap();
    let mut next = 4;
    // The writer notices when it takes a slot.
    until("the failure", || {
        append(&writer, next..next + 1, BYTES);
        next += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
        dvr.status().ring != RingState::Ready
    });
    assert!(!house.path().exists(), "something was made where the directory was");
    std::fs::rename(&aside, house.path()).unwrap();
    until("the return", || dvr.status().ring == RingState::Ready);
    assert!(dvr.status().damage.is_empty());
    assert!(fragments(&dvr.listing(&gate())) >= 4);
    // Whatever is made while it is being deleted goes with it.
    until("the deletion", || std::fs::remove_dir_all(house.path()).is_ok());
    until("a new ring", || {
        append(&writer, next..next + 1, BYTES);
        next += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
        house.path().join("ring/ring.toml").exists() && dvr.status().ring == RingState::Ready
    });
    let told = dvr.status().damage;
    assert!(told.iter().any(|one| one.contains("was deleted while")), "{told:?}");
    let before = durable(&writer);
    append(&writer, next..next + 2, BYTES);
    until("recording", || durable(&writer) >= before + 2);
    close(dvr, writer);
    assert!(verified(house.path()).fragments >= 2);
}
