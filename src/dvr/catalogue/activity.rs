//! How much happens in a stream's pictures, second by second, without decoding one.
//!
//! Owns: the figure, and what of it is kept per lap. Pure.
//!
//! An encoder spends bytes on what it could not predict, and where it must hold a bit rate it makes
//! the quantiser coarser instead, which counts like bytes (`media::cost`). The figure of a fragment
//! compares what its predicted pictures took with what the entry point before them took, both on a
//! logarithmic scale, and levels that over five fragments. It is measured against what is usual in the
//! five minutes before and behind, and against how much it usually changes within five fragments, so
//! that a camera that always sees leaves or noise has a high threshold of its own.
//!
//! It sees: something that begins to move, and ends, within some minutes, whether the encoder holds a
//! quality, with or without a limit of the bit rate, or a bit rate. A lasting change of light (day,
//! night, infrared) becomes the usual and shows for about a minute.
//!
//! It does not see: what moves for longer than half of the ten minutes; what is so small that the
//! encoder spends less than 40 % more on it; where in the picture it is, or what. Where a constant bit
//! rate is so generous that nearly all noise fits into it, movement costs little more than the noise
//! that it covers, and half of it or less shows; the same goes for strong noise at a constant quality.
//! Of an encoder that changes its quantiser within a picture alone, the first slice does not say it.
//! Gusts, rain that begins, headlights on a wall and a camera that pans are activity to it. A stream of
//! entry points alone is measured by their size, which says less. The newest five minutes may still
//! change a little, because what follows them is not known yet.

use std::time::Duration;

use serde::Serialize;

use crate::base::time::{BootTime, WallTime};
use crate::dvr::catalogue::clock::ClockTable;
use crate::dvr::format::effort::Effort;
use crate::dvr::format::seal::{FragmentEntry, Identity};

/// How far the usual is looked for, each way.
const REACH: Duration = Duration::from_secs(300);
/// Fewer fragments tell nothing.
const SAMPLES_MIN: usize = 20;
/// The usual is recomputed after so many fragments.
const USUAL_EVERY: usize = 5;
/// Fragments over which ratios are smoothed, so that their position in a group of pictures does not
/// matter; and over which changes are sought.
const LEVELLED: usize = 5;
/// The least that counts as much: 40 % more than usual, in steps of [`Effort`]'s scale.
const RISE_MIN: usize = 5;
/// So many usual changes count as much.
const CHANGES: usize = 3;
/// Ratios are -255 to 255 steps.
const BINS: usize = 511;
/// From here on there is activity.
pub const ACTIVE_MIN: u8 = 50;

/// What is kept of a lap: when each fragment began, in milliseconds behind the first, and its effort.
#[derive(Clone, Debug, Default)]
pub(crate) struct EffortSeries {
    first: Option<(BootTime, WallTime)>,
    samples: Vec<(u32, Effort)>,
}

impl EffortSeries {
    pub(crate) fn push(&mut self, entry: &FragmentEntry) {
        if entry.effort == Effort::default() {
            return;
        }
        let (first, _) = *self.first.get_or_insert((entry.boot_time, entry.wall));
        let millis = entry.boot_time.since(first).as_millis();
        self.samples.push((u32::try_from(millis).unwrap_or(u32::MAX), entry.effort));
    }

    /// Adds its samples to `out`, by what is known of the clock now.
    pub(crate) fn place(&self, clock: &ClockTable, boot: Identity, out: &mut Vec<EffortSample>) {
        let Some((first, wall)) = self.first else { return };
        out.extend(self.samples.iter().map(|&(millis, effort)| {
            let believed = wall.offset_nanos(i64::from(millis) * 1_000_000);
            let at = clock.place(boot, first.after(Duration::from_millis(millis.into())), believed);
            EffortSample { at, effort }
        }));
    }
}

/// What was spent on the fragment that begins at a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffortSample {
    /// The date.
    pub at: WallTime,
    /// What was spent.
    pub effort: Effort,
}

/// Activity of a stream over a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Activity {
    /// Where the first step begins.
    pub start: WallTime,
    /// Where the last step ends.
    pub end: WallTime,
    /// Seconds of one step.
    pub step: u64,
    /// The largest figure of each step, 0 to 100; 50 and more is activity. `None` where nothing is
    /// recorded or known.
    pub values: Vec<Option<u8>>,
}

impl Activity {
    /// The figures of `samples`, in their order, by steps of `step` from `start` on.
    #[must_use]
    pub fn of(samples: &[EffortSample], start: WallTime, end: WallTime, step: Duration) -> Self {
        let nanos = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
        let length = end.as_unix_nanos().saturating_sub(start.as_unix_nanos()).max(0);
        let steps = usize::try_from(length.unsigned_abs().div_ceil(nanos.unsigned_abs()));
        let mut values: Vec<Option<u8>> = vec![None; steps.unwrap_or(0)];
        for (sample, figure) in samples.iter().zip(figures(samples)) {
            let since = sample.at.as_unix_nanos().saturating_sub(start.as_unix_nanos());
            let step = usize::try_from(since.div_euclid(nanos)).ok();
            if let Some(value) = step.and_then(|step| values.get_mut(step)) {
                *value = figure.max(*value);
            }
        }
        Self { start, end, step: step.as_secs(), values }
    }
}

