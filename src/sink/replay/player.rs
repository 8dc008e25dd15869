//! One session that plays the past: reads ahead, keeps the pace, and goes over to live.
//!
//! Owns: where the session is. Everything that waits can be cancelled and loses nothing.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::choice::{Choice, Shot};
use super::reel::{Reel, Wound};
use super::timeline::Timeline;
use super::unpack::Unpacker;
use super::voices::Voices;
use super::{Beginning, Came, Order, Refused};
use crate::base::fault::chain;
use crate::base::limits::{REPLAY_HANDOVER_TIME_MAX, REPLAY_LEAD, TRACKS_MAX};
use crate::base::time::{BootTime, MediaTime, SharedClock, WallTime};
use crate::bus::{Allowance, Next, State, Stream, Subscriber};
use crate::dvr::{Clip, DvrError, Tape, Way};
use crate::media::{AccessUnit, Kind, RunId, TrackId};
use crate::sink::rtsp_play::RtpUnit;
use crate::wire::rtp::ReplayExtension;
use crate::wire::rtsp::{Frames, Onvif, Scale, Span, Wish};

/// Up to here all frames are played; faster, key frames only.
const SCALE_ALL_MAX: f64 = 4.0;
/// Play time between two sections.
const STEP_NANOS: i64 = 40_000_000;
/// Units that may wait for their time while more is read.
const AHEAD_UNITS_MAX: usize = 1_024;
/// Bytes of them.
const AHEAD_BYTES_MAX: usize = 8 << 20;
/// Play time of them.
const AHEAD_NANOS_MAX: i64 = 1_500_000_000;

/// One session that plays the past.
#[derive(Debug)]
pub struct Replay {
    stream: Arc<Stream>,
    clock: SharedClock,
    span: Span,
    way: Way,
    scale: Scale,
    onvif: Option<Onvif>,
    source: Source,
    reel: Reel,
    unpacker: Unpacker,
    choice: Choice,
    timeline: Timeline,
    queue: VecDeque<Timed>,
    queue_bytes: usize,
    voices: Voices,
    /// Play time that the session had before.
    offset_nanos: i64,
    /// Units wait for their time.
    paced: bool,
    /// A moment, and the play time that was due at it.
    pace: Option<(BootTime, i64)>,
    run: RunId,
    /// Newest decoding time of each track that was taken, in this boot.
    taken: [Option<i64>; TRACKS_MAX],
    /// Date of the unit that was sent last.
    sent: Option<WallTime>,
    /// Something was taken.
    begun: bool,
    paused: bool,
    /// It was said that nothing more comes.
    left: bool,
    /// It was live, was paused, and reads out of the recording what it had already.
    rewound: bool,
    /// Something is missing before what comes next.
    lagged: bool,
    /// The run of the newest unit that came live, and whether any did.
    live_run: Option<RunId>,
    ran_live: bool,
}

/// Where units come from.
#[derive(Debug)]
enum Source {
    /// The recording.
    Tape,
    /// Its end; what comes live is held back until the recording has come as far.
    Seam { units: Subscriber<AccessUnit>, first: Option<Arc<AccessUnit>>, since: BootTime },
    /// What comes live.
    Live(Subscriber<AccessUnit>),
    /// Nothing comes any more.
    Over,
}

#[derive(Debug)]
struct Timed {
    shot: Shot,
    /// Play time in ticks of its track, and when it is due.
    ticks: i64,
    due_nanos: i64,
}

impl Timed {
    fn rate(&self) -> NonZeroU32 {
        self.shot.unit.present.rate
    }
}

/// What the source gave.
enum Fed {
    Wound(Result<Wound, DvrError>),
    Live(Next<AccessUnit>),
    /// The recording does not come as far as what is live.
    Late,
}

