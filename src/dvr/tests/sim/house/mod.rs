//! One disk, its recorder, and what happens to them from one seed.

mod camera;
mod date;
mod harm;
mod recording;
mod recovery;
mod tally;
mod visitor;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

use self::camera::Camera;
use self::date::Dates;
pub(crate) use self::tally::Tally;
use self::visitor::Notes;
use super::ledger::Ledger;
use super::shelf::Shelf;
use crate::base::time::{BootTime, Clock};
use crate::dvr::config::Retention;
use crate::dvr::disk::model::{CutKind, ModelDisk, VirtualClock};
use crate::dvr::store::indexer::Indexer;
use crate::dvr::store::journal::Journal;
use crate::dvr::store::ring_writer::RingWriter;
use crate::dvr::tests::range_reader::RangeReader;
use crate::dvr::tests::{init, params};
use crate::dvr::{Dvr, Writer};
use crate::media::{RunId, Tracks};
use crate::wire::mp4::init_segment;

pub(crate) const SLOT_BYTES: u64 = 64 << 10;
/// What a power cut may cost of each camera's footage on a healthy disk.
const LOSS_MAX: Duration = Duration::from_secs(2);
/// The longest that a sync of a healthy disk takes here, in milliseconds.
const SYNC_MILLIS_MAX: u64 = 50;

/// One process.
pub(crate) struct Process {
    dvr: Dvr,
    storage: RingWriter,
    indexer: Indexer,
    journal: Journal,
    writers: Vec<Writer>,
    /// Trouble was planned: what is promised of a healthy disk is not asked for.
    is_troubled: bool,
    /// Recording was seen to continue after it.
    has_resumed: bool,
    readers: Vec<RangeReader>,
    /// When the journal last had its turn.
    noted_at: BootTime,
    /// Looks for footage that is too old, and slots that went for it.
    age_passes: u64,
    expired: u64,
}

pub(crate) struct House {
    random: Rng,
    clock: Arc<VirtualClock>,
    pub(crate) disk: ModelDisk,
    shelf: Shelf,
    pub(crate) ledger: Ledger,
    data_dir: PathBuf,
    boot: [u8; 16],
    slots: u64,
    cameras: Vec<Camera>,
    inits: [Bytes; 2],
    life: u32,
    /// A bit was flipped: damage shows until its slot is reused.
    is_flipped: bool,
    /// Trouble dropped what was written: memory may show what the medium does not have, and
    /// slots that were given up may have holes.
    is_scarred: bool,
    last_cut: Option<CutKind>,
    /// The boot that the last end ended, or continued in.
    ended_boot: [u8; 16],
    /// When the power failed on a healthy disk.
    cut_in_health: Option<BootTime>,
    dates: Dates,
    notes: Notes,
    tally: Tally,
}