/// How far before and behind a range samples count for its figures.
#[must_use]
pub(crate) fn reach_nanos() -> i64 {
    i64::try_from(REACH.as_nanos()).unwrap_or(i64::MAX)
}

/// The figure of each sample; `None` where too little is known.
#[must_use]
pub fn figures(samples: &[EffortSample]) -> Vec<Option<u8>> {
    let ratios = levelled(&ratios(samples));
    let change = |at: usize| {
        let before = ratios[at.checked_sub(LEVELLED)?]?;
        Some(ratios[at]?.abs_diff(before))
    };
    // Activity only raises it, so the usual is looked for below the middle.
    let (mut levels, mut changes) = (Counts::new(40), Counts::new(50));
    let (mut first, mut last) = (0, 0);
    let mut usual = None;
    let figure = |(at, ratio): (usize, &Option<usize>)| {
        if at % USUAL_EVERY == 0 {
            let now = samples[at].at.as_unix_nanos();
            let before = now.saturating_sub(reach_nanos());
            let behind = now.saturating_add(reach_nanos());
            while last < samples.len() && samples[last].at.as_unix_nanos() <= behind {
                levels.add(ratios[last]);
                changes.add(change(last));
                last += 1;
            }
            while first < at && samples[first].at.as_unix_nanos() < before {
                levels.remove(ratios[first]);
                changes.remove(change(first));
                first += 1;
            }
            usual = levels.quantile().map(|level| (level, changes.quantile().unwrap_or(0)));
        }
        let (level, change) = usual?;
        let rise = (*ratio)?.saturating_sub(level);
        let much = RISE_MIN.max(CHANGES * change);
        u8::try_from((rise * usize::from(ACTIVE_MIN) / much).min(100)).ok()
    };
    ratios.iter().enumerate().map(figure).collect()
}

/// The mean of each ratio and its neighbours.
fn levelled(ratios: &[Option<usize>]) -> Vec<Option<usize>> {
    let around = |at: usize| {
        let near =
            &ratios[at.saturating_sub(LEVELLED / 2)..(at + LEVELLED / 2 + 1).min(ratios.len())];
        let (sum, count) =
            near.iter().flatten().fold((0, 0), |(sum, count), ratio| (sum + ratio, count + 1));
        ratios[at].and(sum.checked_div(count))
    };
    (0..ratios.len()).map(around).collect()
}

/// What predicted pictures took against the entry point before them, from 0 to [`BINS`] - 1; where there
/// are only the one or only the other, what these took.
fn ratios(samples: &[EffortSample]) -> Vec<Option<usize>> {
    let has = |figure: fn(&Effort) -> u8| samples.iter().any(|sample| figure(&sample.effort) > 0);
    let kinds = (has(|effort| effort.predicted), has(|effort| effort.entry));
    let mut entry = 0;
    let ratio = |sample: &EffortSample| {
        let effort = sample.effort;
        if effort.entry > 0 {
            entry = effort.entry;
        }
        match kinds {
            (true, true) if entry == 0 || effort.predicted == 0 => None,
            (true, true) => Some(255 + usize::from(effort.predicted) - usize::from(entry)),
            (true, false) => Some(usize::from(effort.predicted)).filter(|&size| size > 0),
            (false, _) => Some(usize::from(entry)).filter(|&size| size > 0),
        }
    };
    samples.iter().map(ratio).collect()
}

/// How often each number came within reach, and the one that a share of them does not exceed. It
/// moves little from one look to the next.
struct Counts {
    each: Vec<u32>,
    total: usize,
    percent: usize,
    /// Where it was at the last look, and how many numbers are below.
    at: usize,
    below: usize,
}

impl Counts {
    fn new(percent: usize) -> Self {
        Self { each: vec![0; BINS], total: 0, percent, at: 0, below: 0 }
    }

    fn add(&mut self, number: Option<usize>) {
        let Some(number) = number.filter(|&number| number < BINS) else { return };
        self.each[number] += 1;
        self.total += 1;
        self.below += usize::from(number < self.at);
    }

    fn remove(&mut self, number: Option<usize>) {
        let Some(number) = number.filter(|&number| number < BINS) else { return };
        self.each[number] -= 1;
        self.total -= 1;
        self.below -= usize::from(number < self.at);
    }

