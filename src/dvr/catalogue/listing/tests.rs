//! Runs, gaps, seams, and the reasons for gaps.

use crate::base::time::{ClockQuality, Trust};
use crate::dvr::catalogue::continuity::{Extent, absorb};
use crate::dvr::catalogue::listing::*;
use crate::dvr::format::journal_record::{JournalRecord, LossRecord, ProcessRun};
use crate::dvr::format::seal::FragmentEntry;

fn entry(at_ms: i64, span_ms: u64) -> FragmentEntry {
    FragmentEntry::example(at_ms, span_ms)
}

fn listed(entries: &[FragmentEntry]) -> (usize, usize) {
    let mut list = Vec::new();
    for entry in entries {
        absorb(&mut list, Extent::of(entry), true);
    }
    let listing = join([lap(0, [1; 16], &list)], &gate(), &RingFacts::default(), true);
    (listing.runs.len(), listing.gaps.len())
}

#[test]
fn fragments_that_follow_each_other_are_one_run() {
    assert_eq!(listed(&[entry(0, 1_000), entry(1_000, 1_000), entry(2_300, 1_000)]), (1, 0));
}

#[test]
fn a_hole_a_new_run_and_a_loss_are_gaps() {
    assert_eq!(listed(&[entry(0, 1_000), entry(4_000, 1_000)]), (2, 1));
    let run = FragmentEntry { run_start: true, ..entry(1_000, 1_000) };
    assert_eq!(listed(&[entry(0, 1_000), run]), (2, 1));
    let loss = FragmentEntry { loss_before: true, ..entry(1_500, 1_000) };
    assert_eq!(listed(&[entry(0, 1_000), loss]), (2, 1));
    let counted = FragmentEntry { loss_before: true, ..entry(1_000, 1_000) };
    assert_eq!(listed(&[entry(0, 1_000), counted]), (1, 0));
}

#[test]
fn a_run_goes_on_in_the_next_slot_but_not_over_a_boot() {
    let (a, b) = (vec![Extent::of(&entry(0, 1_000))], vec![Extent::of(&entry(1_000, 1_000))]);
    assert_eq!(listing_of([([1; 16], &a[..]), ([1; 16], &b[..])]).runs.len(), 1);
    let over_boot = listing_of([([1; 16], &a[..]), ([2; 16], &b[..])]);
    assert_eq!((over_boot.runs.len(), over_boot.gaps.len()), (2, 1));
}

fn gate() -> StreamName {
    StreamName::parse("gate").unwrap()
}

fn listing_of<'a>(slots: impl IntoIterator<Item = (Identity, &'a [Extent])>) -> Listing {
    join(slots.into_iter().map(of_lap), &gate(), &RingFacts::default(), true)
}

fn lap(slot: u32, boot: Identity, extents: &[Extent]) -> LapExtents<'_> {
    LapExtents { slot, generation: u64::from(slot), boot, extents }
}

fn of_lap((boot, extents): (Identity, &[Extent])) -> LapExtents<'_> {
    lap(0, boot, extents)
}

const BOOT: Identity = [1; 16];

fn at(ms: u64) -> BootTime {
    BootTime::from_millis(ms)
}

fn start(boot: Identity, ms: u64) -> JournalRecord {
    JournalRecord::Start(ProcessRun { boot, at: at(ms), utc: WallTime::default(), stopped: None })
}

fn away(from_ms: u64, until_ms: u64) -> JournalRecord {
    JournalRecord::Trouble(LossRecord {
        stream: gate(),
        boot: BOOT,
        from: at(from_ms),
        until: Some(at(until_ms)),
        cause: Cause::CameraUnreachable,
        text: "connection refused".to_owned(),
    })
}

