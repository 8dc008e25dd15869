//! The live list of one stream.
//!
//! Owns: numbers, removal and the target duration. Its text is written by `tell`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::multivariant::Variant;
use super::segment::{FinishedSegment, Init, OpenSegment, Part, Segment, SegmentBody};
use crate::base::limits::{
    HLS_BYTES_MAX, HLS_ENTRIES_SECS_MAX, HLS_SEGMENT_SPAN_MAX, HLS_TARGET_SECS_MIN,
};
use crate::base::time::{BootTime, WallTime};
use crate::wire::web::WebFormat;

/// Segments that must be there before the first answer: with fewer, players of Apple's give up.
const FIRST_SEGMENTS: usize = 3;
/// A live list holds at least so many target durations (RFC 8216 §6.2.2).
pub(super) const LIST_TARGETS: u32 = 3;
/// As [`LIST_TARGETS`] where delta updates are offered, which leave out what is older than six.
const LIST_TARGETS_WITH_PARTS: u32 = 8;
/// 2024-01-01T00:00:00Z: sequence numbers count from here, so that they fit in 31 bits.
const NUMBERS_BEGIN_UNIX_SECS: i64 = 1_704_067_200;
/// Discontinuities come less often than every ten minutes, over the life of a stream.
const SECS_PER_DISCONTINUITY: u64 = 600;
/// The version that allows `EXT-X-MAP` in any playlist (RFC 8216 §7: 6), and the one that players
/// connect with fMP4.
pub(super) const VERSION: u32 = 7;
/// The version that allows `EXT-X-SKIP` in a playlist (8216bis §8).
const VERSION_WITH_PARTS: u32 = 9;

/// The answer to a number.
#[derive(Clone, Debug)]
pub enum Lookup<T> {
    /// Here it is.
    Here(Arc<T>),
    /// There was one, if there ever was a number so low; it has left.
    Expired,
    /// There has never been one.
    Unknown,
}

/// Whether a list tells parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// It does not.
    #[default]
    Off,
    /// It will be, as soon as their length is known.
    Awaited,
    /// It does; none is longer than this.
    Told(Duration),
}

/// The live list of one stream.
#[derive(Debug, Default)]
pub struct Playlist {
    /// Whole seconds; settled with the first answer.
    target_secs: Option<u64>,
    /// The target duration of another variant, which this one takes over if it can.
    preferred_secs: Option<u64>,
    /// Places to begin are at most so far apart, in whole seconds.
    entries_secs: u64,
    parts: Parts,
    /// The segment in the making, where parts are published, and what must be read first.
    open: Option<(OpenSegment, Arc<Init>)>,
    listed: VecDeque<Arc<Segment>>,
    /// No longer listed, downloadable until then.
    retired: VecDeque<(BootTime, Arc<Segment>)>,
    init: Option<Arc<Init>>,
    next_number: u64,
    discontinuities_left: u64,
    bytes: usize,
    peak_bps: u64,
    /// Its text as it is now, once that was asked for: many players ask for the same.
    pub(super) text: Option<Bytes>,
}

impl Playlist {
    /// As [`Playlist::leap`], where only a clock separates the list from those before: its numbers
    /// are greater than all earlier ones, because segments come slower than seconds.
    pub fn leap_at(&mut self, now: WallTime) {
        let number = Self::number_at(now);
        self.leap(number, number / SECS_PER_DISCONTINUITY);
    }

    fn number_at(now: WallTime) -> u64 {
        let secs = now.as_unix_nanos().div_euclid(1_000_000_000) - NUMBERS_BEGIN_UNIX_SECS;
        u64::try_from(secs).unwrap_or(0)
    }

    /// Restarts after an unlisted stretch, with a media sequence number not below `number` and a
    /// discontinuity sequence number not below `discontinuities`; the target duration stays.
    pub fn leap(&mut self, number: u64, discontinuities: u64) {
        self.discontinuities_left += self.discontinuities() + 1;
        self.discontinuities_left = self.discontinuities_left.max(discontinuities);
        self.next_number = self.next_number.max(number);
        (self.init, self.open, self.bytes, self.text) = (None, None, 0, None);
        self.listed.clear();
        self.retired.clear();
    }

    fn discontinuities(&self) -> u64 {
        self.listed.iter().filter(|segment| segment.cut.discontinuity).count() as u64
    }

    /// Lists a segment whose end was known at `now`. After listing all there is, call
    /// [`Playlist::settle`].
    pub fn push(&mut self, now: BootTime, cut: FinishedSegment) {
        let number = self.next_number;
        let init = self.init_of(&cut.init, cut.body.lap());
        (self.next_number, self.open, self.text) = (number + 1, None, None);
        self.init = Some(Arc::clone(&init));
        let segment = Arc::new(Segment { number, init, cut, listed_at: now });
        self.bytes += segment.cut.body.held_bytes();
        self.peak_bps = self.peak_bps.max(segment.bits_per_sec());
        self.listed.push_back(segment);
    }

