//! Making a ring smaller: exactly what was listed goes, however it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::range_reader::RangeReader;
use super::{fragment, init};
use crate::base::name::StreamName;
use crate::base::time::{Clock, WallTime};
use crate::dvr::config::{Retention, RingConfig};
use crate::dvr::disk::model::{CutKind, DiskTrouble, ModelDisk, TroublePlan, VirtualClock};
use crate::dvr::disk::{Disk, OpenMode};
use crate::dvr::store::index::IndexHandle;
use crate::dvr::store::indexer::Indexer;
use crate::dvr::store::journal::{Journal, read_facts};
use crate::dvr::store::messages::WriterCommand;
use crate::dvr::store::messages::{JournalChange, JournalRequest};
use crate::dvr::store::ring_writer::{RingWriter, WriterTurn};
use crate::dvr::store::shrink::offline::shrink_on;
use crate::dvr::{
    Direction, Dvr, DvrError, FragmentRead, NewPin, RingReader, RingSizing, RingState, ShrinkError,
    Shrunk, Writer,
};

const SLOT_BYTES: u64 = 64 << 10;
const SLOTS: u64 = 16;
const FEWER: u64 = 10;
/// One slot holds three of these.
const FRAGMENT_BYTES: usize = 20_000;
/// Fragments that fill the ring.
const FULL: u32 = 60;

/// One process on a model disk.
struct Life {
    clock: Arc<VirtualClock>,
    disk: ModelDisk,
    dvr: Dvr,
    storage: RingWriter,
    indexer: Indexer,
    journal: Journal,
}

fn data() -> PathBuf {
    PathBuf::from("/data")
}

fn gate() -> StreamName {
    StreamName::parse("gate").unwrap()
}

fn empty_disk() -> (ModelDisk, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::default());
    clock.reboot(super::BEGINS_UNIX_NANOS);
    (ModelDisk::new(7, Arc::clone(&clock), Path::new("/"), 1 << 30), clock)
}

impl Life {
    /// A start on `disk` that should have `slots`; does all that a start does.
    fn start(disk: &ModelDisk, clock: &Arc<VirtualClock>, slots: u64) -> Self {
        let config = RingConfig {
            data_dir: data(),
            size: RingSizing::Bytes(slots * SLOT_BYTES),
            slot_bytes: Some(SLOT_BYTES),
        };
        let (dvr, storage, indexer, journal) = Dvr::parts(
            Arc::new(disk.clone()),
            [1; 16],
            config,
            Arc::clone(clock) as Arc<dyn Clock>,
            None,
            Box::new(|_, _| (IndexHandle::none(), Vec::new())),
        );
        let (disk, clock) = (disk.clone(), Arc::clone(clock));
        let mut this = Self { clock, disk, dvr, storage, indexer, journal };
        this.turns(40);
        this
    }

    fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.storage.turn(None);
            self.indexer.turn();
            self.journal.turn(None, false);
            self.clock.advance(Duration::from_millis(150));
        }
    }

    /// Records the fragments of these seconds.
    fn record(&mut self, writer: &Writer, seconds: std::ops::Range<u32>) {
        for at in seconds {
            writer.append(&init(), fragment(at, FRAGMENT_BYTES), at == 0, false).unwrap();
            self.turns(2);
        }
        self.turns(8);
    }

    fn pin(&mut self, from_secs: i64, until_secs: i64) {
        let at =
            |secs: i64| WallTime::from_unix_nanos(super::BEGINS_UNIX_NANOS + secs * 1_000_000_000);
        let wish = NewPin {
            stream: gate(),
            from: at(from_secs),
            until: at(until_secs),
            reason: "kept".to_owned(),
            owner: "ada".to_owned(),
            expires: None,
        };
        let (reply, mut answer) = oneshot::channel();
        self.journal.turn(Some(JournalRequest { change: JournalChange::Pin(wish), reply }), false);
        answer.try_recv().unwrap().unwrap();
    }

    fn token(&self) -> Option<String> {
        self.dvr.shrink_proposal()?.token
    }

    /// Agrees to what `token` was issued for.
    fn agree(&mut self, token: &str) -> Result<Shrunk, ShrinkError> {
        let (reply, mut answer) = oneshot::channel();
        let token = u64::from_str_radix(token, 16).unwrap();
        self.storage.turn(Some(WriterCommand::Shrink { token, reply }));
        answer.try_recv().unwrap_or_else(|_| Err(ShrinkError::NotNow("no answer".to_owned())))
    }

    fn laps(&self) -> Footage {
        footage(&self.disk)
    }
}

