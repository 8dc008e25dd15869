//! The live list of one stream and the two playlists that tell it.
//!
//! Owns: numbers, removal, the target duration and the text.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::limits::HLS_BYTES_MAX;
use crate::base::time::{BootTime, WallTime};
use crate::wire::mp4::Fragment;
use crate::wire::web::WebFormat;

/// Segments that must be there before the first answer: with fewer, players of Apple's give up.
const FIRST_SEGMENTS: usize = 3;
/// A live list holds at least so many target durations (RFC 8216 §6.2.2).
const LIST_TARGETS: u32 = 3;
/// 2024-01-01T00:00:00Z: sequence numbers count from here, so that they fit in 31 bits.
const NUMBERS_BEGIN_UNIX_SECS: i64 = 1_704_067_200;
/// The version in which `EXT-X-MAP` may stand in any playlist (RFC 8216 §7: 6), and the one
/// that players connect with fMP4.
pub(super) const VERSION: u32 = 7;

/// What must be read before the segments that name it.
#[derive(Debug)]
pub struct Init {
    /// The number of the first segment that names it.
    pub number: u64,
    /// The lap of the ring at whose front it stands; `None` when it is only here.
    pub lap: Option<u64>,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
}

impl Init {
    /// What it is called in a playlist.
    #[must_use]
    pub fn name(&self) -> String {
        self.lap.map_or_else(|| format!("init-{}.mp4", self.number), |lap| format!("{lap}.mp4"))
    }
}

/// Whole fragments with their seals in one lap of the ring, from `from` up to `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which lap.
    pub lap: u64,
    /// Where in its slot the first one begins, in bytes.
    pub from: u64,
    /// Where the last one ends.
    pub until: u64,
}

impl Place {
    /// What it is called in a playlist: by its place, so that the name means the same bytes for
    /// as long as they are there, whoever listed it when.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}-{}.m4s", self.lap, self.from, self.until)
    }
}

/// Where a segment's bytes are.
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory.
    Held(Fragment),
    /// On the disk, where the recorder wrote them.
    Stored(Place),
}

impl Body {
    /// Bytes of the segment.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Held(fragment) => fragment.len() as u64,
            Self::Stored(place) => place.until - place.from,
        }
    }

    fn lap(&self) -> Option<u64> {
        match self {
            Self::Held(_) => None,
            Self::Stored(place) => Some(place.lap),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::Held(fragment) => fragment.len(),
            Self::Stored(_) => 0,
        }
    }
}

/// A segment that has ended.
#[derive(Debug)]
pub struct Cut {
    /// `ftyp` and `moov` that it needs; others than its predecessor's mean a new map.
    pub init: Bytes,
    /// Its bytes.
    pub body: Body,
    /// Media time that it covers.
    pub span: Duration,
    /// Where that begins on the stream's timeline, in nanoseconds after boot.
    pub from_nanos: i64,
    /// When its first unit was captured.
    pub wall: WallTime,
    /// Its times, or its tracks, do not continue those of its predecessor.
    pub discontinuity: bool,
    /// It can be decoded without its predecessor.
    pub independent: bool,
}

impl Cut {
    /// Where it ends on the stream's timeline, in nanoseconds after boot.
    #[must_use]
    pub fn until_nanos(&self) -> i64 {
        let span = i64::try_from(self.span.as_nanos()).unwrap_or(i64::MAX);
        self.from_nanos.saturating_add(span)
    }
}

/// One segment of the list.
#[derive(Debug)]
pub struct Segment {
    /// Its media sequence number.
    pub number: u64,
    /// What must be read first.
    pub init: Arc<Init>,
    /// What it is.
    pub cut: Cut,
    listed_at: BootTime,
}

impl Segment {
    /// What it is called in a playlist. What stands on the disk is named by its place.
    #[must_use]
    pub fn name(&self) -> String {
        match self.cut.body {
            Body::Held(_) => format!("{}.m4s", self.number),
            Body::Stored(place) => place.name(),
        }
    }

