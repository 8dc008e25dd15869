//! Where a player's units come from: the recording, then what comes live.
//!
//! Owns: the step from one to the other. Live is joined at a key frame, its units are held back
//! while the recording is read up to that, and of each track only what is newer is taken.

use std::sync::Arc;

use tracing::warn;

use super::super::Refused;
use super::super::choice::{Choice, Lead, Shot};
use super::super::reel::Wound;
use super::{Replay, Source, Timed};
use crate::base::fault::chain;
use crate::base::limits::REPLAY_HANDOVER_TIME_MAX;
use crate::base::time::WallTime;
use crate::dvr::{Clip, DvrError, Way};
use crate::media::{AccessUnit, RunId};
use crate::stream::{Allowance, Next, State};
use crate::wire::rtsp::{Frames, Scale};

/// What the source gave.
pub(super) enum Fed {
    Wound(Result<Wound, DvrError>),
    Live(Next<AccessUnit>),
    /// The recording does not come as far as what is live.
    Late,
}

impl Replay {
    /// Waits for the source. Cancel safe.
    pub(super) async fn feed(&mut self) -> Fed {
        match &mut self.source {
            Source::Tape => Fed::Wound(self.reel.next().await),
            Source::Seam { units, first, since } => {
                let until = since.after(REPLAY_HANDOVER_TIME_MAX);
                let rest = until.since(self.clock.boot());
                tokio::select! {
                    biased;
                    wound = self.reel.next() => Fed::Wound(wound),
                    unit = units.next(), if first.is_none() => Fed::Live(unit),
                    () = tokio::time::sleep(rest), if first.is_some() => Fed::Late,
                }
            }
            Source::Live(units) => Fed::Live(units.next().await),
            Source::Over => std::future::pending().await,
        }
    }

    pub(super) fn absorb(&mut self, fed: Fed) -> Result<(), Refused> {
        match fed {
            Fed::Wound(Ok(Wound::Clips(clips))) => self.take_clips(&clips)?,
            Fed::Wound(Ok(Wound::Nowhere(extent))) => {
                let now = self.clock.wall();
                let ahead = self.way == Way::Backward || self.span.until.is_some();
                if !self.has_begun() && (ahead || self.span.from > now || !self.is_live()) {
                    return Err(self.nothing(extent));
                }
                // Nothing is recorded behind it yet: what comes live comes at once.
                self.paced &= self.has_begun();
                self.end_tape()?;
            }
            Fed::Wound(Ok(Wound::End)) => self.end_tape()?,
            Fed::Wound(Err(DvrError::Reused { .. })) => return Err(Refused::Reused),
            Fed::Wound(Err(error)) => {
                let (stream, error) = (self.stream.name(), chain(&error));
                warn!(stream = %stream, error, "a recording cannot be read");
                return Err(Refused::Unreadable);
            }
            Fed::Live(Next::Item(unit)) => match &mut self.source {
                Source::Seam { first, since, .. } => {
                    *since = self.clock.boot();
                    *first = Some(unit);
                    self.go_live_if(Self::has_taken);
                }
                _ => self.take_live(&unit),
            },
            Fed::Live(Next::Lagged(_)) => self.lagged = true,
            Fed::Live(Next::Ended) => return Err(Refused::StreamEnded),
            Fed::Late => {
                self.lagged = true;
                self.go_live_if(|_, _| true);
            }
        }
        Ok(())
    }

    fn take_clips(&mut self, clips: &[Clip]) -> Result<(), Refused> {
        // The recording has come to where live begins: a fragment begins with its key frame.
        if let Some(clip) = clips.first().filter(|clip| clip.this_boot && self.way == Way::Forward)
        {
            let begins = clip.entry.decode_nanos;
            self.go_live_if(|_, first| begins >= first.decode.as_nanos());
            if matches!(self.source, Source::Live(_)) {
                return Ok(());
            }
        }
        let mut units = Vec::new();
        for clip in clips {
            match self.unpacker.units(clip) {
                Ok(more) => units.extend(more),
                Err(error) => {
                    let (stream, error) = (self.stream.name(), chain(&error));
                    warn!(stream = %stream, error, "a fragment cannot be unpacked");
                    return Err(Refused::Unreadable);
                }
            }
        }
        let Some(clip) = clips.first() else { return Ok(()) };
        let (shots, finished) = match self.way {
            Way::Forward => self.choice.forward(clip, units),
            Way::Backward => self.choice.backward(clips, units),
        };
        for shot in shots {
            // What was taken out of live before it was paused comes again.
            let again = clip.this_boot && self.way == Way::Forward && self.has_taken(&shot.unit);
            if !again {
                self.push(shot, clip.this_boot);
            }
        }
        if finished {
            self.finish()?;
        }
        Ok(())
    }

