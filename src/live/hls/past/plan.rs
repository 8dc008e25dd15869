//! Which chapters a playlist lists, and its text as it is sent.
//!
//! Owns: the reading of chapters while the text is written: those of one lap are in memory at a
//! time, however long the playlist is.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;

use super::PastError;
use super::scene::Scene;
use crate::base::time::WallTime;
use crate::dvr::{Footage, PastLap};
use crate::wire::hls::{PastKind, PastWriter};

/// Text that is sent at once.
const PIECE_BYTES: usize = 32 << 10;

/// Chapters of laps, in the order in which they are told.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) parts: VecDeque<(PastLap, Range<usize>)>,
    /// The scene before the first one.
    pub(super) before: Option<Scene>,
}

/// What is asked of a whole plan before its first line is written.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) segments: u64,
    pub(super) longest: Duration,
    pub(super) independent: bool,
    pub(super) first: WallTime,
    pub(super) end: WallTime,
    digest: DefaultHasher,
}

impl Survey {
    /// A name for exactly this text.
    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

/// The scenes of a lap, and whether the last one may still grow.
pub(super) async fn scenes(
    footage: &Footage,
    lap: &PastLap,
) -> Result<(Vec<Scene>, bool), PastError> {
    let chapters = footage.chapters(lap).await?.ok_or(PastError::Gone)?;
    let dates = footage.dates(lap.boot, &chapters.list);
    Ok((Scene::of_lap(lap, &chapters.list, dates), chapters.is_open))
}

impl Plan {
    /// Looks at every scene once; `None` when there is none.
    pub(super) async fn survey(&self, footage: &Footage) -> Result<Option<Survey>, PastError> {
        let mut found: Option<Survey> = None;
        for (lap, range) in &self.parts {
            let (scenes, _) = scenes(footage, lap).await?;
            for scene in scenes.get(range.clone()).unwrap_or_default() {
                let survey = found.get_or_insert_with(|| Survey {
                    segments: 0,
                    longest: Duration::ZERO,
                    independent: true,
                    first: scene.wall,
                    end: scene.end(),
                    digest: DefaultHasher::new(),
                });
                survey.segments += 1;
                survey.longest = survey.longest.max(scene.span());
                survey.independent &= scene.chapter.starts_with_key;
                survey.end = survey.end.max(scene.end());
                let place = (lap.generation, scene.chapter.from, scene.chapter.until);
                (place, scene.wall, scene.chapter.span_nanos).hash(&mut survey.digest);
            }
        }
        Ok(found)
    }

    /// The text, piece by piece. Ends with an error when a lap goes to newer footage before it
    /// was told.
    pub(super) fn text(
        self,
        footage: Footage,
        target: Duration,
        (kind, independent): (PastKind, bool),
        prefix: String,
    ) -> impl Stream<Item = Result<Bytes, PastError>> + Send + 'static {
        let writer = PastWriter::new(target, prefix);
        let head = writer.head(kind, independent);
        let ends = matches!(kind, PastKind::Range { .. });
        let teller = Teller { plan: self, footage, target, writer, text: head, ends };
        futures::stream::try_unfold(teller, |mut teller| async move {
            let piece = teller.next().await?;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), teller)))
        })
    }
}

/// A text in the making.
struct Teller {
    plan: Plan,
    footage: Footage,
    target: Duration,
    writer: PastWriter,
    text: String,
    /// Its last line is still to be written.
    ends: bool,
}

impl Teller {
    /// The next piece; empty at the end.
    async fn next(&mut self) -> Result<String, PastError> {
        while self.text.len() < PIECE_BYTES {
            let Some((lap, range)) = self.plan.parts.pop_front() else {
                if std::mem::take(&mut self.ends) {
                    self.text.push_str(PastWriter::end());
                }
                break;
            };
            let (scenes, _) = scenes(&self.footage, &lap).await?;
            for scene in scenes.get(range).unwrap_or_default() {
                let segment = scene.segment(self.plan.before.as_ref(), self.target);
                self.writer.tell(&segment, &mut self.text);
                self.plan.before = Some(*scene);
            }
        }
        Ok(std::mem::take(&mut self.text))
    }
}
