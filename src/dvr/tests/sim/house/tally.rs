//! What was seen over many seeds.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use crate::dvr::disk::model::DiskTrouble;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) power: u64,
    pub(crate) kills: u64,
    pub(crate) in_recovery: u64,
    pub(crate) troubles: u64,
    pub(crate) acknowledged: u64,
    pub(crate) evicted: u64,
    pub(crate) virtual_secs: u64,
    /// What each power cut on a healthy disk cost of each camera's footage, in milliseconds.
    pub(crate) lost_ms: Vec<u64>,
    /// How often recording resumed after a trouble, by its kind.
    pub(crate) resumed: BTreeMap<DiskTrouble, u64>,
    /// What people and clocks did.
    pub(crate) done: Done,
}

/// What people and clocks did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) marks: u64,
    pub(crate) pins: u64,
    pub(crate) pins_refused: u64,
    pub(crate) pins_ended: u64,
    /// Protected ranges that were looked for at a start, and found.
    pub(crate) pins_found: u64,
    pub(crate) clock_changes: u64,
    /// Fragments whose date was right at a start.
    pub(crate) dated: u64,
    /// Slots that were cleared for their age.
    pub(crate) expired: u64,
    /// Fragments read during recording, and slots that went under a reader.
    pub(crate) read: u64,
    pub(crate) reused: u64,
    /// Lost or damaged `ring.toml`s and fronts that cost nothing.
    pub(crate) harmed: u64,
    /// Entry points of weak classes, and changes of parameters that came with every key frame.
    pub(crate) weak_entries: u64,
    pub(crate) param_flips: u64,
}

impl Tally {
    pub(crate) fn crashes(&self) -> u64 {
        self.power + self.kills
    }

    /// Footage that half of the power cuts cost no more than, and that none cost more than.
    pub(crate) fn lost_ms(&mut self) -> (u64, u64) {
        self.lost_ms.sort_unstable();
        let median = self.lost_ms.get(self.lost_ms.len() / 2);
        (*median.unwrap_or(&0), *self.lost_ms.last().unwrap_or(&0))
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.power += other.power;
        self.kills += other.kills;
        self.in_recovery += other.in_recovery;
        self.troubles += other.troubles;
        self.acknowledged += other.acknowledged;
        self.evicted += other.evicted;
        self.virtual_secs += other.virtual_secs;
        self.lost_ms.extend(&other.lost_ms);
        for (&trouble, count) in &other.resumed {
            *self.resumed.entry(trouble).or_default() += count;
        }
        self.done += other.done;
    }
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.marks += other.marks;
        self.pins += other.pins;
        self.pins_refused += other.pins_refused;
        self.pins_ended += other.pins_ended;
        self.pins_found += other.pins_found;
        self.clock_changes += other.clock_changes;
        self.dated += other.dated;
        self.expired += other.expired;
        self.read += other.read;
        self.reused += other.reused;
        self.harmed += other.harmed;
        self.weak_entries += other.weak_entries;
        self.param_flips += other.param_flips;
    }
}

impl Done {
    /// The rarest of what was done.
    pub(crate) fn least(&self) -> u64 {
        let all = [
            self.marks,
            self.pins,
            self.pins_refused,
            self.pins_ended,
            self.pins_found,
            self.clock_changes,
            self.dated,
            self.expired,
            self.read,
            self.reused,
            self.harmed,
            self.weak_entries,
            self.param_flips,
        ];
        all.into_iter().min().unwrap_or(0)
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
