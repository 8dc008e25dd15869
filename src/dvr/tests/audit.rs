//! The index is checked now and then: a difference builds it again, recording continues.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{fragment, init};
use crate::base::limits::{INDEX_BYTES_MAX, INDEX_LOOK_PAUSE, INDEX_SIZE_PAUSE};
use crate::base::name::StreamName;
use crate::base::time::Clock;
use crate::dvr::config::{Retention, RingConfig};
use crate::dvr::disk::model::{ModelDisk, VirtualClock};
use crate::dvr::disk::{Disk, OpenMode};
use crate::dvr::format::index_record::IndexRecord;
use crate::dvr::store::index::{Index, IndexHandle};
use crate::dvr::store::indexer::Indexer;
use crate::dvr::store::journal::Journal;
use crate::dvr::store::ring_writer::RingWriter;
use crate::dvr::{Dvr, DvrError, RingSizing, RingState, Writer};

const SLOT_BYTES: u64 = 64 << 10;

/// A store that can be tampered with.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    records: BTreeMap<u32, Vec<u8>>,
    size_bytes: u64,
    opened: u32,
}

impl Index for Store {
    fn load(&mut self) -> Result<Vec<(u32, Vec<u8>)>, DvrError> {
        let kept = self.0.lock().unwrap();
        Ok(kept.records.iter().map(|(slot, record)| (*slot, record.clone())).collect())
    }
    fn put(&mut self, slot: u32, record: &[u8]) -> Result<(), DvrError> {
        self.0.lock().unwrap().records.insert(slot, record.to_vec());
        Ok(())
    }
    fn remove(&mut self, slot: u32) -> Result<(), DvrError> {
        self.0.lock().unwrap().records.remove(&slot);
        Ok(())
    }
    fn get(&mut self, slot: u32) -> Result<Option<Vec<u8>>, DvrError> {
        Ok(self.0.lock().unwrap().records.get(&slot).cloned())
    }
    fn size_bytes(&mut self) -> Result<u64, DvrError> {
        Ok(self.0.lock().unwrap().size_bytes)
    }
}

/// A recorder that was driven until four slots ended.
struct House {
    clock: Arc<VirtualClock>,
    disk: ModelDisk,
    store: Store,
    dvr: Dvr,
    storage: RingWriter,
    indexer: Indexer,
    _journal: Journal,
    writer: Writer,
    next: u32,
}

impl House {
    fn new() -> Self {
        let clock = Arc::new(VirtualClock::default());
        clock.reboot(1_795_000_000_000_000_000);
        let disk = ModelDisk::new(1, Arc::clone(&clock), Path::new("/"), 1 << 30);
        let store = Store::default();
        let opened = store.clone();
        let config = RingConfig {
            data_dir: "/data".into(),
            size: RingSizing::Bytes(SLOT_BYTES * 12),
            slot_bytes: Some(SLOT_BYTES),
        };
        let (dvr, storage, indexer, journal) = Dvr::parts(
            Arc::new(disk.clone()),
            [1; 16],
            config,
            Arc::clone(&clock) as Arc<dyn Clock>,
            None,
            Box::new(move |_, _| {
                let mut kept = opened.0.lock().unwrap();
                kept.opened += 1;
                // What was there was moved aside.
                (kept.records, kept.size_bytes) = (BTreeMap::new(), 0);
                drop(kept);
                IndexHandle::direct(Box::new(opened.clone()))
            }),
        );
        let writer = dvr.writer(&StreamName::parse("gate").unwrap(), Retention::default());
        let mut house =
            Self { clock, disk, store, dvr, storage, indexer, _journal: journal, writer, next: 0 };
        house.turn(30);
        assert_eq!(house.dvr.status().ring, RingState::Ready);
        house.record(10);
        assert_eq!(house.records().len(), 4);
        house
    }

    /// Two fragments fill a slot.
    fn record(&mut self, fragments: u32) {
        for _ in 0..fragments {
            let fragment = fragment(self.next, 20_000);
            self.writer.append(&init(), fragment, self.next == 0, false).unwrap();
            self.next += 1;
            self.turn(15);
        }
    }

    fn turn(&mut self, times: u32) {
        for _ in 0..times {
            self.storage.turn(None);
            self.indexer.turn();
            self.clock.advance(INDEX_LOOK_PAUSE / 100);
        }
    }

    /// Long enough for a look at each slot, twice.
    fn pass(&mut self) {
        self.turn(1_000);
    }