/// Each lap with the seconds that it holds, as the slots alone tell.
type Footage = BTreeMap<u64, Vec<u64>>;

fn footage(disk: &ModelDisk) -> Footage {
    let reader = RingReader::open_on(Arc::new(disk.clone()), &data()).unwrap();
    assert!(reader.damaged().is_empty() && reader.bad().is_empty(), "{reader:?}");
    let of = |&lap: &crate::dvr::FoundLap| {
        let (header, contents) = reader.contents(lap).unwrap().unwrap();
        assert!(contents.damaged.is_empty());
        for entry in &contents.entries {
            let bytes = reader.fragment(&header, entry).unwrap().expect("it is there");
            let second = u32::try_from(entry.boot_time.as_nanos() / 1_000_000_000).unwrap();
            assert_eq!(bytes, fragment(second, FRAGMENT_BYTES).to_bytes());
        }
        let seconds = contents.entries.iter().map(|e| e.boot_time.as_nanos() / 1_000_000_000);
        (lap.generation, seconds.collect())
    };
    reader.laps().iter().map(of).collect()
}

fn files(disk: &ModelDisk) -> u64 {
    let names = disk.list(&data().join("ring")).unwrap();
    names.iter().filter(|name| name.contains(".mp4")).count() as u64
}

/// A full ring whose oldest lap but one is protected, on a disk that is at rest.
fn full_ring() -> (ModelDisk, Arc<VirtualClock>) {
    static FULL_RING: OnceLock<ModelDisk> = OnceLock::new();
    // Nothing waits to be synced on it, so this is a copy.
    let mut copies = FULL_RING.get_or_init(make_full_ring).after_any_cut();
    let (disk, clock) = copies.swap_remove(0);
    clock.reboot(super::BEGINS_UNIX_NANOS);
    (disk, clock)
}

fn make_full_ring() -> ModelDisk {
    let (disk, clock) = empty_disk();
    let mut house = Life::start(&disk, &clock, SLOTS);
    let writer = house.dvr.writer(&gate(), Retention::default());
    house.record(&writer, 0..FULL);
    let oldest = house.laps().into_values().nth(1).unwrap();
    house.pin(i64::try_from(oldest[0]).unwrap(), i64::try_from(oldest[0]).unwrap() + 1);
    house.dvr.close(Duration::ZERO);
    while house.storage.turn(None) != WriterTurn::Ended {}
    house.journal.turn(None, true);
    drop(house);
    disk.cut_now(CutKind::Kill);
    disk.restart();
    disk
}