impl Replay {
    pub(super) fn new(
        stream: Arc<Stream>,
        clock: SharedClock,
        tape: Tape,
        order: Order,
        wish: &Wish,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (span, way) = match order {
            Order::From(span) if wish.scale.is_backwards() => (span, Way::Backward),
            Order::From(span) => (span, Way::Forward),
            Order::Live => (Span { from: clock.wall(), until: None }, Way::Forward),
        };
        let choice = choice(wish, span.until);
        let keys = choice.keys_only();
        let unpaced = wish.onvif.is_some_and(|onvif| onvif.unpaced);
        let reel = Reel::new(tape, span.from, way, keys, Arc::new(place));
        let (source, scale) = match order {
            Order::From(_) => (Source::Tape, wish.scale),
            Order::Live => (Source::Live(stream.bus().subscribe(Allowance::Window)), Scale::ONE),
        };
        Self {
            span,
            way,
            scale,
            onvif: wish.onvif,
            source,
            reel,
            unpacker: Unpacker::default(),
            choice,
            timeline: Timeline::new(scale.factor()),
            queue: VecDeque::new(),
            queue_bytes: 0,
            voices: Voices::new([]),
            offset_nanos: 0,
            paced: !unpaced && matches!(order, Order::From(_)),
            pace: None,
            run: RunId(0),
            taken: [None; TRACKS_MAX],
            sent: None,
            begun: false,
            paused: false,
            left: false,
            rewound: false,
            lagged: false,
            live_run: None,
            ran_live: false,
            stream,
            clock,
        }
    }

    /// Waits until the first unit is there. Cancel safe.
    pub async fn ready(&mut self) -> Result<(), Refused> {
        while self.queue.is_empty() {
            let fed = self.feed().await;
            self.absorb(fed)?;
        }
        Ok(())
    }

    /// Begins to play with `voices`: those of the session, which go on over a seek. To be called
    /// when it is [`ready`](Self::ready).
    pub fn begin(&mut self, voices: Voices) -> Beginning {
        self.voices = voices;
        if !self.is_unpaced() && self.voices.played_nanos() > 0 {
            self.offset_nanos = self.voices.played_nanos() + STEP_NANOS;
        }
        self.beginning()
    }

    /// What comes next, as the reply to PLAY tells it.
    fn beginning(&self) -> Beginning {
        let (mut starts, mut from) = (Vec::new(), self.span.from);
        if let Some(next) = self.queue.front() {
            let unit = &next.shot.unit;
            let nanos = self.timeline.play_nanos(unit.present.as_nanos()) + self.offset_nanos;
            starts = self.voices.starts(|track| {
                let mut queued = self.queue.iter().filter(|timed| timed.shot.unit.track == track);
                match queued.next() {
                    Some(first) => Some(first.ticks + self.offset_ticks(first.rate())),
                    None => Some(MediaTime::from_nanos(nanos, self.rate_of(track)?).ticks),
                }
            });
            from = match self.way {
                Way::Forward => unit.captured.wall,
                Way::Backward => self.newest_queued().min(self.span.from),
            };
        }
        Beginning { starts, span: Span { from, ..self.span }, scale: self.scale }
    }

    fn newest_queued(&self) -> WallTime {
        let dates = self.queue.iter().map(|timed| timed.shot.unit.captured.wall);
        dates.max().unwrap_or(self.span.from)
    }

    /// Play time that the session had before, in ticks of a track.
    fn offset_ticks(&self, rate: NonZeroU32) -> i64 {
        MediaTime::from_nanos(self.offset_nanos, rate).ticks
    }

    fn rate_of(&self, track: TrackId) -> Option<NonZeroU32> {
        let live = self.stream.tracks().borrow().clone();
        let known = self.unpacker.known().or(live)?;
        Some(known.get(track)?.params.clock_rate)
    }

    /// Sends nothing until it is told to go on. What comes live meanwhile is not kept: it is read
    /// out of the recording again.
    pub fn pause(&mut self) {
        self.paused = true;
        if matches!(self.source, Source::Seam { .. } | Source::Live(_)) {
            let newest = self.queue.back().map(|timed| timed.shot.unit.captured.wall);
            self.reel.restart(newest.or(self.sent).unwrap_or_else(|| self.clock.wall()));
            (self.source, self.rewound) = (Source::Tape, true);
        }
    }

