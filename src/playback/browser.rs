//! The past of a stream as fMP4 for a player in a browser, as fast as that takes it.
//!
//! Owns: one timeline that only grows, whatever was recorded when and whichever way it is shown:
//! sections abut, a gap takes no time, and shown backwards time still runs forward. Of each chunk
//! it says at which date it was. Does not own: how far ahead it is read; that is the door's.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::PlaybackError;
use super::request::{FrameSelection, PlayFrom, PlayRange, PlayRequest, PlaySpeed};
use super::service::Playback;
use super::session::{Continuity, DueUnit, FrameFilter, PlayPosition, PlaybackSession, TimedUnit};
use crate::base::limits::PLAY_SCENE_BYTES_MAX;
use crate::base::time::{MediaTime, SharedClock, WallTime};
use crate::dvr::Direction;
use crate::media::duration::Durations;
use crate::media::{AccessUnit, RunId, Tracks};
use crate::stream::Stream;
use crate::wire::mp4::FragmentBuilder;
use crate::wire::silence::SilenceFill;
use crate::wire::web::WebFormat;
use crate::wire::web_units::WebUnits;

/// How long a chunk waits for the one behind it, to know how long it lasts itself.
const WAIT_MAX: Duration = Duration::from_millis(250);

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlaybackParams {
    /// From when.
    pub start: WallTime,
    /// Which way.
    pub way: Direction,
    /// Key frames only. Backwards there is nothing else.
    pub keys: bool,
    /// Where its timeline begins, in nanoseconds: behind all that its viewer was shown before.
    pub base_nanos: i64,
}

/// What comes next.
#[derive(Debug)]
pub enum PlaybackEvent {
    /// Other tracks: what follows needs this init segment.
    Format(Arc<WebFormat>),
    /// The next pictures.
    Chunk(MediaChunk),
    /// Between these dates something may be missing; what follows is on the other side.
    Seam(WallTime, WallTime),
    /// All that is recorded was shown; what is recorded next follows.
    Edge,
    /// From here on as it happens.
    Live,
    /// That was all.
    Over,
    /// Nothing more, for this reason.
    Refused(PlaybackError),
}

/// Pictures that follow each other, with their sound.
#[derive(Clone, Debug)]
pub struct MediaChunk {
    /// `moof` and `mdat`.
    pub bytes: Bytes,
    /// When each picture is shown, in ticks of `rate`, in this order.
    pub pictures: Vec<i64>,
    /// When the last one has been shown.
    pub end: i64,
    /// Ticks per second.
    pub rate: NonZeroU32,
    /// The date of the first picture that is shown.
    pub wall: WallTime,
    /// Which way the dates run.
    pub way: Direction,
}

/// One viewer's past.
#[derive(Debug)]
pub struct BrowserPlayback {
    session: PlaybackSession,
    stream: Arc<Stream>,
    params: PlaybackParams,
    format: Option<Arc<WebFormat>>,
    /// What [`Self::format`] was made of.
    tracks: Option<Arc<Tracks>>,
    durations: Durations,
    fill: SilenceFill,
    copies: WebUnits,
    chunk: Vec<TimedUnit>,
    /// Date of the newest picture reported.
    newest: WallTime,
    number: u32,
    place: PlayPosition,
    told: VecDeque<PlaybackEvent>,
}

impl Playback {
    /// The past of `stream` for a player in a browser.
    pub fn open_for_browser(
        &self,
        stream: &Arc<Stream>,
        clock: &SharedClock,
        params: PlaybackParams,
    ) -> Result<BrowserPlayback, PlaybackError> {
        let backwards = params.way == Direction::Backward;
        let speed = if backwards { PlaySpeed::MINUS_ONE } else { PlaySpeed::ONE };
        let from = PlayFrom::Date(PlayRange { from: params.start, until: None });
        let session = self.open(stream, clock, &PlayRequest { from, speed, onvif: None })?;
        let keys = FrameSelection::Key { apart: Duration::ZERO };
        let frames = if params.keys || backwards { keys } else { FrameSelection::All };
        Ok(BrowserPlayback {
            session: session.unpaced(FrameFilter::new(frames, true, None)),
            stream: Arc::clone(stream),
            params,
            format: None,
            tracks: None,
            durations: Durations::default(),
            fill: SilenceFill::default(),
            copies: WebUnits::default(),
            chunk: Vec::new(),
            newest: params.start,
            number: 0,
            place: PlayPosition::Past,
            told: VecDeque::new(),
        })
    }
}

impl BrowserPlayback {
    /// What is shown.
    #[must_use]
    pub fn params(&self) -> PlaybackParams {
        self.params
    }