#[test]
fn nothing_is_deleted_before_somebody_agrees_and_then_what_was_told() {
    let (disk, clock) = full_ring();
    let before = footage(&disk);
    let mut house = Life::start(&disk, &clock, FEWER);
    assert_eq!(house.laps(), before);
    assert_eq!(house.dvr.status().size_bytes, SLOTS * SLOT_BYTES);
    let told = house.dvr.shrink_proposal().unwrap();
    assert_eq!(house.dvr.shrink_proposal().unwrap(), told, "it keeps its token");
    assert_eq!((told.size_bytes, told.left_bytes), (SLOTS * SLOT_BYTES, FEWER * SLOT_BYTES));
    let loss = &told.streams[&gate()];
    assert_eq!((loss.slots, told.protected_bytes), (6, SLOT_BYTES));
    // The oldest but the protected one.
    let laps: Vec<u64> = before.keys().copied().collect();
    let going: BTreeSet<u64> = [0, 2, 3, 4, 5, 6].map(|at| laps[at]).into();
    let seconds: Vec<u64> = going.iter().flat_map(|lap| before[lap].clone()).collect();
    let nanos = |date: Option<WallTime>| date.unwrap().as_unix_nanos() - super::BEGINS_UNIX_NANOS;
    assert_eq!(nanos(loss.from) / 1_000_000_000, i64::try_from(seconds[0]).unwrap());
    assert_eq!(
        nanos(loss.until) / 1_000_000_000,
        i64::try_from(seconds.last().unwrap() + 1).unwrap()
    );
    assert!(told.message.contains("gate from 20"), "{}", told.message);
    assert!(told.message.contains("Protected ranges keep 0.0 MB"), "{}", told.message);

    let shrunk = house.agree(&told.token.unwrap()).unwrap();
    assert_eq!((shrunk.size_bytes, shrunk.slots), (FEWER * SLOT_BYTES, 6));
    assert_eq!(shrunk.footage_bytes, told.footage_bytes);
    let mut rest = before.clone();
    rest.retain(|lap, _| !going.contains(lap));
    assert_eq!(house.laps(), rest, "what leaves does not show, even before it is deleted");
    house.turns(20);
    assert_eq!((house.laps(), files(&disk)), (rest.clone(), FEWER));
    assert_eq!(house.dvr.shrink_proposal(), None);
    let (facts, _) = read_facts(&disk, &data()).unwrap();
    assert_eq!((facts.resizes[0].from_slots, facts.resizes[0].to_slots), (16, 10));
    // It turns in what it has, and grows again into the numbers that are free.
    let writer = house.dvr.writer(&gate(), Retention::default());
    house.record(&writer, 100..130);
    assert_eq!(files(&disk), FEWER);
    let kept = house.laps();
    assert!(kept.contains_key(&laps[1]), "it is protected");
    drop((writer, house));
    let house = Life::start(&disk, &clock, SLOTS + 2);
    assert_eq!((house.laps(), files(&disk)), (kept, SLOTS + 2));
}

#[test]
fn what_turned_over_meanwhile_stays_and_what_is_protected_by_now_makes_it_void() {
    let (disk, clock) = full_ring();
    let mut house = Life::start(&disk, &clock, FEWER);
    let token = house.token().unwrap();
    let writer = house.dvr.writer(&gate(), Retention::default());
    // Some of the six are given to newer footage.
    let before: BTreeSet<u64> = house.laps().into_keys().collect();
    house.record(&writer, 100..106);
    let now = house.laps();
    let turned = before.iter().filter(|lap| !now.contains_key(lap)).count() as u64;
    assert!((1..6).contains(&turned), "{turned} turned over");
    let shrunk = house.agree(&token).unwrap();
    assert_eq!((shrunk.slots, shrunk.size_bytes), (6 - turned, (FEWER + turned) * SLOT_BYTES));
    assert!(
        now.keys().filter(|lap| !before.contains(lap)).all(|lap| house.laps().contains_key(lap))
    );
    house.turns(20);
    // The rest is proposed again.
    let told = house.dvr.shrink_proposal().unwrap();
    assert_eq!(told.streams[&gate()].slots, turned);
    assert_eq!(house.agree(&token), Err(ShrinkError::Changed), "it was used");
    let from = told.streams[&gate()].from.unwrap().as_unix_nanos() - super::BEGINS_UNIX_NANOS;
    house.pin(from / 1_000_000_000, from / 1_000_000_000 + 1);
    assert_eq!(house.agree(&told.token.unwrap()), Err(ShrinkError::Changed));
    assert_eq!(house.agree("00000000000000ff"), Err(ShrinkError::Changed));
}

