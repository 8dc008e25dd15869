//! Which pictures are encoded when there is no time for all of them.
//!
//! Owns: the decision. Every picture, every second, every third one: the rate goes down as soon as
//! pictures had to be thrown away, at once to where the work fits, and up one step when there would
//! have been room for a while. A step up that fails makes the next try wait twice as long. Reads
//! no clock.

use std::time::Duration;

use crate::base::time::BootTime;

/// One picture in so many is the lowest rate; past it pictures are thrown away.
pub(super) const DIVISOR_MAX: u32 = 10;

/// How long is checked before anything is decided.
const WINDOW: Duration = Duration::from_secs(2);
/// Pictures thrown away among so many pictures taken lower the rate even where the work just fits.
const MISSED_ONE_IN: u32 = 12;
/// A step up needs work to take no more than this part of the time there would be for it.
const ROOM_PERCENT: u128 = 70;
/// And a step down goes to where it takes no more than this part.
const FULL_PERCENT: u128 = 90;
/// How long there must have been room before a step up.
const CALM_MIN: Duration = Duration::from_secs(10);
/// The longest that failed tries can make of it.
const CALM_MAX: Duration = Duration::from_secs(320);
/// A step up that lasted so long has not failed.
const PROVEN: Duration = Duration::from_secs(30);

/// The stages that take time. They run in parallel, so the longest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncodeStage {
    /// Making a raw picture of what the camera sends.
    Prepare,
    /// Encoding it.
    Encode,
}

/// The rate before and after: one picture in so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: u32,
    pub(super) to: u32,
}

/// Decides which pictures of one camera are taken.
#[derive(Debug)]
pub(super) struct EncodePace {
    /// From one picture of the camera to the next.
    interval: Duration,
    divisor: u32,
    /// Pictures left out since the last one taken.
    left_out: u32,
    window: PaceWindow,
    /// Since when there would have been room for a step up.
    calm_since: Option<BootTime>,
    calm: Duration,
    raised: Option<BootTime>,
}

#[derive(Debug, Default)]
struct PaceWindow {
    begun: Option<BootTime>,
    taken: u32,
    missed: u32,
    stages: [Spent; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    pictures: u32,
    time: Duration,
}

impl EncodePace {
    /// Takes all pictures of a camera that brings one every `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval: interval.max(Duration::from_millis(1)),
            divisor: 1,
            left_out: DIVISOR_MAX,
            window: PaceWindow::default(),
            calm_since: None,
            calm: CALM_MIN,
            raised: None,
        }
    }

    /// One picture in so many is taken.
    pub(super) fn divisor(&self) -> u32 {
        self.divisor
    }

    /// Whether the camera's next picture is taken.
    pub(super) fn take(&mut self) -> bool {
        self.left_out = self.left_out.saturating_add(1);
        if self.left_out < self.divisor {
            return false;
        }
        self.left_out = 0;
        self.window.taken += 1;
        true
    }

    /// Counts pictures that should have been taken and could not be.
    pub(super) fn missed(&mut self, pictures: u32) {
        self.window.missed = self.window.missed.saturating_add(pictures);
    }

    /// Counts the time that one picture took.
    pub(super) fn spent(&mut self, stage: EncodeStage, time: Duration) {
        let spent = &mut self.window.stages[stage as usize];
        spent.pictures += 1;
        spent.time = spent.time.saturating_add(time);
    }

    /// Decides, when it is time to; to be called about once per picture.
    pub(super) fn decide(&mut self, now: BootTime) -> Option<Change> {
        let begun = *self.window.begun.get_or_insert(now);
        if now.since(begun) < WINDOW {
            return None;
        }
        let seen = std::mem::take(&mut self.window);
        self.window.begun = Some(now);
        let from = self.divisor;
        let time = self.interval * from;
        let is_too_much = seen.work() > time;
        // Pictures that the camera lost, or for which the thread was not woken in time, do not
        // count where the work leaves room: there would be as many at a lower rate.
        let is_tight = seen.work().as_nanos() * 100 > time.as_nanos() * ROOM_PERCENT;
        let is_often = seen.missed.saturating_mul(MISSED_ONE_IN) > seen.taken.max(1);
        if seen.missed > 0 && (is_too_much || is_often && is_tight) {
            self.lower(&seen, now);
        } else if from > 1 && seen.missed == 0 && self.has_room(&seen) {
            self.raise(begun, now);
        } else {
            self.calm_since = None;
        }
        (from != self.divisor).then_some(Change { from, to: self.divisor })
    }

    fn lower(&mut self, seen: &PaceWindow, now: BootTime) {
        let failed = self.raised.take().is_some_and(|at| now.since(at) < PROVEN);
        self.calm = if failed { (self.calm * 2).min(CALM_MAX) } else { CALM_MIN };
        self.calm_since = None;
        let time = FULL_PERCENT * self.interval.as_nanos() / 100;
        let fits = seen.work().as_nanos().div_ceil(time.max(1));
        let fits = u32::try_from(fits).unwrap_or(DIVISOR_MAX);
        self.divisor = fits.max(self.divisor + 1).min(DIVISOR_MAX);
    }

    fn has_room(&self, seen: &PaceWindow) -> bool {
        let time = self.interval.as_nanos() * u128::from(self.divisor - 1);
        seen.taken > 0 && seen.work().as_nanos() * 100 <= time * ROOM_PERCENT
    }

    fn raise(&mut self, begun: BootTime, now: BootTime) {
        let since = *self.calm_since.get_or_insert(begun);
        if now.since(since) >= self.calm {
            self.divisor -= 1;
            self.raised = Some(now);
            self.calm_since = None;
        }
    }
}