    /// Waits for what comes next. Cancel safe.
    pub async fn next(&mut self) -> PlaybackEvent {
        loop {
            if let Some(shown) = self.told.pop_front() {
                return shown;
            }
            let due = tokio::select! {
                biased;
                due = self.session.due() => Some(due),
                () = tokio::time::sleep(WAIT_MAX) => None,
            };
            self.take(due);
        }
    }

    /// Lets what comes live go by: it is read out of the recording later.
    pub fn pause(&mut self) {
        self.session.pause();
    }

    /// Continues where it was paused.
    pub fn resume(&mut self) {
        self.session.resume();
    }

    fn take(&mut self, due: Option<DueUnit>) {
        match due {
            Some(DueUnit::Unit(timed)) => self.add(*timed),
            None => self.close(None),
            Some(DueUnit::Over) => {
                self.close(None);
                self.told.push_back(PlaybackEvent::Over);
            }
            Some(DueUnit::Refused(refused)) => {
                self.close(None);
                self.told.push_back(PlaybackEvent::Refused(refused));
            }
        }
        let place = self.session.place();
        if std::mem::replace(&mut self.place, place) != place {
            match place {
                PlayPosition::Past => {}
                PlayPosition::Edge => self.told.push_back(PlaybackEvent::Edge),
                PlayPosition::Live => {
                    self.close(None);
                    self.told.push_back(PlaybackEvent::Live);
                }
            }
        }
    }

    fn add(&mut self, timed: TimedUnit) {
        if self.begins_scene(&timed) {
            self.close(Some(&timed));
        }
        if timed.selected.continuity == Continuity::Begins {
            let (a, b) = (self.newest, timed.selected.unit.captured.wall);
            self.told.push_back(PlaybackEvent::Seam(a.min(b), a.max(b)));
        }
        if !self.adapt(&timed) {
            return;
        }
        self.chunk.push(timed);
        // What comes live cannot wait for its successor.
        if self.session.place() == PlayPosition::Live {
            self.close(None);
        }
    }

    /// Whether what was gathered so far ends before `timed`.
    fn begins_scene(&self, timed: &TimedUnit) -> bool {
        let unit = &timed.selected.unit;
        let bytes: usize = self.chunk.iter().map(|timed| timed.selected.unit.data.len()).sum();
        let first = self.chunk.first();
        first.is_some_and(|first| first.tracks.is_some() != timed.tracks.is_some())
            || timed.selected.continuity != Continuity::Follows
            || unit.random_access() && self.is_lead(unit) && self.has_lead()
            || bytes + unit.data.len() > PLAY_SCENE_BYTES_MAX
    }

    /// Whether pictures are gathered, not only the sound that came before them.
    fn has_lead(&self) -> bool {
        self.chunk.iter().any(|timed| self.is_lead(&timed.selected.unit))
    }

    fn is_lead(&self, unit: &AccessUnit) -> bool {
        self.format.as_ref().is_none_or(|format| format.lead() == unit.track)
    }

    /// Tells the format of `timed` if it is another one; whether it belongs into the present one.
    fn adapt(&mut self, timed: &TimedUnit) -> bool {
        let unit = &timed.selected.unit;
        let known = match (&timed.tracks, &self.tracks) {
            (Some(now), Some(before)) => Arc::ptr_eq(now, before),
            (None, Some(before)) => {
                before.get(unit.track).is_some_and(|track| track.params == unit.params)
            }
            _ => false,
        };
        if !known && let Some(tracks) = timed.tracks.clone().or_else(|| self.live_tracks(unit)) {
            self.tracks = Some(Arc::clone(&tracks));
            let tracks = Tracks { run: RunId::default(), ..Tracks::clone(&tracks) };
            if self.format.as_ref().is_none_or(|format| !format.describes(&tracks)) {
                self.close(None);
                self.format = self.make_format(tracks).map(Arc::new);
                let sound = self.format.as_deref().and_then(WebFormat::fillable_sound);
                self.fill = SilenceFill::new(sound);
                self.told.extend(self.format.clone().map(PlaybackEvent::Format));
            }
        }
        self.format.as_ref().is_some_and(|format| format.carries(unit.track))
    }

    fn make_format(&self, tracks: Tracks) -> Option<WebFormat> {
        let silent = self.params.keys || self.params.way == Direction::Backward;
        if silent { WebFormat::silent(tracks) } else { WebFormat::new(tracks) }
    }

