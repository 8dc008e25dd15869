//! The playlist that slides: from now back.
//!
//! Owns: where a window begins and ends, its numbers, and what a client that asked before need not
//! be announced again.

use std::ops::Range;
use std::time::Duration;

use super::listed_segment::ListedSegment;
use super::plan::{PlaylistPlan, read_segments};
use super::sequence::{CountedLap, LapStart, SequenceBase};
use super::{PlaylistError, RecordedHls, RecordedPlaylist, tag};
use crate::base::limits::HLS_WINDOW_MAX;
use crate::base::time::WallTime;
use crate::dvr::PastLap;
use crate::wire::hls::{PastKind, past_target, skip_until};

/// The numbers are noted anew when the lap of the last note is older than such a part of the laps.
const NOTE_SHARE: usize = 4;

impl RecordedHls {
    /// The footage of the last `window`, at most [`HLS_WINDOW_MAX`], without end; `delta` leaves
    /// out what an earlier request returned.
    pub async fn window(
        &self,
        window: Duration,
        delta: bool,
    ) -> Result<RecordedPlaylist, PlaylistError> {
        let laps = self.laps_since(self.back(HLS_WINDOW_MAX)).await?;
        let target = self.target(&laps).await?;
        self.count(&laps, target).await?;
        let starts = self.starts(&laps).await?;
        let behind = starts.last().map_or(0, |(_, start)| start.behind());
        let first = self.first(&starts, window, target).await?;
        let end = self.end(&starts).await?.ok_or(PlaylistError::Nothing)?;
        let known = if delta { self.skippable(&starts, target).await? } else { 0 };
        let skipped = known.saturating_sub(first.number);
        let SequenceBase { number, discontinuities } = first;
        let listed = |start: &LapStart| start.behind() > number;
        Ok(RecordedPlaylist {
            plan: self.numbered(&starts, number + skipped..behind).await?,
            kind: PastKind::Window { number, discontinuities, skipped },
            independent: starts.iter().all(|(_, start)| start.independent || !listed(start)),
            target,
            footage: self.footage.clone(),
            tag: tag(&(number, skipped, behind, end)),
            end,
            closed: false,
        })
    }

    /// The laps with anything behind `from`, oldest first. One that was not looked into since the
    /// start is read, but no older ones than needed.
    async fn laps_since(&self, from: WallTime) -> Result<Vec<PastLap>, PlaylistError> {
        let mut laps = self.footage.laps();
        let mut first = laps.len();
        while let Some(index) = first.checked_sub(1) {
            let end = match laps[index].dates {
                Some((_, end)) => Some(end),
                None => match read_segments(&self.footage, &laps[index]).await {
                    Ok((listed, _)) => listed.iter().map(ListedSegment::end).max(),
                    Err(PlaylistError::Gone) => break,
                    Err(error) => return Err(error),
                },
            };
            if end.is_some_and(|end| end <= from) {
                break;
            }
            first = index;
        }
        Ok(laps.split_off(first))
    }

    /// The target duration, which is settled with the first answer.
    async fn target(&self, laps: &[PastLap]) -> Result<Duration, PlaylistError> {
        if let Some(target) = self.announced().target {
            return Ok(target);
        }
        let mut longest = Duration::ZERO;
        for lap in laps {
            let (listed, _) = read_segments(&self.footage, lap).await?;
            longest =
                listed.iter().map(ListedSegment::span).chain([longest]).max().unwrap_or(longest);
        }
        Ok(*self.announced().target.get_or_insert(past_target(longest)))
    }

    /// Counts the segments of laps that will not grow any more: all but the newest.
    async fn count(&self, laps: &[PastLap], target: Duration) -> Result<(), PlaylistError> {
        let Some((newest, closed)) = laps.split_last() else { return Ok(()) };
        let generations: Vec<_> = closed.iter().map(|lap| lap.generation).collect();
        self.announced().numbers.follow(&generations);
        loop {
            let Some((generation, before)) = self.announced().numbers.next(&generations) else {
                break;
            };
            let Some(lap) = closed.iter().find(|lap| lap.generation == generation) else { break };
            let (listed, _) = read_segments(&self.footage, lap).await?;
            let mut last = before;
            let mut discontinuities = 0;
            for segment in &listed {
                discontinuities +=
                    u64::from(last.is_some_and(|last| segment.breaks(&last, target)));
                last = Some(*segment);
            }
            let independent = listed.iter().all(|segment| segment.recorded.starts_with_key);
            let segments = listed.len() as u64;
            let counted =
                CountedLap { generation, segments, discontinuities, independent, before, last };
            self.announced().numbers.push(&counted);
        }
        self.settle(newest.generation);
        Ok(())
    }

