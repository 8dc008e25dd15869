//! Which segments a playlist lists, and its final text.
//!
//! Owns: the reading of segments while the text is written: those of one lap are in memory at a
//! time, however long the playlist is.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;

use super::PlaylistError;
use super::listed_segment::ListedSegment;
use crate::base::time::WallTime;
use crate::dvr::{Footage, PastLap};
use crate::wire::hls::{PastKind, PastWriter};

/// Text that is sent at once.
const PIECE_BYTES: usize = 32 << 10;

/// Segments of laps, in the order in which they are announced.
#[derive(Debug)]
pub(super) struct PlaylistPlan {
    pub(super) parts: VecDeque<(PastLap, Range<usize>)>,
    /// The segment before the first one.
    pub(super) before: Option<ListedSegment>,
}

/// What must be known of a whole plan before its first line is written.
#[derive(Debug)]
pub(super) struct PlanSurvey {
    pub(super) segments: u64,
    pub(super) longest: Duration,
    pub(super) independent: bool,
    pub(super) first: WallTime,
    pub(super) end: WallTime,
    digest: DefaultHasher,
}

impl PlanSurvey {
    /// A name for exactly this text.
    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

/// The segments of a lap, and whether the last one may still grow.
pub(super) async fn read_segments(
    footage: &Footage,
    lap: &PastLap,
) -> Result<(Vec<ListedSegment>, bool), PlaylistError> {
    let listed = footage.segments(lap).await?.ok_or(PlaylistError::Gone)?;
    let dates = footage.dates(lap.boot, &listed.list);
    Ok((ListedSegment::of_lap(lap, &listed.list, dates), listed.is_open))
}

impl PlaylistPlan {
    /// Looks at every segment once; `None` when there is none.
    pub(super) async fn survey(
        &self,
        footage: &Footage,
    ) -> Result<Option<PlanSurvey>, PlaylistError> {
        let mut found: Option<PlanSurvey> = None;
        for (lap, range) in &self.parts {
            let (listed, _) = read_segments(footage, lap).await?;
            for segment in listed.get(range.clone()).unwrap_or_default() {
                let survey = found.get_or_insert_with(|| PlanSurvey {
                    segments: 0,
                    longest: Duration::ZERO,
                    independent: true,
                    first: segment.wall,
                    end: segment.end(),
                    digest: DefaultHasher::new(),
                });
                survey.segments += 1;
                survey.longest = survey.longest.max(segment.span());
                survey.independent &= segment.recorded.starts_with_key;
                survey.end = survey.end.max(segment.end());
                let place = (lap.generation, segment.recorded.from, segment.recorded.until);
                (place, segment.wall, segment.recorded.span_nanos).hash(&mut survey.digest);
            }
        }
        Ok(found)
    }

    /// The text, piece by piece. Ends with an error when a lap goes to newer footage before it
    /// was announced.
    pub(super) fn text(
        self,
        footage: Footage,
        target: Duration,
        (kind, independent): (PastKind, bool),
        prefix: String,
    ) -> impl Stream<Item = Result<Bytes, PlaylistError>> + Send + 'static {
        let writer = PastWriter::new(target, prefix);
        let head = writer.head(kind, independent);
        let ends = matches!(kind, PastKind::Range { .. });
        let teller = PlaylistText { plan: self, footage, target, writer, text: head, ends };
        futures::stream::try_unfold(teller, |mut teller| async move {
            let piece = teller.next().await?;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), teller)))
        })
    }
}

/// A text in the making.
struct PlaylistText {
    plan: PlaylistPlan,
    footage: Footage,
    target: Duration,
    writer: PastWriter,
    text: String,
    /// Its last line is still to be written.
    ends: bool,
}

impl PlaylistText {
    /// The next piece; empty at the end.
    async fn next(&mut self) -> Result<String, PlaylistError> {
        while self.text.len() < PIECE_BYTES {
            let Some((lap, range)) = self.plan.parts.pop_front() else {
                if std::mem::take(&mut self.ends) {
                    self.text.push_str(PastWriter::end());
                }
                break;
            };
            let (listed, _) = read_segments(&self.footage, &lap).await?;
            for entry in listed.get(range).unwrap_or_default() {
                let segment = entry.segment(self.plan.before.as_ref(), self.target);
                self.writer.tell(&segment, &mut self.text);
                self.plan.before = Some(*entry);
            }
        }
        Ok(std::mem::take(&mut self.text))
    }
}