    /// The number that the share of them does not exceed; `None` of too few.
    fn quantile(&mut self) -> Option<usize> {
        if self.total < SAMPLES_MIN {
            return None;
        }
        let wanted = self.total * self.percent / 100;
        while self.below > wanted {
            self.at -= 1;
            self.below -= self.each[self.at] as usize;
        }
        while self.below + self.each[self.at] as usize <= wanted {
            self.below += self.each[self.at] as usize;
            self.at += 1;
        }
        Some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample each second: bytes of a predicted picture and of the entry point.
    fn film(bytes: impl Iterator<Item = (u64, u64)>) -> Vec<EffortSample> {
        let sample = |(second, (predicted, entry)): (i64, (u64, u64))| EffortSample {
            at: WallTime::from_unix_nanos(second * 1_000_000_000),
            effort: Effort::of(predicted, if second % 2 == 0 { entry } else { 0 }),
        };
        (0..).zip(bytes).map(sample).collect()
    }

    /// The seconds with activity, as stretches.
    fn active(samples: &[EffortSample]) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for (second, figure) in figures(samples).into_iter().enumerate() {
            if figure.is_none_or(|figure| figure < ACTIVE_MIN) {
                continue;
            }
            match found.last_mut() {
                Some((_, until)) if *until == second => *until += 1,
                _ => found.push((second, second + 1)),
            }
        }
        found
    }

    /// One stretch, up to two seconds longer or shorter.
    fn assert_about(found: &[(usize, usize)], wanted: (usize, usize)) {
        let [(from, until)] = found else { panic!("{found:?}") };
        assert!(from.abs_diff(wanted.0) <= 2 && until.abs_diff(wanted.1) <= 2, "{found:?}");
    }

    #[test]
    fn movement_shows_under_constant_quality_and_under_a_constant_bit_rate() {
        let moves = |second: u64| (300..360).contains(&second);
        let quality =
            film((0..900).map(|s| (if moves(s) { 900 } else { 400 + s % 7 * 10 }, 20_000)));
        assert_about(&active(&quality), (300, 360));
        let rate =
            film((0..900).map(|s| (2_000 + s % 5 * 30, if moves(s) { 9_000 } else { 20_000 })));
        assert_about(&active(&rate), (300, 360));
    }

    #[test]
    fn what_always_flickers_and_a_lasting_change_are_usual() {
        let leaves = film((0..900).map(|s| (400 + s * 7_919 % 400, 20_000)));
        assert_eq!(active(&leaves), []);
        // Night: both grow, and predicted pictures more, because noise cannot be predicted.
        let night = film((0..1_800).map(|s| if s < 900 { (400, 20_000) } else { (3_000, 40_000) }));
        let shown: usize = active(&night).iter().map(|(from, until)| until - from).sum();
        assert!(shown <= 70, "{shown} s");
    }

    #[test]
    fn too_little_is_no_figure_and_steps_take_the_largest() {
        assert!(figures(&film((0..19).map(|_| (400, 20_000)))).iter().all(Option::is_none));
        let samples = film((0..100).map(|s| (if s == 55 { 4_000 } else { 400 }, 20_000)));
        let date = |second: i64| WallTime::from_unix_nanos(second * 1_000_000_000);
        let all = Activity::of(&samples, date(0), date(125), Duration::from_secs(10));
        assert_eq!(all.values.len(), 13);
        assert!(all.values[5] >= Some(ACTIVE_MIN), "{:?}", all.values);
        assert_eq!((all.values[4], all.values[12]), (Some(0), None));
    }

    #[test]
    fn a_stream_of_entry_points_alone_is_measured_by_their_size() {
        let all: Vec<_> = (0..400)
            .map(|second| EffortSample {
                at: WallTime::from_unix_nanos(second * 1_000_000_000),
                effort: Effort::of(0, if (200..220).contains(&second) { 40_000 } else { 20_000 }),
            })
            .collect();
        assert_about(&active(&all), (200, 220));
    }

    #[test]
    fn a_stream_of_gradual_refresh_is_measured_by_its_predicted_pictures() {
        let bytes = |second: u64| if (300..360).contains(&second) { 900 } else { 400 };
        let all = film((0..900).map(|second| (bytes(second), 0)));
        assert_about(&active(&all), (300, 360));
    }

    #[test]
    fn the_share_is_found_whichever_way_it_moves() {
        let mut counts = Counts::new(40);
        let mut held = std::collections::VecDeque::new();
        for step in 0..2_000_usize {
            let number = (step / 500 * 100 + step * 7_919 % 61) % BINS;
            counts.add(Some(number));
            held.push_back(number);
            if held.len() > 100 {
                counts.remove(held.pop_front());
            }
            let mut sorted: Vec<usize> = held.iter().copied().collect();
            sorted.sort_unstable();
            let wanted = (sorted.len() >= SAMPLES_MIN).then(|| sorted[sorted.len() * 40 / 100]);
            assert_eq!(counts.quantile(), wanted, "step {step}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_samples_make_it_panic(samples: Vec<(i64, u8, u8)>, start: i64, end: i64) {
            let samples: Vec<_> = samples
                .into_iter()
                .map(|(at, predicted, entry)| EffortSample {
                    at: WallTime::from_unix_nanos(at),
                    effort: Effort { predicted, entry },
                })
                .collect();
            let (start, end) = (WallTime::from_unix_nanos(start), WallTime::from_unix_nanos(end));
            proptest::prop_assert_eq!(figures(&samples).len(), samples.len());
            let day = Duration::from_secs(1 << 40);
            let _ = Activity::of(&samples, start, end, day);
        }
    }
}