#[test]
fn a_ring_that_is_half_protected_gets_only_as_small_as_that_allows() {
    let (disk, clock) = full_ring();
    let mut house = Life::start(&disk, &clock, SLOTS);
    let oldest = i64::try_from(*house.laps().values().flatten().min().unwrap()).unwrap();
    house.pin(oldest, oldest + 10);
    drop(house);
    let mut house = Life::start(&disk, &clock, 8);
    let told = house.dvr.shrink_proposal().unwrap();
    let protected = told.protected_bytes / SLOT_BYTES;
    assert!((5..8).contains(&protected), "{told:?}");
    assert_eq!(told.left_bytes, protected * 2 * SLOT_BYTES);
    assert!(told.message.contains("It will have"), "{}", told.message);
    house.agree(&told.token.unwrap()).unwrap();
    house.turns(20);
    assert_eq!(files(&disk), protected * 2);
    assert_eq!(house.token(), None, "the rest must stay");
}

#[test]
fn slots_that_were_never_made_or_hold_nothing_go_first() {
    let (disk, clock) = empty_disk();
    let mut house = Life::start(&disk, &clock, SLOTS);
    let writer = house.dvr.writer(&gate(), Retention::default());
    house.record(&writer, 0..6);
    drop((writer, house));
    let before = footage(&disk);
    let mut house = Life::start(&disk, &clock, FEWER);
    let told = house.dvr.shrink_proposal().unwrap();
    assert_eq!((told.footage_bytes, told.left_bytes), (0, FEWER * SLOT_BYTES));
    assert!(told.message.contains("deletes no footage"), "{}", told.message);
    house.agree(&told.token.unwrap()).unwrap();
    house.turns(20);
    assert_eq!((house.laps(), files(&disk)), (before, FEWER));
    // The highest numbers went: the ring is as if it had been made so.
    let path = data().join("ring/ring.toml");
    let text = crate::dvr::disk::read_small(&disk, &path, 4_096).unwrap();
    assert!(!String::from_utf8(text).unwrap().contains("numbers"));
}

#[test]
fn a_reader_of_a_slot_that_went_is_told_so() {
    let (disk, clock) = full_ring();
    let mut house = Life::start(&disk, &clock, FEWER);
    let all = (WallTime::from_unix_nanos(0), house.clock.wall().offset_nanos(1 << 50));
    let mut replay = RangeReader::open(&house.dvr, &gate(), all.0, all.1).unwrap();
    assert!(replay.next_piece().unwrap().is_some());
    let mut cursor = house.dvr.recording_cursor(&gate()).unwrap();
    assert!(cursor.seek(all.0, Direction::Forward).unwrap());
    assert!(cursor.forward(false).unwrap().is_some());
    // Into the lap that is not protected.
    assert!((0..3).all(|_| cursor.forward(false).unwrap().is_some()));
    let token = house.token().unwrap();
    house.agree(&token).unwrap();
    let error = replay.next_piece().unwrap_err();
    assert!(matches!(error, DvrError::Removed { .. }), "{error}");
    // What stayed continues behind it.
    let mut pieces = 0;
    for _ in 0..100 {
        match replay.next_piece() {
            Ok(Some(_)) => pieces += 1,
            Ok(None) => break,
            Err(error) => assert!(matches!(error, DvrError::Removed { .. }), "{error}"),
        }
    }
    let error = cursor.forward(false).unwrap_err();
    assert!(matches!(error, DvrError::Removed { .. }), "{error}");
    assert!(cursor.seek(all.0, Direction::Forward).unwrap());
    let seconds = |clip: FragmentRead| clip.entry.boot_time.as_nanos() / 1_000_000_000;
    let first = cursor.forward(false).unwrap().map(seconds);
    assert_eq!(first, house.laps().values().flatten().min().copied());
    let left: usize = house.laps().values().map(Vec::len).sum();
    assert_eq!(pieces, left);
}

