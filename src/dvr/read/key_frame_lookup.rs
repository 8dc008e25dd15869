//! The key frame that was on the screen at a moment, out of the ring.
//!
//! Owns: the decision whether a moment is in footage or in a gap. Its reads are bounded like those
//! of players.

use std::sync::Arc;

use crate::base::limits::PAST_PICTURE_SLACK;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::dvr::Dvr;
use crate::dvr::catalogue::listing::Recording;
use crate::dvr::error::DvrError;
use crate::dvr::read::cursor::{Direction, FragmentRead, RecordingCursor};
use crate::dvr::read::lap_reader::blocking_read;

/// What is at a moment of a stream.
#[derive(Clone, Debug)]
pub enum KeyFrameAt {
    /// The newest fragment at or before it that begins with a key frame, in the same run.
    Key(FragmentRead),
    /// None: it is in a gap, or outside of all that is recorded.
    Gap {
        /// Where the footage ends that comes before it.
        before: Option<WallTime>,
        /// Where the footage begins that comes next.
        next: Option<WallTime>,
    },
}

/// Looks moments of one stream up; the slots of the last one stay open and leased meanwhile.
#[derive(Debug)]
pub struct KeyFrameLookup {
    dvr: Dvr,
    stream: StreamName,
    /// `None` while it is being read, and after a read that did not come back.
    cursor: Option<RecordingCursor>,
}

impl Dvr {
    /// A way to look moments of `stream` up; blocks on nothing but locks.
    #[must_use]
    pub fn key_frame_lookup(&self, stream: &StreamName) -> KeyFrameLookup {
        KeyFrameLookup { dvr: self.clone(), stream: stream.clone(), cursor: None }
    }
}

impl KeyFrameLookup {
    /// What is at `at`.
    ///
    /// [`DvrError::Reused`] and [`DvrError::Removed`] say that the footage goes just now.
    pub async fn at(&mut self, at: WallTime) -> Result<KeyFrameAt, DvrError> {
        let runs = self.dvr.listing(&self.stream).runs;
        let Some(first) = beginning(&runs, at) else { return Ok(gap(&runs, at)) };
        let cursor = self.take_cursor()?;
        let shared = Arc::clone(&self.dvr.shared);
        let (cursor, fragment) = blocking_read(&shared, move || key_at(cursor, at)).await?;
        self.cursor = Some(cursor);
        // A key frame of another run was not on the screen any more.
        let fragment = fragment.filter(|fragment| fragment.start >= first);
        Ok(fragment.map_or_else(|| gap(&runs, at), KeyFrameAt::Key))
    }

    /// The fragments that lead up to `at`, without a hole between them: the group that holds it, and
    /// the group before. Each begins with an entry point; empty when there is none.
    pub async fn groups_up_to(&mut self, at: WallTime) -> Result<Vec<FragmentRead>, DvrError> {
        let cursor = self.take_cursor()?;
        let shared = Arc::clone(&self.dvr.shared);
        let (cursor, fragments) = blocking_read(&shared, move || two_groups(cursor, at)).await?;
        self.cursor = Some(cursor);
        Ok(fragments)
    }

    /// The cursor of the last look, or a new one.
    fn take_cursor(&mut self) -> Result<RecordingCursor, DvrError> {
        match self.cursor.take() {
            Some(cursor) => Ok(cursor),
            None => self.dvr.recording_cursor(&self.stream),
        }
    }
}

/// The group that holds `at`, and the one before where it continues that.
fn two_groups(
    mut cursor: RecordingCursor,
    at: WallTime,
) -> Result<(RecordingCursor, Vec<FragmentRead>), DvrError> {
    let mut fragments = Vec::new();
    if cursor.seek(at, Direction::Backward)? {
        let newer = cursor.backward(false)?.unwrap_or_default();
        let older = cursor.backward(false)?.unwrap_or_default();
        if older.first().is_some_and(|first| !first.seam) {
            fragments = older;
        }
        fragments.extend(newer);
    }
    Ok((cursor, fragments))
}

/// The key frame at or before `at`, however far back.
fn key_at(
    mut cursor: RecordingCursor,
    at: WallTime,
) -> Result<(RecordingCursor, Option<FragmentRead>), DvrError> {
    let found = cursor.seek(at, Direction::Backward)?;
    let group = if found { cursor.backward(true)? } else { None };
    let fragment = group.and_then(|fragments| fragments.into_iter().next());
    Ok((cursor, fragment))
}

/// Where the run begins that holds `at`; the newest of several, which there are where the date
/// went back. The last run holds what comes shortly behind it, because it may continue.
fn beginning(runs: &[Recording], at: WallTime) -> Option<WallTime> {
    let slack = i64::try_from(PAST_PICTURE_SLACK.as_nanos()).unwrap_or(i64::MAX);
    let newest = runs.iter().map(|run| run.end).max();
    let holds = |run: &&Recording| {
        let end = if Some(run.end) == newest { run.end.offset_nanos(slack) } else { run.end };
        run.start <= at && at < end
    };
    runs.iter().rev().find(holds).map(|run| run.start)
}

fn gap(runs: &[Recording], at: WallTime) -> KeyFrameAt {
    let before = runs.iter().map(|run| run.end).filter(|end| *end <= at).max();
    let next = runs.iter().map(|run| run.start).filter(|start| *start > at).min();
    KeyFrameAt::Gap { before, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> WallTime {
        WallTime::from_unix_nanos(secs * 1_000_000_000)
    }

    fn run(start: i64, end: i64) -> Recording {
        Recording { start: at(start), end: at(end), bytes: 0, fragments: 0 }
    }

    #[test]
    fn a_moment_lies_in_the_newest_run_that_holds_it_or_in_a_gap() {
        let runs = [run(100, 200), run(300, 400), run(350, 500)];
        assert_eq!(beginning(&runs, at(150)), Some(at(100)));
        assert_eq!(beginning(&runs, at(200)), None);
        assert_eq!(beginning(&runs, at(360)), Some(at(350)));
        assert_eq!(beginning(&runs, at(502)), Some(at(350)));
        assert_eq!(beginning(&runs, at(505)), None);
        let told = |secs| match gap(&runs, at(secs)) {
            KeyFrameAt::Gap { before, next } => (before, next),
            KeyFrameAt::Key(_) => unreachable!(),
        };
        assert_eq!(told(50), (None, Some(at(100))));
        assert_eq!(told(250), (Some(at(200)), Some(at(300))));
        assert_eq!(told(600), (Some(at(500)), None));
    }
}