    fn bits_per_sec(&self) -> u64 {
        let millis = u64::try_from(self.cut.span.as_millis()).unwrap_or(u64::MAX).max(1);
        self.cut.body.bytes().saturating_mul(8_000) / millis
    }
}

/// The answer to a number.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// Here it is.
    Here(Arc<T>),
    /// There was one, if there ever was a number so low; it has left.
    Expired,
    /// There has never been one.
    Unknown,
}

/// The live list of one stream.
#[derive(Debug, Default)]
pub struct Playlist {
    /// Whole seconds; settled with the first answer.
    target_secs: Option<u64>,
    listed: VecDeque<Arc<Segment>>,
    /// No longer listed, downloadable until then.
    retired: VecDeque<(BootTime, Arc<Segment>)>,
    init: Option<Arc<Init>>,
    next_number: u64,
    discontinuities_left: u64,
    bytes: usize,
    peak_bps: u64,
}

impl Playlist {
    /// The number from which a list counts that only a clock tells from those before: greater
    /// than all that were told earlier, because segments come slower than seconds.
    #[must_use]
    pub fn number_at(now: WallTime) -> u64 {
        let secs = now.as_unix_nanos().div_euclid(1_000_000_000) - NUMBERS_BEGIN_UNIX_SECS;
        u64::try_from(secs).unwrap_or(0)
    }

    /// Begins anew behind a stretch that nobody listed, with a number not below `number`; the
    /// target duration stays.
    pub fn leap(&mut self, number: u64) {
        self.discontinuities_left += self.discontinuities() + 1;
        self.discontinuities_left = self.discontinuities_left.max(number);
        self.next_number = self.next_number.max(number);
        (self.init, self.bytes) = (None, 0);
        self.listed.clear();
        self.retired.clear();
    }

    fn discontinuities(&self) -> u64 {
        self.listed.iter().filter(|segment| segment.cut.discontinuity).count() as u64
    }

    /// Lists a segment whose end was known at `now`. Whoever has listed all there is calls
    /// [`Playlist::settle`].
    pub fn push(&mut self, now: BootTime, cut: Cut) {
        let number = self.next_number;
        self.next_number += 1;
        let init = match &self.init {
            Some(init) if init.bytes == cut.init => Arc::clone(init),
            _ => Arc::new(Init { number, lap: cut.body.lap(), bytes: cut.init.clone() }),
        };
        self.init = Some(Arc::clone(&init));
        let segment = Arc::new(Segment { number, init, cut, listed_at: now });
        self.bytes += segment.cut.body.held_bytes();
        self.peak_bps = self.peak_bps.max(segment.bits_per_sec());
        self.listed.push_back(segment);
    }

    /// Settles the target duration when there are segments enough: the longest so far rounded
    /// up, plus a second of head-room for a later GOP. Then lets old segments go.
    pub fn settle(&mut self, now: BootTime) {
        if self.target_secs.is_none() && self.listed.len() >= FIRST_SEGMENTS {
            let longest = self.listed.iter().map(|segment| segment.cut.span).max();
            let longest = longest.unwrap_or_default();
            let whole = longest.as_secs() + u64::from(longest.subsec_nanos() > 0);
            self.target_secs = Some(whole + 1);
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
                self.listed_span().saturating_sub(oldest.cut.span) >= target * LIST_TARGETS
            })
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

    fn retire(&mut self, now: BootTime) {
        let list_span = self.listed_span();
        if let Some(segment) = self.listed.pop_front() {
            self.discontinuities_left += u64::from(segment.cut.discontinuity);
            // What is on the disk stays there without us.
            if matches!(segment.cut.body, Body::Held(_)) {
                self.retired.push_back((now.after(segment.cut.span + list_span), segment));
            }
        }
    }