#[test]
fn a_larger_size_counts_once_a_shrink_that_was_cut_off_is_done() {
    let (disk, clock) = full_ring();
    let mut house = Life::start(&disk, &clock, FEWER);
    let token = house.token().unwrap();
    house.agree(&token).unwrap();
    drop(house);
    disk.cut_now(CutKind::Power);
    disk.restart();
    clock.reboot(super::BEGINS_UNIX_NANOS);
    let house = Life::start(&disk, &clock, SLOTS);
    assert_eq!((files(&disk), house.laps().len() as u64), (SLOTS, FEWER));
    let sizes = house.dvr.facts().resizes;
    assert_eq!(sizes.iter().map(|r| r.to_slots).collect::<Vec<_>>(), [10, 16]);
}

/// What a shrink did, at whatever moment it ended.
struct Ended {
    before: Footage,
    going: BTreeSet<u64>,
}

impl Ended {
    /// Checks the disk bare, starts on it, and starts again.
    fn check(&self, disk: &ModelDisk, clock: &Arc<VirtualClock>) -> bool {
        let stays = |lap: &u64| !self.going.contains(lap);
        let bare = footage(disk);
        let decided = !bare.keys().any(|lap| self.going.contains(lap));
        assert!(decided || bare == self.before, "half of it shows: {bare:?}");
        let house = Life::start(disk, clock, FEWER);
        assert_eq!(house.dvr.status().ring, RingState::Ready);
        let now = house.laps();
        assert_eq!(now, bare, "a start changed what is there");
        for (lap, seconds) in self.before.iter().filter(|(lap, _)| stays(lap)) {
            assert_eq!(now.get(lap), Some(seconds));
        }
        let (made, told) = (files(disk), house.dvr.shrink_proposal());
        if decided {
            assert_eq!((made, told), (FEWER, None));
            let (facts, _) = read_facts(disk, &data()).unwrap();
            assert!(facts.resizes.iter().any(|r| (r.from_slots, r.to_slots) == (16, 10)));
            assert_eq!(facts.resizes.len(), 1, "{:?}", facts.resizes);
        } else {
            assert_eq!((made, told.unwrap().streams[&gate()].slots), (SLOTS, 6));
        }
        drop(house);
        let ring = |disk: &ModelDisk| {
            let mut image = disk.image();
            image.retain(|path, _| path.starts_with("/data/ring"));
            image
        };
        let image = ring(disk);
        drop(Life::start(disk, clock, FEWER));
        assert!(image == ring(disk), "a second start changed something");
        decided
    }
}

/// Shrinks a full ring and cuts the power at the `nth` change; returns how many of the disks
/// that this may leave had decided it and had not, and whether it came that far.
fn cut_at(nth: u64, offline: bool) -> (usize, usize, bool) {
    let (disk, clock) = full_ring();
    let before = footage(&disk);
    let laps: Vec<u64> = before.keys().copied().collect();
    let going = [0, 2, 3, 4, 5, 6].map(|at| laps[at]).into();
    let ended = Ended { before, going };
    if offline {
        disk.cut_at(nth, CutKind::Power);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let size = RingSizing::Bytes(FEWER * SLOT_BYTES);
        let _ = shrink_on(&shared, &data(), size, &mut || true, &mut Vec::new());
    } else {
        let mut house = Life::start(&disk, &clock, FEWER);
        let token = house.token().unwrap();
        disk.cut_at(nth, CutKind::Power);
        let _ = house.agree(&token);
        house.turns(10);
    }
    let came = disk.has_ended();
    let left = disk.after_any_cut();
    let decided = left
        .iter()
        .filter(|(disk, clock)| {
            clock.reboot(super::BEGINS_UNIX_NANOS);
            ended.check(disk, clock)
        })
        .count();
    (decided, left.len() - decided, came)
}

fn cut_everywhere(offline: bool) {
    let (mut nth, mut decided, mut open) = (0, 0, 0);
    loop {
        nth += 1;
        let (more, fewer, came) = cut_at(nth, offline);
        (decided, open) = (decided + more, open + fewer);
        if !came {
            break;
        }
    }
    println!("{nth} cuts: {decided} disks where it was decided, {open} where it was not");
    assert!(nth > 12 && decided > 12 && open > 3, "{nth} cuts, {decided} and {open}");
}

