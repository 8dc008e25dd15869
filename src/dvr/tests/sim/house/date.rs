//! What the machine believes of the date, and what the date is.
//!
//! A time server is always right here, a battery clock is off by less than half a second, and all
//! else is anything.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::ledger::{Found, Gone};
use super::{House, Process};
use crate::base::time::{BootTime, Clock, ClockQuality, Trust};
use crate::dvr::RingFacts;
use crate::dvr::catalogue::lap::SlotView;
use crate::dvr::format::seal::Identity;

const SEC: i64 = 1_000_000_000;
const HOUR_NANOS: i64 = 3_600 * SEC;
const TEN_YEARS_NANOS: i64 = 3_653 * 24 * HOUR_NANOS;
/// The date of the first start.
const FIRST_NANOS: i64 = 1_795_000_000 * SEC;
/// Between two changes of the clock.
const CHANGE_PAUSE: Duration = Duration::from_secs(15);
/// What a time server says is in the journal after this.
const NOTED_WITHIN: Duration = Duration::from_secs(5);
/// How far footage may be from its date, and seem older than it is.
const DATE_ERROR_NANOS_MAX: i64 = SEC;

/// The right clock, and what happened to the machine's.
#[derive(Debug, Default)]
pub(crate) struct Dates {
    /// The date minus the time since boot, of every boot.
    truths: BTreeMap<Identity, i64>,
    changed_at: BootTime,
    /// When a time server was last heard, unless the clock was set since.
    synced_at: Option<BootTime>,
    /// A time server had been heard long before the machine ended, on a healthy disk.
    is_owed: bool,
}

impl House {
    /// The date minus the time since boot, by the right clock.
    pub(crate) fn truth(&mut self) -> i64 {
        *self.dates.truths.entry(self.boot).or_insert(FIRST_NANOS)
    }

    /// The right date.
    fn true_now(&mut self) -> i64 {
        self.truth() + self.clock.boot().as_nanos().cast_signed()
    }

    /// The power is back after a while; `boot` is the new one already.
    pub(crate) fn begin_boot(&mut self) {
        let newest = self.dates.truths.values().max().copied().unwrap_or(FIRST_NANOS);
        let up = self.clock.boot().as_nanos().cast_signed();
        // Mostly soon: what was recorded before is not old then, whatever it is dated.
        let off_secs_max = if self.random.u8(0..4) == 0 { 3_600 } else { 20 };
        let truth = newest + up + self.random.i64(5..off_secs_max) * SEC;
        self.dates.truths.insert(self.boot, truth);
        self.clock.reboot(0);
        let (offset, trust) = match self.random.u8(0..3) {
            // Some boards wake in 1970.
            0 => (self.random.i64(0..1_000_000) * SEC, Trust::None),
            1 => (truth + self.random.i64(-400..400) * 1_000_000, Trust::Rtc),
            _ => (truth + self.random.i64(-1_000_000..1_000_000) * SEC, Trust::None),
        };
        self.clock.set(offset, trust);
        (self.dates.changed_at, self.dates.synced_at) = (BootTime::default(), None);
    }

    /// A person or a program sets the clock, at times.
    pub(crate) fn change_clock(&mut self) {
        let now = self.clock.boot();
        if now.since(self.dates.changed_at) < CHANGE_PAUSE || self.random.u8(0..60) != 0 {
            return;
        }
        self.note_expiries();
        self.dates.changed_at = now;
        self.tally.done.clock_changes += 1;
        let (offset, truth) = (self.clock.offset_nanos(), self.truth());
        let (offset, trust) = match self.random.u8(0..8) {
            0 => (offset, Trust::None),
            1 => (offset + TEN_YEARS_NANOS, Trust::None),
            2 => (offset - HOUR_NANOS, Trust::None),
            _ => (truth, Trust::Ntp),
        };
        let is_set = offset != self.clock.offset_nanos();
        self.clock.set(offset, trust);
        match trust {
            Trust::Ntp => drop(self.dates.synced_at.get_or_insert(now)),
            _ if is_set => self.dates.synced_at = None,
            _ => {}
        }
    }

    /// The machine ends: is a note of a time server owed?
    pub(crate) fn end_date(&mut self, is_healthy: bool) {
        let now = self.clock.boot();
        let heard = self.dates.synced_at.is_some_and(|at| now.since(at) > NOTED_WITHIN);
        self.dates.is_owed = heard && is_healthy;
    }

    /// Footage of every boot in which a time server had the last word is where it belongs.
    pub(crate) fn check_dates(&mut self, boot: Identity, facts: &RingFacts, found: &[Found]) {
        let heard =
            |boot: Identity| facts.clock.newest(boot).is_some_and(|row| row.trust == Trust::Ntp);
        if std::mem::take(&mut self.dates.is_owed) {
            assert!(heard(boot), "what a time server said is not in the journal");
        }
        for Found { header, entry, id, .. } in found.iter().filter(|f| heard(f.header.boot)) {
            let truth = *self.dates.truths.get(&header.boot).unwrap_or(&FIRST_NANOS);
            let placed = facts.clock.place(header.boot, entry.boot_time, entry.wall);
            let off = placed.as_unix_nanos() - entry.boot_time.as_nanos().cast_signed() - truth;
            let off_ms = off / 1_000_000;
            assert!(off.abs() <= DATE_ERROR_NANOS_MAX, "{id} stands {off_ms} ms off its date");
            self.tally.done.dated += 1;
        }
    }

    /// Of what went, nothing went for its age that was not so old, nor too much at once.
    pub(crate) fn check_expired(&mut self, process: &mut Process, gone: &[Gone]) {
        for Gone { path, stream, true_end, .. } in gone {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let Ok(slot) = name.parse::<u32>() else { continue };
            let table = process.dvr.shared.table();
            let is_blank = matches!(table.slots.get(&slot), Some(SlotView::Blank));
            drop(table);
            if !is_blank {
                continue;
            }
            let age_max = self.cameras[*stream].keep.max_age.expect("only old footage is cleared");
            let age_nanos = self.true_now() - true_end + DATE_ERROR_NANOS_MAX;
            let age = Duration::from_nanos(u64::try_from(age_nanos).unwrap_or(0));
            assert!(age >= age_max, "{slot} was cleared at {age:?}, {age_max:?} may be kept");
            process.expired += 1;
            self.tally.done.expired += 1;
        }
        let most = process.age_passes + 2;
        assert!(process.expired <= most, "{} went in {most} passes", process.expired);
    }

    /// Who vouches for the date, and the date.
    pub(crate) fn believed(&self) -> (Trust, i64) {
        let ClockQuality { trust, .. } = self.clock.quality();
        (trust, self.clock.wall().as_unix_nanos())
    }
}
