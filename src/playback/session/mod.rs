//! One session that plays the past: reads ahead, keeps the pace, and goes over to live.
//!
//! Owns: the position of the session. Everything that waits can be cancelled and loses nothing.
//! `feed` describes where its units come from.

mod due_queue;
mod feed;
mod frame_filter;
mod prefetch;
mod timeline;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use self::due_queue::DueQueue;
pub(super) use self::frame_filter::{Continuity, FrameFilter};
use self::frame_filter::{Ending, SelectedUnit};
use self::prefetch::Prefetcher;
use self::timeline::PlayTimeline;
use super::error::PlaybackError;
use super::request::{FrameSelection, OnvifOptions, PlayFrom, PlayRange, PlayRequest, PlaySpeed};
use super::rtp::RtpTracks;
use super::unpack::Unpacker;
use crate::base::limits::TRACKS_MAX;
use crate::base::time::{BootTime, MediaTime, SharedClock, WallTime};
use crate::dvr::{Direction, Dvr, RecordingCursor};
use crate::media::{AccessUnit, Kind, RunId, TrackId, Tracks};
use crate::rtp::RtpUnit;
use crate::stream::{Allowance, Stream, Subscriber};
use crate::wire::rtp::ReplayExtension;
use crate::wire::rtsp::Start;

/// Up to here all frames are played; faster, key frames only.
const SCALE_ALL_MAX: f64 = 4.0;
/// Play time between two sections.
const STEP_NANOS: i64 = 40_000_000;
/// How playback begins, for the reply to PLAY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayStart {
    /// Where each track begins.
    pub starts: Vec<Start>,
    /// The date of the first picture, and the end.
    pub range: PlayRange,
    /// How fast.
    pub speed: PlaySpeed,
}

/// What a session gives.
#[derive(Clone, Debug)]
pub enum PlaybackNext {
    /// The next unit.
    Unit(Arc<RtpUnit>),
    /// Everything was sent.
    Over,
    /// The session ended, for this reason.
    Ended(&'static str),
}

/// One session that plays the past.
#[derive(Debug)]
pub struct PlaybackSession {
    stream: Arc<Stream>,
    clock: SharedClock,
    dvr: Dvr,
    range: PlayRange,
    way: Direction,
    speed: PlaySpeed,
    onvif: Option<OnvifOptions>,
    source: SessionSource,
    prefetcher: Prefetcher,
    unpacker: Unpacker,
    filter: FrameFilter,
    timeline: PlayTimeline,
    queue: DueQueue,
    rtp_tracks: RtpTracks,
    /// Play time that the session had before.
    offset_nanos: i64,
    run: RunId,
    handover: Handover,
    /// Date of the unit that was sent last.
    sent: Option<WallTime>,
    stage: SessionStage,
}

/// What was taken, so that live continues the recording without a unit twice.
#[derive(Debug, Default)]
struct Handover {
    /// Newest decoding time of each track, in this boot.
    taken: [Option<i64>; TRACKS_MAX],
    /// Something is missing before what comes next.
    lagged: bool,
    /// The run of the newest unit that came live.
    run: Option<RunId>,
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionStage {
    Playing,
    Paused,
    /// It was said that nothing more comes.
    Left,
}

/// Where units come from.
#[derive(Debug)]
enum SessionSource {
    /// The recording.
    Recording,
    /// Its end; what comes live is held back until the recording has come as far.
    Seam { units: Subscriber<AccessUnit>, first: Option<Arc<AccessUnit>>, since: BootTime },
    /// What comes live.
    Live(Subscriber<AccessUnit>),
    /// Nothing comes any more.
    Over,
}

/// A unit of the past with its place in what is played.
#[derive(Debug)]
pub(super) struct TimedUnit {
    pub(super) selected: SelectedUnit,
    /// Play time in ticks of its track, and when it is due.
    pub(super) ticks: i64,
    due_nanos: i64,
    /// The tracks among which it was recorded; none if it came live.
    pub(super) tracks: Option<Arc<Tracks>>,
}

/// What comes next of a player.
#[derive(Debug)]
pub(super) enum DueUnit {
    Unit(Box<TimedUnit>),
    /// All was given.
    Over,
    Refused(PlaybackError),
}

/// Where a player is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlayPosition {
    /// In the recording.
    Past,
    /// At its end, and nothing came live yet.
    Edge,
    /// With what comes live.
    Live,
}

impl TimedUnit {
    fn rate(&self) -> NonZeroU32 {
        self.selected.unit.present.rate
    }
}

impl PlaybackSession {
    pub(super) fn new(
        stream: Arc<Stream>,
        clock: SharedClock,
        (dvr, cursor): (Dvr, RecordingCursor),
        request: &PlayRequest,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (range, way) = match request.from {
            PlayFrom::Date(range) if request.speed.is_backwards() => (range, Direction::Backward),
            PlayFrom::Date(range) => (range, Direction::Forward),
            PlayFrom::Live => (PlayRange { from: clock.wall(), until: None }, Direction::Forward),
        };
        let filter = filter(request, range.until);
        let keys = filter.keys_only();
        let unpaced = request.onvif.is_some_and(|onvif| onvif.unpaced);
        let prefetcher = Prefetcher::new(cursor, range.from, way, keys, Arc::new(place));
        let (source, speed) = match request.from {
            PlayFrom::Date(_) => (SessionSource::Recording, request.speed),
            PlayFrom::Live => {
                (SessionSource::Live(stream.bus().subscribe(Allowance::Window)), PlaySpeed::ONE)
            }
        };
        Self {
            range,
            way,
            speed,
            onvif: request.onvif,
            source,
            prefetcher,
            unpacker: Unpacker::default(),
            filter,
            timeline: PlayTimeline::new(speed.factor()),
            queue: DueQueue::new(!unpaced && matches!(request.from, PlayFrom::Date(_))),
            rtp_tracks: RtpTracks::new([]),
            offset_nanos: 0,
            run: RunId(0),
            handover: Handover::default(),
            sent: None,
            stage: SessionStage::Playing,
            stream,
            clock,
            dvr,
        }
    }

