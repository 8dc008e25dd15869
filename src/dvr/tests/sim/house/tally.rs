//! What was seen over many seeds.

use std::fmt;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(in crate::dvr::tests::sim) struct Tally {
    pub(in crate::dvr::tests::sim) seeds: u64,
    pub(in crate::dvr::tests::sim) power: u64,
    pub(in crate::dvr::tests::sim) kills: u64,
    pub(in crate::dvr::tests::sim) in_recovery: u64,
    pub(in crate::dvr::tests::sim) troubles: u64,
    pub(in crate::dvr::tests::sim) acknowledged: u64,
    pub(in crate::dvr::tests::sim) evicted: u64,
    pub(in crate::dvr::tests::sim) virtual_secs: u64,
    /// What each power cut on a healthy disk cost of each camera's footage, in milliseconds.
    pub(in crate::dvr::tests::sim) lost_ms: Vec<u64>,
}

impl Tally {
    /// Footage that half of the power cuts cost no more than, and that none cost more than.
    pub(in crate::dvr::tests::sim) fn lost_ms(&mut self) -> (u64, u64) {
        self.lost_ms.sort_unstable();
        let median = self.lost_ms.get(self.lost_ms.len() / 2);
        (*median.unwrap_or(&0), *self.lost_ms.last().unwrap_or(&0))
    }

    pub(in crate::dvr::tests::sim) fn crashes(&self) -> u64 {
        self.power + self.kills
    }

    pub(in crate::dvr::tests::sim) fn add(&mut self, other: &Self) {
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