    /// The tracks of a unit that came live.
    fn live_tracks(&self, unit: &AccessUnit) -> Option<Arc<Tracks>> {
        let mut tracks = Tracks::clone(self.stream.tracks().borrow().as_ref()?);
        tracks.list.get_mut(usize::from(unit.track.0))?.params = Arc::clone(&unit.params);
        Some(Arc::new(tracks))
    }

    /// Ends the chunk; it lasts until `next`, over gaps too.
    fn close(&mut self, next: Option<&TimedUnit>) {
        let chunk = std::mem::take(&mut self.chunk);
        let Some(format) = self.format.clone() else { return };
        let mut units = Vec::with_capacity(chunk.len());
        for timed in &chunk {
            let unit = self.place_unit(timed);
            if self.is_lead(&unit) {
                units.extend(self.fill.due(&unit));
            }
            if self.fill.admit(&unit) {
                units.push(unit);
            }
        }
        let units: Vec<_> = units.into_iter().map(Arc::new).collect();
        let mut end = None;
        for unit in &units {
            let successor = self.durations.successor(unit);
            if self.is_lead(unit) {
                end = Some(successor);
            }
        }
        // Behind a gap sound may come first; the picture before it lasts until then.
        let end = end.map(|end| match next.map(|next| self.place_unit(next).decode) {
            Some(at) => AccessUnit { decode: at.rescale(end.decode.rate), ..end },
            None => end,
        });
        self.number = self.number.wrapping_add(1);
        let mut builder = FragmentBuilder::new(self.number);
        for unit in &units {
            // G.711 travels as FLAC, as it does live.
            if let Some(shown) = self.copies.shown(&format, unit) {
                builder.push(shown);
            }
        }
        if builder.is_empty() {
            return;
        }
        let bytes = builder.build(end.as_ref()).to_bytes();
        if let Some(chunk) = self.describe(&units, end.as_ref(), bytes) {
            self.told.push_back(PlaybackEvent::Chunk(chunk));
        }
    }

    /// The unit of `timed` on the viewer's timeline.
    fn place_unit(&self, timed: &TimedUnit) -> AccessUnit {
        let unit = &timed.selected.unit;
        let rate = unit.present.rate;
        let base = MediaTime::from_nanos(self.params.base_nanos, rate).ticks;
        let at = |ticks: i64| MediaTime { ticks: base.saturating_add(ticks), rate };
        let ahead = match self.params.way {
            Direction::Forward => unit.present.ticks.saturating_sub(unit.decode.ticks),
            Direction::Backward => 0,
        };
        let (decode, present) = (at(timed.ticks.saturating_sub(ahead)), at(timed.ticks));
        AccessUnit { decode, present, run: RunId::default(), ..unit.clone() }
    }

    fn describe(
        &mut self,
        units: &[Arc<AccessUnit>],
        end: Option<&AccessUnit>,
        bytes: Bytes,
    ) -> Option<MediaChunk> {
        let lead: Vec<_> = units.iter().filter(|unit| self.is_lead(unit)).collect();
        let first = lead.iter().min_by_key(|unit| unit.present.ticks);
        let last = lead.iter().map(|unit| unit.captured.wall);
        self.newest = match self.params.way {
            Direction::Forward => last.max(),
            Direction::Backward => last.min(),
        }
        .unwrap_or(self.newest);
        let mut pictures: Vec<_> = lead.iter().map(|unit| unit.present.ticks).collect();
        pictures.sort_unstable();
        let shown_last = pictures.last().copied();
        let decoded_last = lead.last().map(|unit| unit.decode.ticks);
        let (wall, rate) = match first {
            Some(first) => (first.captured.wall, first.present.rate),
            None => (self.newest, units.first()?.present.rate),
        };
        // The picture shown last lasts as long as the one decoded last.
        let lasts = end.zip(decoded_last).map_or(0, |(end, last)| end.decode.ticks - last);
        let sound = units.last().map(|unit| unit.present.ticks);
        let end = shown_last.or(sound).unwrap_or_default().saturating_add(lasts);
        let way = self.params.way;
        Some(MediaChunk { bytes, pictures, end, rate, wall, way })
    }
}

impl MediaChunk {
    /// Ticks in seconds, for people and browsers.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a double holds the microseconds of centuries
    pub fn secs(&self, ticks: i64) -> f64 {
        ticks as f64 / f64::from(self.rate.get())
    }

    /// The end on the timeline in nanoseconds, for who continues behind it.
    #[must_use]
    pub fn end_nanos(&self) -> i64 {
        MediaTime { ticks: self.end, rate: self.rate }.as_nanos()
    }

    /// Whether it holds pictures.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !self.pictures.is_empty()
    }
}