    /// Waits until the first unit is there. Cancel safe.
    pub async fn ready(&mut self) -> Result<(), PlaybackError> {
        while self.queue.is_empty() {
            let fed = self.feed().await;
            self.absorb(fed)?;
        }
        Ok(())
    }

    /// Begins to play with `rtp_tracks`: those of the session, which continue over a seek. Call it
    /// when it is [`ready`](Self::ready).
    pub fn begin(&mut self, rtp_tracks: RtpTracks) -> PlayStart {
        self.rtp_tracks = rtp_tracks;
        if !self.is_unpaced() && self.rtp_tracks.played_nanos() > 0 {
            self.offset_nanos = self.rtp_tracks.played_nanos() + STEP_NANOS;
        }
        self.beginning()
    }

    /// What comes next, as the reply to PLAY tells it.
    fn beginning(&self) -> PlayStart {
        let (mut starts, mut from) = (Vec::new(), self.range.from);
        if let Some(next) = self.queue.front() {
            let unit = &next.selected.unit;
            let nanos = self.timeline.play_nanos(unit.present.as_nanos()) + self.offset_nanos;
            starts = self.rtp_tracks.starts(|track| {
                let mut queued =
                    self.queue.iter().filter(|timed| timed.selected.unit.track == track);
                match queued.next() {
                    Some(first) => Some(first.ticks + self.offset_ticks(first.rate())),
                    None => Some(MediaTime::from_nanos(nanos, self.rate_of(track)?).ticks),
                }
            });
            from = match self.way {
                Direction::Forward => unit.captured.wall,
                Direction::Backward => self.newest_queued().min(self.range.from),
            };
        }
        PlayStart { starts, range: PlayRange { from, ..self.range }, speed: self.speed }
    }