/// The reasons of the one gap between footage of 0 to 1 s and of 60 to 61 s of `boot`.
fn reasons(boot: Identity, records: impl IntoIterator<Item = JournalRecord>) -> Vec<Cause> {
    let (a, b) = (vec![Extent::of(&entry(0, 1_000))], vec![Extent::of(&entry(60_000, 1_000))]);
    let slots = [(BOOT, &a[..]), (boot, &b[..])];
    let listing = join(slots.map(of_lap), &gate(), &RingFacts::of(records), true);
    assert_eq!((listing.runs.len(), listing.gaps.len()), (2, 1));
    assert_eq!(listing.gaps[0].reason, listing.gaps[0].reasons[0].reason);
    listing.gaps[0].reasons.iter().map(|reason| reason.reason).collect()
}

#[test]
fn a_gap_tells_what_was_noted_of_its_time() {
    assert_eq!(reasons(BOOT, []), [Cause::Unknown]);
    let noted = [start(BOOT, 0), away(2_000, 59_000)];
    assert_eq!(reasons(BOOT, noted), [Cause::CameraUnreachable]);
    assert_eq!(reasons(BOOT, [start(BOOT, 0), away(70_000, 80_000)]), [Cause::Unknown]);
}

#[test]
fn a_gap_tells_a_stop_a_crash_and_a_power_cut_apart() {
    let stop = JournalRecord::Stop { boot: BOOT, at: at(5_000) };
    let next = start(BOOT, 50_000);
    assert_eq!(reasons(BOOT, [start(BOOT, 0), stop.clone(), next.clone()]), [Cause::Restarted]);
    assert_eq!(reasons(BOOT, [start(BOOT, 0), next]), [Cause::Crashed]);
    let other = start([2; 16], 10_000);
    assert_eq!(reasons([2; 16], [start(BOOT, 0), other.clone()]), [Cause::PowerLost]);
    assert_eq!(reasons([2; 16], [start(BOOT, 0), stop, other]), [Cause::Restarted]);
    // Without a journal another boot is all that is known.
    assert_eq!(reasons([2; 16], []), [Cause::PowerLost]);
}

#[test]
fn all_reasons_of_a_gap_are_told_in_their_order() {
    let noted = [start(BOOT, 0), away(2_000, 9_000), start(BOOT, 50_000)];
    assert_eq!(reasons(BOOT, noted), [Cause::CameraUnreachable, Cause::Crashed]);
}

fn with_clock(rows: &[(u64, i64, Trust)]) -> RingFacts {
    let mut facts = RingFacts::default();
    for &(ms, utc_ms, trust) in rows {
        let utc = WallTime::from_unix_nanos(utc_ms * 1_000_000);
        let quality = ClockQuality { trust, error_max: None };
        facts.clock.add(facts.clock.observe(BOOT, at(ms), utc, quality).unwrap());
    }
    facts
}

/// Fragments of a second each, one behind the other, dated `by_ms` later from `leap` on.
fn leaping(count: i64, leap: i64, by_ms: i64) -> Vec<Extent> {
    let mut list = Vec::new();
    for second in 0..count {
        let plain = entry(second * 1_000, 1_000);
        let by_nanos = if second < leap { 0 } else { by_ms * 1_000_000 };
        let dated = FragmentEntry { wall: plain.wall.offset_nanos(by_nanos), ..plain };
        absorb(&mut list, Extent::of(&dated), true);
    }
    list
}

#[test]
fn footage_from_before_the_date_was_known_moves_to_its_place() {
    let year = 31_536_000_000;
    let list = leaping(20, 10, year);
    let facts = with_clock(&[(0, 0, Trust::None), (10_500, year + 10_500, Trust::Ntp)]);
    let listing = join([lap(0, BOOT, &list)], &gate(), &facts, true);
    assert_eq!((listing.runs.len(), listing.gaps.len(), listing.seams.len()), (1, 0, 0));
    assert_eq!(listing.runs[0].start.as_unix_millis(), year);
    assert_eq!(listing.runs[0].end.as_unix_millis(), year + 20_000);
    assert_eq!(listing.runs[0].fragments, 20);
}

