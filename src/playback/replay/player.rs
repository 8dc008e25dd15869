//! One session that plays the past: reads ahead, keeps the pace, and goes over to live.
//!
//! Owns: where the session is. Everything that waits can be cancelled and loses nothing. Where
//! its units come from is told in `feed`.

mod feed;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::choice::{Choice, End, Lead, Shot};
use super::reel::Reel;
use super::timeline::Timeline;
use super::unpack::Unpacker;
use super::voices::Voices;
use super::{Beginning, Came, Order, Refused};
use crate::base::limits::{REPLAY_LEAD, TRACKS_MAX};
use crate::base::time::{BootTime, MediaTime, SharedClock, WallTime};
use crate::dvr::{Dvr, Tape, Way};
use crate::media::{AccessUnit, Kind, RunId, TrackId, Tracks};
use crate::rtp::RtpUnit;
use crate::stream::{Allowance, Stream, Subscriber};
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
    dvr: Dvr,
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
    stage: Stage,
    /// Something is missing before what comes next.
    lagged: bool,
    /// The run of the newest unit that came live.
    live_run: Option<RunId>,
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Playing,
    Paused,
    /// It was said that nothing more comes.
    Left,
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

/// A unit of the past with its place in what is played.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) shot: Shot,
    /// Play time in ticks of its track, and when it is due.
    pub(super) ticks: i64,
    due_nanos: i64,
    /// The tracks among which it was recorded; none if it came live.
    pub(super) tracks: Option<Arc<Tracks>>,
}

/// What comes next of a player.
#[derive(Debug)]
pub(super) enum Due {
    Unit(Box<Timed>),
    /// All was given.
    Over,
    Refused(Refused),
}

/// Where a player is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the recording.
    Past,
    /// At its end, and nothing came live yet.
    Edge,
    /// With what comes live.
    Live,
}

impl Timed {
    fn rate(&self) -> NonZeroU32 {
        self.shot.unit.present.rate
    }
}

impl Replay {
    pub(super) fn new(
        stream: Arc<Stream>,
        clock: SharedClock,
        (dvr, tape): (Dvr, Tape),
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
            stage: Stage::Playing,
            lagged: false,
            live_run: None,
            stream,
            clock,
            dvr,
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
        self.stage = Stage::Paused;
        if matches!(self.source, Source::Seam { .. } | Source::Live(_)) {
            let newest = self.queue.back().map(|timed| timed.shot.unit.captured.wall);
            self.reel.restart(newest.or(self.sent).unwrap_or_else(|| self.clock.wall()));
            self.source = Source::Tape;
        }
    }

    /// Goes on where it was paused, exactly.
    pub fn resume(&mut self) -> Beginning {
        (self.stage, self.pace) = (Stage::Playing, None);
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
            match self.due().await {
                Due::Unit(timed) => {
                    if let Some(unit) = self.pack(&timed) {
                        return Came::Unit(Arc::new(unit));
                    }
                }
                Due::Over => return Came::Over,
                Due::Refused(refused) => return Came::Ended(refused.reason()),
            }
        }
    }

    /// As [`next`](Self::next), before it is made into packets.
    pub(super) async fn due(&mut self) -> Due {
        loop {
            if let Some(timed) = self.try_due() {
                return Due::Unit(Box::new(timed));
            }
            if self.is_over() && self.stage == Stage::Playing {
                return Due::Over;
            }
            let wait = self.due_in();
            let hungry = self.is_hungry();
            if self.stage == Stage::Paused {
                return std::future::pending().await;
            }
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                fed = self.feed(), if hungry => if let Err(refused) = self.absorb(fed) {
                    return Due::Refused(refused);
                }
            }
        }
    }

    /// What comes next, if it is due now.
    pub fn try_next(&mut self) -> Option<Arc<RtpUnit>> {
        loop {
            let timed = self.try_due()?;
            if let Some(unit) = self.pack(&timed) {
                return Some(Arc::new(unit));
            }
        }
    }

    /// As [`try_next`](Self::try_next), before it is made into packets.
    pub(super) fn try_due(&mut self) -> Option<Timed> {
        if self.stage != Stage::Playing || !self.due_in()?.is_zero() {
            return None;
        }
        let timed = self.queue.pop_front()?;
        self.sent = Some(timed.shot.unit.captured.wall);
        self.queue_bytes -= timed.shot.unit.data.len();
        Some(timed)
    }

    /// Where it reads.
    pub(super) fn place(&self) -> Place {
        match self.source {
            Source::Tape | Source::Over => Place::Past,
            Source::Seam { .. } => Place::Edge,
            Source::Live(_) => Place::Live,
        }
    }

    /// Units as they stand in the recording and as fast as they are taken, for whoever keeps the
    /// pace and packs them itself.
    pub(super) fn unpaced(mut self, choice: Choice) -> Self {
        self.reel.keys(choice.keys_only());
        (self.choice, self.paced) = (choice, false);
        self
    }

    /// Whether all was sent, to be asked until it is; told once, and never to a client after ONVIF,
    /// for whom the session goes on.
    pub fn takes_leave(&mut self) -> bool {
        let leaves = self.is_over() && self.stage == Stage::Playing;
        if leaves {
            self.stage = Stage::Left;
        }
        leaves
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

    fn pack(&mut self, timed: &Timed) -> Option<RtpUnit> {
        let unit = &timed.shot.unit;
        let extension = self.onvif.map(|onvif| ReplayExtension {
            captured: unit.captured.wall,
            clean_point: unit.random_access || unit.params.kind() == Kind::Audio,
            section_end: timed.shot.end >= End::Section,
            discontinuity: timed.shot.lead >= Lead::Jumps,
            terminal: timed.shot.end == End::Range,
            cseq: onvif.cseq,
        });
        let offset = self.offset_ticks(unit.present.rate);
        self.voices
            .play_until(self.timeline.play_nanos(unit.present.as_nanos()) + self.offset_nanos);
        let packed =
            self.voices.pack(&timed.shot, timed.ticks.saturating_add(offset), extension)?;
        // It comes to its reader now, whenever it came to us.
        Some(RtpUnit { arrived: self.clock.boot(), ..packed })
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