    /// Settles where the numbers begin, and has that noted for the next life of the process.
    fn settle(&self, newest: u64) {
        let noted = self.footage.numbered();
        let mut announced = self.announced();
        announced.numbers.settle(noted.as_ref(), newest);
        let starts = announced.numbers.starts();
        drop(announced);
        let since = noted.and_then(|noted| {
            let is_noted = |(lap, _): &(Option<u64>, LapStart)| lap.unwrap_or(newest) == noted.lap;
            starts.iter().rposition(is_noted).map(|at| starts.len() - 1 - at)
        });
        if since.is_none_or(|since| since > starts.len() / NOTE_SHARE)
            && let Some((lap, start)) = starts.last()
        {
            let SequenceBase { number, discontinuities } = start.base;
            self.footage.note_number(lap.unwrap_or(newest), number, discontinuities);
        }
    }

    /// The numbered laps, and their places. The newest one counts as far as it will not change any
    /// more.
    async fn starts(&self, laps: &[PastLap]) -> Result<Vec<(PastLap, LapStart)>, PlaylistError> {
        let Some(newest) = laps.last() else { return Ok(Vec::new()) };
        let (listed, is_open) = read_segments(&self.footage, newest).await?;
        let closed = listed.len().saturating_sub(usize::from(is_open));
        let start = |(generation, start): (Option<u64>, LapStart)| {
            let Some(generation) = generation else {
                let independent = listed.iter().all(|segment| segment.recorded.starts_with_key);
                return Some((*newest, LapStart { segments: closed as u64, independent, ..start }));
            };
            let index = laps.binary_search_by_key(&generation, |lap| lap.generation).ok()?;
            Some((laps[index], start))
        };
        Ok(self.announced().numbers.starts().into_iter().filter_map(start).collect())
    }

    /// Where `window` begins: with a key frame, and never before where it began already.
    async fn first(
        &self,
        starts: &[(PastLap, LapStart)],
        window: Duration,
        target: Duration,
    ) -> Result<SequenceBase, PlaylistError> {
        let (from, least) = (self.back(window), self.announced().least(window));
        for (lap, start) in starts {
            if start.behind() <= least || lap.dates.is_some_and(|(_, end)| end <= from) {
                continue;
            }
            let (listed, _) = read_segments(&self.footage, lap).await?;
            let (mut base, mut before) = (start.base, start.before);
            for segment in listed.iter().take(start.count()) {
                let is_due = segment.end() > from && base.number >= least;
                if is_due && segment.recorded.starts_with_key {
                    self.announced().begins(window, base.number);
                    return Ok(base);
                }
                base.number += 1;
                let breaks = before.is_some_and(|before| segment.breaks(&before, target));
                base.discontinuities += u64::from(breaks);
                before = Some(*segment);
            }
        }
        Err(PlaylistError::Nothing)
    }

    /// Date at which the newest listed segment ends.
    async fn end(&self, starts: &[(PastLap, LapStart)]) -> Result<Option<WallTime>, PlaylistError> {
        let Some((lap, start)) = starts.last() else { return Ok(None) };
        let (listed, _) = read_segments(&self.footage, lap).await?;
        let newest = start.count().checked_sub(1).and_then(|index| listed.get(index));
        Ok(newest.or(start.before.as_ref()).map(ListedSegment::end))
    }

    /// The number up to which a client may leave out what it has.
    async fn skippable(
        &self,
        starts: &[(PastLap, LapStart)],
        target: Duration,
    ) -> Result<u64, PlaylistError> {
        let mut kept = Duration::ZERO;
        for (lap, start) in starts.iter().rev() {
            let (listed, _) = read_segments(&self.footage, lap).await?;
            for (index, segment) in listed.iter().enumerate().take(start.count()).rev() {
                if kept >= skip_until(target) {
                    return Ok(start.base.number + index as u64 + 1);
                }
                kept += segment.span();
            }
        }
        Ok(0)
    }

    /// The plan of these numbers.
    async fn numbered(
        &self,
        starts: &[(PastLap, LapStart)],
        numbers: Range<u64>,
    ) -> Result<PlaylistPlan, PlaylistError> {
        let within = |start: &LapStart, number: u64| {
            let at = number.clamp(start.base.number, start.behind()) - start.base.number;
            usize::try_from(at).unwrap_or(usize::MAX)
        };
        let part = |(lap, start): &(PastLap, LapStart)| {
            (*lap, within(start, numbers.start)..within(start, numbers.end))
        };
        let first = starts.iter().find(|(_, start)| start.behind() > numbers.start);
        let before = match first {
            None => None,
            Some((lap, start)) => match within(start, numbers.start).checked_sub(1) {
                Some(index) => read_segments(&self.footage, lap).await?.0.get(index).copied(),
                None => start.before,
            },
        };
        let parts = starts.iter().map(part).filter(|(_, range)| !range.is_empty()).collect();
        Ok(PlaylistPlan { parts, before })
    }
}
