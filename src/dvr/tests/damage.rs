//! A ring whose `ring.toml` or slots were damaged between two lives: nothing that was sealed is
//! lost, and all of it is reported.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::Memory;
use super::ring::{
    House, append, close, copy_tree, durable, fragments, gate, until, verified, writer,
};
use crate::base::name::StreamName;
use crate::dvr::config::Retention;
use crate::dvr::disk::RealDisk;
use crate::dvr::format::front::SlotFront;
use crate::dvr::format::slot;
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
    let mut cursor = dvr.recording_cursor(&gate()).unwrap();
    let begin = dvr.listing(&gate()).runs[0].start;
    assert!(cursor.seek(begin, crate::dvr::Direction::Forward).unwrap());
    let first = cursor.forward(false).unwrap().unwrap();
    assert_eq!(first.bytes, super::fragment(0, BYTES).to_bytes());
    close(dvr, writer);
}

/// A ring of three slots at rest, each with a stream of its own of two small fragments.
fn three_streams() -> House {
    let house = House::new();
    let dvr = house.open();
    until("opening", || dvr.status().ring == RingState::Ready);
    let writers = ["a", "gate-of-the-long-drive", "yard"].map(|name| {
        let writer = dvr.writer(&StreamName::parse(name).unwrap(), Retention::default());
        append(&writer, 0..2, 300);
        writer
    });
    until("the commits", || writers.iter().all(|writer| durable(writer) == 2));
    until("all slots", || dvr.status().untaken_bytes == 0);
    let [last, ..] = writers;
    close(dvr, last);
    for blank in 3..8 {
        std::fs::remove_file(slot_in(house.path(), blank)).unwrap();
    }
    house
}

/// How many flips there are to one for which the whole ring is opened anew.
const OPENED_ONE_IN: usize = 97;

/// Flips every `step`th bit of the front of each slot, one at a time: what reads the fronts of a ring still finds all
/// of its fragments, and says that it is damaged. Returns how many.
///
/// A slot is read as it is when a ring is opened, from memory. For some flips the ring on the disk has them,
/// too, and is opened.
fn flip_fronts(house: &House, step: usize) -> usize {
    let (ring, _) = found(house.path());
    let whole = RingReader::open(house.path()).unwrap();
    assert!(whole.damaged_fronts().is_empty() && whole.laps().len() == 3);
    let mut flipped = 0;
    for &lap in whole.laps() {
        let (header, contents) = whole.contents(lap).unwrap().unwrap();
        assert_eq!(contents.entries.len(), 2);
        let path = slot_in(house.path(), header.slot);
        let mut slot = Memory(std::fs::read(&path).unwrap());
        let front = ring.read_front(&slot, header.slot).unwrap();
        let SlotFront::Held { init, is_damaged: false, .. } = front else { panic!("{front:?}") };
        let mended = SlotFront::Held { header: header.clone(), init, is_damaged: true };
        let front_bytes = header.init_bytes as usize + crate::dvr::format::seal::HEADER_BYTES;
        for bit in (0..front_bytes * 8).step_by(step) {
            slot.0[bit / 8] ^= 1 << (bit % 8);
            let found = ring.read_front(&slot, header.slot).unwrap();
            assert_eq!(found, mended, "slot {} bit {bit}", header.slot);
            let scanned = slot::scan(&slot, &header, lap.strictness).unwrap();
            assert_eq!(scanned, contents, "slot {} bit {bit}", header.slot);
            if flipped % OPENED_ONE_IN == 0 {
                std::fs::write(&path, &slot.0).unwrap();
                let reader = RingReader::open(house.path()).unwrap();
                assert_eq!(reader.laps(), whole.laps(), "slot {} bit {bit}", header.slot);
                assert_eq!(reader.damaged_fronts(), &[header.slot][..], "bit {bit}");
                let found = reader.contents(lap).unwrap().unwrap();
                assert_eq!(found, (header.clone(), contents.clone()), "bit {bit}");
            }
            slot.0[bit / 8] ^= 1 << (bit % 8);
            flipped += 1;
        }
        std::fs::write(&path, &slot.0).unwrap();
    }
    flipped
}