    fn init_of(&self, bytes: &Bytes, lap: Option<u64>) -> Arc<Init> {
        match &self.init {
            Some(init) if init.bytes == *bytes => Arc::clone(init),
            _ => Arc::new(Init { number: self.next_number, lap, bytes: bytes.clone() }),
        }
    }

    /// Sets whether parts are published from now on; their length is settled later.
    pub fn want_parts(&mut self, wanted: bool) {
        self.parts = if wanted { Parts::Awaited } else { Parts::Off };
        (self.open, self.text) = (None, None);
    }

    /// Settles how long parts are at most, for as long as they are published, or that there are
    /// none.
    pub fn settle_parts(&mut self, parts: Parts) {
        if self.parts == Parts::Awaited {
            (self.parts, self.text) = (parts, None);
        }
    }

    /// Tells what there is of the segment in the making.
    pub fn show_open(&mut self, open: Option<OpenSegment>) {
        self.text = None;
        self.open = open.filter(|_| matches!(self.parts, Parts::Told(_))).map(|open| {
            let init = self.init_of(&open.init, None);
            (open, init)
        });
    }

    /// Says how far apart places to begin were at most in the last hour. Counts until the target
    /// duration is settled: a segment reaches from one to the next.
    pub fn expect_entries(&mut self, apart: Duration) {
        self.entries_secs = whole_secs(apart).min(HLS_ENTRIES_SECS_MAX);
    }

    /// How long a segment may be.
    #[must_use]
    pub fn span_max(&self) -> Duration {
        let expected = Duration::from_secs(self.entries_secs + 1);
        self.target().unwrap_or(expected.max(HLS_SEGMENT_SPAN_MAX))
    }

    /// Takes over the target duration of another variant if it is not settled yet and no segment
    /// is longer: the variants of a stream should have the same (RFC 8216 §6.2.4).
    pub fn prefer_target(&mut self, target: Duration) {
        self.preferred_secs = Some(target.as_secs());
    }

    /// Settles the target duration when there are segments enough: the longest so far rounded
    /// up, plus a second of head-room for a later GOP. Then lets old segments go.
    pub fn settle(&mut self, now: BootTime) {
        if self.target_secs.is_none() && self.listed.len() >= FIRST_SEGMENTS {
            let longest = self.listed.iter().map(|segment| segment.cut.span).max();
            let whole = whole_secs(longest.unwrap_or_default()).max(self.entries_secs);
            let preferred = self.preferred_secs.filter(|secs| *secs >= whole);
            self.target_secs = Some(preferred.unwrap_or((whole + 1).max(HLS_TARGET_SECS_MIN)));
            self.text = None;
        }
        self.let_go(now);
    }

    /// Lets removed segments go whose time is over. Called while nothing new comes.
    pub fn sweep(&mut self, now: BootTime) {
        while self.retired.front().is_some_and(|(until, _)| *until <= now) {
            self.forget();
        }
    }

    fn let_go(&mut self, now: BootTime) {
        while let Some(oldest) = self.listed.front()
            && self.target().is_some_and(|target| {
                self.listed_span().saturating_sub(oldest.cut.span) >= target * self.list_targets()
            })
            && self.begins_behind_front()
        {
            self.retire(now);
        }
        self.sweep(now);
        while self.bytes > HLS_BYTES_MAX && (!self.retired.is_empty() || self.listed.len() > 1) {
            if !self.forget() {
                self.retire(now);
            }
        }
    }

    /// Whether a player can begin behind the oldest segment too, if it can with that.
    fn begins_behind_front(&self) -> bool {
        let mut begins = self.listed.iter().map(|segment| segment.cut.independent);
        begins.next() == Some(false) || begins.any(|independent| independent)
    }

    fn retire(&mut self, now: BootTime) {
        let list_span = self.listed_span();
        self.text = None;
        if let Some(segment) = self.listed.pop_front() {
            self.discontinuities_left += u64::from(segment.cut.discontinuity);
            // What is on the disk stays there without us.
            if matches!(segment.cut.body, SegmentBody::Held(_)) {
                self.retired.push_back((now.after(segment.cut.span + list_span), segment));
            }
        }
    }

    fn forget(&mut self) -> bool {
        let gone = self.retired.pop_front();
        self.bytes -= gone.as_ref().map_or(0, |(_, segment)| segment.cut.body.held_bytes());
        gone.is_some()
    }

    fn list_targets(&self) -> u32 {
        if self.parts == Parts::Off { LIST_TARGETS } else { LIST_TARGETS_WITH_PARTS }
    }

    fn listed_span(&self) -> Duration {
        self.listed.iter().map(|segment| segment.cut.span).sum()
    }