    /// The recording has ended, for now or for good.
    fn end_tape(&mut self) -> Result<(), Refused> {
        let now = self.clock.boot();
        match (self.way, self.span.until) {
            (Way::Backward, _) => self.finish(),
            // What is to come of the range is in the ring a while behind its end.
            (Way::Forward, Some(until)) => {
                let grace = i64::try_from(REPLAY_HANDOVER_TIME_MAX.as_nanos()).unwrap_or(i64::MAX);
                if self.clock.wall() > until.offset_nanos(grace) {
                    return self.finish();
                }
                Ok(())
            }
            (Way::Forward, None) => {
                if matches!(self.source, Source::Tape) {
                    let units = self.stream.bus().subscribe(Allowance::Window);
                    self.source = Source::Seam { units, first: None, since: now };
                } else if !self.has_begun() {
                    self.go_live_if(|_, _| true);
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<(), Refused> {
        self.source = Source::Over;
        if self.has_begun() { Ok(()) } else { Err(self.nothing(None)) }
    }

    fn nothing(&self, extent: Option<(WallTime, WallTime)>) -> Refused {
        Refused::NothingThere { from: self.span.from, extent }
    }

    fn is_live(&self) -> bool {
        self.stream.state().0 == State::Live
    }

    /// Whether `unit` is of what was taken already.
    fn has_taken(&self, unit: &AccessUnit) -> bool {
        let taken = self.taken.get(usize::from(unit.track.0)).copied().flatten();
        taken.is_some_and(|taken| taken >= unit.decode.ticks)
    }

    /// Goes over to live if it was joined and `may`.
    fn go_live_if(&mut self, may: impl Fn(&Self, &AccessUnit) -> bool) {
        let Source::Seam { first: Some(first), .. } = &self.source else { return };
        let first = Arc::clone(first);
        if !may(self, &first) {
            return;
        }
        let Source::Seam { units, .. } = std::mem::replace(&mut self.source, Source::Over) else {
            return;
        };
        self.source = Source::Live(units);
        if self.scale != Scale::ONE && !self.is_unpaced() {
            self.timeline.bend(first.present.as_nanos(), Scale::ONE.factor());
            self.scale = Scale::ONE;
            self.choice = Choice::new(self.onvif.map_or(Frames::All, |o| o.frames), true, None);
        }
        self.take_live(&first);
    }

    fn take_live(&mut self, unit: &AccessUnit) {
        let run = self.live_run.replace(unit.run);
        if self.has_taken(unit) || !self.choice.is_wanted(unit) {
            return;
        }
        let mut shot = Shot::of(unit.clone());
        // As it will be found again, should the viewer come back to it.
        let captured = &mut shot.unit.captured;
        captured.wall = self.dvr.date(unit.arrived, captured.wall);
        // Media time goes on over runs; a section begins only where some of it is missing.
        shot.lead = match std::mem::take(&mut self.lagged) {
            true => Lead::Begins,
            false if run.is_some_and(|run| run != unit.run) => Lead::Jumps,
            false => Lead::Follows,
        };
        self.push(shot, true);
    }

    /// Whether anything was taken.
    fn has_begun(&self) -> bool {
        self.timeline.is_anchored()
    }

    /// Puts `shot` in line: from now on it has its play time.
    fn push(&mut self, mut shot: Shot, this_boot: bool) {
        let unit = &mut shot.unit;
        let present_nanos = unit.present.as_nanos();
        if shot.lead == Lead::Begins || !self.has_begun() {
            self.run = RunId(self.run.0.wrapping_add(1));
            let begins = if self.way == Way::Backward { shot.due_nanos } else { present_nanos };
            if self.is_unpaced() {
                self.timeline.anchor_at(present_nanos, unit.captured.wall.as_unix_nanos());
            } else {
                self.timeline.anchor(begins, self.scale.factor());
            }
        }
        unit.run = self.run;
        if let Some(taken) = self.taken.get_mut(usize::from(unit.track.0)).filter(|_| this_boot) {
            *taken = Some(unit.decode.ticks);
        }
        let ticks = self.timeline.play_ticks(unit.present);
        let due_nanos = self.timeline.play_nanos(shot.due_nanos);
        self.queue_bytes += unit.data.len();
        let live = matches!(self.source, Source::Live(_));
        let tracks = if live { None } else { self.unpacker.known() };
        self.queue.push_back(Timed { shot, ticks, due_nanos, tracks });
    }
}