impl PaceWindow {
    /// The time of one picture in the longest stage, on average.
    fn work(&self) -> Duration {
        let mean = |spent: &Spent| spent.time.checked_div(spent.pictures).unwrap_or_default();
        self.stages.iter().map(mean).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_MS: u64 = 1_000;

    /// A camera of 25 pictures per second and an encoder of which one picture may wait.
    struct PaceBench {
        pace: EncodePace,
        now_ms: u64,
        busy_until_us: u64,
        waiting: bool,
        /// Longest time from a picture to when its encoding began.
        delay_us_max: u64,
        changes: Vec<(u64, u32)>,
    }

    impl PaceBench {
        fn new() -> Self {
            Self {
                pace: EncodePace::new(Duration::from_millis(40)),
                now_ms: 0,
                busy_until_us: 0,
                waiting: false,
                delay_us_max: 0,
                changes: Vec::new(),
            }
        }

        /// Runs with an encoder that takes `work_us` for a picture.
        fn run(&mut self, for_ms: u64, work_us: u64) {
            let until = self.now_ms + for_ms;
            while self.now_ms < until {
                self.now_ms += 40;
                let now_us = self.now_ms * 1_000;
                if self.waiting && self.busy_until_us <= now_us {
                    self.waiting = false;
                    self.encode(self.busy_until_us, work_us);
                }
                if self.pace.take() {
                    if self.busy_until_us <= now_us {
                        self.encode(now_us, work_us);
                    } else if std::mem::replace(&mut self.waiting, true) {
                        self.pace.missed(1);
                    } else {
                        self.delay_us_max = self.delay_us_max.max(self.busy_until_us - now_us);
                    }
                }
                if let Some(change) = self.pace.decide(BootTime::from_millis(self.now_ms)) {
                    self.changes.push((self.now_ms, change.to));
                }
            }
        }

        fn encode(&mut self, from_us: u64, work_us: u64) {
            self.busy_until_us = from_us + work_us;
            self.pace.spent(EncodeStage::Encode, Duration::from_micros(work_us));
        }
    }

    #[test]
    fn who_keeps_up_is_left_alone() {
        let mut bench = PaceBench::new();
        bench.run(120 * SECOND_MS, 36_000);
        assert_eq!(bench.changes, []);
    }

    #[test]
    fn the_rate_goes_down_at_once_to_where_it_fits() {
        let mut bench = PaceBench::new();
        bench.run(3 * SECOND_MS, 100_000);
        assert_eq!(bench.changes, [(2_040, 3)]);
        bench.run(60 * SECOND_MS, 100_000);
        assert_eq!(bench.changes.len(), 1, "{:?}", bench.changes);
    }

    #[test]
    fn the_rate_comes_back_step_by_step() {
        let mut bench = PaceBench::new();
        bench.run(10 * SECOND_MS, 100_000);
        bench.run(40 * SECOND_MS, 5_000);
        let steps: Vec<_> = bench.changes.iter().map(|change| change.1).collect();
        assert_eq!(steps, [3, 2, 1]);
        let calm_ms = bench.changes[2].0 - bench.changes[1].0;
        assert!(calm_ms >= 10_000, "{:?}", bench.changes);
    }

    #[test]
    fn a_step_up_that_fails_makes_the_next_try_wait_longer() {
        // Alone the work would fit; as soon as every picture is taken something else slows it down.
        let mut bench = PaceBench::new();
        bench.run(4 * SECOND_MS, 50_000);
        assert_eq!(bench.pace.divisor(), 2);
        for _ in 0..40 * 60 {
            let work_us = if bench.pace.divisor() == 1 { 60_000 } else { 20_000 };
            bench.run(SECOND_MS / 2, work_us);
        }
        let ups: Vec<_> = bench.changes.iter().filter(|change| change.1 == 1).collect();
        assert!((3..=8).contains(&ups.len()), "{:?}", bench.changes);
    }

    #[test]
    fn what_the_camera_loses_lowers_nothing() {
        let mut bench = PaceBench::new();
        for _ in 0..60 {
            bench.pace.missed(10);
            bench.run(SECOND_MS, 5_000);
        }
        assert_eq!(bench.changes, []);
    }

    #[test]
    fn what_fits_no_rate_ends_at_the_lowest() {
        let mut bench = PaceBench::new();
        bench.run(20 * SECOND_MS, 2_000_000);
        assert_eq!(bench.pace.divisor(), DIVISOR_MAX);
    }

    proptest! {
        #[test]
        fn steady_work_finds_its_rate_and_keeps_it(work_us in 1_000u64..380_000) {
            // A little more than what fits costs a picture now and then, which may come late.
            prop_assume!(work_us % 40_000 > 1_000);
            let mut bench = PaceBench::new();
            bench.run(30 * SECOND_MS, work_us);
            let settled = (bench.pace.divisor(), bench.changes.len());
            bench.run(300 * SECOND_MS, work_us);
            prop_assert_eq!((bench.pace.divisor(), bench.changes.len()), settled);
            let divisor = u64::from(bench.pace.divisor());
            prop_assert!(work_us <= divisor * 40_000, "{work_us} at 1/{divisor}");
            prop_assert!(work_us > (divisor - 1) * 30_000, "{work_us} at 1/{divisor}");
        }

        #[test]
        fn no_work_makes_the_delay_grow(work in proptest::collection::vec(0u64..400_000, 1..50)) {
            let mut bench = PaceBench::new();
            let most = work.iter().copied().max().unwrap_or(0);
            for work_us in work {
                bench.run(SECOND_MS * 4, work_us);
                prop_assert!((1..=DIVISOR_MAX).contains(&bench.pace.divisor()));
            }
            prop_assert!(bench.delay_us_max <= most, "{}", bench.delay_us_max);
        }
    }
}
