//! Which classes of entry points count as places to begin, for one run.
//!
//! Owns: that decision. Closed and open ones always count. Where they do not come, a recorder
//! that waits for them records nothing and a reader sees nothing; then weaker ones count, and at
//! last any picture does.

use std::time::Duration;

use crate::base::time::BootTime;
use crate::media::Entry;

/// Weak classes count when no strong one came for so long, at least.
const WEAK_AFTER: Duration = Duration::from_secs(4);
/// A stream in which no entry point came for so long has none: it begins anyway.
const BLIND_AFTER: Duration = Duration::from_secs(10);
/// The same where there was one before: the longest interval of key frames that cameras are set to,
/// and some more.
const BLIND_AFTER_STRONG: Duration = Duration::from_secs(70);
/// How far places to begin are apart in a stream that has none.
const BLIND_EVERY: Duration = Duration::from_secs(2);

/// What one run has brought so far.
#[derive(Debug, Default)]
pub(crate) struct EntryPolicy {
    begun: Option<BootTime>,
    /// The newest closed or open entry point.
    strong: Option<BootTime>,
    /// The longest time from one of those to the next.
    longest: Duration,
    /// The newest unit that counted.
    counted: Option<BootTime>,
    /// No entry point came for so long that any picture counts.
    blind: bool,
}

impl EntryPolicy {
    /// Whether the next picture, which is of class `found` and arrived at `now`, counts as a place
    /// to begin, and as which.
    pub(crate) fn decide(&mut self, found: Option<Entry>, now: BootTime) -> Option<Entry> {
        let begun = *self.begun.get_or_insert(now);
        let counts = match found {
            Some(entry) if entry.is_strong() => {
                if let Some(before) = self.strong.replace(now) {
                    self.longest = self.longest.max(now.since(before));
                }
                true
            }
            Some(_) => now.since(self.strong.unwrap_or(begun)) > WEAK_AFTER.max(self.longest * 2),
            None => false,
        };
        let entry = if counts { found } else { self.blind(now, begun) };
        if counts {
            self.blind = false;
        }
        if entry.is_some() {
            self.counted = Some(now);
        }
        entry
    }

    /// Whether a picture that is not a place to begin has to be one, for want of any.
    fn blind(&mut self, now: BootTime, begun: BootTime) -> Option<Entry> {
        let patience = match self.strong {
            Some(_) => BLIND_AFTER_STRONG.max(self.longest * 2),
            None => BLIND_AFTER,
        };
        let patience = if self.blind { BLIND_EVERY } else { patience };
        self.blind |= now.since(self.counted.unwrap_or(begun)) >= patience;
        let due = self.blind && self.counted.is_none_or(|at| now.since(at) >= BLIND_EVERY);
        due.then_some(Entry::Blind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What counts of pictures that are 40 ms apart, of which `class` says what they are.
    fn counted(pictures: u64, class: impl Fn(u64) -> Option<Entry>) -> Vec<(u64, Entry)> {
        let mut policy = EntryPolicy::default();
        let told = (0..pictures).filter_map(|n| {
            let now = BootTime::from_millis(500 + n * 40);
            policy.decide(class(n), now).map(|entry| (n, entry))
        });
        told.collect()
    }

    #[test]
    fn strong_entries_always_count_and_weak_ones_beside_them_do_not() {
        let told = counted(500, |n| match n % 100 {
            0 => Some(if n == 0 { Entry::Closed } else { Entry::Open }),
            50 => Some(Entry::Bare),
            _ => None,
        });
        assert_eq!(told.iter().map(|told| told.0).collect::<Vec<_>>(), [0, 100, 200, 300, 400]);
    }

    #[test]
    fn weak_entries_count_where_strong_ones_fail_to_come() {
        let told = counted(300, |n| match n {
            0 => Some(Entry::Closed),
            n if n % 25 == 10 => Some(Entry::Gradual(18)),
            _ => None,
        });
        assert_eq!(
            told[..3],
            [(0, Entry::Closed), (110, Entry::Gradual(18)), (135, Entry::Gradual(18))]
        );
        let bare = counted(200, |n| (n % 50 == 20).then_some(Entry::Bare));
        assert_eq!(bare, [(120, Entry::Bare), (170, Entry::Bare)], "joined without any key frame");
    }

    #[test]
    fn a_strong_entry_takes_over_at_once() {
        let told = counted(400, |n| match n {
            200 | 300 => Some(Entry::Closed),
            n if n % 50 == 20 => Some(Entry::Bare),
            _ => None,
        });
        let from: Vec<_> = told.iter().map(|told| told.0).collect();
        assert_eq!(from, [120, 170, 200, 300], "{told:?}");
    }

    #[test]
    fn a_stream_without_any_entry_begins_all_the_same() {
        let told = counted(500, |_| None);
        assert_eq!(told[0], (250, Entry::Blind), "after ten seconds");
        assert_eq!(told[1], (300, Entry::Blind), "and every two seconds then");
        let told = counted(500, |n| (n == 260).then_some(Entry::Closed));
        assert_eq!(told, [(250, Entry::Blind), (260, Entry::Closed)]);
    }

    #[test]
    fn a_long_group_of_pictures_has_no_places_inside() {
        // A key frame a minute.
        let told = counted(4_600, |n| (n % 1_500 == 0).then_some(Entry::Closed));
        assert_eq!(told.len(), 4);
        // One key frame ever.
        let told = counted(4_600, |n| (n == 0).then_some(Entry::Closed));
        assert_eq!(told[..3], [(0, Entry::Closed), (1_750, Entry::Blind), (1_800, Entry::Blind)]);
    }
}
