//! One slot in memory: torn at every offset, behind it an old lap, damaged at every byte.

use std::io;
use std::sync::{Arc, Mutex};

use super::{fragment, init};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, WallTime};
use crate::dvr::disk::DiskFile;
use crate::dvr::format::front::{SlotFront, read_front};
use crate::dvr::format::seal::{FragmentEntry, SlotHeader};
use crate::dvr::format::slot::{Strictness, Tail};
use crate::dvr::format::{salvage, slot};
use crate::dvr::store::open_slot::OpenSlot;
use crate::dvr::store::state::StreamLog;

const SLOT_BYTES: u64 = 16 << 10;

#[derive(Debug, Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryFile {
    fn of(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(bytes)))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl DiskFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let (bytes, at) = (self.0.lock().unwrap(), usize::try_from(at).unwrap());
        let found = bytes.get(at..at + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }
    fn write_at(&self, at: u64, pieces: &[&[u8]]) -> io::Result<()> {
        let (piece, at) = (pieces.concat(), usize::try_from(at).unwrap());
        self.0.lock().unwrap()[at..at + piece.len()].copy_from_slice(&piece);
        Ok(())
    }
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(bytes).unwrap(), 0);
        Ok(())
    }
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

fn lap(file: &Arc<MemoryFile>, generation: u64) -> OpenSlot {
    let stream = StreamName::parse("gate").unwrap();
    let header = SlotHeader {
        ring: [7; 16],
        slot: 3,
        slot_bytes: SLOT_BYTES,
        generation,
        stream: stream.clone(),
        boot: [1; 16],
        opened: BootTime::from_millis(5),
        opened_wall: WallTime::default(),
        init_bytes: u32::try_from(init().len()).unwrap(),
        epoch: crate::dvr::format::epoch::SlotEpoch::default(),
    };
    let log = Arc::new(StreamLog::new(&stream));
    OpenSlot::begun(log, Arc::clone(file) as Arc<dyn DiskFile>, header, init(), false).unwrap()
}

/// The bytes of a slot with `fragments` of a lap, over `before`.
fn written(before: Vec<u8>, generation: u64, fragments: u32) -> Vec<u8> {
    let file = MemoryFile::of(before);
    let mut open = lap(&file, generation);
    for at in 0..fragments {
        open.write(
            (BootTime::default(), None),
            &fragment(at, 700 + 13 * at as usize),
            at == 0,
            false,
        )
        .unwrap();
    }
    open.sync().unwrap();
    file.bytes()
}

fn read(bytes: &[u8], strictness: Strictness) -> Option<slot::SlotContents> {
    let file = MemoryFile::of(bytes.to_vec());
    match read_front(&*file, SLOT_BYTES).unwrap() {
        SlotFront::Held { header, .. } => Some(slot::scan(&*file, &header, strictness).unwrap()),
        SlotFront::Blank | SlotFront::Damaged => None,
    }
}

fn empty() -> Vec<u8> {
    vec![0; usize::try_from(SLOT_BYTES).unwrap()]
}

#[test]
fn a_slot_comes_back_as_it_was_written() {
    let contents = read(&written(empty(), 5, 4), Strictness::Tail).unwrap();
    assert_eq!(contents.entries.len(), 4);
    assert_eq!((contents.tail, contents.damaged.len()), (Tail::Free, 0));
    assert!(contents.entries[0].run_start && !contents.entries[1].run_start);
    assert_eq!(contents.entries[3].decode_nanos, 3_000_000_000);
    assert_eq!(contents.entries[3].span_nanos, 1_000_000_000);
    assert_eq!(read(&empty(), Strictness::Tail), None);
}

#[test]
fn fault_2_a_file_whose_making_was_cut_short_is_blank() {
    for length in [0, 1, 4_095, 9_000] {
        let file = MemoryFile::of(vec![0; length]);
        assert_eq!(read_front(&*file, SLOT_BYTES).unwrap(), SlotFront::Blank);
        lap(&file, 1);
        assert_eq!(file.length().unwrap(), SLOT_BYTES);
    }
}

#[test]
fn the_last_write_torn_at_each_offset_costs_that_fragment_only() {
    // An old lap lies beneath, as in a ring that has wrapped round.
    let old = written(empty(), 4, 10);
    let (before, after) = (written(old.clone(), 5, 3), written(old, 5, 4));
    let three = read(&before, Strictness::Tail).unwrap();
    let four = read(&after, Strictness::Tail).unwrap();
    let from = usize::try_from(three.end).unwrap();
    let until = usize::try_from(four.end).unwrap() + 8;
    for torn_at in from..=until {
        let torn = [&after[..torn_at], &before[torn_at..]].concat();
        let found = read(&torn, Strictness::Tail).unwrap();
        let whole = torn_at >= until - 8;
        let wanted = if whole { &four.entries } else { &three.entries };
        assert_eq!(&found.entries, wanted, "torn at {torn_at}");
        assert_eq!(found.end, if whole { four.end } else { three.end });
        // The other way round: the end of the write arrived, its beginning did not.
        let torn = [&before[..torn_at], &after[torn_at..]].concat();
        let found = read(&torn, Strictness::Tail).unwrap();
        let whole = before[from..torn_at] == after[from..torn_at];
        assert_eq!(found.entries.len(), if whole { 4 } else { 3 }, "begun at {torn_at}");
    }
}

