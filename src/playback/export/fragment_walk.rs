//! One walk over the fragments of a plan.
//!
//! Owns: how far it has come, and that it is the same walk each time.

use super::ExportError;
use super::timeline::{ExportRange, ExportTimeline, PlannedFragment};
use super::tracks::ExportTracks;
use crate::dvr::{Depth, FragmentMeta, FragmentPlace, RecordingCursor};

/// Where the walk enters a lap, and all that it needs to continue from there.
#[derive(Clone, Debug)]
pub(super) struct LapMark {
    pub(super) place: FragmentPlace,
    /// Bytes of media in front of it.
    pub(super) media_at: u64,
    pub(super) timeline: ExportTimeline,
}

/// A walk under way.
#[derive(Debug)]
pub(super) struct FragmentWalk {
    pub(super) cursor: RecordingCursor,
    pub(super) timeline: ExportTimeline,
    pub(super) tracks: ExportTracks,
    /// Bytes of media that were passed.
    pub(super) media_at: u64,
    /// Where it ends; a plan finds that out.
    until: Option<FragmentPlace>,
    ended: bool,
}

impl FragmentWalk {
    /// From where `cursor` was sought to, for a plan.
    pub(super) fn first(cursor: RecordingCursor) -> Self {
        let (timeline, tracks) = (ExportTimeline::default(), ExportTracks::default());
        Self { cursor, timeline, tracks, media_at: 0, until: None, ended: false }
    }

    /// Once more, from the first of `marks` on, up to the fragment at `until`.
    pub(super) fn again(
        mut cursor: RecordingCursor,
        marks: &[LapMark],
        until: FragmentPlace,
        tracks: ExportTracks,
    ) -> Self {
        let places: Vec<FragmentPlace> = marks.iter().map(|mark| mark.place).collect();
        cursor.go_to(&places);
        let first = marks.first();
        Self {
            cursor,
            timeline: first.map(|mark| mark.timeline.clone()).unwrap_or_default(),
            tracks,
            media_at: first.map_or(0, |mark| mark.media_at),
            until: Some(until),
            ended: first.is_none(),
        }
    }

    /// The next fragment, and what it gives. `None` behind the last one.
    pub(super) fn next(
        &mut self,
        depth: Depth,
        range: &ExportRange,
    ) -> Result<Option<(FragmentMeta, PlannedFragment)>, ExportError> {
        if self.ended {
            return Ok(None);
        }
        let Some(head) = self.cursor.head(depth)? else {
            return if self.until.is_some() { Err(ExportError::Changed) } else { Ok(None) };
        };
        let Some(fragment) = self.timeline.place(&head, &mut self.tracks, range)? else {
            return if self.until.is_some() { Err(ExportError::Changed) } else { Ok(None) };
        };
        self.ended = self.until == Some(head.place);
        self.media_at += fragment.bytes();
        Ok(Some((head, fragment)))
    }
}