    /// The target duration, once it is settled.
    #[must_use]
    pub fn target(&self) -> Option<Duration> {
        self.target_secs.map(Duration::from_secs)
    }

    /// Whether enough is listed for a player to begin.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.target_secs.is_some() && self.parts != Parts::Awaited
    }

    /// Whether parts are published.
    #[must_use]
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// The version that its playlists say.
    #[must_use]
    pub fn version(&self) -> u32 {
        if self.parts == Parts::Off { VERSION } else { VERSION_WITH_PARTS }
    }

    /// Segment and part that come next.
    #[must_use]
    pub fn next(&self) -> (u64, u64) {
        let parts = self.open.as_ref().map_or(0, |(open, _)| open.parts.len() as u64);
        (self.next_number, parts)
    }

    /// Whether there is a segment in the making whose parts are published.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn open(&self) -> Option<(&OpenSegment, &Init)> {
        self.open.as_ref().map(|(open, init)| (open, &**init))
    }

    pub(super) fn listed(&self) -> std::collections::vec_deque::Iter<'_, Arc<Segment>> {
        self.listed.iter()
    }

    pub(super) fn discontinuities_left(&self) -> u64 {
        self.discontinuities_left
    }

    /// How long ago the segment was listed with which a new player begins: the third newest.
    #[must_use]
    pub fn start_age(&self, now: BootTime) -> Option<Duration> {
        self.listed.iter().rev().nth(FIRST_SEGMENTS - 1).map(|start| now.since(start.listed_at))
    }

    /// The newest segment.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<Segment>> {
        self.listed.back()
    }

    /// The segment of that number.
    #[must_use]
    pub fn segment(&self, number: u64) -> Lookup<Segment> {
        match self.known().find(|segment| segment.number == number) {
            Some(segment) => Lookup::Here(Arc::clone(segment)),
            None => self.missing(number),
        }
    }

    /// The initialisation section of that number.
    #[must_use]
    pub fn init(&self, number: u64) -> Lookup<Init> {
        let open = self.open.iter().map(|(_, init)| init);
        match self.known().map(|segment| &segment.init).chain(open).find(|it| it.number == number) {
            Some(init) => Lookup::Here(Arc::clone(init)),
            None => self.missing(number),
        }
    }

    /// The part of that number in the segment of that number.
    #[must_use]
    pub fn part(&self, number: u64, at: u64) -> Lookup<Part> {
        let listed = self.known().find(|segment| segment.number == number);
        let listed = listed.map(|segment| segment.cut.body.parts());
        let open = self.open.as_ref().filter(|_| number == self.next_number);
        let parts = listed.or(open.map(|(open, _)| &open.parts[..])).unwrap_or_default();
        match usize::try_from(at).ok().and_then(|at| parts.get(at)) {
            Some(part) => Lookup::Here(Arc::clone(part)),
            None if listed.is_some() => Lookup::Unknown,
            None => self.missing(number),
        }
    }

    /// The initialisation section of listed segments that is in that lap.
    #[must_use]
    pub fn init_of_lap(&self, lap: u64) -> Option<Bytes> {
        let mut inits = self.listed.iter().map(|segment| &segment.init);
        inits.find(|init| init.lap == Some(lap)).map(|init| init.bytes.clone())
    }

    fn known(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.retired.iter().map(|(_, segment)| segment).chain(&self.listed)
    }

    fn missing<T>(&self, number: u64) -> Lookup<T> {
        if number < self.next_number { Lookup::Expired } else { Lookup::Unknown }
    }

    pub(super) fn is_independent(&self) -> bool {
        self.listed.iter().all(|segment| segment.cut.independent)
            && self.open.iter().all(|(open, _)| open.independent)
    }

    /// This list as a variant that is found at `uri`, once [`Playlist::is_ready`]: `format` are
    /// the tracks as they are now, `frame_rate` the pictures per second as they were measured.
    #[must_use]
    pub fn variant(
        &self,
        uri: String,
        format: &WebFormat,
        frame_rate: Option<f64>,
    ) -> Option<Variant> {
        self.is_ready().then(|| Variant {
            uri,
            version: self.version(),
            peak_bps: self.peak_bps + format.added_bps(),
            average_bps: self.average_bps() + format.added_bps(),
            codecs: format.codecs.clone(),
            picture: format.picture(),
            frame_rate,
            key_frames: None,
            independent: self.is_independent(),
            audio_dropped: format.audio_dropped.clone(),
        })
    }

    fn average_bps(&self) -> u64 {
        let bytes: u64 = self.listed.iter().map(|segment| segment.cut.body.bytes()).sum();
        let millis = u64::try_from(self.listed_span().as_millis()).unwrap_or(u64::MAX).max(1);
        bytes.saturating_mul(8_000) / millis
    }
}

/// Seconds, rounded up.
fn whole_secs(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
#[path = "tests.rs"] // the tests of the whole directory
mod tests;
