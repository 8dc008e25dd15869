//! Places the RTP times of a run's tracks on the stream's timeline, and dates them.
//!
//! Owns: where the run is anchored, how its tracks are aligned, what its sender reports say of
//! the wall clock. Does not own: decoding times (see `decode_time`).
//!
//! The first unit of a run is placed where it arrived, or after the end of the run before when that
//! ran ahead. A further track is aligned by RTP-Info when that agrees with the arrival to
//! [`RTP_INFO_TRUST_NANOS`], else by arrival, unless sender reports of both tracks are there by
//! then (RFC 3550 §6.4.1): those come first. Reports that come later let the further track slide to
//! where they say, slowly, never with a leap. So do the dates: until the first report they are those of
//! the arrival, and what a report says otherwise is approached, because a date that leaps is a seam for
//! listings and playlists, at which some players end.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::base::time::{BootTime, MediaTime, WallTime};
use crate::media::{Captured, ClockSource};

/// RTP-Info that is further than this from the arrival is not believed.
const RTP_INFO_TRUST_NANOS: i64 = 500_000_000;
/// Sender reports that put two tracks further apart than this are not believed.
const REPORT_TRUST_NANOS: i64 = 1_000_000_000;
/// Tracks nearer than this are left alone: the difference is imperceptible.
const ALIGNED_NANOS: i64 = 15_000_000;
/// A track, and its dates, slide by at most one tick in so many: by less than half a second within a
/// segment of a minute.
const SLIDE_ONE_IN: i64 = 128;
/// A date that is further than this from the arrival is not believed.
pub(crate) const WALL_TRUST: Duration = Duration::from_secs(10);
/// RTP time that runs ahead of the arrival by more than this between two units is a leap.
const LEAP_AHEAD_NANOS: i64 = 10_000_000_000;
/// RTP time that goes back by more than this between two units is a leap; B-frames stay inside.
const LEAP_BACK_NANOS: i64 = 2_000_000_000;

/// An RTP time that no longer wraps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtpStamp {
    /// Unwrapped RTP time, in ticks of the track.
    pub(crate) ticks: i64,
    /// Ticks since the place that RTP-Info names; zero when there is none.
    pub(crate) elapsed: i64,
}

/// A moment on both clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For order.
    pub(crate) boot: BootTime,
    /// For the date.
    pub(crate) wall: WallTime,
}

/// The times of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlacedUnit {
    /// Presentation time on the stream's timeline, in ticks of the track.
    pub(crate) present: i64,
    /// When it was captured.
    pub(crate) captured: Captured,
    /// The camera's clock leapt directly before this unit.
    pub(crate) leapt: bool,
}

/// The clock of one run.
#[derive(Debug)]
pub(crate) struct RunClock {
    /// Where the run before ended; this one stays behind it.
    floor: BootTime,
    tracks: Vec<TrackClock>,
    /// Set when a sender's date was refused, until that is reported.
    wall_refused: bool,
    /// It was reported in this run.
    wall_told: bool,
}

#[derive(Debug)]
struct TrackClock {
    rate: NonZeroU32,
    /// Added to RTP ticks; `None` until the first unit.
    offset: Option<i64>,
    /// Ticks that are still to be slid through.
    slide: i64,
    last: Option<(RtpStamp, BootTime)>,
    report: Option<SenderClock>,
    dates: Dates,
}

/// The dates of one track: they approach what a report says, and do not leap to it.
#[derive(Debug, Default)]
struct Dates {
    /// The newest unit and its date.
    last: Option<(i64, Captured)>,
    /// Another report came since.
    renewed: bool,
    /// Nanoseconds by which dates are still away from where they should be.
    away: i64,
}

/// What the newest sender report says: this RTP time is that date.
#[derive(Clone, Copy, Debug)]
struct SenderClock {
    ticks: i64,
    wall: WallTime,
}

impl RunClock {
    /// The clock of a run whose tracks have these rates, behind `floor`.
    pub(crate) fn new(floor: BootTime, rates: impl IntoIterator<Item = NonZeroU32>) -> Self {
        let tracks = rates.into_iter().map(TrackClock::new).collect();
        Self { floor, tracks, wall_refused: false, wall_told: false }
    }

