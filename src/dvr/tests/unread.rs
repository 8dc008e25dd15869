//! Slots that could not be read when the ring was opened are read as soon as they can be.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::ring::{fragments, gate};
use super::{fragment, init};
use crate::base::time::Clock;
use crate::dvr::config::{Retention, RingConfig};
use crate::dvr::disk::model::{DiskTrouble, ModelDisk, TroublePlan, VirtualClock};
use crate::dvr::store::index::IndexHandle;
use crate::dvr::store::indexer::Indexer;
use crate::dvr::store::journal::Journal;
use crate::dvr::store::ring_writer::RingWriter;
use crate::dvr::{Dvr, RingSizing, RingState, Writer};

const SLOT_BYTES: u64 = 64 << 10;
const SLOTS: u64 = 10;
/// Two fill a slot.
const FRAGMENT_BYTES: usize = 20_000;
const TROUBLE: Duration = Duration::from_secs(15);

/// One process on a disk.
struct House {
    clock: Arc<VirtualClock>,
    dvr: Dvr,
    storage: RingWriter,
    indexer: Indexer,
    _journal: Journal,
}

impl House {
    fn new(disk: &ModelDisk, clock: &Arc<VirtualClock>, boot: u8) -> Self {
        let config = RingConfig {
            data_dir: "/data".into(),
            size: RingSizing::Bytes(SLOT_BYTES * SLOTS),
            slot_bytes: Some(SLOT_BYTES),
        };
        let clock = Arc::clone(clock);
        let (dvr, storage, indexer, journal) = Dvr::parts(
            Arc::new(disk.clone()),
            [boot; 16],
            config,
            Arc::clone(&clock) as Arc<dyn Clock>,
            None,
            Box::new(|_, _| (IndexHandle::none(), Vec::new())),
        );
        Self { clock, dvr, storage, indexer, _journal: journal }
    }

    fn start(disk: &ModelDisk, clock: &Arc<VirtualClock>, boot: u8) -> Self {
        let mut house = Self::new(disk, clock, boot);
        while house.dvr.status().ring != RingState::Ready {
            house.turn(1);
        }
        house
    }

    fn turn(&mut self, times: u32) {
        for _ in 0..times {
            self.storage.turn(None);
            self.indexer.turn();
            self.clock.advance(Duration::from_millis(100));
        }
    }

    fn record(&mut self, writer: &Writer, seconds: std::ops::Range<u32>) {
        for at in seconds {
            let fragment = fragment(at, FRAGMENT_BYTES);
            writer.append(&init(), fragment, false, false).unwrap();
            self.turn(20);
        }
    }

    fn kept(&self) -> u64 {
        let listing = self.dvr.listing(&gate());
        assert!(listing.complete);
        fragments(&listing)
    }
}

/// A disk with a ring of which all but two slots were used, and how many fragments are in it.
fn used(seed: u64) -> (ModelDisk, Arc<VirtualClock>, u64) {
    let clock = Arc::new(VirtualClock::default());
    clock.reboot(1_795_000_000_000_000_000);
    let disk = ModelDisk::new(seed, Arc::clone(&clock), Path::new("/"), 1 << 30);
    let mut house = House::start(&disk, &clock, 1);
    let writer = house.dvr.writer(&gate(), Retention::default());
    house.record(&writer, 0..16);
    let kept = house.kept();
    assert_eq!(kept, 16);
    drop((writer, house));
    disk.restart();
    clock.reboot(1_795_000_100_000_000_000);
    (disk, clock, kept)
}

fn reads_fail(disk: &ModelDisk, odds: f32) {
    disk.plan(TroublePlan { trouble: DiskTrouble::Read, from_call: 0, lasts: TROUBLE, odds });
}

#[test]
fn slots_that_could_not_be_read_at_a_start_are_read_when_they_can_be() {
    let mut most = 0;
    for seed in 0..20 {
        let (disk, clock, kept) = used(seed);
        reads_fail(&disk, 0.3);
        let mut house = House::start(&disk, &clock, 2);
        most = house.dvr.status().bad_slots.max(most);
        house.turn(300);
        let status = house.dvr.status();
        assert_eq!((status.bad_slots, status.indexed_slots), (0, status.held_slots), "{status:?}");
        assert_eq!(house.kept(), kept, "seed {seed}");
        // What is recorded now is the newest, whatever could be read when the ring was opened.
        let writer = house.dvr.writer(&gate(), Retention::default());
        house.record(&writer, 200..203);
        let listing = house.dvr.listing(&gate());
        assert_eq!(listing.runs.last().unwrap().fragments, 3, "{listing:?}");
    }
    assert!(most >= 3, "at most {most} slots could not be read");
}

#[test]
fn a_lap_that_could_not_be_read_is_read_again() {
    let (disk, clock, kept) = used(1);
    let mut house = House::new(&disk, &clock, 2);
    // The ring opens, and what is in the slots cannot be read.
    house.storage.turn(None);
    reads_fail(&disk, 1.0);
    let mut turn = |secs: u32| {
        for _ in 0..secs {
            house.indexer.turn();
            house.clock.advance(Duration::from_secs(1));
        }
        house.dvr.status()
    };
    let status = turn(10);
    assert_eq!((status.bad_slots, status.indexed_slots, status.held_slots), (0, 0, 8));
    turn(20);
    assert_eq!(house.kept(), kept);
}
