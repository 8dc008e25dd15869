//! How far apart a track's units are, learned from those that came.
//!
//! Owns: the median over the last few. A camera that sends a picture every four seconds is as
//! regular as one that sends 25 a second; only its own pace tells what a hole is.

use std::collections::VecDeque;

/// Distances that are remembered.
const REMEMBERED: usize = 16;

/// The newest distances of one track, in whatever unit its places are given.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    last: Option<i64>,
    recent: VecDeque<i64>,
}

impl Interval {
    /// Takes the next place. One that is not behind the last restarts.
    pub fn push(&mut self, at: i64) {
        match self.last.replace(at).and_then(|last| at.checked_sub(last)) {
            Some(step) if step > 0 => {
                if self.recent.len() >= REMEMBERED {
                    self.recent.pop_front();
                }
                self.recent.push_back(step);
            }
            Some(_) => self.recent.clear(),
            None => {}
        }
    }

    /// The median; `None` before two places came.
    #[must_use]
    pub fn learned(&self) -> Option<i64> {
        let mut sorted = [0; REMEMBERED];
        let sorted = sorted.get_mut(..self.recent.len())?;
        sorted.iter_mut().zip(&self.recent).for_each(|(to, from)| *to = *from);
        let middle = sorted.len() / 2;
        (!sorted.is_empty()).then(|| *sorted.select_nth_unstable(middle).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_pause_is_not_the_pace() {
        let mut interval = Interval::default();
        assert_eq!(interval.learned(), None);
        interval.push(0);
        assert_eq!(interval.learned(), None);
        for at in [4, 8, 70, 74, 78] {
            interval.push(at);
        }
        assert_eq!(interval.learned(), Some(4));
        (0..16).for_each(|n| interval.push(78 + (n + 1) * 9));
        assert_eq!(interval.learned(), Some(9), "a new pace is learned");
        interval.push(0);
        assert_eq!(interval.learned(), None, "time went back");
    }
}
