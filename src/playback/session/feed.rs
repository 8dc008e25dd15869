//! Where a player's units come from: the recording, then what comes live.
//!
//! Owns: the step from one to the other. Live is joined at a key frame, its units are held back
//! while the recording is read up to that, and of each track only what is newer is taken.

use std::sync::Arc;

use tracing::warn;

use super::super::error::PlaybackError;
use super::super::request::{FrameSelection, PlaySpeed};
use super::frame_filter::{Continuity, FrameFilter, SelectedUnit};
use super::prefetch::Prefetched;
use super::{PlaybackSession, SessionSource, TimedUnit};
use crate::base::fault::chain;
use crate::base::limits::REPLAY_HANDOVER_TIME_MAX;
use crate::base::time::WallTime;
use crate::dvr::{Direction, DvrError, FragmentRead};
use crate::media::{AccessUnit, RunId};
use crate::stream::{Allowance, Next, StreamState};

/// What the source gave.
pub(super) enum SourceEvent {
    Recorded(Result<Prefetched, DvrError>),
    Live(Next<AccessUnit>),
    /// The recording does not come as far as what is live.
    Late,
}

impl PlaybackSession {
    /// Waits for the source. Cancel safe.
    pub(super) async fn feed(&mut self) -> SourceEvent {
        match &mut self.source {
            SessionSource::Recording => SourceEvent::Recorded(self.prefetcher.next().await),
            SessionSource::Seam { units, first, since } => {
                let until = since.after(REPLAY_HANDOVER_TIME_MAX);
                let rest = until.since(self.clock.boot());
                tokio::select! {
                    biased;
                    read = self.prefetcher.next() => SourceEvent::Recorded(read),
                    unit = units.next(), if first.is_none() => SourceEvent::Live(unit),
                    () = tokio::time::sleep(rest), if first.is_some() => SourceEvent::Late,
                }
            }
            SessionSource::Live(units) => SourceEvent::Live(units.next().await),
            SessionSource::Over => std::future::pending().await,
        }
    }

    pub(super) fn absorb(&mut self, fed: SourceEvent) -> Result<(), PlaybackError> {
        match fed {
            SourceEvent::Recorded(Ok(Prefetched::Fragments(fragments))) => {
                self.take_fragments(&fragments)?;
            }
            SourceEvent::Recorded(Ok(Prefetched::Nowhere(extent))) => {
                let now = self.clock.wall();
                let ahead = self.way == Direction::Backward || self.range.until.is_some();
                if !self.has_begun() && (ahead || self.range.from > now || !self.is_live()) {
                    return Err(self.nothing(extent));
                }
                // Nothing is recorded behind it yet: what comes live comes at once.
                if !self.has_begun() {
                    self.queue.stop_pacing();
                }
                self.end_recording()?;
            }
            SourceEvent::Recorded(Ok(Prefetched::End)) => self.end_recording()?,
            SourceEvent::Recorded(Err(DvrError::Reused { .. })) => {
                return Err(PlaybackError::Reused);
            }
            SourceEvent::Recorded(Err(error)) => {
                let (stream, error) = (self.stream.name(), chain(&error));
                warn!(stream = %stream, error, "a recording cannot be read");
                return Err(PlaybackError::Unreadable);
            }
            SourceEvent::Live(Next::Item(unit)) => match &mut self.source {
                SessionSource::Seam { first, since, .. } => {
                    *since = self.clock.boot();
                    *first = Some(unit);
                    self.go_live_if(Self::has_taken);
                }
                _ => self.take_live(&unit),
            },
            SourceEvent::Live(Next::Lagged(_)) => self.handover.lagged = true,
            SourceEvent::Live(Next::Ended) => return Err(PlaybackError::StreamEnded),
            SourceEvent::Late => {
                self.handover.lagged = true;
                self.go_live_if(|_, _| true);
            }
        }
        Ok(())
    }

    fn take_fragments(&mut self, fragments: &[FragmentRead]) -> Result<(), PlaybackError> {
        // The recording has reached the beginning of live: a fragment begins with its key frame.
        if let Some(fragment) = fragments
            .first()
            .filter(|fragment| fragment.this_boot && self.way == Direction::Forward)
        {
            let begins = fragment.entry.decode_nanos;
            self.go_live_if(|_, first| begins >= first.decode.as_nanos());
            if matches!(self.source, SessionSource::Live(_)) {
                return Ok(());
            }
        }
        let mut units = Vec::new();
        for fragment in fragments {
            match self.unpacker.units(fragment) {
                Ok(more) => units.extend(more),
                Err(error) => {
                    let (stream, error) = (self.stream.name(), chain(&error));
                    warn!(stream = %stream, error, "a fragment cannot be unpacked");
                    return Err(PlaybackError::Unreadable);
                }
            }
        }
        let Some(fragment) = fragments.first() else { return Ok(()) };
        let (selected, finished) = match self.way {
            Direction::Forward => self.filter.forward(fragment, units),
            Direction::Backward => self.filter.backward(fragments, units),
        };
        for selected in selected {
            // What was taken out of live before it was paused comes again.
            let again = fragment.this_boot
                && self.way == Direction::Forward
                && self.has_taken(&selected.unit);
            if !again {
                self.push(selected, fragment.this_boot);
            }
        }
        if finished {
            self.finish()?;
        }
        Ok(())
    }

