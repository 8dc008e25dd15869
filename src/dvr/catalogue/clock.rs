//! The clock table: which date a moment of a boot had, as far as is known now.
//!
//! Owns: when the clock gets a new row, and where footage is placed by the rows. Pure: readings
//! come in. A row is a fact of the journal; slots are never touched when the date changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::limits::{CAPTURE_SKEW_MAX, CLOCK_ROWS_MAX, CLOCK_STEP_MIN};
use crate::base::time::{BootTime, ClockQuality, Trust, WallTime};
use crate::dvr::format::form;
use crate::dvr::format::seal::Identity;

/// A leap of the clock is seen within this, unless the disk hangs.
const STEP_SEEN_WITHIN: Duration = Duration::from_secs(5);

/// From here on in `boot` the date minus the time since boot was this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRow {
    /// The boot.
    #[serde(with = "form::hex")]
    pub boot: Identity,
    /// When it was seen.
    pub at: BootTime,
    /// The date at that moment.
    #[serde(with = "form::nanos")]
    pub utc: WallTime,
    /// Who vouched for it.
    pub trust: Trust,
    /// Largest error, where the kernel knew one.
    pub error_ms: Option<u64>,
}

impl ClockRow {
    fn offset_nanos(&self) -> i64 {
        self.utc.as_unix_nanos().saturating_sub(signed(self.at))
    }
}

/// A date that was changed by a leap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// When it was seen.
    pub at: BootTime,
    /// How far the date leapt; negative when it went back.
    pub by_nanos: i64,
}

/// All rows, by boot, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockTable {
    rows: BTreeMap<Identity, Vec<ClockRow>>,
    /// Boots in the order in which they came, so that the oldest leave first.
    order: Vec<Identity>,
    count: usize,
}

