//! A disk in memory and in virtual time that does what disks do when the power goes.
//!
//! Owns: what of un-synced writes and names survives a cut, and the faults that calls meet. All
//! of it follows from one seed. Harsher than a disk: un-synced bytes of one sector may survive
//! apart from each other, and a name is durable only after a sync of its directory.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;

use super::{Disk, DiskFile, Open, Volume};
use crate::base::time::{BootTime, Clock, WallTime};

/// The sizes at which writes tear.
const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4 << 10;
/// Identity of the volume, and of the one that shows when it is away.
const VOLUME: u64 = 7;
const OTHER_VOLUME: u64 = 8;
const EIO: i32 = 5;

/// Time that moves when it is told to.
#[derive(Debug, Default)]
pub(in crate::dvr) struct VirtualClock {
    boot_nanos: AtomicU64,
    wall_minus_boot_nanos: AtomicI64,
}

impl VirtualClock {
    pub(in crate::dvr) fn advance(&self, by: Duration) {
        self.boot_nanos.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Relaxed);
    }

    /// Begins a boot: some seconds after power came, at the date `wall_nanos`.
    pub(in crate::dvr) fn reboot(&self, wall_nanos: i64) {
        let boot_nanos = 3_000_000_000;
        self.boot_nanos.store(boot_nanos, Relaxed);
        self.wall_minus_boot_nanos.store(wall_nanos - boot_nanos.cast_signed(), Relaxed);
    }
}

impl Clock for VirtualClock {
    fn boot(&self) -> BootTime {
        BootTime::from_nanos(self.boot_nanos.load(Relaxed))
    }
    fn wall(&self) -> WallTime {
        let boot = self.boot_nanos.load(Relaxed).cast_signed();
        WallTime::from_unix_nanos(boot + self.wall_minus_boot_nanos.load(Relaxed))
    }
}

/// How an end comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dvr) enum Cut {
    /// The power goes: what was not synced is there in part.
    Power,
    /// The process is killed: what was written stays, the last write perhaps in part.
    Kill,
}

/// What calls meet for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dvr) enum Trouble {
    /// Writes fail with EIO and change nothing.
    Write,
    /// Writes fail after a part.
    ShortWrite,
    /// Syncs fail and drop what they should have written.
    Sync,
    /// Writes fail and change nothing, syncs fail and drop what they should have written.
    Dying,
    /// Syncs of directories fail.
    SyncDir,
    /// Reads fail.
    Read,
    /// No space, wherever space is taken or written.
    Full,
    /// No space where it is taken, though the volume says that plenty is free.
    LyingFree,
    /// Nothing can be changed.
    ReadOnly,
    /// Each change takes long.
    Stall,
    /// The volume is gone; an empty mount point shows.
    Away,
    /// As [`Trouble::Away`], and it comes back as it was when it was last kept.
    AwayThenOlder,
}