    /// Places a unit of `track` that arrived at `now`.
    pub(crate) fn place(&mut self, track: usize, stamp: RtpStamp, now: Now) -> PlacedUnit {
        let mut leapt = false;
        if self.tracks[track].offset.is_none() {
            self.tracks[track].offset = Some(self.first_offset(track, stamp, now.boot));
        } else if let Some(offset) = self.tracks[track].leap(stamp, now.boot) {
            self.tracks[track].offset = Some(offset);
            self.tracks[track].report = None;
            leapt = true;
        }
        let clock = &mut self.tracks[track];
        clock.slide_by(stamp);
        clock.last = Some((stamp, now.boot));
        let present = clock.offset.unwrap_or(0).saturating_add(stamp.ticks);
        let captured = self.captured(track, stamp, now.wall);
        PlacedUnit { present, captured, leapt }
    }

    /// Takes a sender report: RTP time `ticks` of `track` is the date `ntp`.
    pub(crate) fn report(&mut self, track: usize, ticks: i64, ntp: u64, now: Now) {
        if ntp == 0 {
            return; // a sender without a clock says zero, RFC 3550 §6.4.1
        }
        let wall = WallTime::from_ntp(ntp, now.wall);
        self.tracks[track].report = Some(SenderClock { ticks, wall });
        self.tracks[track].dates.renewed = true;
        self.align();
    }

    /// Whether a sender's date was refused for the first time in this run.
    pub(crate) fn take_wall_refused(&mut self) -> bool {
        let is_news = self.wall_refused && !self.wall_told;
        self.wall_told |= is_news;
        is_news
    }

    fn first_offset(&self, track: usize, stamp: RtpStamp, arrived: BootTime) -> i64 {
        let rate = self.tracks[track].rate;
        let by_arrival = nanos(arrived.max(self.floor));
        let near = |at: &i64, most: i64| at.saturating_sub(by_arrival).saturating_abs() <= most;
        let by_reports = self.by_reports(track, stamp).filter(|at| near(at, REPORT_TRUST_NANOS));
        let by_info = || self.by_rtp_info(track, stamp).filter(|at| near(at, RTP_INFO_TRUST_NANOS));
        let at = by_reports.or_else(by_info);
        ticks(at.unwrap_or(by_arrival), rate).saturating_sub(stamp.ticks)
    }

    /// Where the sender reports put a track's first unit, in nanoseconds, when those of another
    /// track that is placed are there too (RFC 3550 §6.4.1).
    fn by_reports(&self, track: usize, stamp: RtpStamp) -> Option<i64> {
        let own = &self.tracks[track];
        let report = own.report?;
        let zero = self.tracks.iter().find_map(TrackClock::zero_of_wall)?;
        let since = MediaTime { ticks: stamp.ticks.checked_sub(report.ticks)?, rate: own.rate };
        zero.checked_add(report.wall.as_unix_nanos())?.checked_add(since.as_nanos())
    }

    /// Where RTP-Info puts a track's first unit, in nanoseconds, when another track is placed.
    fn by_rtp_info(&self, track: usize, stamp: RtpStamp) -> Option<i64> {
        let other = self.tracks.iter().find(|other| other.offset.is_some())?;
        let (other_stamp, _) = other.last?;
        // Without RTP-Info each track counts from its own first packet, which says nothing.
        if stamp.elapsed == 0 {
            return None;
        }
        let at = other.offset?.checked_add(other_stamp.ticks)?;
        let zero_ticks = at.checked_sub(other_stamp.elapsed)?;
        let zero = MediaTime { ticks: zero_ticks, rate: other.rate }.as_nanos();
        let elapsed = MediaTime { ticks: stamp.elapsed, rate: self.tracks[track].rate };
        zero.checked_add(elapsed.as_nanos())
    }

    /// Lets the further tracks slide to where the sender reports put them.
    fn align(&mut self) {
        let Some((first, others)) = self.tracks.split_first_mut() else { return };
        let Some(zero) = first.zero_of_wall() else { return };
        for other in others {
            let Some(own) = other.zero_of_wall() else { continue };
            let error = zero.saturating_sub(own);
            let slides = error.saturating_abs() > ALIGNED_NANOS
                && error.saturating_abs() < REPORT_TRUST_NANOS;
            other.slide = if slides { ticks(error, other.rate) } else { 0 };
        }
    }

