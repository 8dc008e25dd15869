//! A disk in memory and in virtual time that does what disks do when the power goes.
//!
//! Owns: what of un-synced writes and names survives a cut, and the faults that calls meet. All
//! of it follows from one seed. Harsher than a disk: un-synced bytes of one sector may survive
//! apart from each other, and a name is durable only after a sync of its directory.

mod calls;
mod clock;
mod inode;
mod survival;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;

use crate::base::time::{BootTime, Clock};

pub(crate) use self::clock::VirtualClock;
use self::inode::Inode;
use self::survival::Survives;
use self::world::{ModelNode, Names, World};

/// The sizes at which writes tear.
const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4 << 10;
/// Identity of the volume, and of the one visible when it is away.
const VOLUME: u64 = 7;
const OTHER_VOLUME: u64 = 8;
const EIO: i32 = 5;

/// How an end comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutKind {
    /// The power goes: what was not synced is there in part.
    Power,
    /// The process is killed: what was written stays, the last write perhaps in part.
    Kill,
}

/// What calls meet for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DiskTrouble {
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
    /// As [`DiskTrouble::Away`], and it comes back as it was at the last snapshot.
    AwayThenOlder,
}

impl DiskTrouble {
    /// Every kind.
    pub(crate) const ALL: [Self; 12] = [
        Self::Write,
        Self::ShortWrite,
        Self::Sync,
        Self::Dying,
        Self::SyncDir,
        Self::Read,
        Self::Full,
        Self::LyingFree,
        Self::ReadOnly,
        Self::Stall,
        Self::Away,
        Self::AwayThenOlder,
    ];
}

/// A change that reached the disk, whether it survives or not.
#[derive(Clone, Debug)]
pub(crate) enum DiskEvent {
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
pub(crate) struct TroublePlan {
    pub(crate) trouble: DiskTrouble,
    pub(crate) from_call: u64,
    pub(crate) lasts: Duration,
    pub(crate) odds: f32,
}

/// The disk. Clones are handles to the same.
#[derive(Clone, Debug)]
pub(crate) struct ModelDisk(Arc<Mutex<World>>);

impl ModelDisk {
    /// An empty volume with the directory `root` and room for `bytes`.
    pub(crate) fn new(seed: u64, clock: Arc<VirtualClock>, root: &Path, bytes: u64) -> Self {
        let names = Names::from([(root.to_owned(), ModelNode::Dir)]);
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
            over: None,
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
    pub(crate) fn set_pace(&self, sync_time_max: Duration) {
        self.world().sync_time_max = sync_time_max;
    }

    /// The `nth` changing call from now on is the last.
    pub(crate) fn cut_at(&self, nth: u64, cut: CutKind) {
        let mut world = self.world();
        world.cut_at = Some((world.changing + nth, cut));
    }

    /// Cancels what [`ModelDisk::cut_at`] planned.
    pub(crate) fn spare(&self) {
        self.world().cut_at = None;
    }

    /// Ends it now.
    pub(crate) fn cut_now(&self, cut: CutKind) {
        self.world().ended = Some(cut);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.world().ended.is_some()
    }

    /// The disks that a power cut may leave now: every prefix of what is not synced, with the
    /// write behind it torn at each sector from both sides, under old and new names.
    pub(crate) fn after_any_cut(&self) -> Vec<(Self, Arc<VirtualClock>)> {
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
    pub(crate) fn plan(&self, mut plan: TroublePlan) {
        let mut world = self.world();
        plan.from_call += world.calls;
        world.plan = Some(plan);
        (world.trouble_until, world.over) = (None, None);
    }

    /// What trouble there was and when it ended, if it did.
    pub(crate) fn trouble_over(&self) -> Option<(DiskTrouble, BootTime)> {
        let world = self.world();
        let ended = world.trouble_until.filter(|&until| until <= world.clock.boot());
        world.over.or(world.plan.zip(ended).map(|(plan, until)| (plan.trouble, until)))
    }

    /// Takes a snapshot of the medium, for [`DiskTrouble::AwayThenOlder`].
    pub(crate) fn keep(&self) {
        let mut world = self.world();
        world.kept = (world.inodes.clone(), world.durable.clone());
    }

    /// Comes back after an end: trouble is over, and what did not survive is gone.
    pub(crate) fn restart(&self) {
        let mut world = self.world();
        world.come_back();
        if world.ended == Some(CutKind::Power) {
            world.lose();
        }
        (world.ended, world.cut_at, world.plan, world.trouble_until) = (None, None, None, None);
        world.over = None;
        world.epoch += 1;
    }

    /// The kernel takes memory back: what is clean is forgotten.
    pub(crate) fn squeeze(&self) {
        let mut world = self.world();
        if world.ended.is_none() {
            world.inodes.iter_mut().for_each(Inode::forget);
        }
    }

    /// Flips one bit of a file, on the medium too.
    pub(crate) fn flip(&self, path: &Path, bit: u64) {
        let mut world = self.world();
        let Some(&ModelNode::File(inode)) = world.names.get(path) else { panic!("no {path:?}") };
        let (at, mask) = (usize::try_from(bit / 8).unwrap(), 1 << (bit % 8));
        world.inodes[inode].cache[at] ^= mask;
        world.inodes[inode].medium[at] ^= mask;
    }

    /// Writes over the beginning of a file, on the medium too.
    pub(crate) fn scribble(&self, path: &Path, bytes: &[u8]) {
        let mut world = self.world();
        let Some(&ModelNode::File(inode)) = world.names.get(path) else { panic!("no {path:?}") };
        world.inodes[inode].cache[..bytes.len()].copy_from_slice(bytes);
        world.inodes[inode].medium[..bytes.len()].copy_from_slice(bytes);
    }

    /// A file is gone, on the medium too.
    pub(crate) fn lose_file(&self, path: &Path) {
        let mut world = self.world();
        world.names.remove(path);
        world.durable.remove(path);
        world.changes.retain(|change| change.path != path);
    }

    pub(crate) fn take_events(&self) -> Vec<DiskEvent> {
        std::mem::take(&mut self.world().events)
    }

    pub(crate) fn strays(&self) -> Vec<PathBuf> {
        self.world().strays.clone()
    }

    /// Every file as a read would return it now.
    pub(crate) fn image(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world();
        let file = |(path, node): (&PathBuf, &ModelNode)| match *node {
            ModelNode::File(inode) => Some((path.clone(), world.inodes[inode].cache.clone())),
            ModelNode::Dir => None,
        };
        world.names.iter().filter_map(file).collect()
    }
}