#[test]
fn a_wrong_bit_anywhere_in_a_front_loses_nothing_and_is_told() {
    assert!(flip_fronts(&three_streams(), 7) > 2_000);
}

/// Every bit of 201 fronts, three of a ring: part of `make soak`.
#[test]
#[ignore = "runs for minutes; make soak"]
fn every_wrong_bit_of_two_hundred_fronts_loses_nothing() {
    const RINGS: usize = 67;
    const THREADS: usize = 2;
    let begun = std::time::Instant::now();
    let left = std::sync::atomic::AtomicUsize::new(RINGS);
    let bits = std::sync::atomic::AtomicUsize::new(0);
    let take = || left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                while take() {
                    bits.fetch_add(flip_fronts(&three_streams(), 1), Relaxed);
                }
            });
        }
    });
    let (bits, fronts) = (bits.into_inner(), 3 * RINGS);
    println!("{bits} bits of {fronts} fronts in {:.0?}: nothing was lost", begun.elapsed());
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

/// Laps that no front tells at a start may come back: one whose blank front a kill left in memory only
/// does after a power cut. None that is begun meanwhile has a lower number.
#[test]
fn laps_are_counted_on_from_those_that_do_not_show() {
    let house = recorded(6);
    let (ring, _) = found(house.path());
    let (slot, newest) = *laps(&ring).iter().max_by_key(|(_, generation)| *generation).unwrap();
    let path = slot_in(house.path(), slot);
    let whole = std::fs::read(&path).unwrap();
    let next = || ring.clone().read_fronts(&RealDisk).unwrap().table.next_generation;
    let usual = next();
    let mut hidden = whole.clone();
    hidden[..8].copy_from_slice(&crate::dvr::format::slot::free_box(0, 64 << 10));
    std::fs::write(&path, &hidden).unwrap();
    assert!(!laps(&ring).iter().any(|(_, generation)| *generation == newest));
    assert_eq!(next(), usual);
    // Its header is torn, or all of its front is noise.
    let header = whole.windows(13).position(|bytes| bytes == b"holdfast-slot").unwrap();
    hidden[header + 40] ^= 0xff;
    std::fs::write(&path, &hidden).unwrap();
    assert!(next() > usual, "{} after {newest}", next());
    hidden[..512].fill(0x5a);
    std::fs::write(&path, &hidden).unwrap();
    assert!(next() > usual, "{} after {newest}", next());
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

/// A damage that is planted in a ring of four slots, two fragments each.
type Plant = fn(&Path);

fn slot_in(dir: &Path, number: u32) -> std::path::PathBuf {
    dir.join(format!("ring/{number:06}.mp4"))
}

/// Changes `bytes` octets of slot 1 from `at` on.
fn spoil(dir: &Path, at: usize, bytes: usize, with: impl Fn(u8) -> u8) {
    let path = slot_in(dir, 1);
    let mut content = std::fs::read(&path).unwrap();
    content[at..at + bytes].iter_mut().for_each(|byte| *byte = with(*byte));
    std::fs::write(path, content).unwrap();
}

/// Where the first fragment of slot 1 begins, and where its seal does.
fn places(dir: &Path) -> (usize, usize) {
    let reader = RingReader::open(dir).unwrap();
    let lap = *reader.laps().iter().find(|lap| lap.slot == 1).unwrap();
    let (_, contents) = reader.contents(lap).unwrap().unwrap();
    let entry = contents.entries[0];
    (entry.offset as usize, (entry.offset + entry.length) as usize)
}

/// What is planted, what `verify` says of it, and how many faults and whole fragments it counts.
const PLANTS: [(&str, Plant, &str, u64, u64); 16] = [
    ("a front", |dir| spoil(dir, 40, 1, |b| b ^ 4), "slot 000001: its front is damaged", 1, 8),
    ("noise", |dir| spoil(dir, 0, 512, |b| b ^ 0x5a), "slot 000001: its front is damaged", 1, 8),
    ("a page of zeros", |dir| spoil(dir, 0, 4_096, |_| 0), "slot 000001: its front is", 1, 7),
    ("a seal", |dir| spoil(dir, places(dir).1 + 60, 1, |b| b ^ 1), "slot 000001: bytes ", 1, 7),
    ("media", |dir| spoil(dir, places(dir).0 + 900, 1, |b| b ^ 1), "slot 000001: bytes ", 1, 7),
    (
        "a cut end",
        |dir| {
            let slot = std::fs::OpenOptions::new().write(true).open(slot_in(dir, 1)).unwrap();
            slot.set_len(30_000).unwrap();
        },
        "slot 000001: its front is damaged",
        1,
        7,
    ),
    (
        "swapped slots",
        |dir| {
            std::fs::rename(slot_in(dir, 1), dir.join("aside")).unwrap();
            std::fs::rename(slot_in(dir, 2), slot_in(dir, 1)).unwrap();
            std::fs::rename(dir.join("aside"), slot_in(dir, 2)).unwrap();
        },
        "slot 000001: it is slot 000002 under another name",
        2,
        8,
    ),
    (
        "a copy",
        |dir| {
            std::fs::copy(slot_in(dir, 0), slot_in(dir, 1)).unwrap();
        },
        "slot 000001: it is a copy of another slot",
        1,
        6,
    ),
    ("zeros alone", |dir| spoil(dir, 0, 64 << 10, |_| 0), "slot 000001: nothing but zeros", 0, 6),
    (
        "a missing slot",
        |dir| std::fs::remove_file(slot_in(dir, 1)).unwrap(),
        "slot 000001: it is missing",
        1,
        6,
    ),
    (
        "a directory",
        |dir| {
            std::fs::remove_file(slot_in(dir, 1)).unwrap();
            std::fs::create_dir(slot_in(dir, 1)).unwrap();
        },
        "slot 000001: it cannot be read",
        1,
        6,
    ),
    (
        "no ring.toml",
        |dir| std::fs::remove_file(dir.join("ring/ring.toml")).unwrap(),
        "ring.toml was missing",
        1,
        8,
    ),
    (
        "a wrong ring.toml",
        |dir| std::fs::write(dir.join("ring/ring.toml"), "format = 1\n").unwrap(),
        "ring.toml was damaged",
        1,
        8,
    ),
    (
        "a foreign file",
        |dir| std::fs::write(dir.join("ring/notes.txt"), "mine").unwrap(),
        "notes.txt: not a file of this ring",
        0,
        8,
    ),
    (
        "a journal",
        |dir| {
            let path = dir.join("journal.log");
            let mut journal = std::fs::read(&path).unwrap();
            journal[20] ^= 1;
            std::fs::write(path, journal).unwrap();
        },
        "journal: 1 damaged stretches",
        1,
        8,
    ),
    ("nothing", |_| (), "8 fragments with", 0, 8),
];

#[test]
fn verify_names_every_damage_that_was_planted() {
    let whole = recorded(8);
    for (what, plant, words, faults, fragments) in PLANTS {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(whole.path(), dir.path());
        plant(dir.path());
        let mut said = Vec::new();
        let verdict = tool::verify(dir.path(), &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(words), "{what}: {said}");
        assert_eq!((verdict.damaged, verdict.fragments), (faults, fragments), "{what}: {said}");
    }
}

#[test]
fn a_slot_whose_front_is_zeros_is_found_by_its_seals_and_one_that_is_missing_is_told() {
    let house = recorded(8);
    spoil(house.path(), 0, 4_096, |_| 0);
    std::fs::remove_file(slot_in(house.path(), 2)).unwrap();
    let bytes = std::fs::read(slot_in(house.path(), 1)).unwrap();
    let dvr = house.open();
    let writer = writer(&dvr);
    let told = |words: &str| dvr.status().damage.iter().any(|one| one.contains(words));
    until("the missing slot is told", || told("000002 was deleted while the program was stopped"));
    append(&writer, 8..10, BYTES);
    until("the commit", || durable(&writer) == 2);
    // The first fragment of the slot lost its beginning with the front.
    until("the search", || fragments(&dvr.listing(&gate())) == 8 - 1 - 2 + 2);
    until("the front is told", || told("front of slot 000001 is damaged"));
    assert!(std::fs::read(slot_in(house.path(), 1)).unwrap() == bytes, "it was written to");
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