#[test]
fn every_prefix_of_a_shrink_finishes_it_or_leaves_the_ring_as_it_was() {
    cut_everywhere(false);
}

#[test]
fn every_prefix_of_an_offline_shrink_finishes_it_or_leaves_the_ring_as_it_was() {
    cut_everywhere(true);
}

#[test]
fn a_disk_in_trouble_or_a_kill_in_a_shrink_costs_nothing_that_stays() {
    use DiskTrouble::{Full, Read, ReadOnly, Stall, Sync, SyncDir, Write};
    let troubles = [Full, Read, ReadOnly, Stall, Sync, SyncDir, Write];
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (disk, clock) = full_ring();
        let before = footage(&disk);
        let laps: Vec<u64> = before.keys().copied().collect();
        let going: BTreeSet<u64> = [0, 2, 3, 4, 5, 6].map(|at| laps[at]).into();
        let mut house = Life::start(&disk, &clock, FEWER);
        let token = house.token().unwrap();
        if random.bool() {
            disk.plan(TroublePlan {
                trouble: troubles[random.usize(0..troubles.len())],
                from_call: random.u64(0..30),
                lasts: Duration::from_millis(random.u64(1..5_000)),
                odds: [1.0, 0.5][random.usize(0..2)],
            });
        }
        let cut = if random.bool() { CutKind::Kill } else { CutKind::Power };
        disk.cut_at(random.u64(1..20), cut);
        let _ = house.agree(&token);
        house.turns(8);
        drop(house);
        disk.cut_now(cut);
        disk.restart();
        clock.reboot(super::BEGINS_UNIX_NANOS);
        // The start that continues with it is cut off too.
        for _ in 0..random.usize(0..3) {
            disk.cut_at(random.u64(1..12), cut);
            drop(Life::start(&disk, &clock, FEWER));
            disk.cut_now(cut);
            disk.restart();
        }
        let house = Life::start(&disk, &clock, FEWER);
        let now = house.laps();
        for (lap, seconds) in before.iter().filter(|(lap, _)| !going.contains(lap)) {
            assert_eq!(now.get(lap), Some(seconds), "seed {seed}");
        }
        let gone = going.iter().filter(|lap| !now.contains_key(lap)).count();
        assert!(gone == 0 || gone == going.len(), "seed {seed}: {gone} went");
        assert_eq!(files(&disk), if gone == 0 { SLOTS } else { FEWER }, "seed {seed}");
    }
}

#[test]
fn an_offline_shrink_asks_and_says_what_goes() {
    let (disk, clock) = full_ring();
    let before = footage(&disk);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let run = |bytes: u64, agrees: bool| {
        let mut out = Vec::new();
        let done = shrink_on(&shared, &data(), RingSizing::Bytes(bytes), &mut || agrees, &mut out);
        (done.unwrap(), String::from_utf8(out).unwrap())
    };
    let (done, told) = run(SLOTS * SLOT_BYTES, false);
    assert!(done && told.contains("not more than"), "{told}");
    let (done, told) = run(FEWER * SLOT_BYTES, false);
    assert!(!done && told.contains("Nothing was deleted"), "{told}");
    assert!(told.contains("gate from 20") && told.contains("Protected ranges keep"), "{told}");
    assert_eq!(footage(&disk), before);
    let (done, told) = run(FEWER * SLOT_BYTES, true);
    assert!(done && told.contains("The ring has"), "{told}");
    assert_eq!((files(&disk), footage(&disk).len() as u64), (FEWER, FEWER));
    let house = Life::start(&disk, &clock, FEWER);
    let evicted = house.dvr.facts().evicted[&gate()];
    assert!(evicted.0 >= 6, "{evicted:?}");
    assert_eq!(house.dvr.facts().resizes.len(), 1);
    assert!(disk.open(&data().join("journal.log"), OpenMode::Read).is_ok());
}
