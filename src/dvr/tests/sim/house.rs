//! One disk, its recorder, and what happens to them from one seed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use tokio::sync::oneshot;

use super::ledger::{Found, Ledger, MARK, State, listings};
use super::shelf::Shelf;
use crate::base::name::StreamName;
use crate::base::time::{BootTime, Clock, MediaTime};
use crate::dvr::disk::model::{Cut, ModelDisk, Plan, Trouble, VirtualClock};
use crate::dvr::index::IndexHandle;
use crate::dvr::journal::{Ask, Change, Journal, read_facts};
use crate::dvr::keeper::Keeper;
use crate::dvr::storage::{Storage, Turn};
use crate::dvr::tests::{RATE, init, params};
use crate::dvr::{Config, Dvr, Keep, RingState, Size, Writer};
use crate::media::{AccessUnit, Captured, ClockSource, RunId, TrackId, Tracks};
use crate::wire::mp4::{Fragment, FragmentBuilder, init_segment};

pub(super) const SLOT_BYTES: u64 = 64 << 10;
/// Turns after which everything that a start begins is done.
const SETTLE_TURNS: u32 = 6;
/// What a power cut may cost of each camera's footage on a healthy disk.
const LOSS_MAX: Duration = Duration::from_secs(2);
/// The longest that a sync of a healthy disk takes here, in milliseconds.
const SYNC_MILLIS_MAX: u64 = 50;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    seeds: u64,
    power: u64,
    kills: u64,
    in_recovery: u64,
    troubles: u64,
    pub(super) acknowledged: u64,
    pub(super) evicted: u64,
    virtual_secs: u64,
    /// What each power cut on a healthy disk cost of each camera's footage, in milliseconds.
    lost_ms: Vec<u64>,
}

impl Tally {
    /// Footage that half of the power cuts cost no more than, and that none cost more than.
    pub(super) fn lost_ms(&mut self) -> (u64, u64) {
        self.lost_ms.sort_unstable();
        let median = self.lost_ms.get(self.lost_ms.len() / 2);
        (*median.unwrap_or(&0), *self.lost_ms.last().unwrap_or(&0))
    }

    pub(super) fn crashes(&self) -> u64 {
        self.power + self.kills
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.power += other.power;
        self.kills += other.kills;
        self.in_recovery += other.in_recovery;
        self.troubles += other.troubles;
        self.acknowledged += other.acknowledged;
        self.evicted += other.evicted;
        self.virtual_secs += other.virtual_secs;
        self.lost_ms.extend(&other.lost_ms);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} crashes ({} power cuts, {} kills; {} of them in recovery) on {} disks, {} \
             troubles, {} fragments acknowledged, {} evicted, {} virtual hours",
            self.crashes(),
            self.power,
            self.kills,
            self.in_recovery,
            self.seeds,
            self.troubles,
            self.acknowledged,
            self.evicted,
            self.virtual_secs / 3_600,
        )
    }
}

/// A camera and how it behaves.
#[derive(Clone)]
struct Camera {
    name: StreamName,
    period: Duration,
    bytes_min: usize,
    bytes_max: usize,
    keys_every: u64,
    keep: Keep,
    due: BootTime,
    begun: BootTime,
    wide: bool,
    run: u32,
    run_start: bool,
    count: u64,
    /// Fragments that the process has acknowledged so far.
    acknowledged: u64,
}

/// One process.
struct Process {
    dvr: Dvr,
    storage: Storage,
    keeper: Keeper,
    journal: Journal,
    writers: Vec<Writer>,
    /// Trouble was planned: what is promised of a healthy disk is not asked for.
    is_troubled: bool,
}

pub(super) struct House {
    random: Rng,
    clock: Arc<VirtualClock>,
    pub(super) disk: ModelDisk,
    shelf: Shelf,
    pub(super) ledger: Ledger,
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
    last_cut: Option<Cut>,
    /// When the power went on a healthy disk.
    cut_in_health: Option<BootTime>,
    /// Marks that were answered: they are in the journal from then on.
    marks: Vec<String>,
    tally: Tally,
}

