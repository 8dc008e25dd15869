//! The disk's state: files, names, and the trouble that calls meet.
//!
//! Owns: when trouble begins and ends, the end itself, and what a power cut leaves.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::clock::VirtualClock;
use super::inode::Inode;
use super::survival::Survives;
use super::{CutKind, DiskEvent, DiskTrouble, EIO, TroublePlan};
use crate::base::time::{BootTime, Clock};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelNode {
    Dir,
    File(usize),
}

/// A name that was given or taken and is not durable. A rename is two with one stamp.
#[derive(Clone, Debug)]
pub(crate) struct NameChange {
    pub(crate) stamp: u64,
    pub(crate) path: PathBuf,
    pub(crate) node: Option<ModelNode>,
}

pub(crate) type Names = BTreeMap<PathBuf, ModelNode>;

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) random: Rng,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) inodes: Vec<Inode>,
    pub(crate) names: Names,
    pub(crate) durable: Names,
    pub(crate) changes: Vec<NameChange>,
    pub(crate) kept: (Vec<Inode>, Names),
    pub(crate) stamp: u64,
    /// Calls so far, and of them those that change something.
    pub(crate) calls: u64,
    pub(crate) changing: u64,
    pub(crate) cut_at: Option<(u64, CutKind)>,
    pub(crate) ended: Option<CutKind>,
    pub(crate) plan: Option<TroublePlan>,
    pub(crate) trouble_until: Option<BootTime>,
    /// The trouble that is over, and since when.
    pub(crate) over: Option<(DiskTrouble, BootTime)>,
    pub(crate) is_away: bool,
    /// Handles of an older one are dead.
    pub(crate) epoch: u32,
    pub(crate) events: Vec<DiskEvent>,
    /// What was made where the volume should be.
    pub(crate) strays: Vec<PathBuf>,
    pub(crate) free_bytes: u64,
    /// What a sync takes at most.
    pub(crate) sync_time_max: Duration,
}

impl World {
    pub(crate) fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    /// How many of `whole` bytes at `at` a write gets done that ends early, between two units.
    pub(crate) fn part(&mut self, at: usize, whole: usize, unit: usize) -> usize {
        let units = self.random.usize(0..=whole.div_ceil(unit));
        ((at / unit + units) * unit).saturating_sub(at).min(whole)
    }

    /// Counts a call. Refuses it when all has ended.
    pub(crate) fn call(&mut self) -> io::Result<()> {
        if self.ended.is_some() {
            return Err(eio());
        }
        self.calls += 1;
        self.begin_or_end_trouble();
        Ok(())
    }

    pub(crate) fn change(&mut self) -> io::Result<()> {
        self.call()?;
        self.changing += 1;
        match self.struck() {
            Some(DiskTrouble::ReadOnly) => Err(ErrorKind::ReadOnlyFilesystem.into()),
            Some(DiskTrouble::Stall) => {
                let millis = self.random.u64(1..4_000);
                self.clock.advance(Duration::from_millis(millis));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A sync takes its time.
    pub(crate) fn pass_sync_time(&mut self) {
        let micros = self.random.u64(0..=u64::try_from(self.sync_time_max.as_micros()).unwrap());
        self.clock.advance(Duration::from_micros(micros));
    }

    /// Whether this changing call is the last one.
    pub(crate) fn ends_here(&mut self) -> bool {
        match self.cut_at {
            Some((at, cut)) if self.changing >= at => {
                self.ended = Some(cut);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn begin_or_end_trouble(&mut self) {
        let Some(plan) = self.plan.filter(|plan| self.calls >= plan.from_call) else { return };
        let now = self.clock.boot();
        match self.trouble_until {
            None => {
                self.trouble_until = Some(now.after(plan.lasts));
                if matches!(plan.trouble, DiskTrouble::Away | DiskTrouble::AwayThenOlder) {
                    self.lose();
                    (self.is_away, self.epoch) = (true, self.epoch + 1);
                }
            }
            Some(until) if now >= until => {
                self.come_back();
                self.over = Some((plan.trouble, until));
                self.plan = None;
            }
            Some(_) => {}
        }
    }

    pub(crate) fn come_back(&mut self) {
        if !std::mem::take(&mut self.is_away) {
            return;
        }
        if self.plan.is_some_and(|plan| plan.trouble == DiskTrouble::AwayThenOlder) {
            (self.inodes, self.durable) = self.kept.clone();
            self.inodes.iter_mut().for_each(|inode| {
                inode.dirty.clear();
                inode.cache.clone_from(&inode.medium);
            });
            self.names = self.durable.clone();
            self.events.push(DiskEvent::CameBackOlder);
        }
    }

    /// The trouble that this call meets.
    pub(crate) fn struck(&mut self) -> Option<DiskTrouble> {
        let plan = self.plan.filter(|_| self.trouble_until.is_some())?;
        (self.random.f32() < plan.odds).then_some(plan.trouble)
    }

    pub(crate) fn alive(&self, epoch: u32) -> io::Result<()> {
        if self.is_away || self.epoch != epoch { Err(eio()) } else { Ok(()) }
    }

    /// The power goes: of the un-synced a part survives.
    pub(crate) fn lose(&mut self) {
        let stamps = || self.inodes.iter().flat_map(|i| &i.dirty).map(|write| write.stamp);
        let first = stamps().min().unwrap_or(0);
        let last = stamps().max().unwrap_or(0).max(first);
        let survives = Survives::draw(&mut self.random, first, last);
        let from = self.changes.iter().map(|change| change.stamp).min().unwrap_or(0);
        let names = Survives::draw(&mut self.random, from, self.stamp.max(from));
        self.lose_but(survives, names);
    }

    pub(crate) fn lose_but(&mut self, survives: Survives, names: Survives) {
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

    /// The content of a directory whose name is gone is gone with it.
    pub(crate) fn drop_orphans(&mut self) {
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

    pub(crate) fn rename(&mut self, path: &Path, node: Option<ModelNode>, stamp: u64) {
        set(&mut self.names, path.to_owned(), node);
        self.changes.push(NameChange { stamp, path: path.to_owned(), node });
    }

    pub(crate) fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(&ModelNode::File(inode)) if !self.is_away => Ok(inode),
            Some(ModelNode::Dir) if !self.is_away => Err(ErrorKind::InvalidInput.into()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
}

pub(crate) fn set(names: &mut Names, path: PathBuf, node: Option<ModelNode>) {
    match node {
        Some(node) => drop(names.insert(path, node)),
        None => drop(names.remove(&path)),
    }
}

pub(crate) fn eio() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}