#[test]
fn the_opening_torn_at_each_offset_is_one_lap_or_the_other_or_none() {
    let old = written(empty(), 4, 6);
    let new = written(old.clone(), 5, 0);
    let entries = read(&old, Strictness::Tail).unwrap().entries;
    for torn_at in 0..init().len() + 160 {
        let torn = [&new[..torn_at], &old[torn_at..]].concat();
        // None, all or some of the old lap: never a fragment that was not in it.
        let found = read(&torn, Strictness::Finished);
        let found = found.map(|contents| contents.entries).unwrap_or_default();
        assert!(found.iter().all(|entry| entries.contains(entry)), "torn at {torn_at}");
    }
}

#[test]
fn an_old_lap_behind_a_torn_tail_never_shows() {
    // Same sizes, so that the old fragments are exactly where the next ones would be.
    let old = written(empty(), 4, 10);
    let fresh = read(&written(old.clone(), 5, 3), Strictness::Tail).unwrap();
    let end = usize::try_from(fresh.end).unwrap();
    let torn = [&written(old.clone(), 5, 3)[..end], &old[end..]].concat();
    for strictness in [Strictness::Tail, Strictness::Finished] {
        let found = read(&torn, strictness).unwrap();
        assert_eq!((found.entries, found.tail), (fresh.entries.clone(), Tail::Torn));
    }
}

/// Whatever their numbers: a lap overwrites the one before from the front on.
#[test]
fn behind_a_lost_front_the_newer_lap_is_found() {
    for (older, newer) in [(5, 9), (9, 5)] {
        let mut bytes = written(written(empty(), older, 6), newer, 2);
        bytes[..256].fill(0x5a);
        let file = MemoryFile::of(bytes);
        let remains = salvage::remains(&*file, SLOT_BYTES, Some([7; 16])).unwrap().unwrap();
        assert_eq!((remains.first.generation, remains.fragments), (newer, 2));
    }
}

#[test]
fn a_damaged_fragment_in_a_finished_slot_is_passed_over() {
    let mut bytes = written(empty(), 5, 5);
    let entries = read(&bytes, Strictness::Finished).unwrap().entries;
    bytes[entries[2].offset as usize + 300] ^= 1;
    let found = read(&bytes, Strictness::Finished).unwrap();
    let wanted: Vec<FragmentEntry> = [0, 1, 3, 4].map(|at| entries[at]).to_vec();
    assert_eq!(found.entries, wanted);
    let damaged = (u64::from(entries[2].offset), u64::from(entries[3].offset));
    assert_eq!((found.damaged, found.tail), (vec![damaged], Tail::Free));
    // Were it the slot being written, that would be its end.
    assert_eq!(read(&bytes, Strictness::Tail).unwrap().entries, &entries[..2]);
}

#[test]
fn no_flipped_byte_makes_a_wrong_fragment() {
    let bytes = written(empty(), 5, 4);
    let good = read(&bytes, Strictness::Finished).unwrap();
    for at in 0..usize::try_from(good.end).unwrap() + 8 {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x41;
        let Some(found) = read(&bytes, Strictness::Finished) else { continue };
        assert!(found.entries.iter().all(|entry| good.entries.contains(entry)), "byte {at}");
        let hit = |entry: &FragmentEntry| {
            (u64::from(entry.offset)..slot::end(entry)).contains(&(at as u64))
        };
        let spared = good.entries.iter().filter(|entry| !hit(entry)).count();
        assert_eq!(found.entries.len(), spared, "byte {at}");
    }
}

#[test]
fn a_cut_slot_is_closed() {
    let file = MemoryFile::of(empty());
    let mut open = lap(&file, 5);
    open.write((BootTime::default(), None), &fragment(0, 500), true, false).unwrap();
    open.sync().unwrap();
    open.write((BootTime::default(), None), &fragment(1, 500), false, false).unwrap();
    open.cut();
    let found = read(&file.bytes(), Strictness::Tail).unwrap();
    assert_eq!((found.entries.len(), found.tail), (1, Tail::Closed));
}

#[test]
fn a_fragment_is_read_back_and_never_from_another_lap() {
    let bytes = written(empty(), 5, 3);
    let file = MemoryFile::of(bytes.clone());
    let SlotFront::Held { header, .. } = read_front(&*file, SLOT_BYTES).unwrap() else {
        panic!("no lap")
    };
    let entry = read(&bytes, Strictness::Tail).unwrap().entries[1];
    let found = slot::read_fragment(&*file, &header, &entry).unwrap();
    assert_eq!(found, Some(fragment(1, 713).to_bytes()));
    let turned = MemoryFile::of(written(bytes, 6, 3));
    assert_eq!(slot::read_fragment(&*turned, &header, &entry).unwrap(), None);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_scan_panic_or_hang(noise: Vec<u8>, at in 0usize..8_000) {
        let mut bytes = written(empty(), 5, 3);
        let end = (at + noise.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&noise[..end - at]);
        let _ = read(&bytes, Strictness::Finished);
        let _ = read(&bytes, Strictness::Tail);
    }
}