    fn forget(&mut self) -> bool {
        let gone = self.retired.pop_front();
        self.bytes -= gone.as_ref().map_or(0, |(_, segment)| segment.cut.body.held_bytes());
        gone.is_some()
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
        self.target_secs.is_some()
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
    pub fn segment(&self, number: u64) -> Found<Segment> {
        match self.known().find(|segment| segment.number == number) {
            Some(segment) => Found::Here(Arc::clone(segment)),
            None => self.missing(number),
        }
    }

    /// The initialisation section of that number.
    #[must_use]
    pub fn init(&self, number: u64) -> Found<Init> {
        match self.known().find(|segment| segment.init.number == number) {
            Some(segment) => Found::Here(Arc::clone(&segment.init)),
            None => self.missing(number),
        }
    }

    /// The initialisation section of listed segments that stands in that lap.
    #[must_use]
    pub fn init_of_lap(&self, lap: u64) -> Option<Bytes> {
        let mut inits = self.listed.iter().map(|segment| &segment.init);
        inits.find(|init| init.lap == Some(lap)).map(|init| init.bytes.clone())
    }

    fn known(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.retired.iter().map(|(_, segment)| segment).chain(&self.listed)
    }

    fn missing<T>(&self, number: u64) -> Found<T> {
        if number < self.next_number { Found::Expired } else { Found::Unknown }
    }

    fn is_independent(&self) -> bool {
        self.listed.iter().all(|segment| segment.cut.independent)
    }

    /// The media playlist (RFC 8216 §4.3.3), once [`Playlist::is_ready`].
    #[must_use]
    pub fn media(&self) -> Option<String> {
        let target = self.target_secs?;
        let first = self.listed.front()?;
        let mut text = String::with_capacity(256 + self.listed.len() * 128);
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target}\n\
             #EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            first.number, self.discontinuities_left
        );
        if self.is_independent() {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        let mut map = None;
        for segment in &self.listed {
            segment.tell(&mut text, &mut map);
        }
        Some(text)
    }

    /// The multivariant playlist (RFC 8216 §4.3.4), once [`Playlist::is_ready`]: `format` are the
    /// tracks as they are now, `frame_rate` the pictures per second as they were measured.
    #[must_use]
    pub fn multivariant(&self, format: &WebFormat, frame_rate: Option<f64>) -> Option<String> {
        self.target_secs?;
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n");
        if self.is_independent() {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if let Some(reason) = &format.audio_dropped {
            let _ = writeln!(text, "## {reason}");
        }
        let _ = write!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
            self.peak_bps.max(1),
            self.average_bps().max(1),
            format.codecs
        );
        if let Some((width, height)) = format.picture() {
            let _ = write!(text, ",RESOLUTION={width}x{height}");
            if let Some(rate) = frame_rate {
                let _ = write!(text, ",FRAME-RATE={rate:.3}");
            }
        }
        text.push_str("\nmedia.m3u8\n");
        Some(text)
    }

    fn average_bps(&self) -> u64 {
        let bytes: u64 = self.listed.iter().map(|segment| segment.cut.body.bytes()).sum();
        let millis = u64::try_from(self.listed_span().as_millis()).unwrap_or(u64::MAX).max(1);
        bytes.saturating_mul(8_000) / millis
    }
}

impl Segment {
    /// Writes this segment's lines; `map` is the number of the last `EXT-X-MAP` written.
    fn tell(&self, text: &mut String, map: &mut Option<u64>) {
        if self.cut.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if self.cut.discontinuity || *map != Some(self.init.number) {
            *map = Some(self.init.number);
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}\"", self.init.name());
        }
        let _ = write!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{:.6},\n{}\n",
            self.cut.wall.to_rfc3339(),
            self.cut.span.as_secs_f64(),
            self.name()
        );
    }
}

#[cfg(test)]
#[path = "tests.rs"] // the tests of the whole directory
mod tests;