impl House {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        // The ring's identity, too.
        fastrand::seed(seed);
        let clock = Arc::new(VirtualClock::default());
        clock.reboot(1_795_000_000_000_000_000);
        let slots = random.u64(8..=10);
        let root = Path::new("/");
        let disk = ModelDisk::new(random.u64(..), Arc::clone(&clock), root, 1 << 30);
        disk.set_pace(Duration::from_millis(random.u64(0..=SYNC_MILLIS_MAX)));
        let count = random.usize(1..=3);
        let names = ["gate", "yard", "door"];
        let cameras = names[..count].iter().map(|name| Camera::draw(name, &mut random)).collect();
        let wide = init_segment(&Tracks::new(RunId(1), [params(), params()]));
        Self {
            random,
            clock,
            disk,
            shelf: Shelf::default(),
            ledger: Ledger::default(),
            data_dir: PathBuf::from("/data"),
            boot: [1; 16],
            slots,
            cameras,
            inits: [init(), wide],
            life: 0,
            is_flipped: false,
            is_scarred: false,
            last_cut: None,
            ended_boot: [1; 16],
            cut_in_health: None,
            dates: Dates::default(),
            notes: Notes::default(),
            tally: Tally { seeds: 1, ..Tally::default() },
        }
    }

    /// Goes through `cuts` ends, each followed by a recovery that is checked.
    pub(crate) fn live(mut self, cuts: u32) -> Tally {
        while self.tally.crashes() < u64::from(cuts) {
            if let Some(process) = self.recover() {
                self.record(process);
            }
        }
        self.recover();
        let strays = self.disk.strays();
        assert!(strays.is_empty(), "{strays:?} was made where the volume was not");
        self.tally.acknowledged = self.ledger.acknowledged;
        self.tally.evicted = self.ledger.evicted;
        self.tally
    }

    /// Records with one camera that changes its parameters at every other fragment until the
    /// `nth` change, and recovers from every disk that a cut there may leave. Returns how many,
    /// and whether the scenario came that far.
    pub(crate) fn cut_everywhere_at(nth: u64) -> (usize, bool) {
        let mut house = Self::new(1);
        house.cameras.truncate(1);
        house.slots = 8;
        let camera = &mut house.cameras[0];
        (camera.period, camera.keys_every) = (Duration::from_millis(700), 1);
        camera.flips_every = None;
        (camera.bytes_min, camera.bytes_max) = (40, 2_000);
        camera.keep = Retention::default();
        house.disk.cut_at(nth, CutKind::Power);
        let mut process = house.start();
        process.writers.push(process.dvr.writer(&house.cameras[0].name, Retention::default()));
        while !house.disk.has_ended() && house.clock.boot() < BootTime::from_millis(40_000) {
            house.cameras[0].wide = house.cameras[0].count % 4 < 2;
            house.step(&mut process);
        }
        drop(process);
        let came = house.disk.has_ended();
        let left = house.disk.after_any_cut();
        for (disk, clock) in &left {
            let mut branch = Self {
                disk: disk.clone(),
                clock: Arc::clone(clock),
                ledger: house.ledger.clone(),
                cameras: house.cameras.clone(),
                slots: 8,
                boot: [2; 16],
                shelf: Shelf::default(),
                ..Self::new(2)
            };
            branch.clock.reboot(1_000_000_000_000);
            let bare = branch.ledger.check(disk, &branch.data_dir, true);
            let process = branch.settled();
            branch.compare(&bare);
            branch.compare_listings(&process);
        }
        (left.len(), came)
    }

    fn draw_cut(&mut self) -> CutKind {
        if self.random.u8(0..4) == 0 { CutKind::Kill } else { CutKind::Power }
    }

    /// The process is gone: counts it, and follows what the disk saw of it.
    fn end(&mut self, cut: CutKind) {
        match cut {
            CutKind::Power => self.tally.power += 1,
            CutKind::Kill => self.tally.kills += 1,
        }
        (self.last_cut, self.ended_boot) = (Some(cut), self.boot);
        self.tally.virtual_secs += self.clock.boot().as_nanos() / 1_000_000_000 - 3;
        self.ledger.observe(self.disk.take_events());
        self.disk.restart();
        // What came back older reports it only now.
        self.ledger.observe(self.disk.take_events());
        self.shelf.lose(&mut self.random);
        // What ended by this clock, in a recovery that was cut off too, was never seen again.
        self.note_expiries();
        if cut == CutKind::Power {
            self.boot = self.random.u128(..).to_be_bytes();
            self.begin_boot();
        } else {
            self.clock.advance(Duration::from_millis(self.random.u64(1..3_000)));
        }
    }

    fn maybe_flip(&mut self) {
        if self.random.u16(0..200) != 0 {
            return;
        }
        let found =
            self.ledger.check(&self.disk, &self.data_dir, !self.is_flipped && !self.is_scarred);
        let Some(hit) = found.get(self.random.usize(0..=found.len())) else { return };
        let path = self.data_dir.join(format!("ring/{:06}.mp4", hit.slot));
        let bit = self.random.u64(0..u64::from(hit.entry.offset + hit.entry.length) * 8);
        self.disk.flip(&path, bit);
        self.ledger.excuse(&found, &path, bit);
        self.is_flipped = true;
    }
}

fn is_journal(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal."))
}