    fn captured(&mut self, track: usize, stamp: RtpStamp, arrived: WallTime) -> Captured {
        let clock = &mut self.tracks[track];
        let by_arrival = Captured { wall: arrived, source: ClockSource::Arrival };
        let said = clock.by_sender(stamp).map_or(by_arrival, |wall| {
            let off = wall.as_unix_nanos().saturating_sub(arrived.as_unix_nanos());
            if is_beyond_trust(off) {
                // It still says how the tracks lie to one another.
                self.wall_refused = true;
                return by_arrival;
            }
            Captured { wall, source: ClockSource::Sender }
        });
        clock.dates.place(stamp.ticks, clock.rate, said)
    }
}

fn is_beyond_trust(nanos: i64) -> bool {
    u128::from(nanos.unsigned_abs()) > WALL_TRUST.as_nanos()
}

impl Dates {
    /// The date of the unit at `ticks`, which should be `said`.
    fn place(&mut self, ticks: i64, rate: NonZeroU32, said: Captured) -> Captured {
        let renewed = std::mem::take(&mut self.renewed);
        if let Some((last_ticks, last)) = self.last {
            let passed = MediaTime { ticks: ticks.saturating_sub(last_ticks), rate }.as_nanos();
            if renewed || last.source != said.source {
                let expected = last.wall.offset_nanos(passed).as_unix_nanos();
                let away = expected.saturating_sub(said.wall.as_unix_nanos());
                // Further than a sender is believed, it is this machine's clock that was set.
                self.away = if is_beyond_trust(away) { 0 } else { away };
            }
            let most = passed.max(0) / SLIDE_ONE_IN;
            self.away -= self.away.clamp(-most, most);
        }
        let captured = Captured { wall: said.wall.offset_nanos(self.away), ..said };
        self.last = Some((ticks, captured));
        captured
    }
}

impl TrackClock {
    fn new(rate: NonZeroU32) -> Self {
        let dates = Dates::default();
        Self { rate, offset: None, slide: 0, last: None, report: None, dates }
    }

    /// When the unit was captured, as the newest sender report has it.
    fn by_sender(&self, stamp: RtpStamp) -> Option<WallTime> {
        let report = self.report?;
        let since = MediaTime { ticks: stamp.ticks.saturating_sub(report.ticks), rate: self.rate };
        Some(report.wall.offset_nanos(since.as_nanos()))
    }

    /// The offset after a leap of the camera's clock; `None` when it did not leap.
    fn leap(&self, stamp: RtpStamp, arrived: BootTime) -> Option<i64> {
        let (last, last_arrived) = self.last?;
        let passed = nanos(arrived).saturating_sub(nanos(last_arrived));
        let by = MediaTime { ticks: stamp.ticks.saturating_sub(last.ticks), rate: self.rate };
        let by = by.as_nanos();
        if by.saturating_sub(passed) <= LEAP_AHEAD_NANOS && by >= -LEAP_BACK_NANOS {
            return None;
        }
        let at = self.offset?.saturating_add(last.ticks);
        Some(at.saturating_add(ticks(passed.max(1), self.rate)).saturating_sub(stamp.ticks))
    }

    /// Slides a little of what is left, in proportion to the time that passed.
    fn slide_by(&mut self, stamp: RtpStamp) {
        let Some((last, _)) = self.last else { return };
        let most = stamp.ticks.saturating_sub(last.ticks).max(0) / SLIDE_ONE_IN;
        let step = self.slide.clamp(-most, most);
        self.slide -= step;
        self.offset = self.offset.map(|offset| offset.saturating_add(step));
    }

    /// The date zero on the timeline, in nanoseconds, as this track has it.
    fn zero_of_wall(&self) -> Option<i64> {
        let report = self.report?;
        let at = MediaTime { ticks: self.offset?.saturating_add(report.ticks), rate: self.rate };
        Some(at.as_nanos().saturating_sub(report.wall.as_unix_nanos()))
    }
}

fn nanos(at: BootTime) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