    fn newest_queued(&self) -> WallTime {
        let dates = self.queue.iter().map(|timed| timed.selected.unit.captured.wall);
        dates.max().unwrap_or(self.range.from)
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

    /// Sends nothing until it is asked to continue. Live media of the meantime are not kept: they
    /// are read out of the recording again.
    pub fn pause(&mut self) {
        self.stage = SessionStage::Paused;
        if matches!(self.source, SessionSource::Seam { .. } | SessionSource::Live(_)) {
            let newest = self.queue.back().map(|timed| timed.selected.unit.captured.wall);
            self.prefetcher.restart(newest.or(self.sent).unwrap_or_else(|| self.clock.wall()));
            self.source = SessionSource::Recording;
        }
    }

    /// Continues exactly where it was paused.
    pub fn resume(&mut self) -> PlayStart {
        self.stage = SessionStage::Playing;
        self.queue.restart_pace();
        self.beginning()
    }

    /// The session's rtp_tracks, for what is played next; it plays no more itself.
    pub fn take_rtp_tracks(&mut self) -> RtpTracks {
        self.source = SessionSource::Over;
        std::mem::replace(&mut self.rtp_tracks, RtpTracks::new([]))
    }

    /// Whether it plays at `speed` with `onvif` already.
    #[must_use]
    pub fn plays_as(&self, speed: PlaySpeed, onvif: Option<OnvifOptions>) -> bool {
        let mode = |onvif: OnvifOptions| (onvif.unpaced, onvif.frames);
        self.speed == speed && self.onvif.map(mode) == onvif.map(mode)
    }

    /// What is left of the range, to be played at `speed`: the other way to its beginning.
    #[must_use]
    pub fn rest(&self, speed: PlaySpeed) -> PlayRange {
        let turns = speed.is_backwards() != (self.way == Direction::Backward);
        let next = self.queue.front().map(|timed| timed.selected.unit.captured.wall);
        let from = next.or(self.sent).unwrap_or(self.range.from);
        PlayRange { from, until: if turns { None } else { self.range.until } }
    }

    /// Whether units leave as fast as they are taken.
    #[must_use]
    pub fn is_unpaced(&self) -> bool {
        self.onvif.is_some_and(|onvif| onvif.unpaced)
    }

    /// What comes next, when it is due. Waits for ever behind the end, and while it is paused.
    /// Cancel safe.
    pub async fn next(&mut self) -> PlaybackNext {
        loop {
            match self.due().await {
                DueUnit::Unit(timed) => {
                    if let Some(unit) = self.pack(&timed) {
                        return PlaybackNext::Unit(Arc::new(unit));
                    }
                }
                DueUnit::Over => return PlaybackNext::Over,
                DueUnit::Refused(refused) => return PlaybackNext::Ended(refused.reason()),
            }
        }
    }

    /// As [`next`](Self::next), before it is made into packets.
    pub(super) async fn due(&mut self) -> DueUnit {
        loop {
            if let Some(timed) = self.try_due() {
                return DueUnit::Unit(Box::new(timed));
            }
            if self.is_over() && self.stage == SessionStage::Playing {
                return DueUnit::Over;
            }
            let wait = self.queue.due_in(self.clock.boot());
            let hungry = self.queue.is_hungry();
            if self.stage == SessionStage::Paused {
                return std::future::pending().await;
            }
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                fed = self.feed(), if hungry => if let Err(refused) = self.absorb(fed) {
                    return DueUnit::Refused(refused);
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
    pub(super) fn try_due(&mut self) -> Option<TimedUnit> {
        if self.stage != SessionStage::Playing || !self.queue.due_in(self.clock.boot())?.is_zero() {
            return None;
        }
        let timed = self.queue.pop()?;
        self.sent = Some(timed.selected.unit.captured.wall);
        Some(timed)
    }

    /// Where it reads.
    pub(super) fn place(&self) -> PlayPosition {
        match self.source {
            SessionSource::Recording | SessionSource::Over => PlayPosition::Past,
            SessionSource::Seam { .. } => PlayPosition::Edge,
            SessionSource::Live(_) => PlayPosition::Live,
        }
    }

    /// Units as recorded and as fast as they are taken, for a caller that does its own pacing and
    /// packing.
    pub(super) fn unpaced(mut self, filter: FrameFilter) -> Self {
        self.prefetcher.keys(filter.keys_only());
        self.filter = filter;
        self.queue.stop_pacing();
        self
    }

    /// Whether all was sent; ask until it is. Returned once, and never to a client after ONVIF, for
    /// whom the session continues.
    pub fn takes_leave(&mut self) -> bool {
        let leaves = self.is_over() && self.stage == SessionStage::Playing;
        if leaves {
            self.stage = SessionStage::Left;
        }
        leaves
    }

    fn is_over(&self) -> bool {
        matches!(self.source, SessionSource::Over) && self.queue.is_empty() && self.onvif.is_none()
    }

    /// The synchronisation source of `track`.
    #[must_use]
    pub fn ssrc(&self, track: TrackId) -> Option<u32> {
        self.rtp_tracks.ssrc(track)
    }

    fn pack(&mut self, timed: &TimedUnit) -> Option<RtpUnit> {
        let unit = &timed.selected.unit;
        let extension = self.onvif.map(|onvif| ReplayExtension {
            captured: unit.captured.wall,
            clean_point: unit.random_access() || unit.params.kind() == Kind::Audio,
            section_end: timed.selected.ending >= Ending::Section,
            discontinuity: timed.selected.continuity >= Continuity::Jumps,
            terminal: timed.selected.ending == Ending::Range,
            cseq: onvif.cseq,
        });
        let offset = self.offset_ticks(unit.present.rate);
        self.rtp_tracks
            .play_until(self.timeline.play_nanos(unit.present.as_nanos()) + self.offset_nanos);
        let packed = self.rtp_tracks.pack(unit, timed.ticks.saturating_add(offset), extension)?;
        // Its reader gets it now, whenever we did.
        Some(RtpUnit { arrived: self.clock.boot(), ..packed })
    }
}

/// Which frames `request` gets: all, as far as a network carries that and a player shows it.
fn filter(request: &PlayRequest, until: Option<WallTime>) -> FrameFilter {
    let keys = FrameSelection::Key { apart: Duration::ZERO };
    let factor = request.speed.factor();
    let fast = factor.abs() > SCALE_ALL_MAX;
    let unpaced = request.onvif.is_some_and(|onvif| onvif.unpaced);
    let frames = match request.onvif {
        Some(OnvifOptions {
            frames: FrameSelection::All | FrameSelection::Reference,
            unpaced: false,
            ..
        }) if fast => keys,
        Some(onvif) => onvif.frames,
        // A group of pictures whose time runs backwards is nothing for a player that does not
        // know ONVIF.
        None if fast || request.speed.is_backwards() => keys,
        None => FrameSelection::All,
    };
    FrameFilter::new(frames, unpaced || request.speed == PlaySpeed::ONE, until)
}

async fn sleep(by: Option<Duration>) {
    match by {
        Some(by) => tokio::time::sleep(by).await,
        None => std::future::pending().await,
    }
}