#[test]
fn a_leap_of_a_trusted_clock_is_a_seam() {
    let hour = 3_600_000;
    let forward = with_clock(&[(0, 0, Trust::Ntp), (10_500, hour + 10_500, Trust::Ntp)]);
    let list = leaping(20, 10, hour);
    let listing = join([lap(0, BOOT, &list)], &gate(), &forward, true);
    assert_eq!((listing.runs.len(), listing.gaps.len()), (2, 1));
    assert_eq!(listing.gaps[0].reason, Cause::ClockStep);
    assert_eq!(listing.seams[0].step_ms, hour);
    let back = with_clock(&[(0, 0, Trust::Ntp), (10_500, 10_500 - hour, Trust::Ntp)]);
    let list = leaping(20, 10, -hour);
    let listing = join([lap(0, BOOT, &list)], &gate(), &back, true);
    assert_eq!((listing.runs.len(), listing.gaps.len()), (2, 0));
    assert_eq!(listing.seams[0].step_ms, -hour);
    assert_eq!(listing.runs.iter().map(|run| run.fragments).sum::<u64>(), 20);
}

#[test]
fn what_a_network_held_back_is_no_seam() {
    let list = leaping(20, 10, 4_000);
    let facts = with_clock(&[(0, 0, Trust::Ntp)]);
    let listing = join([lap(0, BOOT, &list)], &gate(), &facts, true);
    assert_eq!((listing.runs.len(), listing.seams.len()), (1, 0));
}

#[test]
fn a_listing_is_cut_to_what_was_asked_for() {
    let list = [entry(0, 1_000), entry(10_000, 1_000), entry(20_000, 1_000)];
    let list: Vec<_> = list.iter().map(Extent::of).collect();
    let date = |ms: i64| WallTime::from_unix_nanos(ms * 1_000_000);
    let cut = listing_of([(BOOT, &list[..])]).between(date(10_500), date(15_000));
    assert_eq!((cut.runs.len(), cut.gaps.len()), (1, 1));
}

#[test]
fn what_was_sealed_and_is_gone_is_told_apart_from_what_never_was() {
    let numbered = |sequence: u64, at_ms: i64| FragmentEntry { sequence, ..entry(at_ms, 1_000) };
    let extents = |entries: &[FragmentEntry]| {
        let mut list = Vec::new();
        for entry in entries {
            absorb(&mut list, Extent::of(entry), true);
        }
        list
    };
    let cause = |laps: &[(u32, Vec<Extent>)]| {
        let laps = laps.iter().map(|(slot, extents)| lap(*slot, BOOT, extents));
        let listing = join(laps, &gate(), &RingFacts::default(), true);
        assert_eq!(listing.gaps.len(), 1, "{listing:?}");
        (listing.gaps[0].reason, listing.gaps[0].message.clone())
    };
    // Three fragments are missing in the middle of slot 7.
    let (reason, message) = cause(&[(7, extents(&[numbered(1, 0), numbered(5, 4_000)]))]);
    assert_eq!(reason, Cause::Damaged);
    assert!(message.contains("slot 000007"), "{message}");
    // The first three of slot 8 are.
    let (before, behind) = (extents(&[numbered(9, 0)]), extents(&[numbered(4, 4_000)]));
    let (reason, message) = cause(&[(7, before.clone()), (8, behind)]);
    assert_eq!(reason, Cause::Damaged);
    assert!(message.contains("slot 000008"), "{message}");
    // A whole lap between them is.
    let behind = extents(&[numbered(1, 4_000)]);
    assert_eq!(cause(&[(7, before.clone()), (9, behind)]).0, Cause::Overwritten);
    // Nothing was ever recorded there, and the reason is unknown.
    let begun = extents(&[FragmentEntry { run_start: true, ..numbered(1, 4_000) }]);
    assert_eq!(cause(&[(7, before), (9, begun)]).0, Cause::Unknown);
    let silent = extents(&[numbered(1, 0), numbered(2, 4_000)]);
    assert_eq!(cause(&[(7, silent)]).0, Cause::Unknown);
}

