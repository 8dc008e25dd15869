//! Which tile of which sheet shows which time. Pure.
//!
//! Owns: the grid. A sheet begins at each full ten minutes of UTC and has a tile for every ten
//! seconds, ten in a row; where nothing is recorded a tile is black.

use std::time::Duration;

use crate::base::time::WallTime;
use crate::dvr::Recording;
use crate::wire::webvtt::Cue;

/// Pixels of a tile.
pub const TILE: (u16, u16) = (160, 90);
/// Tiles of a sheet.
pub const TILES: usize = 60;
/// Tiles of one row.
const ROW: usize = 10;
/// From one tile to the next.
const TILE_SECS: i64 = 10;
/// From one sheet to the next.
pub const SHEET_SECS: i64 = 600;
/// Pixels of a sheet.
pub const SHEET: (u16, u16) = (TILE.0 * 10, TILE.1 * 6);

const NANOS: i64 = 1_000_000_000;

/// The moments at which the tiles of a sheet are taken; `None`: nothing is recorded.
pub(super) type Moments = [Option<WallTime>; TILES];

/// When a sheet begins, in seconds since 1970: a multiple of [`SHEET_SECS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SheetStart(i64);

impl SheetStart {
    /// `None` when no sheet begins there.
    #[must_use]
    pub fn new(secs: i64) -> Option<Self> {
        (secs % SHEET_SECS == 0 && secs.checked_mul(NANOS).is_some()).then_some(Self(secs))
    }

    /// The sheet that shows `at`.
    #[must_use]
    pub fn holding(at: WallTime) -> Self {
        Self(at.as_unix_nanos().div_euclid(SHEET_SECS * NANOS) * SHEET_SECS)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn as_secs(self) -> i64 {
        self.0
    }

    /// When it begins.
    #[must_use]
    pub fn start(self) -> WallTime {
        WallTime::from_unix_nanos(self.0.saturating_mul(NANOS))
    }

    /// When it ends.
    #[must_use]
    pub fn end(self) -> WallTime {
        self.start().offset_nanos(SHEET_SECS * NANOS)
    }

    fn tile(self, at: usize) -> (WallTime, WallTime) {
        let nanos = |tile: usize| i64::try_from(tile).unwrap_or(0) * TILE_SECS * NANOS;
        (self.start().offset_nanos(nanos(at)), self.start().offset_nanos(nanos(at + 1)))
    }

    /// What the tiles show of a stream with these runs: what was on the screen when the tile
    /// begins, else the first picture of the footage that begins in it.
    pub(super) fn moments(self, runs: &[Recording]) -> Moments {
        std::array::from_fn(|at| {
            let (from, until) = self.tile(at);
            let shown =
                |run: &Recording| Some(run.start.max(from)).filter(|&at| at < until.min(run.end));
            runs.iter().filter_map(shown).min()
        })
    }
}

/// Left and upper edge of a tile in its sheet.
pub(super) fn corner(tile: usize) -> (u16, u16) {
    let of = |place: usize, side: u16| u16::try_from(place).unwrap_or(0) * side;
    (of(tile % ROW, TILE.0), of(tile / ROW, TILE.1))
}

/// The tiles that show anything between two dates, with times since the first.
pub(super) fn cues(runs: &[Recording], from: WallTime, until: WallTime) -> Vec<Cue> {
    let mut cues = Vec::new();
    let mut sheet = SheetStart::holding(from);
    while sheet.start() < until {
        let moments = sheet.moments(runs);
        for at in (0..TILES).filter(|&at| moments[at].is_some()) {
            let (begin, end) = sheet.tile(at);
            let (begin, end) = (begin.max(from), end.min(until));
            if begin < end {
                let ((x, y), image) = (corner(at), format!("{}.jpg", sheet.as_secs()));
                let xywh = [x, y, TILE.0, TILE.1];
                cues.push(Cue { from: since(begin, from), until: since(end, from), image, xywh });
            }
        }
        sheet = SheetStart(sheet.0 + SHEET_SECS);
    }
    cues
}

fn since(at: WallTime, from: WallTime) -> Duration {
    let nanos = at.as_unix_nanos().saturating_sub(from.as_unix_nanos());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> WallTime {
        WallTime::from_unix_nanos(millis * 1_000_000)
    }

    fn run(start: i64, end: i64) -> Recording {
        Recording { start: at(start), end: at(end), bytes: 0, fragments: 0 }
    }

    #[test]
    fn a_tile_shows_what_was_there_when_it_begins_or_what_comes_first_in_it() {
        let sheet = SheetStart::new(600).unwrap();
        let moments = sheet.moments(&[run(595_000, 612_000), run(625_500, 640_000)]);
        let wanted = [Some(at(600_000)), Some(at(610_000)), Some(at(625_500)), Some(at(630_000))];
        assert_eq!(moments[..4], wanted);
        assert!(moments[4..].iter().all(Option::is_none));
    }

    #[test]
    fn sheets_begin_at_full_ten_minutes() {
        assert_eq!(SheetStart::holding(at(1_199_999)), SheetStart(600));
        assert_eq!(SheetStart::holding(at(-1)), SheetStart(-600));
        assert!(SheetStart::new(601).is_none() && SheetStart::new(i64::MAX / 600 * 600).is_none());
        assert_eq!((corner(0), corner(11), corner(59)), ((0, 0), (160, 90), (1_440, 450)));
    }

    #[test]
    fn cues_are_cut_to_the_range_and_gaps_have_none() {
        let runs = [run(1_185_000, 1_195_000), run(1_215_000, 1_240_000)];
        let cues = cues(&runs, at(1_187_000), at(1_222_500));
        let told: Vec<_> = cues
            .iter()
            .map(|cue| (cue.from.as_millis(), cue.until.as_millis(), &*cue.image, cue.xywh))
            .collect();
        assert_eq!(
            told,
            [
                (0, 3_000, "600.jpg", [1_280, 450, 160, 90]),
                (3_000, 13_000, "600.jpg", [1_440, 450, 160, 90]),
                (23_000, 33_000, "1200.jpg", [160, 0, 160, 90]),
                (33_000, 35_500, "1200.jpg", [320, 0, 160, 90]),
            ]
        );
    }
}