    /// Goes on where it was paused, exactly.
    pub fn resume(&mut self) -> Beginning {
        (self.paused, self.pace) = (false, None);
        self.beginning()
    }

    /// The session's voices, for what is played next; it plays no more itself.
    pub fn take_voices(&mut self) -> Voices {
        self.source = Source::Over;
        std::mem::replace(&mut self.voices, Voices::new([]))
    }

    /// Whether it plays as `wish` wants it already.
    #[must_use]
    pub fn is_as(&self, wish: &Wish) -> bool {
        let ways = |onvif: Onvif| (onvif.unpaced, onvif.frames);
        self.scale == wish.scale && self.onvif.map(ways) == wish.onvif.map(ways)
    }

    /// What is left of the range, to be played at `scale`: the other way to its beginning.
    #[must_use]
    pub fn rest(&self, scale: Scale) -> Span {
        let turns = scale.is_backwards() != (self.way == Way::Backward);
        let next = self.queue.front().map(|timed| timed.shot.unit.captured.wall);
        let from = next.or(self.sent).unwrap_or(self.span.from);
        Span { from, until: if turns { None } else { self.span.until } }
    }

    /// Whether units leave as fast as they are taken.
    #[must_use]
    pub fn is_unpaced(&self) -> bool {
        self.onvif.is_some_and(|onvif| onvif.unpaced)
    }