impl House {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        // The ring's identity, too.
        fastrand::seed(seed);
        let clock = Arc::new(VirtualClock::default());
        clock.reboot(1_795_000_000_000_000_000);
        let slots = random.u64(8..=10);
        let root = Path::new("/");
        let disk = ModelDisk::new(random.u64(..), Arc::clone(&clock), root, 64 << 20);
        disk.set_pace(Duration::from_millis(random.u64(0..=SYNC_MILLIS_MAX)));
        let count = random.usize(1..=3);
        let names = ["gate", "yard", "door"];
        let cameras = names[..count].iter().map(|name| camera(name, &mut random)).collect();
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
            cut_in_health: None,
            marks: Vec::new(),
            tally: Tally { seeds: 1, ..Tally::default() },
        }
    }

    /// Goes through `cuts` ends, each followed by a recovery that is checked.
    pub(super) fn live(mut self, cuts: u32) -> Tally {
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

    // Every end.

    /// Records with one camera that changes its parameters at every other fragment until the
    /// `nth` change, and recovers from every disk that a cut there may leave. Returns how many,
    /// and whether the scenario came that far.
    pub(super) fn cut_everywhere_at(nth: u64) -> (usize, bool) {
        let mut house = Self::new(1);
        house.cameras.truncate(1);
        house.slots = 8;
        let camera = &mut house.cameras[0];
        (camera.period, camera.keys_every) = (Duration::from_millis(700), 1);
        (camera.bytes_min, camera.bytes_max) = (40, 2_000);
        camera.keep = Keep::default();
        house.disk.cut_at(nth, Cut::Power);
        let mut process = house.start();
        process.writers.push(process.dvr.writer(&house.cameras[0].name, Keep::default()));
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

    // Ends.

    fn draw_cut(&mut self) -> Cut {
        if self.random.u8(0..4) == 0 { Cut::Kill } else { Cut::Power }
    }

    /// The process is gone: counts it, and follows what the disk saw of it.
    fn end(&mut self, cut: Cut) {
        match cut {
            Cut::Power => self.tally.power += 1,
            Cut::Kill => self.tally.kills += 1,
        }
        self.last_cut = Some(cut);
        self.tally.virtual_secs += self.clock.boot().as_nanos() / 1_000_000_000 - 3;
        self.ledger.observe(self.disk.take_events());
        self.disk.restart();
        // What came back older says so only now.
        self.ledger.observe(self.disk.take_events());
        self.shelf.lose(&mut self.random);
        if cut == Cut::Power {
            self.boot = self.random.u128(..).to_be_bytes();
            // Some boards wake in 1970.
            let years = self.random.i64(0..2) * 56;
            let wall = years * 365 * 86_400 + self.random.i64(0..1_000_000);
            self.clock.reboot(wall * 1_000_000_000);
        } else {
            self.clock.advance(Duration::from_millis(self.random.u64(1..3_000)));
        }
    }

    // Recovery.

    fn start(&mut self) -> Process {
        self.life += 1;
        let config = Config {
            data_dir: self.data_dir.clone(),
            size: Size::Bytes(SLOT_BYTES * self.slots),
            slot_bytes: Some(SLOT_BYTES),
        };
        let shelf = self.shelf.clone();
        let (dvr, storage, keeper, journal) = Dvr::parts(
            Arc::new(self.disk.clone()),
            self.boot,
            config,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            None,
            Box::new(move |_, _| IndexHandle::direct(Box::new(shelf.clone()))),
        );
        let began = self.clock.boot();
        for camera in &mut self.cameras {
            camera.acknowledged = 0;
            (camera.begun, camera.run_start) = (began, true);
            camera.due = began.after(camera.period);
        }
        Process { dvr, storage, keeper, journal, writers: Vec::new(), is_troubled: false }
    }

    /// Reads the disk bare, starts on it and compares; `None` when the recovery was cut off too.
    fn recover(&mut self) -> Option<Process> {
        let bare =
            self.ledger.check(&self.disk, &self.data_dir, !self.is_flipped && !self.is_scarred);
        self.measure_loss(&bare);
        self.ledger.prune(&bare, self.life);
        self.check_journal();
        let cut = (self.random.u8(0..5) == 0).then(|| self.draw_cut());
        if let Some(cut) = cut {
            self.disk.cut_at(self.random.u64(1..=10), cut);
        }
        if self.random.u8(0..16) == 0 {
            self.slots = (self.slots + 1).min(13);
        }
        let mut process = self.settled();
        if self.disk.has_ended() {
            self.tally.in_recovery += 1;
            // What the kill before left in memory only goes with the power.
            let same = self.last_cut == Some(Cut::Power) || cut == Some(Cut::Kill);
            self.end(cut.unwrap());
            if same {
                self.compare(&bare);
            }
            return None;
        }
        self.disk.spare();
        self.compare(&bare);
        self.compare_listings(&process);
        if self.random.u8(0..10) == 0 {
            // A second recovery finds nothing to do.
            let image = self.disk.image();
            process = self.settled();
            let again = self.disk.image();
            // The journal notes every start.
            let mut image = image.iter().filter(|(path, _)| !is_journal(path));
            let same = image.all(|(path, bytes)| again.get(path) == Some(bytes));
            assert!(same, "a second recovery changed what the first one left");
            self.compare_listings(&process);
        }
        Some(process)
    }

    /// A process that has done everything that it does at a start.
    fn settled(&mut self) -> Process {
        let mut process = self.start();
        for _ in 0..SETTLE_TURNS {
            process.storage.turn(None);
            process.keeper.turn();
            process.journal.turn(None, false);
            self.clock.advance(Duration::from_millis(100));
        }
        if !self.disk.has_ended() {
            assert_eq!(process.dvr.status().ring, RingState::Ready, "the ring does not open");
        }
        process
    }

    fn compare(&mut self, bare: &[Found]) {
        let found =
            self.ledger.check(&self.disk, &self.data_dir, !self.is_flipped && !self.is_scarred);
        let ids = |found: &[Found]| found.iter().map(|f| (f.slot, f.id)).collect::<Vec<_>>();
        let (found, bare) = (ids(&found), ids(bare));
        if self.is_scarred {
            return;
        }
        let gone: Vec<_> = bare.iter().filter(|id| !found.contains(id)).collect();
        let new: Vec<_> = found.iter().filter(|id| !bare.contains(id)).collect();
        assert_eq!(found, bare, "a recovery changed what is there: {gone:?} gone, {new:?} new");
    }

    fn compare_listings(&self, process: &Process) {
        if self.is_flipped {
            // The index may know of fragments that were whole when they were written.
            return;
        }
        let read = listings(&self.disk, &self.data_dir);
        for camera in &self.cameras {
            let told = process.dvr.listing(&camera.name);
            let wanted = read.get(camera.name.as_str()).map_or(&[][..], |listing| &listing.runs);
            assert!(told.complete, "the listing of {} is not complete", camera.name);
            assert_eq!(told.runs, wanted, "the listing of {} is not what is there", camera.name);
        }
        let image = self.disk.image();
        let slots = image.iter().filter(|(path, _)| !is_journal(path));
        let bytes: usize = slots.map(|(_, bytes)| bytes.len()).sum();
        let most = usize::try_from(SLOT_BYTES * self.slots).unwrap() + 4_096;
        assert!(bytes <= most, "{bytes} bytes are more than the ring's {most}");
    }

    // Recording.

    fn record(&mut self, mut process: Process) {
        self.disk.keep();
        self.ledger.keep();
        let cut = self.draw_cut();
        // Mostly short lives, so that many begin; some turn the whole ring.
        let magnitude = self.random.u32(2..9);
        self.disk.cut_at(self.random.u64(1..=1 << magnitude), cut);
        let plan = (self.random.u8(0..4) == 0).then(|| self.draw_trouble());
        if let Some(plan) = plan {
            self.disk.plan(plan);
            self.tally.troubles += 1;
            process.is_troubled = true;
            self.is_scarred = true;
        }
        for camera in &self.cameras {
            process.writers.push(process.dvr.writer(&camera.name, camera.keep));
        }
        let in_order = self.random.u8(0..40) == 0;
        let limit = self.clock.boot().after(Duration::from_secs(self.random.u64(20..400)));
        while !self.disk.has_ended() {
            if self.clock.boot() > limit {
                if in_order {
                    self.close(process);
                    return;
                }
                self.disk.cut_now(cut);
                break;
            }
            self.step(&mut process);
        }
        self.check_loss(&process);
        let in_health = !process.is_troubled && cut == Cut::Power;
        self.cut_in_health = in_health.then(|| self.clock.boot());
        drop(process);
        self.end(cut);
        self.maybe_flip();
    }

    fn close(&mut self, mut process: Process) {
        process.dvr.close(Duration::ZERO);
        for _ in 0..100 {
            let turn = process.storage.turn(None);
            self.clock.advance(Duration::from_millis(100));
            if turn == Turn::Ended || self.disk.has_ended() {
                break;
            }
        }
        self.observe(&mut process);
        process.keeper.turn();
        drop(process);
        let cut = self.draw_cut();
        self.disk.cut_now(cut);
        self.end(cut);
    }

    fn draw_trouble(&mut self) -> Plan {
        use Trouble::{
            Away, AwayThenOlder, Dying, Full, LyingFree, Read, ReadOnly, ShortWrite, Stall, Sync,
            SyncDir, Write,
        };
        let all = [
            Write,
            ShortWrite,
            Sync,
            Dying,
            SyncDir,
            Read,
            Full,
            LyingFree,
            ReadOnly,
            Stall,
            Away,
            AwayThenOlder,
        ];
        let odds = [1.0, 0.5, 0.1][self.random.usize(0..3)];
        let trouble = all[self.random.usize(0..all.len())];
        Plan {
            trouble,
            from_call: self.random.u64(0..200),
            lasts: Duration::from_millis(self.random.u64(1..20_000)),
            odds,
        }
    }

    /// Until the next thing happens.
    fn step(&mut self, process: &mut Process) {
        let now = self.clock.boot();
        let due = self.cameras.iter().map(|camera| camera.due).min().unwrap();
        let wait = process.storage.patience().min(due.since(now));
        // A machine that does other things as well.
        let late = if self.random.u8(0..8) == 0 { self.random.u64(0..100) } else { 1 };
        self.clock.advance(wait.max(Duration::from_millis(late)));
        for at in 0..self.cameras.len() {
            if self.cameras[at].due <= self.clock.boot() {
                self.hand_over(process, at);
            }
        }
        process.storage.turn(None);
        if self.random.u8(0..4) != 0 {
            process.keeper.turn();
        }
        if self.random.u8(0..4) == 0 {
            process.journal.turn(None, false);
        }
        if self.random.u16(0..200) == 0 {
            self.mark(process);
        }
        if self.random.u16(0..400) == 0 {
            self.disk.squeeze();
        }
        self.observe(process);
    }

    /// Somebody marks a moment; what is answered is kept.
    fn mark(&mut self, process: &mut Process) {
        let text = format!("mark {}", self.random.u64(..));
        let change = Change::Mark { stream: None, at: self.clock.wall(), text: text.clone() };
        let (reply, mut answer) = oneshot::channel();
        process.journal.turn(Some(Ask { change, reply }), false);
        if matches!(answer.try_recv(), Ok(Ok(_))) && !self.disk.has_ended() {
            self.marks.push(text);
        }
    }

    /// Every mark that was answered is in the journal, and nothing in it is damaged.
    fn check_journal(&mut self) {
        let Ok((facts, parsed)) = read_facts(&self.disk, &self.data_dir) else {
            assert!(self.is_scarred, "the journal cannot be read");
            return;
        };
        if self.is_scarred || self.is_flipped {
            // A disk that came back older, or dropped what it had, has older notes.
            self.marks.retain(|text| facts.marks.iter().any(|mark| mark.text == *text));
            return;
        }
        assert_eq!(parsed.damaged, 0, "the journal is damaged");
        for text in &self.marks {
            let is_there = facts.marks.iter().any(|mark| mark.text == *text);
            assert!(is_there, "{text} was answered and is not in the journal");
        }
    }

    fn hand_over(&mut self, process: &mut Process, at: usize) {
        let camera = &mut self.cameras[at];
        let now = self.clock.boot();
        let (id, wall) = (self.ledger.next_id(), self.clock.wall());
        let bytes = self.random.usize(camera.bytes_min..=camera.bytes_max);
        let key = camera.count.is_multiple_of(camera.keys_every);
        let span = i64::try_from(now.since(camera.begun).as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(i64::try_from(camera.begun.as_nanos()).unwrap(), RATE);
        let begun = camera.begun;
        let unit = |data: Vec<u8>, decode: MediaTime| AccessUnit {
            track: TrackId(0),
            run: RunId(camera.run),
            decode,
            present: decode,
            arrived: begun,
            captured: Captured { wall: wall.offset_nanos(-span), source: ClockSource::Arrival },
            random_access: key,
            lost_before: 0,
            params: params(),
            data: data.into(),
        };
        let mut payload = [&MARK[..], &id.to_be_bytes()].concat();
        payload.resize(bytes, u8::try_from(id % 251).unwrap());
        let mut builder = FragmentBuilder::new(u32::try_from(id).unwrap());
        builder.push(Arc::new(unit(payload, decode)));
        let end = MediaTime::from_nanos(i64::try_from(now.as_nanos()).unwrap(), RATE);
        let fragment: Fragment = builder.build(Some(&unit(Vec::new(), end)));
        let until = fragment.first.captured.wall;
        let until = until.offset_nanos(i64::try_from(fragment.span.as_nanos()).unwrap());
        self.ledger.take((id, at, self.life), begun, now, until, fragment.to_bytes());
        let init = &self.inits[usize::from(camera.wide)];
        let _ = process.writers[at].append(init, fragment, camera.run_start, false);
        (camera.run_start, camera.begun) = (false, now);
        camera.count += 1;
        camera.due = now.after(camera.period);
        self.behave(process, at);
    }

    /// Cameras reconnect, change their parameters, and go away for a while.
    fn behave(&mut self, process: &mut Process, at: usize) {
        let camera = &mut self.cameras[at];
        match self.random.u8(0..100) {
            0 => camera.wide = !camera.wide,
            1 | 2 => {
                let outage = Duration::from_millis(self.random.u64(1..9_000));
                camera.begun = camera.begun.after(outage);
                camera.due = camera.due.after(outage);
                (camera.run_start, camera.run, camera.count) = (true, camera.run + 1, 0);
                // Its recorder ends with it, at times.
                if self.random.bool() {
                    process.writers[at] = process.dvr.writer(&camera.name, camera.keep);
                }
            }
            _ => {}
        }
    }

    fn observe(&mut self, process: &mut Process) {
        self.ledger.observe(self.disk.take_events());
        for (at, camera) in self.cameras.iter_mut().enumerate() {
            let Some(writer) = process.writers.get(at) else { return };
            let Some(durable) = *writer.durable().borrow() else { continue };
            let news = durable.fragments - camera.acknowledged;
            if news > 0 {
                self.ledger.acknowledge(at, self.life, durable, news);
                camera.acknowledged = durable.fragments;
            }
        }
    }

    /// On a healthy disk all but the last two seconds is acknowledged, and nothing is refused.
    fn check_loss(&mut self, process: &Process) {
        let now = self.clock.boot();
        if process.is_troubled {
            return;
        }
        for (id, fragment) in self.ledger.of_life(self.life) {
            let age = now.since(fragment.begun);
            let late = age > LOSS_MAX && fragment.state < State::Acknowledged;
            assert!(!late, "{id} began {age:?} ago and is not durable");
        }
        for writer in &process.writers {
            let status = writer.status();
            assert!(status.lost == 0 || self.disk.has_ended(), "{status:?}");
        }
    }

    /// What the power cut before cost of each camera's footage, by what is there.
    fn measure_loss(&mut self, found: &[Found]) {
        let Some(cut_at) = self.cut_in_health.take() else { return };
        for (at, camera) in self.cameras.iter().enumerate() {
            let mut lost = cut_at.since(camera.begun);
            for (id, fragment) in self.ledger.of_life(self.life) {
                let is_owed = fragment.stream == at && fragment.state != State::Excused;
                if is_owed && !found.iter().any(|found| found.id == *id) {
                    lost += fragment.taken_at.since(fragment.begun);
                }
            }
            assert!(lost <= LOSS_MAX, "the power cut cost {lost:?} of {}", camera.name);
            self.tally.lost_ms.push(u64::try_from(lost.as_millis()).unwrap());
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

fn camera(name: &str, random: &mut Rng) -> Camera {
    let bytes_max = random.usize(200..9_000);
    Camera {
        name: StreamName::parse(name).unwrap(),
        period: Duration::from_millis(random.u64(200..=1_200)),
        // Of one size, an old lap's fragments stand just where the new lap's end.
        bytes_min: if random.bool() { bytes_max } else { 40 },
        bytes_max,
        keys_every: random.u64(1..4),
        keep: Keep {
            min_bytes: random.u64(0..3) * SLOT_BYTES,
            max_bytes: (random.u8(0..4) == 0).then(|| random.u64(3..6) * SLOT_BYTES),
            max_age: None,
        },
        due: BootTime::default(),
        begun: BootTime::default(),
        wide: false,
        run: 1,
        run_start: true,
        count: 0,
        acknowledged: 0,
    }
}

fn is_journal(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal."))
}