/// A change that reached the disk, whether it survives or not.
#[derive(Clone, Debug)]
pub(in crate::dvr) enum Event {
    Wrote {
        path: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    /// All that was written to this file is on the medium.
    Synced {
        path: PathBuf,
    },
    /// The volume came back in an older state.
    CameBackOlder,
}

/// When trouble begins, how long it lasts and how often it strikes.
#[derive(Clone, Copy, Debug)]
pub(in crate::dvr) struct Plan {
    pub(in crate::dvr) trouble: Trouble,
    pub(in crate::dvr) from_call: u64,
    pub(in crate::dvr) lasts: Duration,
    pub(in crate::dvr) odds: f32,
}

#[derive(Clone, Debug)]
struct Write {
    stamp: u64,
    at: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What reads show.
    cache: Vec<u8>,
    medium: Vec<u8>,
    /// Written and not synced.
    dirty: Vec<Write>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

/// A name that was given or taken and is not durable. A rename is two with one stamp.
#[derive(Clone, Debug)]
struct NameChange {
    stamp: u64,
    path: PathBuf,
    node: Option<Node>,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone, Debug)]
struct World {
    random: Rng,
    clock: Arc<VirtualClock>,
    inodes: Vec<Inode>,
    names: Names,
    durable: Names,
    changes: Vec<NameChange>,
    kept: (Vec<Inode>, Names),
    stamp: u64,
    /// Calls so far, and of them those that change something.
    calls: u64,
    changing: u64,
    cut_at: Option<(u64, Cut)>,
    ended: Option<Cut>,
    plan: Option<Plan>,
    trouble_until: Option<BootTime>,
    is_away: bool,
    /// Handles of an older one are dead.
    epoch: u32,
    events: Vec<Event>,
    /// What was made where the volume should be.
    strays: Vec<PathBuf>,
    free_bytes: u64,
    /// What a sync takes at most.
    sync_time_max: Duration,
}

/// The disk. Clones are handles to the same.
#[derive(Clone, Debug)]
pub(in crate::dvr) struct ModelDisk(Arc<Mutex<World>>);

#[derive(Debug)]
struct ModelFile {
    disk: ModelDisk,
    path: PathBuf,
    inode: usize,
    epoch: u32,
}

impl ModelDisk {
    /// An empty volume with the directory `root` and room for `bytes`.
    pub(in crate::dvr) fn new(
        seed: u64,
        clock: Arc<VirtualClock>,
        root: &Path,
        bytes: u64,
    ) -> Self {
        let names = Names::from([(root.to_owned(), Node::Dir)]);
        Self(Arc::new(Mutex::new(World {
            random: Rng::with_seed(seed),
            clock,
            inodes: Vec::new(),
            kept: (Vec::new(), names.clone()),
            durable: names.clone(),
            names,
            changes: Vec::new(),
            stamp: 0,
            calls: 0,
            changing: 0,
            cut_at: None,
            ended: None,
            plan: None,
            trouble_until: None,
            is_away: false,
            epoch: 0,
            events: Vec::new(),
            strays: Vec::new(),
            free_bytes: bytes,
            sync_time_max: Duration::ZERO,
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// From now on each sync takes up to `sync_time_max`, as on a healthy card.
    pub(in crate::dvr) fn set_pace(&self, sync_time_max: Duration) {
        self.world().sync_time_max = sync_time_max;
    }

    /// The `nth` changing call from now on is the last.
    pub(in crate::dvr) fn cut_at(&self, nth: u64, cut: Cut) {
        let mut world = self.world();
        world.cut_at = Some((world.changing + nth, cut));
    }

    /// What was told by [`ModelDisk::cut_at`] does not come.
    pub(in crate::dvr) fn spare(&self) {
        self.world().cut_at = None;
    }

    /// Ends it now.
    pub(in crate::dvr) fn cut_now(&self, cut: Cut) {
        self.world().ended = Some(cut);
    }

    pub(in crate::dvr) fn has_ended(&self) -> bool {
        self.world().ended.is_some()
    }

    /// The disks that a power cut may leave now: every prefix of what is not synced, with the
    /// write behind it torn at each sector from both sides, under old and new names.
    pub(in crate::dvr) fn after_any_cut(&self) -> Vec<(Self, Arc<VirtualClock>)> {
        let world = self.world();
        let mut outcomes = vec![Survives::Nothing, Survives::Everything];
        for write in world.inodes.iter().flat_map(|inode| &inode.dirty) {
            let stamp = write.stamp;
            for sectors in 0..=write.bytes.len() / SECTOR_BYTES + 1 {
                let torn = |is_front| Survives::Torn { stamp, sectors, is_front };
                outcomes.extend([torn(true), torn(false)]);
            }
        }
        let all = [Survives::Nothing, Survives::Everything];
        let names = if world.changes.is_empty() { &all[..1] } else { &all };
        let both = outcomes.iter().flat_map(|outcome| names.iter().map(move |n| (*outcome, *n)));
        both.map(|(outcome, names)| {
            let mut left = world.clone();
            left.clock = Arc::default();
            left.lose_but(outcome, names);
            (left.ended, left.cut_at, left.epoch) = (None, None, left.epoch + 1);
            let clock = Arc::clone(&left.clock);
            (Self(Arc::new(Mutex::new(left))), clock)
        })
        .collect()
    }

    /// Trouble `from_call` calls from now.
    pub(in crate::dvr) fn plan(&self, mut plan: Plan) {
        let mut world = self.world();
        plan.from_call += world.calls;
        world.plan = Some(plan);
        world.trouble_until = None;
    }

    /// Remembers the medium as it is, for [`Trouble::AwayThenOlder`].
    pub(in crate::dvr) fn keep(&self) {
        let mut world = self.world();
        world.kept = (world.inodes.clone(), world.durable.clone());
    }

    /// Comes back after an end: trouble is over, and what did not survive is gone.
    pub(in crate::dvr) fn restart(&self) {
        let mut world = self.world();
        world.come_back();
        if world.ended == Some(Cut::Power) {
            world.lose();
        }
        (world.ended, world.cut_at, world.plan, world.trouble_until) = (None, None, None, None);
        world.epoch += 1;
    }

    /// The kernel takes memory back: what is clean is forgotten.
    pub(in crate::dvr) fn squeeze(&self) {
        let mut world = self.world();
        if world.ended.is_none() {
            world.inodes.iter_mut().for_each(Inode::forget);
        }
    }

    /// Flips one bit of a file, on the medium too.
    pub(in crate::dvr) fn flip(&self, path: &Path, bit: u64) {
        let mut world = self.world();
        let Some(&Node::File(inode)) = world.names.get(path) else { panic!("no {path:?}") };
        let (at, mask) = (usize::try_from(bit / 8).unwrap(), 1 << (bit % 8));
        world.inodes[inode].cache[at] ^= mask;
        world.inodes[inode].medium[at] ^= mask;
    }

    pub(in crate::dvr) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.world().events)
    }

    pub(in crate::dvr) fn strays(&self) -> Vec<PathBuf> {
        self.world().strays.clone()
    }

    /// Every file as it is read now.
    pub(in crate::dvr) fn image(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world();
        let file = |(path, node): (&PathBuf, &Node)| match *node {
            Node::File(inode) => Some((path.clone(), world.inodes[inode].cache.clone())),
            Node::Dir => None,
        };
        world.names.iter().filter_map(file).collect()
    }

    fn write(&self, file: &ModelFile, at: usize, bytes: Vec<u8>) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.alive(file)?;
        let whole = bytes.len();
        let (mut arrives, mut answer) = (whole, Ok(()));
        match world.struck() {
            Some(Trouble::Write | Trouble::Dying) => (arrives, answer) = (0, Err(eio())),
            Some(Trouble::ShortWrite) => {
                (arrives, answer) = (world.part(at, whole, SECTOR_BYTES), Err(eio()));
            }
            Some(Trouble::Full) => {
                let full = ErrorKind::StorageFull.into();
                (arrives, answer) = (world.part(at, whole, PAGE_BYTES), Err(full));
            }
            _ => {}
        }
        if world.ends_here() {
            // A kill stops between two pages; what power leaves is decided by `lose`.
            if world.ended == Some(Cut::Kill) {
                arrives = world.part(at, arrives, PAGE_BYTES);
            }
            answer = Err(eio());
        }
        let event = Event::Wrote { path: file.path.clone(), at: at as u64, bytes: bytes.clone() };
        world.events.push(event);
        let stamp = world.stamp();
        let inode = &mut world.inodes[file.inode];
        let bytes = bytes[..arrives].to_vec();
        if inode.cache.len() < at + arrives {
            inode.cache.resize(at + arrives, 0);
        }
        inode.cache[at..at + arrives].copy_from_slice(&bytes);
        inode.dirty.push(Write { stamp, at, bytes });
        answer
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

impl Inode {
    /// All that was written reaches the medium.
    fn flush(&mut self) {
        self.medium.resize(self.cache.len(), 0);
        for write in std::mem::take(&mut self.dirty) {
            self.medium[write.at..write.at + write.bytes.len()].copy_from_slice(&write.bytes);
        }
    }

    /// What is clean is read from the medium again.
    fn forget(&mut self) {
        let length = self.cache.len();
        self.cache.clone_from(&self.medium);
        self.cache.resize(length, 0);
        for write in &self.dirty {
            self.cache[write.at..write.at + write.bytes.len()].copy_from_slice(&write.bytes);
        }
    }
}

/// What of the un-synced survives.
#[derive(Clone, Copy, Debug)]
enum Survives {
    Nothing,
    Everything,
    /// What came before a moment, and that moment's write in part.
    Before {
        stamp: u64,
        unit: usize,
    },
    /// What came before a moment, and of that moment's write the first sectors, or all but these.
    Torn {
        stamp: u64,
        sectors: usize,
        is_front: bool,
    },
    /// Any of its parts.
    Some {
        odds: f32,
        unit: usize,
    },
}

impl Survives {
    fn draw(random: &mut Rng, first: u64, last: u64) -> Self {
        let unit = if random.bool() { SECTOR_BYTES } else { PAGE_BYTES };
        match random.u8(0..8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2..5 => Self::Before { stamp: random.u64(first..=last), unit },
            _ => Self::Some { odds: 0.1 + 0.8 * random.f32(), unit },
        }
    }

    fn spares(self, random: &mut Rng, stamp: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Before { stamp: until, .. } | Self::Torn { stamp: until, .. } => stamp < until,
            Self::Some { odds, .. } => random.f32() < odds,
        }
    }

    /// Puts onto the medium what survives of `write`, in parts that begin and end at whole units.
    fn put(self, random: &mut Rng, write: &Write, medium: &mut [u8]) {
        let (unit, torn) = match self {
            Self::Before { stamp, unit } => (unit, stamp == write.stamp),
            Self::Torn { stamp, .. } => (SECTOR_BYTES, stamp == write.stamp),
            Self::Some { unit, .. } => (unit, true),
            Self::Nothing | Self::Everything => (usize::MAX / 2, false),
        };
        // Torn from the front, from the back, or anyhow.
        let (end, units) = (write.at + write.bytes.len(), write.bytes.len() / SECTOR_BYTES + 2);
        let (shape, point) = (random.u8(0..3), random.usize(0..=units));
        let mut at = write.at;
        let mut count = 0;
        while at < end.min(medium.len()) {
            let until = ((at / unit + 1).saturating_mul(unit)).min(end).min(medium.len());
            let put = match (self, torn, shape) {
                (Self::Before { .. }, true, 0) => count < point,
                (Self::Before { .. }, true, 1) => count >= point,
                (Self::Before { .. }, true, _) => random.bool(),
                (Self::Torn { sectors, is_front, .. }, true, _) => (count < sectors) == is_front,
                _ => self.spares(random, write.stamp),
            };
            if put {
                medium[at..until].copy_from_slice(&write.bytes[at - write.at..until - write.at]);
            }
            (at, count) = (until, count + 1);
        }
    }
}

impl World {
    fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    /// How many of `whole` bytes at `at` a write gets done that ends early, between two units.
    fn part(&mut self, at: usize, whole: usize, unit: usize) -> usize {
        let units = self.random.usize(0..=whole.div_ceil(unit));
        ((at / unit + units) * unit).saturating_sub(at).min(whole)
    }

    /// Counts a call. Refuses it when all has ended.
    fn call(&mut self) -> io::Result<()> {
        if self.ended.is_some() {
            return Err(eio());
        }
        self.calls += 1;
        self.begin_or_end_trouble();
        Ok(())
    }

    fn change(&mut self) -> io::Result<()> {
        self.call()?;
        self.changing += 1;
        match self.struck() {
            Some(Trouble::ReadOnly) => Err(ErrorKind::ReadOnlyFilesystem.into()),
            Some(Trouble::Stall) => {
                let millis = self.random.u64(1..4_000);
                self.clock.advance(Duration::from_millis(millis));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A sync takes its time.
    fn pass_sync_time(&mut self) {
        let micros = self.random.u64(0..=u64::try_from(self.sync_time_max.as_micros()).unwrap());
        self.clock.advance(Duration::from_micros(micros));
    }

    /// Whether this changing call is the last one.
    fn ends_here(&mut self) -> bool {
        match self.cut_at {
            Some((at, cut)) if self.changing >= at => {
                self.ended = Some(cut);
                true
            }
            _ => false,
        }
    }

    fn begin_or_end_trouble(&mut self) {
        let Some(plan) = self.plan.filter(|plan| self.calls >= plan.from_call) else { return };
        let now = self.clock.boot();
        match self.trouble_until {
            None => {
                self.trouble_until = Some(now.after(plan.lasts));
                if matches!(plan.trouble, Trouble::Away | Trouble::AwayThenOlder) {
                    self.lose();
                    (self.is_away, self.epoch) = (true, self.epoch + 1);
                }
            }
            Some(until) if now >= until => {
                self.come_back();
                self.plan = None;
            }
            Some(_) => {}
        }
    }

    fn come_back(&mut self) {
        if !std::mem::take(&mut self.is_away) {
            return;
        }
        if self.plan.is_some_and(|plan| plan.trouble == Trouble::AwayThenOlder) {
            (self.inodes, self.durable) = self.kept.clone();
            self.inodes.iter_mut().for_each(|inode| {
                inode.dirty.clear();
                inode.cache.clone_from(&inode.medium);
            });
            self.names = self.durable.clone();
            self.events.push(Event::CameBackOlder);
        }
    }

    /// The trouble that this call meets.
    fn struck(&mut self) -> Option<Trouble> {
        let plan = self.plan.filter(|_| self.trouble_until.is_some())?;
        (self.random.f32() < plan.odds).then_some(plan.trouble)
    }

    fn alive(&self, file: &ModelFile) -> io::Result<()> {
        if self.is_away || self.epoch != file.epoch { Err(eio()) } else { Ok(()) }
    }

    /// The power goes: of the un-synced a part survives.
    fn lose(&mut self) {
        let stamps = || self.inodes.iter().flat_map(|i| &i.dirty).map(|write| write.stamp);
        let first = stamps().min().unwrap_or(0);
        let last = stamps().max().unwrap_or(0).max(first);
        let survives = Survives::draw(&mut self.random, first, last);
        let from = self.changes.iter().map(|change| change.stamp).min().unwrap_or(0);
        let names = Survives::draw(&mut self.random, from, self.stamp.max(from));
        self.lose_but(survives, names);
    }

    fn lose_but(&mut self, survives: Survives, names: Survives) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by_key(|change| change.stamp);
        let mut decided = None;
        for change in changes {
            let spared = match decided {
                Some((stamp, spared)) if stamp == change.stamp => spared,
                _ => names.spares(&mut self.random, change.stamp),
            };
            decided = Some((change.stamp, spared));
            if spared {
                set(&mut self.durable, change.path, change.node);
            }
        }
        for inode in &mut self.inodes {
            inode.lose(&mut self.random, survives);
        }
        self.drop_orphans();
        self.names = self.durable.clone();
    }

    /// What lies in a directory whose name is gone is gone with it.
    fn drop_orphans(&mut self) {
        let root = self.durable.keys().next().cloned();
        let known = self.durable.clone();
        let reached = |path: &Path| {
            path.ancestors()
                .skip(1)
                .take_while(|above| root.as_deref().is_some_and(|root| above.starts_with(root)))
                .all(|above| known.contains_key(above))
        };
        self.durable.retain(|path, _| reached(path));
    }

    fn rename(&mut self, path: &Path, node: Option<Node>, stamp: u64) {
        set(&mut self.names, path.to_owned(), node);
        self.changes.push(NameChange { stamp, path: path.to_owned(), node });
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(&Node::File(inode)) if !self.is_away => Ok(inode),
            Some(Node::Dir) if !self.is_away => Err(ErrorKind::InvalidInput.into()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Inode {
    fn lose(&mut self, random: &mut Rng, survives: Survives) {
        let dirty = std::mem::take(&mut self.dirty);
        let keeps_length = match survives {
            Survives::Nothing => false,
            Survives::Everything => true,
            _ => random.bool(),
        };
        if keeps_length {
            self.medium.resize(self.cache.len(), 0);
        }
        for write in &dirty {
            survives.put(random, write, &mut self.medium);
        }
        self.cache.clone_from(&self.medium);
    }
}

fn set(names: &mut Names, path: PathBuf, node: Option<Node>) {
    match node {
        Some(node) => drop(names.insert(path, node)),
        None => drop(names.remove(&path)),
    }
}

impl Disk for ModelDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        let inode = if how == Open::Create {
            world.change()?;
            if world.is_away {
                // Of the volume only the mount point shows, and that can be written to.
                if path.ancestors().count() > 3 {
                    return Err(ErrorKind::NotFound.into());
                }
                world.strays.push(path.to_owned());
            }
            if world.names.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            if world.struck() == Some(Trouble::Full) {
                return Err(ErrorKind::StorageFull.into());
            }
            if world.ends_here() && world.random.bool() {
                return Err(eio());
            }
            world.inodes.push(Inode::default());
            let (inode, stamp) = (world.inodes.len() - 1, world.stamp());
            world.rename(path, Some(Node::File(inode)), stamp);
            inode
        } else {
            world.call()?;
            if how == Open::Write && world.struck() == Some(Trouble::ReadOnly) {
                return Err(ErrorKind::ReadOnlyFilesystem.into());
            }
            world.file(path)?
        };
        let epoch = world.epoch;
        drop(world);
        Ok(Arc::new(ModelFile { disk: self.clone(), path: path.to_owned(), inode, epoch }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.call()?;
        if world.is_away || !world.names.contains_key(dir) {
            return Err(ErrorKind::NotFound.into());
        }
        let names = world.names.keys().filter(|path| path.parent() == Some(dir));
        let names = names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        Ok(names.collect())
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.is_away {
            world.strays.push(dir.to_owned());
        }
        if world.names.contains_key(dir) {
            return world.call();
        }
        world.change()?;
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let stamp = world.stamp();
        for dir in dir.ancestors().filter(|dir| dir.parent().is_some()) {
            if !world.names.contains_key(dir) {
                world.rename(dir, Some(Node::Dir), stamp);
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let inode = world.file(from)?;
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let stamp = world.stamp();
        world.rename(from, None, stamp);
        world.rename(to, Some(Node::File(inode)), stamp);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.file(path)?;
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let stamp = world.stamp();
        world.rename(path, None, stamp);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        if world.is_away {
            return Err(ErrorKind::NotFound.into());
        }
        world.pass_sync_time();
        if world.struck() == Some(Trouble::SyncDir) || world.ends_here() {
            return Err(eio());
        }
        let (done, rest) = std::mem::take(&mut world.changes)
            .into_iter()
            .partition(|change| change.path.parent() == Some(dir));
        world.changes = rest;
        for change in done {
            let NameChange { path, node, .. } = change;
            set(&mut world.durable, path, node);
        }
        Ok(())
    }

    fn volume(&self, _: &Path) -> io::Result<Volume> {
        let mut world = self.world();
        world.call()?;
        let identity = if world.is_away { OTHER_VOLUME } else { VOLUME };
        let free = if world.struck() == Some(Trouble::Full) { 0 } else { world.free_bytes };
        Ok(Volume { identity, total_bytes: free, free_bytes: free })
    }
}

impl DiskFile for ModelFile {
    fn length(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.call()?;
        world.alive(self)?;
        Ok(world.inodes[self.inode].cache.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        world.call()?;
        world.alive(self)?;
        if world.struck() == Some(Trouble::Read) {
            return Err(eio());
        }
        let at = usize::try_from(at).unwrap();
        let cache = &world.inodes[self.inode].cache;
        let found = cache.get(at..at + buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, at: u64, pieces: &[&[u8]]) -> io::Result<()> {
        self.disk.write(self, usize::try_from(at).unwrap(), pieces.concat())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        world.alive(self)?;
        if matches!(world.struck(), Some(Trouble::Full | Trouble::LyingFree)) {
            return Err(ErrorKind::StorageFull.into());
        }
        if world.ends_here() && world.random.bool() {
            return Err(eio());
        }
        let cache = &mut world.inodes[self.inode].cache;
        let length = usize::try_from(bytes).unwrap().max(cache.len());
        cache.resize(length, 0);
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        world.alive(self)?;
        world.pass_sync_time();
        if matches!(world.struck(), Some(Trouble::Sync | Trouble::Dying)) {
            // As Linux does: the pages count as clean, and show what is not on the medium.
            let World { inodes, random, .. } = &mut *world;
            let inode = &mut inodes[self.inode];
            let shown = inode.cache.clone();
            inode.lose(random, Survives::Some { odds: 0.5, unit: SECTOR_BYTES });
            inode.cache = shown;
            return Err(eio());
        }
        if world.ends_here() {
            if world.random.bool() {
                world.inodes[self.inode].flush();
            }
            return Err(eio());
        }
        world.inodes[self.inode].flush();
        world.events.push(Event::Synced { path: self.path.clone() });
        Ok(())
    }

    fn forget_cached(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.call()?;
        world.alive(self)?;
        world.inodes[self.inode].forget();
        Ok(())
    }
}
