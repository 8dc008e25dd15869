//! Where a recorded segment lacks the sound that its init segment announces.
//!
//! Owns: the decision, from what the fragments of one segment cover, so that a segment has the same
//! bytes whenever it is asked for. Sound does not begin and end with the pictures: its frames lie
//! across the borders, and a camera may send it earlier or later than they. Pure.

use crate::wire::web::Coverage;

/// From this length on a hole is filled.
const HOLE_NANOS_MIN: i64 = 150_000_000;

/// The holes of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SoundHoles {
    /// Before the fragment at which place, or behind all, and from when to when, in nanoseconds.
    pub(super) list: Vec<(u64, (i64, i64))>,
    /// The last hole reaches to the end of the pictures; sound behind the segment may end it
    /// earlier.
    open_until: Option<i64>,
}

impl SoundHoles {
    /// The holes of a segment of these fragments, each with its place, that ends at `end`. `None`
    /// without pictures.
    pub(super) fn of(fragments: &[(u64, Coverage)], end: u64) -> Option<Self> {
        let pictures = || fragments.iter().filter_map(|(_, coverage)| coverage.picture);
        let begins = pictures().map(|(from, _)| from).min()?;
        let ends = pictures().map(|(_, until)| until).max()?;
        let mut list = Vec::new();
        let (mut first, mut covered) = (None, None::<i64>);
        for &(at, coverage) in fragments {
            let Some((from, until)) = coverage.sound else { continue };
            if let Some(covered) = covered.filter(|covered| is_hole(*covered, from)) {
                list.push((at, (covered, from)));
            }
            first.get_or_insert(from);
            covered = covered.max(Some(until));
        }
        let (Some(first), Some(covered)) = (first, covered) else {
            return Some(Self { list: vec![(end, (begins, ends))], open_until: Some(ends) });
        };
        // Sound that is ahead of the pictures at the end is so at the beginning too.
        let ahead = covered.saturating_sub(ends).max(0);
        if is_hole(begins.saturating_add(ahead), first) {
            let at = fragments.first()?.0;
            list.insert(0, (at, (begins, first)));
        }
        let is_open = is_hole(covered, ends);
        if is_open {
            list.push((end, (covered, ends)));
        }
        Some(Self { list, open_until: is_open.then_some(ends) })
    }

    /// Whether it must be known when sound comes behind the segment.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// The same where the next sound begins at `next`, if any comes soon.
    pub(super) fn closed_by(mut self, next: Option<i64>) -> Self {
        let (Some(ends), Some(next)) = (self.open_until.take(), next) else { return self };
        if let Some((_, stretch)) = self.list.last_mut() {
            stretch.1 = ends.min(next);
            let (from, until) = *stretch;
            if !is_hole(from, until) {
                self.list.pop();
            }
        }
        self
    }
}

fn is_hole(from: i64, until: i64) -> bool {
    until.saturating_sub(from) >= HOLE_NANOS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Fragments of a second, and what their sound covers in milliseconds.
    fn holes(sound: &[Option<(i64, i64)>]) -> SoundHoles {
        let fragments: Vec<_> = (0..)
            .zip(sound)
            .map(|(at, sound)| {
                let picture = Some((at * 1_000 * MS, (at + 1) * 1_000 * MS));
                let sound = sound.map(|(from, until)| (from * MS, until * MS));
                (u64::try_from(at).unwrap() * 100, Coverage { picture, sound })
            })
            .collect();
        SoundHoles::of(&fragments, 1_000).unwrap()
    }

    fn told(holes: &SoundHoles) -> Vec<(u64, i64, i64)> {
        holes.list.iter().map(|(at, (from, until))| (*at, from / MS, until / MS)).collect()
    }

    #[test]
    fn sound_that_lies_across_the_borders_has_no_hole() {
        for sound in [
            [Some((0, 1_000)), Some((1_000, 2_000))],
            [Some((-90, 910)), Some((910, 1_910))],
            [Some((500, 1_500)), Some((1_500, 2_500))],
        ] {
            assert_eq!(told(&holes(&sound)), [], "{sound:?}");
        }
        // A camera whose sound comes late: what follows tells.
        let late = holes(&[Some((-900, 100)), Some((100, 1_100))]);
        assert!(late.is_open());
        assert_eq!(told(&late.clone().closed_by(Some(1_100 * MS))), []);
        assert_eq!(told(&late.closed_by(None)), [(1_000, 1_100, 2_000)]);
    }

    #[test]
    fn silence_is_filled_where_sound_stops_is_away_and_returns() {
        let stops = holes(&[Some((0, 1_000)), Some((1_000, 1_300)), None]);
        assert_eq!(told(&stops.closed_by(None)), [(1_000, 1_300, 3_000)]);
        let away = holes(&[None, None]);
        assert_eq!(told(&away.clone().closed_by(None)), [(1_000, 0, 2_000)]);
        assert_eq!(told(&away.closed_by(Some(1_900 * MS))), [(1_000, 0, 1_900)]);
        assert_eq!(told(&holes(&[None, Some((1_400, 2_000))])), [(0, 0, 1_400)]);
        let between = holes(&[Some((0, 300)), Some((1_400, 2_000))]);
        assert_eq!(told(&between), [(100, 300, 1_400)]);
    }
}