    /// What comes next, when it is due. Waits for ever behind the end, and while it is paused.
    /// Cancel safe.
    pub async fn next(&mut self) -> Came {
        loop {
            if let Some(unit) = self.try_next() {
                return Came::Unit(unit);
            }
            if self.is_over() && !self.left {
                return Came::Over;
            }
            let wait = self.due_in();
            let hungry = self.is_hungry();
            if self.paused {
                return std::future::pending().await;
            }
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                fed = self.feed(), if hungry => if let Err(refused) = self.absorb(fed) {
                    return Came::Ended(refused.reason());
                }
            }
        }
    }

    /// What comes next, if it is due now.
    pub fn try_next(&mut self) -> Option<Arc<RtpUnit>> {
        while !self.paused && self.due_in().is_some_and(|wait| wait.is_zero()) {
            let timed = self.queue.pop_front()?;
            self.sent = Some(timed.shot.unit.captured.wall);
            self.queue_bytes -= timed.shot.unit.data.len();
            if let Some(unit) = self.pack(&timed) {
                return Some(Arc::new(unit));
            }
        }
        None
    }

    /// Whether all was sent, to be asked until it is; told once, and never to a client after ONVIF,
    /// for whom the session goes on.
    pub fn takes_leave(&mut self) -> bool {
        self.is_over() && !std::mem::replace(&mut self.left, true)
    }

    fn is_over(&self) -> bool {
        matches!(self.source, Source::Over) && self.queue.is_empty() && self.onvif.is_none()
    }

    /// The synchronisation source of `track`.
    #[must_use]
    pub fn ssrc(&self, track: TrackId) -> Option<u32> {
        self.voices.ssrc(track)
    }

    /// Until the next unit is due; `None` when there is none.
    fn due_in(&mut self) -> Option<Duration> {
        let due_nanos = self.queue.front()?.due_nanos;
        if !self.paced {
            return Some(Duration::ZERO);
        }
        let now = self.clock.boot();
        let (at, nanos) = *self.pace.get_or_insert((now, due_nanos));
        let after = u64::try_from(due_nanos.saturating_sub(nanos)).unwrap_or(0);
        Some(at.after(Duration::from_nanos(after)).before(REPLAY_LEAD).since(now))
    }

    fn is_hungry(&self) -> bool {
        let span_nanos = match (self.queue.front(), self.queue.back()) {
            (Some(front), Some(back)) => back.due_nanos.saturating_sub(front.due_nanos),
            _ => 0,
        };
        self.queue.len() < AHEAD_UNITS_MAX
            && self.queue_bytes < AHEAD_BYTES_MAX
            && span_nanos < AHEAD_NANOS_MAX
    }

    /// Waits for the source. Cancel safe.
    async fn feed(&mut self) -> Fed {
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

    fn absorb(&mut self, fed: Fed) -> Result<(), Refused> {
        match fed {
            Fed::Wound(Ok(Wound::Clips(clips))) => self.take_clips(&clips)?,
            Fed::Wound(Ok(Wound::Nowhere(extent))) => {
                let now = self.clock.wall();
                let ahead = self.way == Way::Backward || self.span.until.is_some();
                if !self.begun && (ahead || self.span.from > now || !self.is_live()) {
                    return Err(self.nothing(extent));
                }
                // Nothing is recorded behind it yet: what comes live comes at once.
                self.paced &= self.begun;
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
                    self.go_live_if(|replay, first| replay.has_taken(first));
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
            if !(self.rewound && clip.this_boot && self.has_taken(&shot.unit)) {
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
                } else if !self.begun {
                    self.go_live_if(|_, _| true);
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<(), Refused> {
        self.source = Source::Over;
        if self.begun { Ok(()) } else { Err(self.nothing(None)) }
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
        let new_run = self.live_run.replace(unit.run) != Some(unit.run);
        let jump = std::mem::take(&mut self.lagged);
        if self.has_taken(unit) {
            self.lagged = jump;
            return;
        }
        if self.choice.is_wanted(unit) {
            let mut shot = Shot::of(unit.clone());
            // Media time goes on over runs; a seam is only where some of it is missing.
            (shot.seam, shot.jump) = (jump, jump || (new_run && self.begun && self.ran_live));
            self.ran_live = true;
            self.push(shot, true);
        }
    }

    /// Puts `shot` in line: from now on it has its play time.
    fn push(&mut self, mut shot: Shot, this_boot: bool) {
        let unit = &mut shot.unit;
        let present_nanos = unit.present.as_nanos();
        if shot.seam || !self.timeline.is_anchored() {
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
        self.begun = true;
        self.queue_bytes += unit.data.len();
        self.queue.push_back(Timed { shot, ticks, due_nanos });
    }

    fn pack(&mut self, timed: &Timed) -> Option<RtpUnit> {
        let unit = &timed.shot.unit;
        let extension = self.onvif.map(|onvif| ReplayExtension {
            captured: unit.captured.wall,
            clean_point: unit.random_access || unit.params.kind() == Kind::Audio,
            section_end: timed.shot.ends,
            discontinuity: timed.shot.jump,
            terminal: timed.shot.terminal,
            cseq: onvif.cseq,
        });
        let offset = self.offset_ticks(unit.present.rate);
        self.voices
            .play_until(self.timeline.play_nanos(unit.present.as_nanos()) + self.offset_nanos);
        self.voices.pack(&timed.shot, timed.ticks.saturating_add(offset), extension)
    }
}

/// Which frames `wish` gets: all, as far as a network carries that and a player shows it.
fn choice(wish: &Wish, until: Option<WallTime>) -> Choice {
    let keys = Frames::Intra { apart: Duration::ZERO };
    let factor = wish.scale.factor();
    let fast = factor.abs() > SCALE_ALL_MAX;
    let unpaced = wish.onvif.is_some_and(|onvif| onvif.unpaced);
    let frames = match wish.onvif {
        Some(Onvif { frames: Frames::All | Frames::Predicted, unpaced: false, .. }) if fast => keys,
        Some(onvif) => onvif.frames,
        // A group of pictures whose time runs backwards is nothing for a player that does not
        // know ONVIF.
        None if fast || wish.scale.is_backwards() => keys,
        None => Frames::All,
    };
    Choice::new(frames, unpaced || wish.scale == Scale::ONE, until)
}

async fn sleep(by: Option<Duration>) {
    match by {
        Some(by) => tokio::time::sleep(by).await,
        None => std::future::pending().await,
    }
}
