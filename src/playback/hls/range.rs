//! The playlist of a range of dates.
//!
//! Owns: which segments a range holds, and where it begins to decode.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::plan::{PlaylistPlan, read_segments};
use super::{PlaylistError, RecordedHls, RecordedPlaylist, tag};
use crate::base::limits::HLS_PAST_TARGET_MAX;
use crate::base::time::WallTime;
use crate::dvr::PastLap;
use crate::wire::hls::{PastKind, past_target};

/// Footage is on the medium this long after it was recorded, unless the disk hangs.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

impl RecordedHls {
    /// What is recorded between two dates: whole segments, the first of which begins with a key
    /// frame at or before `from`.
    pub async fn range(
        &self,
        from: WallTime,
        until: WallTime,
    ) -> Result<RecordedPlaylist, PlaylistError> {
        let laps = self.footage.laps();
        let mut plan = self.between(&laps, from, until).await?;
        self.lead_up(&laps, &mut plan).await?;
        let survey = plan.survey(&self.footage).await?.ok_or(PlaylistError::Nothing)?;
        let start = from.as_unix_nanos().saturating_sub(survey.first.as_unix_nanos());
        let start = Duration::from_nanos(u64::try_from(start).unwrap_or(0));
        let newest = laps.iter().filter_map(|lap| lap.dates).map(|dates| dates.1).max();
        let settled = self.back(SETTLED_WITHIN);
        Ok(RecordedPlaylist {
            plan,
            kind: PastKind::Range { start },
            independent: survey.independent,
            target: past_target(survey.longest),
            footage: self.footage.clone(),
            tag: tag(&(survey.digest(), start)),
            end: survey.end,
            closed: until <= settled || newest.is_some_and(|newest| newest > until),
        })
    }

    /// The plan of what meets a range of dates.
    async fn between(
        &self,
        laps: &[PastLap],
        from: WallTime,
        until: WallTime,
    ) -> Result<PlaylistPlan, PlaylistError> {
        let mut parts = VecDeque::new();
        let meets = |start: WallTime, end: WallTime| start < until && end > from;
        for lap in laps.iter().filter(|lap| lap.dates.is_none_or(|(start, end)| meets(start, end)))
        {
            let (listed, _) = read_segments(&self.footage, lap).await?;
            let mut open: Option<Range<usize>> = None;
            for (index, segment) in listed.iter().enumerate() {
                match &mut open {
                    _ if !meets(segment.wall, segment.end()) => {
                        parts.extend(open.take().map(|range| (*lap, range)));
                    }
                    Some(range) => range.end = index + 1,
                    None => open = Some(index..index + 1),
                }
            }
            parts.extend(open.map(|range| (*lap, range)));
        }
        Ok(PlaylistPlan { parts, before: None })
    }

    /// Makes the plan begin with a key frame: the one that leads up to it, else the next one.
    async fn lead_up(
        &self,
        laps: &[PastLap],
        plan: &mut PlaylistPlan,
    ) -> Result<(), PlaylistError> {
        let Some((lap, range)) = plan.parts.front().cloned() else { return Ok(()) };
        let (own, _) = read_segments(&self.footage, &lap).await?;
        let mut at = laps.iter().position(|one| one.generation == lap.generation).unwrap_or(0);
        let (mut list, mut index) = (own, range.start);
        let mut lead = VecDeque::new();
        while let Some(segment) = list.get(index).copied() {
            if segment.recorded.starts_with_key {
                break;
            }
            while index == 0 {
                let Some(before) = at.checked_sub(1) else { return self.pass(plan).await };
                at = before;
                list = read_segments(&self.footage, &laps[at]).await?.0;
                index = list.len();
            }
            index -= 1;
            if segment.breaks(&list[index], HLS_PAST_TARGET_MAX) {
                return self.pass(plan).await;
            }
            lead.push_front((laps[at], index..index + 1));
        }
        lead.append(&mut plan.parts);
        plan.parts = lead;
        Ok(())
    }

    /// Leaves out what nothing leads up to.
    async fn pass(&self, plan: &mut PlaylistPlan) -> Result<(), PlaylistError> {
        while let Some((lap, range)) = plan.parts.front_mut() {
            let (listed, _) = read_segments(&self.footage, lap).await?;
            let key = |&index: &usize| {
                listed.get(index).is_some_and(|segment| segment.recorded.starts_with_key)
            };
            if let Some(first) = range.clone().find(key) {
                range.start = first;
                return Ok(());
            }
            plan.parts.pop_front();
        }
        Ok(())
    }
}