    fn records(&self) -> BTreeMap<u32, Vec<u8>> {
        self.store.0.lock().unwrap().records.clone()
    }

    /// Fails unless the index was rebuilt `times` again, has its former content, and recording
    /// continues.
    fn assert_built_again(&mut self, times: u64, before: &BTreeMap<u32, Vec<u8>>) {
        assert_eq!(self.indexer.audit.built_again, times);
        let told = self.dvr.shared.take_rebuilds();
        assert_eq!(told.len() as u64, times);
        assert!(told.iter().all(|told| told.slots == before.len() as u64), "{told:?}");
        assert_eq!(u64::from(self.store.0.lock().unwrap().opened), times + 1);
        assert_eq!(self.records(), *before);
        self.record(4);
        assert_eq!(self.records().len(), before.len() + 2);
        assert_eq!(self.writer.status().lost, 0);
    }

    fn tamper(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.store.0.lock().unwrap());
    }
}

#[test]
fn an_index_that_says_what_the_slots_say_stays() {
    let mut house = House::new();
    let before = house.records();
    house.pass();
    house.assert_built_again(0, &before);
}

#[test]
fn a_record_that_says_something_else_builds_the_index_again() {
    let mut house = House::new();
    let before = house.records();
    house.tamper(|kept| {
        let (_, bytes) = kept.records.iter_mut().nth(2).unwrap();
        let mut record = IndexRecord::parse(bytes).unwrap();
        record.entries[0].span_nanos += 1;
        *bytes = record.encode();
    });
    house.pass();
    house.assert_built_again(1, &before);
}

#[test]
fn a_record_of_another_lap_builds_the_index_again() {
    let mut house = House::new();
    let before = house.records();
    house.tamper(|kept| {
        let (_, bytes) = kept.records.iter_mut().next().unwrap();
        let record = IndexRecord::parse(bytes).unwrap();
        *bytes = IndexRecord { generation: record.generation - 1, ..record }.encode();
    });
    house.pass();
    house.assert_built_again(1, &before);
}

#[test]
fn a_record_that_the_store_lost_builds_the_index_again() {
    let mut house = House::new();
    let before = house.records();
    house.tamper(|kept| drop(kept.records.pop_last()));
    house.pass();
    house.assert_built_again(1, &before);
}

#[test]
fn a_store_that_grew_too_large_is_built_again() {
    let mut house = House::new();
    let before = house.records();
    house.tamper(|kept| kept.size_bytes = INDEX_BYTES_MAX + 1);
    house.clock.advance(INDEX_SIZE_PAUSE);
    house.pass();
    house.assert_built_again(1, &before);
}

#[test]
fn a_slot_that_was_damaged_is_not_the_fault_of_the_index() {
    let mut house = House::new();
    let (&slot, bytes) = house.records().first_key_value().map(|(s, b)| (s, b.clone())).unwrap();
    let record = IndexRecord::parse(&bytes).unwrap();
    let first = record.entries[0];
    // In its seal, by which it is known.
    let bit = u64::from(first.offset + first.length + 60) * 8;
    house.disk.flip(Path::new(&format!("/data/ring/{slot:06}.mp4")), bit);
    house.pass();
    assert_eq!(house.indexer.audit.built_again, 0);
    let told = IndexRecord::parse(&house.records()[&slot]).unwrap();
    assert_eq!((told.damaged, told.entries.as_slice()), (1, &record.entries[1..]));
    assert_eq!(house.dvr.status().damaged, 1);
}

#[test]
fn a_slot_in_whose_place_something_else_was_put_is_told_and_no_index_is_built_for_it() {
    let mut house = House::new();
    let before = house.records();
    let (&slot, _) = before.first_key_value().unwrap();
    let path = format!("/data/ring/{slot:06}.mp4");
    let file = house.disk.open(Path::new(&path), OpenMode::Write).unwrap();
    file.write_at(0, &[&crate::dvr::format::slot::free_box(0, SLOT_BYTES)]).unwrap();
    house.pass();
    assert_eq!(house.indexer.audit.built_again, 0);
    let told = house.dvr.status().damage;
    assert!(
        told.iter().any(|one| one.contains(&format!("Slot {slot:06} was changed"))),
        "{told:?}"
    );
    assert!(!house.records().contains_key(&slot));
    house.record(4);
    assert_eq!(house.writer.status().lost, 0);
}