/// A listing in which footage is missing for `cause`, and the cause behind it in the walk.
fn made_for(cause: Cause) -> (Listing, Option<Cause>) {
    let trouble = |cause| {
        JournalRecord::Trouble(LossRecord {
            stream: gate(),
            boot: BOOT,
            from: at(2_000),
            until: Some(at(59_000)),
            cause,
            text: String::new(),
        })
    };
    // A second of footage, and one a minute later, in laps of these numbers and with these sequences.
    let listed = |laps: (u32, u32), sequence: u64, facts: &RingFacts| {
        let begins = FragmentEntry { sequence, ..entry(60_000, 1_000) };
        let (a, b) = (vec![Extent::of(&entry(0, 1_000))], vec![Extent::of(&begins)]);
        join([lap(laps.0, BOOT, &a), lap(laps.1, BOOT, &b)], &gate(), facts, true)
    };
    let noted = |records: Vec<JournalRecord>| listed((0, 1), 1, &RingFacts::of(records));
    let lives = |stop: Option<JournalRecord>| {
        noted([start(BOOT, 0)].into_iter().chain(stop).chain([start(BOOT, 50_000)]).collect())
    };
    match cause {
        Cause::CameraUnreachable
        | Cause::DiskStalled
        | Cause::DiskFailed
        | Cause::RecorderLagged => {
            let next = match cause {
                Cause::CameraUnreachable => Cause::DiskStalled,
                Cause::DiskStalled => Cause::DiskFailed,
                Cause::DiskFailed => Cause::RecorderLagged,
                _ => Cause::Restarted,
            };
            (noted(vec![start(BOOT, 0), trouble(cause)]), Some(next))
        }
        Cause::Restarted => {
            let stop = JournalRecord::Stop { boot: BOOT, at: at(5_000) };
            (lives(Some(stop)), Some(Cause::Crashed))
        }
        Cause::Crashed => (lives(None), Some(Cause::PowerLost)),
        Cause::PowerLost => {
            let (a, b) =
                (vec![Extent::of(&entry(0, 1_000))], vec![Extent::of(&entry(60_000, 1_000))]);
            (listing_of([(BOOT, &a[..]), ([2; 16], &b[..])]), Some(Cause::ClockStep))
        }
        Cause::ClockStep => {
            let hour = 3_600_000;
            let facts = with_clock(&[(0, 0, Trust::Ntp), (10_500, hour + 10_500, Trust::Ntp)]);
            let list = leaping(20, 10, hour);
            (join([lap(0, BOOT, &list)], &gate(), &facts, true), Some(Cause::Overwritten))
        }
        Cause::Overwritten => (listed((0, 5), 1, &RingFacts::default()), Some(Cause::Damaged)),
        Cause::Damaged => (listed((0, 1), 7, &RingFacts::default()), Some(Cause::Unknown)),
        Cause::Unknown => (listed((0, 1), 1, &RingFacts::default()), None),
    }
}

#[test]
fn every_cause_has_a_gap_that_tells_it() {
    let mut next = Some(Cause::CameraUnreachable);
    let mut walked = Vec::new();
    while let Some(cause) = next {
        let (listing, behind) = made_for(cause);
        assert_eq!(listing.gaps.len(), 1, "{cause:?}: {listing:?}");
        let gap = &listing.gaps[0];
        assert_eq!(gap.reason, cause);
        assert_eq!(
            gap.message,
            cause.sentence(if cause == Cause::Damaged { "slot 000001" } else { "" })
        );
        walked.push(cause);
        next = behind;
    }
    assert_eq!(walked.len(), 11);
}
