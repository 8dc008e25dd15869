//! What is recorded, by calendar day.
//!
//! Owns: cutting runs at midnight of a time zone, where a day has 23, 24 or 25 hours. Pure.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::base::time::WallTime;
use crate::dvr::catalogue::listing::{Listing, Recording};

/// Days of one run at most; no footage is that long, only a date that is wrong.
const DAYS_PER_RUN_MAX: usize = 4_000;

/// What is recorded of one day.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Day {
    /// The date, such as `2026-11-22`.
    pub day: String,
    /// Midnight at its beginning.
    pub start: WallTime,
    /// Midnight at its end.
    pub end: WallTime,
    /// Seconds of it that are recorded.
    pub recorded_secs: u64,
    /// Bytes of media; a run over midnight is shared out by time.
    pub bytes: u64,
}

/// The days covered by `listing`, oldest first.
#[must_use]
pub fn days(listing: &Listing, zone: &TimeZone) -> Vec<Day> {
    let mut days: BTreeMap<Date, (i64, i64, i128, u128)> = BTreeMap::new();
    for run in &listing.runs {
        cut(run, zone, &mut |date, start, end, nanos, bytes| {
            let day = days.entry(date).or_insert((start, end, 0, 0));
            (day.2, day.3) = (day.2 + i128::from(nanos), day.3 + bytes);
        });
    }
    let day = |(date, (start, end, nanos, bytes)): (Date, (i64, i64, i128, u128))| Day {
        day: date.to_string(),
        start: WallTime::from_unix_nanos(start),
        end: WallTime::from_unix_nanos(end),
        recorded_secs: u64::try_from(nanos / 1_000_000_000).unwrap_or(0),
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
    };
    days.into_iter().map(day).collect()
}

/// Tells each day of a run: its date, both midnights, nanoseconds and bytes of the run in it.
fn cut(run: &Recording, zone: &TimeZone, tell: &mut dyn FnMut(Date, i64, i64, i64, u128)) {
    let (from, until) = (run.start.as_unix_nanos(), run.end.as_unix_nanos());
    let whole = u128::from(until.saturating_sub(from).max(1).unsigned_abs());
    let mut at = from;
    for _ in 0..DAYS_PER_RUN_MAX {
        let Some((date, start, end)) = day_of(at, zone).filter(|_| at < until) else { return };
        let nanos = end.min(until) - at;
        tell(
            date,
            start,
            end,
            nanos,
            u128::from(run.bytes) * u128::from(nanos.unsigned_abs()) / whole,
        );
        at = end;
    }
}

/// The date of a moment and both its midnights; `None` beyond the calendar.
fn day_of(nanos: i64, zone: &TimeZone) -> Option<(Date, i64, i64)> {
    let at = jiff::Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    let date = at.to_zoned(zone.clone()).date();
    let midnight = |date: Date| {
        let nanos = date.to_zoned(zone.clone()).ok()?.timestamp().as_nanosecond();
        i64::try_from(nanos).ok()
    };
    let (start, end) = (midnight(date)?, midnight(date.tomorrow().ok()?)?);
    (start <= nanos && nanos < end).then_some((date, start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: &str, end: &str, bytes: u64) -> Listing {
        let date = |text| WallTime::parse_rfc3339(text).unwrap();
        let run = Recording { start: date(start), end: date(end), bytes, fragments: 1 };
        Listing { runs: vec![run], ..Listing::default() }
    }

    fn told(listing: &Listing, zone: &str) -> Vec<(String, u64, u64)> {
        let zone = TimeZone::get(zone).unwrap();
        days(listing, &zone).into_iter().map(|d| (d.day, d.recorded_secs, d.bytes)).collect()
    }

    #[test]
    fn a_run_over_midnight_is_two_days() {
        let list = run("2026-11-22T22:00:00Z", "2026-11-23T01:00:00Z", 300);
        let two = [("2026-11-22".to_owned(), 7_200, 200), ("2026-11-23".to_owned(), 3_600, 100)];
        assert_eq!(told(&list, "UTC"), two);
        assert_eq!(told(&list, "Europe/Berlin").len(), 2);
        assert_eq!(told(&list, "America/New_York").len(), 1);
    }

    #[test]
    fn fault_30_a_day_has_23_or_25_hours() {
        let spring = run("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", 0);
        let autumn = run("2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", 0);
        assert_eq!(told(&spring, "Europe/Berlin")[1], ("2026-03-29".to_owned(), 23 * 3_600, 0));
        assert_eq!(told(&autumn, "Europe/Berlin")[1], ("2026-10-25".to_owned(), 25 * 3_600, 0));
    }

    #[test]
    fn dates_beyond_the_calendar_end() {
        let (start, end) =
            (WallTime::from_unix_nanos(i64::MIN), WallTime::from_unix_nanos(i64::MAX));
        let runs = vec![Recording { start, end, bytes: 1, fragments: 1 }];
        assert!(days(&Listing { runs, ..Listing::default() }, &TimeZone::UTC).len() <= 4_000);
    }
}