impl ClockTable {
    /// What the journal is to keep of a reading: a row when this boot has none, when the date leapt
    /// by more than [`CLOCK_STEP_MIN`] since the last row, and when a better source vouches for it.
    /// Slews add no row: they move the time since boot as well.
    #[must_use]
    pub fn observe(
        &self,
        boot: Identity,
        at: BootTime,
        utc: WallTime,
        quality: ClockQuality,
    ) -> Option<ClockRow> {
        let error_ms =
            quality.error_max.map(|max| u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
        let row = ClockRow { boot, at, utc, trust: quality.trust, error_ms };
        let Some(last) = self.rows.get(&boot).and_then(|rows| rows.last()) else {
            return Some(row);
        };
        let by_nanos = row.offset_nanos().saturating_sub(last.offset_nanos());
        (is_longer(by_nanos, CLOCK_STEP_MIN) || row.trust > last.trust).then_some(row)
    }

    /// Takes over a row. The oldest boots leave when there are too many rows.
    pub fn add(&mut self, row: ClockRow) {
        let rows = self.rows.entry(row.boot).or_default();
        if rows.is_empty() {
            self.order.push(row.boot);
        }
        if rows.last().is_some_and(|last| last.at >= row.at) {
            return;
        }
        rows.push(row);
        self.count += 1;
        while self.count > CLOCK_ROWS_MAX {
            if self.order.len() > 1 {
                let oldest = self.order.remove(0);
                self.count -= self.rows.remove(&oldest).map_or(0, |rows| rows.len());
            } else if let Some(rows) = self.rows.get_mut(&row.boot) {
                rows.remove(0);
                self.count -= 1;
            }
        }
    }

    /// Every row, the oldest boot first.
    pub fn rows(&self) -> impl Iterator<Item = &ClockRow> {
        self.order.iter().filter_map(|boot| self.rows.get(boot)).flatten()
    }

    /// The newest row of a boot.
    #[must_use]
    pub fn newest(&self, boot: Identity) -> Option<&ClockRow> {
        self.rows.get(&boot)?.last()
    }

    /// The date of a moment of which only the time since boot is known; `None` for a boot
    /// without a row.
    #[must_use]
    pub fn date(&self, boot: Identity, at: BootTime) -> Option<WallTime> {
        let rows = self.rows.get(&boot)?;
        let row = better(rows, last_before(rows, at));
        Some(WallTime::from_unix_nanos(signed(at).saturating_add(row.offset_nanos())))
    }

    /// The date of footage that came `at` this time of `boot` and was dated `believed` then.
    ///
    /// The believed date shows which row it was made with, even when the row was noticed a moment
    /// later, and how long before its arrival it was captured. The date itself is the row's, or a
    /// later one's of the same boot with better trust; where no row was ever trusted, the last
    /// one's, because it was set on purpose. Without a row the date stays as believed.
    #[must_use]
    pub fn place(&self, boot: Identity, at: BootTime, believed: WallTime) -> WallTime {
        let Some((row, skew)) = self.speaking(boot, at, believed) else { return believed };
        let offset = row.offset_nanos();
        WallTime::from_unix_nanos(signed(at).saturating_add(offset).saturating_add(skew))
    }

    /// Whether anybody vouches for where [`ClockTable::place`] puts it.
    #[must_use]
    pub fn is_vouched(&self, boot: Identity, at: BootTime, believed: WallTime) -> bool {
        let row = self.speaking(boot, at, believed);
        row.is_some_and(|(row, _)| row.trust > Trust::None)
    }

    /// The row that speaks for footage, and how long after its arrival it was captured.
    fn speaking(
        &self,
        boot: Identity,
        at: BootTime,
        believed: WallTime,
    ) -> Option<(&ClockRow, i64)> {
        let rows = self.rows.get(&boot)?;
        let skew = |row: &ClockRow| {
            let arrived = signed(at).saturating_add(row.offset_nanos());
            believed.as_unix_nanos().saturating_sub(arrived)
        };
        let by_time = last_before(rows, at);
        let near = [by_time, by_time + 1].into_iter().filter(|&index| index < rows.len());
        let nearest = near.min_by_key(|&index| skew(&rows[index]).unsigned_abs()).unwrap_or(0);
        let skew = skew(&rows[nearest]);
        let (made_with, skew) =
            if is_longer(skew, CAPTURE_SKEW_MAX) { (by_time, 0) } else { (nearest, skew) };
        Some((better(rows, made_with), skew))
    }

    /// Whether the date leapt in `boot` between two moments, as far as known by then.
    #[must_use]
    pub fn is_stepped(&self, boot: Identity, from: BootTime, until: BootTime) -> bool {
        let (from, until) = (from.before(STEP_SEEN_WITHIN), until.after(STEP_SEEN_WITHIN));
        self.steps(boot).iter().any(|step| from <= step.at && step.at <= until)
    }

    /// Leaps of the date within `boot`.
    #[must_use]
    pub fn steps(&self, boot: Identity) -> Vec<ClockStep> {
        let rows = self.rows.get(&boot).map_or(&[][..], |rows| &rows[..]);
        let step = |pair: &[ClockRow]| ClockStep {
            at: pair[1].at,
            by_nanos: pair[1].offset_nanos().saturating_sub(pair[0].offset_nanos()),
        };
        let steps = rows.windows(2).map(step);
        steps.filter(|step| is_longer(step.by_nanos, CLOCK_STEP_MIN)).collect()
    }
}

/// Index of the last row at or before `at`, else of the first.
fn last_before(rows: &[ClockRow], at: BootTime) -> usize {
    rows.partition_point(|row| row.at <= at).saturating_sub(1)
}

/// The row that speaks for what was made with row `made_with`.
fn better(rows: &[ClockRow], made_with: usize) -> &ClockRow {
    let own = &rows[made_with];
    let later = &rows[made_with + 1..];
    let best = later.iter().map(|row| row.trust).max().unwrap_or_default();
    let found = if best > own.trust {
        later.iter().find(|row| row.trust == best)
    } else if own.trust == Trust::None {
        later.last()
    } else {
        None
    };
    found.unwrap_or(own)
}

fn signed(at: BootTime) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

fn is_longer(nanos: i64, than: Duration) -> bool {
    u128::from(nanos.unsigned_abs()) > than.as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Identity = [1; 16];
    const SEC: i64 = 1_000_000_000;
    /// 2026, in seconds.
    const NOW: i64 = 1_795_000_000;

    fn wall(secs: i64) -> WallTime {
        WallTime::from_unix_nanos(secs * SEC)
    }

    fn at(secs: u64) -> BootTime {
        BootTime::from_millis(secs * 1_000)
    }

    fn quality(trust: Trust) -> ClockQuality {
        ClockQuality { trust, error_max: None }
    }

    fn table(rows: &[(u64, i64, Trust)]) -> ClockTable {
        let mut table = ClockTable::default();
        for &(secs, utc, trust) in rows {
            let row = table.observe(BOOT, at(secs), wall(utc), quality(trust));
            if let Some(row) = row {
                table.add(row);
            }
        }
        table
    }

    #[test]
    fn fault_26_a_boot_in_1970_is_placed_when_the_date_is_known() {
        let table = table(&[(5, 5, Trust::None), (100, NOW + 100, Trust::Ntp)]);
        assert_eq!(table.place(BOOT, at(50), wall(50)), wall(NOW + 50));
        assert_eq!(table.place(BOOT, at(150), wall(NOW + 150)), wall(NOW + 150));
        // The leap was seen at 100, and happened a little before.
        assert_eq!(table.place(BOOT, at(99), wall(NOW + 99)), wall(NOW + 99));
        assert_eq!(table.date(BOOT, at(50)), Some(wall(NOW + 50)));
        assert_eq!(table.steps(BOOT).len(), 1);
    }

    #[test]
    fn a_date_set_by_hand_counts_where_nobody_vouches() {
        let table = table(&[(5, 5, Trust::None), (100, NOW + 100, Trust::None)]);
        assert_eq!(table.place(BOOT, at(50), wall(50)), wall(NOW + 50));
    }

    #[test]
    fn fault_28_a_leap_of_a_trusted_clock_leaves_what_was_before() {
        let rows = [(5, NOW + 5, Trust::Ntp), (100, NOW - 3_500, Trust::Ntp)];
        let table = table(&rows);
        assert_eq!(table.place(BOOT, at(50), wall(NOW + 50)), wall(NOW + 50));
        assert_eq!(table.place(BOOT, at(150), wall(NOW - 3_450)), wall(NOW - 3_450));
        // Made behind the leap, which was seen a second later.
        assert_eq!(table.place(BOOT, at(99), wall(NOW - 3_501)), wall(NOW - 3_501));
        assert_eq!(table.steps(BOOT), [ClockStep { at: at(100), by_nanos: -3_600 * SEC }]);
    }

    #[test]
    fn capture_before_arrival_is_kept_and_a_foreign_clock_is_not_believed() {
        let table = table(&[(5, NOW + 5, Trust::Ntp)]);
        let early = wall(NOW + 50).offset_nanos(-300_000_000);
        assert_eq!(table.place(BOOT, at(50), early), early);
        assert_eq!(table.place(BOOT, at(50), wall(946_684_800)), wall(NOW + 50));
        // A boot of which nothing is known keeps its dates.
        assert_eq!(table.place([2; 16], at(50), wall(77)), wall(77));
    }

    #[test]
    fn slews_are_no_news_and_better_trust_is() {
        let table = table(&[(5, NOW + 5, Trust::None)]);
        let near = wall(NOW + 60).offset_nanos(400_000_000);
        assert_eq!(table.observe(BOOT, at(60), near, quality(Trust::None)), None);
        assert!(table.observe(BOOT, at(60), near, quality(Trust::Ntp)).is_some());
        let far = wall(NOW + 60).offset_nanos(600_000_000);
        assert!(table.observe(BOOT, at(60), far, quality(Trust::None)).is_some());
        assert!(table.observe([2; 16], at(60), near, quality(Trust::None)).is_some());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = ClockTable::default();
        for boot in 0..u32::try_from(CLOCK_ROWS_MAX).unwrap() + 10 {
            let mut name = [0; 16];
            name[..4].copy_from_slice(&boot.to_be_bytes());
            let row = table.observe(name, at(1), wall(NOW), quality(Trust::None));
            table.add(row.unwrap());
        }
        assert_eq!(table.rows().count(), CLOCK_ROWS_MAX);
        for secs in 0..u64::try_from(CLOCK_ROWS_MAX).unwrap() + 10 {
            let (at, utc) = (at(10 + secs), wall(NOW + 10_000 * i64::try_from(secs).unwrap()));
            let row = table.observe(BOOT, at, utc, quality(Trust::None)).unwrap();
            table.add(row);
        }
        assert_eq!(table.rows().count(), CLOCK_ROWS_MAX);
    }
}