fn ticks(nanos: i64, rate: NonZeroU32) -> i64 {
    MediaTime::from_nanos(nanos, rate).ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: i64 = 1_795_363_523_000_000_000;

    fn hz(rate: u32) -> NonZeroU32 {
        NonZeroU32::new(rate).unwrap()
    }

    fn now(millis: u64) -> Now {
        let wall = WallTime::from_unix_nanos(DATE + i64::try_from(millis).unwrap() * 1_000_000);
        Now { boot: BootTime::from_millis(millis), wall }
    }

    fn stamp(ticks: i64, elapsed: i64) -> RtpStamp {
        RtpStamp { ticks, elapsed }
    }

    fn clock(floor_millis: u64) -> RunClock {
        RunClock::new(BootTime::from_millis(floor_millis), [hz(90_000), hz(48_000)])
    }

    #[test]
    fn a_run_begins_where_its_first_unit_arrived() {
        let mut clock = clock(0);
        assert_eq!(clock.place(0, stamp(777_000, 0), now(2_000)).present, 180_000);
        assert_eq!(clock.place(0, stamp(780_600, 3_600), now(2_100)).present, 183_600);
    }

    #[test]
    fn a_run_begins_behind_one_that_ran_ahead() {
        assert_eq!(clock(5_000).place(0, stamp(0, 0), now(2_000)).present, 450_000);
    }

    #[test]
    fn rtp_info_aligns_the_second_track() {
        let mut clock = clock(0);
        clock.place(0, stamp(1_000, 0), now(1_000));
        // 100 ms behind the zero that both share, though it arrived 250 ms after the video.
        assert_eq!(clock.place(1, stamp(9_000, 4_800), now(1_250)).present, 48_000 + 4_800);
    }

    #[test]
    fn sender_reports_place_the_first_unit_of_a_further_track() {
        let mut clock = clock(0);
        // Both tracks' zero was captured at one moment; the sound comes 700 ms late, many frames
        // in a packet.
        let wall = now(900).wall.to_ntp();
        clock.report(0, 0, wall, now(950));
        clock.report(1, 0, wall, now(950));
        clock.place(0, stamp(0, 0), now(1_000));
        let present = clock.place(1, stamp(0, 0), now(1_700)).present;
        assert!((present - 48_000).abs() <= 1, "{present}");
        let present = clock.place(1, stamp(1_024, 0), now(1_700)).present;
        assert!((present - 49_024).abs() <= 1, "{present}");
    }

    #[test]
    fn reports_that_are_far_apart_do_not_place_a_track() {
        let mut clock = clock(0);
        clock.report(0, 0, now(900).wall.to_ntp(), now(950));
        clock.report(1, 0, now(4_900).wall.to_ntp(), now(950));
        clock.place(0, stamp(0, 0), now(1_000));
        assert_eq!(clock.place(1, stamp(0, 0), now(1_200)).present, 57_600);
    }

    #[test]
    fn wrong_rtp_info_gives_way_to_the_arrival() {
        let mut clock = clock(0);
        clock.place(0, stamp(1_000, 0), now(1_000));
        assert_eq!(clock.place(1, stamp(9_000, 4_800_000), now(1_250)).present, 60_000);
    }

    #[test]
    fn sender_reports_slide_the_second_track_without_a_leap() {
        let mut clock = clock(0);
        clock.place(0, stamp(0, 0), now(1_000));
        let mut last = clock.place(1, stamp(0, 0), now(1_200)).present;
        // Both tracks' zero was captured at the same moment: the sound is 200 ms late.
        let wall = now(900).wall.to_ntp();
        clock.report(0, 0, wall, now(1_200));
        clock.report(1, 0, wall, now(1_200));
        for unit in 1..=1_500i64 {
            let at = now(1_200 + unit.unsigned_abs() * 1_024 / 48);
            let present = clock.place(1, stamp(unit * 1_024, 0), at).present;
            assert!((1_016..=1_024).contains(&(present - last)), "{}", present - last);
            last = present;
        }
        assert_eq!(last, 48_000 + 1_500 * 1_024);
    }

    #[test]
    fn a_leap_of_the_cameras_clock_is_bridged_by_the_arrival() {
        let mut clock = clock(0);
        clock.place(0, stamp(0, 0), now(1_000));
        let placed = clock.place(0, stamp(900_000_000, 0), now(1_040));
        assert_eq!((placed.present, placed.leapt), (93_600, true));
        let placed = clock.place(0, stamp(0, 0), now(1_080));
        assert_eq!((placed.present, placed.leapt), (97_200, true));
        assert!(!clock.place(0, stamp(3_600, 0), now(1_120)).leapt);
    }

    #[test]
    fn a_stall_is_not_a_leap() {
        let mut clock = clock(0);
        clock.place(0, stamp(0, 0), now(1_000));
        assert!(!clock.place(0, stamp(3_600, 0), now(9_900)).leapt);
        assert!(!clock.place(0, stamp(0, 0), now(9_900)).leapt, "a B-frame goes back a little");
    }

    #[test]
    fn the_senders_date_counts_when_it_is_near_the_arrival() {
        let mut clock = clock(0);
        clock.report(0, 0, now(700).wall.to_ntp(), now(1_000));
        let captured = clock.place(0, stamp(9_000, 0), now(1_100)).captured;
        assert_eq!(captured.source, ClockSource::Sender);
        assert!((captured.wall.as_unix_nanos() - now(800).wall.as_unix_nanos()).abs() < 10);
    }

    #[test]
    fn a_later_report_moves_the_dates_without_a_leap() {
        let mut clock = clock(0);
        let mut last = clock.place(0, stamp(0, 0), now(3_000)).captured;
        assert_eq!(last.source, ClockSource::Arrival);
        // What arrives was captured three seconds before; a second report is off by 300 ms.
        clock.report(0, 0, now(0).wall.to_ntp(), now(3_000));
        for second in 1..=400i64 {
            if second == 200 {
                clock.report(0, 200 * 90_000, now(200_300).wall.to_ntp(), now(203_000));
            }
            let arrived = now(3_000 + second.unsigned_abs() * 1_000);
            let captured = clock.place(0, stamp(second * 90_000, 0), arrived).captured;
            assert_eq!(captured.source, ClockSource::Sender);
            let step = captured.wall.as_unix_nanos() - last.wall.as_unix_nanos();
            assert!((step - 1_000_000_000).abs() < 8_000_000, "{step}");
            last = captured;
        }
        let away = last.wall.as_unix_nanos() - now(400_300).wall.as_unix_nanos();
        assert!(away.abs() < 1_400_000_000, "{away}");
    }

    #[test]
    fn dates_leap_where_this_machines_clock_is_set() {
        let mut clock = clock(0);
        let boot = BootTime::from_millis(1_000);
        let unset = Now { boot, wall: WallTime::from_unix_nanos(7_000_000_000) };
        let first = clock.place(0, stamp(0, 0), unset).captured;
        clock.report(0, 0, now(1_000).wall.to_ntp(), unset);
        assert_eq!(clock.place(0, stamp(90_000, 0), unset).captured.source, ClockSource::Arrival);
        let second = clock.place(0, stamp(180_000, 0), now(3_000)).captured;
        assert_eq!(first.wall, unset.wall);
        assert!((second.wall.as_unix_nanos() - now(3_000).wall.as_unix_nanos()).abs() < 10);
    }

    #[test]
    fn a_senders_wrong_date_is_refused_and_told_once() {
        let mut clock = clock(0);
        clock.place(0, stamp(0, 0), now(1_000));
        clock.report(0, 0, WallTime::from_unix_nanos(0).to_ntp(), now(1_000));
        let captured = clock.place(0, stamp(9_000, 0), now(1_100)).captured;
        assert_eq!(captured, Captured { wall: now(1_100).wall, source: ClockSource::Arrival });
        assert!(clock.take_wall_refused());
        assert!(!clock.take_wall_refused());
        clock.report(0, 0, WallTime::from_unix_nanos(0).to_ntp(), now(1_200));
        clock.place(0, stamp(18_000, 0), now(1_200));
        assert!(!clock.take_wall_refused(), "one warning is enough");
    }

    proptest::proptest! {
        #[test]
        fn no_times_make_the_clock_panic(
            stamps: Vec<(u8, i64, i64, u32)>, reports: Vec<(u8, i64, u64)>,
        ) {
            let mut clock = clock(0);
            let mut reports = reports.into_iter();
            for (track, ticks, elapsed, millis) in stamps {
                clock.place(usize::from(track % 2), stamp(ticks, elapsed), now(millis.into()));
                if let Some((track, ticks, ntp)) = reports.next() {
                    clock.report(usize::from(track % 2), ticks, ntp, now(millis.into()));
                }
            }
        }
    }
}