    /// The recording has ended, for now or for good.
    fn end_recording(&mut self) -> Result<(), PlaybackError> {
        let now = self.clock.boot();
        match (self.way, self.range.until) {
            (Direction::Backward, _) => self.finish(),
            // What is to come of the range is in the ring a while behind its end.
            (Direction::Forward, Some(until)) => {
                let grace = i64::try_from(REPLAY_HANDOVER_TIME_MAX.as_nanos()).unwrap_or(i64::MAX);
                if self.clock.wall() > until.offset_nanos(grace) {
                    return self.finish();
                }
                Ok(())
            }
            (Direction::Forward, None) => {
                if matches!(self.source, SessionSource::Recording) {
                    let units = self.stream.bus().subscribe(Allowance::Window);
                    self.source = SessionSource::Seam { units, first: None, since: now };
                } else if !self.has_begun() {
                    self.go_live_if(|_, _| true);
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<(), PlaybackError> {
        self.source = SessionSource::Over;
        if self.has_begun() { Ok(()) } else { Err(self.nothing(None)) }
    }

    fn nothing(&self, extent: Option<(WallTime, WallTime)>) -> PlaybackError {
        PlaybackError::NothingThere { from: self.range.from, extent }
    }

    fn is_live(&self) -> bool {
        self.stream.state().0 == StreamState::Live
    }

    /// Whether `unit` is of what was taken already.
    fn has_taken(&self, unit: &AccessUnit) -> bool {
        let taken = self.handover.taken.get(usize::from(unit.track.0)).copied().flatten();
        taken.is_some_and(|taken| taken >= unit.decode.ticks)
    }

    /// Goes over to live if it was joined and `may`.
    fn go_live_if(&mut self, may: impl Fn(&Self, &AccessUnit) -> bool) {
        let SessionSource::Seam { first: Some(first), .. } = &self.source else { return };
        let first = Arc::clone(first);
        if !may(self, &first) {
            return;
        }
        let SessionSource::Seam { units, .. } =
            std::mem::replace(&mut self.source, SessionSource::Over)
        else {
            return;
        };
        self.source = SessionSource::Live(units);
        if self.speed != PlaySpeed::ONE && !self.is_unpaced() {
            self.timeline.bend(first.present.as_nanos(), PlaySpeed::ONE.factor());
            self.speed = PlaySpeed::ONE;
            self.filter =
                FrameFilter::new(self.onvif.map_or(FrameSelection::All, |o| o.frames), true, None);
        }
        self.take_live(&first);
    }

    fn take_live(&mut self, unit: &AccessUnit) {
        let run = self.handover.run.replace(unit.run);
        if self.has_taken(unit) || !self.filter.is_wanted(unit) {
            return;
        }
        let mut selected = SelectedUnit::of(unit.clone());
        // As it will be found again, should the viewer come back to it.
        let captured = &mut selected.unit.captured;
        captured.wall = self.dvr.date(unit.arrived, captured.wall);
        // Media time continues over runs; a section begins only where some of it is missing.
        selected.continuity = match std::mem::take(&mut self.handover.lagged) {
            true => Continuity::Begins,
            false if run.is_some_and(|run| run != unit.run) => Continuity::Jumps,
            false => Continuity::Follows,
        };
        self.push(selected, true);
    }

    /// Whether anything was taken.
    fn has_begun(&self) -> bool {
        self.timeline.is_anchored()
    }

    /// Puts `selected` in line: from now on it has its play time.
    fn push(&mut self, mut selected: SelectedUnit, this_boot: bool) {
        let unit = &mut selected.unit;
        let present_nanos = unit.present.as_nanos();
        if selected.continuity == Continuity::Begins || !self.has_begun() {
            self.run = RunId(self.run.0.wrapping_add(1));
            let begins =
                if self.way == Direction::Backward { selected.due_nanos } else { present_nanos };
            if self.is_unpaced() {
                self.timeline.anchor_at(present_nanos, unit.captured.wall.as_unix_nanos());
            } else {
                self.timeline.anchor(begins, self.speed.factor());
            }
        }
        unit.run = self.run;
        if let Some(taken) =
            self.handover.taken.get_mut(usize::from(unit.track.0)).filter(|_| this_boot)
        {
            *taken = Some(unit.decode.ticks);
        }
        let ticks = self.timeline.play_ticks(unit.present);
        let due_nanos = self.timeline.play_nanos(selected.due_nanos);
        let live = matches!(self.source, SessionSource::Live(_));
        let tracks = if live { None } else { self.unpacker.known() };
        self.queue.push(TimedUnit { selected, ticks, due_nanos, tracks });
    }
}
