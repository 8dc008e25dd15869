//! The live list of one stream and the two playlists that tell it.
//!
//! Owns: numbers, removal, the target duration and the text.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::segmenter::Cut;
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
const VERSION: u32 = 7;

/// What must be read before the segments that name it.
#[derive(Debug)]
pub struct Init {
    /// The number of the first segment that names it; also its name.
    pub number: u64,
    /// Tracks and bytes.
    pub format: Arc<WebFormat>,
}

/// One segment of the list.
#[derive(Debug)]
pub struct Segment {
    /// Its media sequence number; also its name.
    pub number: u64,
    /// What must be read first.
    pub init: Arc<Init>,
    /// Its bytes.
    pub fragment: Fragment,
    /// Media time that it covers.
    pub span: Duration,
    wall: WallTime,
    discontinuity: bool,
    independent: bool,
    units: u32,
    listed_at: BootTime,
}

impl Segment {
    fn bits_per_sec(&self) -> u64 {
        let millis = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX).max(1);
        (self.fragment.len() as u64).saturating_mul(8_000) / millis
    }
}

/// The answer to a number.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// Here it is.
    Here(Arc<T>),
    /// There was one; it has left.
    Expired,
    /// There has never been one.
    Unknown,
}

/// The live list of one stream.
#[derive(Debug)]
pub struct Playlist {
    /// Whole seconds; settled with the first answer.
    target_secs: Option<u64>,
    listed: VecDeque<Arc<Segment>>,
    /// No longer listed, downloadable until then.
    retired: VecDeque<(BootTime, Arc<Segment>)>,
    init: Option<Arc<Init>>,
    first_number: u64,
    next_number: u64,
    discontinuities_left: u64,
    bytes: usize,
    peak_bps: u64,
}

impl Playlist {
    /// An empty list whose numbers go on from those of an earlier life of the daemon.
    #[must_use]
    pub fn new(now: WallTime) -> Self {
        let secs = now.as_unix_nanos().div_euclid(1_000_000_000) - NUMBERS_BEGIN_UNIX_SECS;
        let first_number = u64::try_from(secs).unwrap_or(0);
        Self {
            target_secs: None,
            listed: VecDeque::new(),
            retired: VecDeque::new(),
            init: None,
            first_number,
            next_number: first_number,
            discontinuities_left: first_number,
            bytes: 0,
            peak_bps: 0,
        }
    }

    /// Lists a segment that ended at `now`, and lets old ones go.
    pub fn push(&mut self, now: BootTime, cut: Cut) {
        let number = self.next_number;
        self.next_number += 1;
        let init = match &self.init {
            Some(init) if Arc::ptr_eq(&init.format, &cut.format) => Arc::clone(init),
            _ => Arc::new(Init { number, format: Arc::clone(&cut.format) }),
        };
        self.init = Some(Arc::clone(&init));
        let segment = Arc::new(Segment {
            number,
            init,
            fragment: cut.fragment,
            span: cut.span,
            wall: cut.wall,
            discontinuity: cut.discontinuity,
            independent: cut.independent,
            units: cut.units,
            listed_at: now,
        });
        self.bytes += segment.fragment.len();
        self.peak_bps = self.peak_bps.max(segment.bits_per_sec());
        self.listed.push_back(segment);
        self.settle_target();
        self.let_go(now);
    }

    /// The longest segment so far rounded up, plus a second of head-room for a later GOP.
    fn settle_target(&mut self) {
        if self.target_secs.is_none() && self.listed.len() >= FIRST_SEGMENTS {
            let longest = self.listed.iter().map(|segment| segment.span).max().unwrap_or_default();
            let whole = longest.as_secs() + u64::from(longest.subsec_nanos() > 0);
            self.target_secs = Some(whole + 1);
        }
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
                self.listed_span().saturating_sub(oldest.span) >= target * LIST_TARGETS
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
            self.discontinuities_left += u64::from(segment.discontinuity);
            self.retired.push_back((now.after(segment.span + list_span), segment));
        }
    }

    fn forget(&mut self) -> bool {
        let gone = self.retired.pop_front();
        self.bytes -= gone.as_ref().map_or(0, |(_, segment)| segment.fragment.len());
        gone.is_some()
    }

    fn listed_span(&self) -> Duration {
        self.listed.iter().map(|segment| segment.span).sum()
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

    /// Whether anything was listed yet.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.listed.is_empty()
    }

    /// How long ago the segment was listed with which a new player begins: the third newest.
    #[must_use]
    pub fn start_age(&self, now: BootTime) -> Option<Duration> {
        self.listed.iter().rev().nth(FIRST_SEGMENTS - 1).map(|start| now.since(start.listed_at))
    }

    /// The tracks of the newest segment.
    #[must_use]
    pub fn format(&self) -> Option<&Arc<WebFormat>> {
        self.init.as_ref().map(|init| &init.format)
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

    fn known(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.retired.iter().map(|(_, segment)| segment).chain(&self.listed)
    }

    fn missing<T>(&self, number: u64) -> Found<T> {
        let was = (self.first_number..self.next_number).contains(&number);
        if was { Found::Expired } else { Found::Unknown }
    }

    fn is_independent(&self) -> bool {
        self.listed.iter().all(|segment| segment.independent)
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

    /// The multivariant playlist (RFC 8216 §4.3.4), once [`Playlist::is_ready`].
    #[must_use]
    pub fn multivariant(&self) -> Option<String> {
        self.target_secs?;
        let format = self.format()?;
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
            if let Some(rate) = self.frame_rate() {
                let _ = write!(text, ",FRAME-RATE={rate:.3}");
            }
        }
        text.push_str("\nmedia.m3u8\n");
        Some(text)
    }

    fn average_bps(&self) -> u64 {
        let bytes: u64 = self.listed.iter().map(|segment| segment.fragment.len() as u64).sum();
        let millis = u64::try_from(self.listed_span().as_millis()).unwrap_or(u64::MAX).max(1);
        bytes.saturating_mul(8_000) / millis
    }

    /// Pictures per second as measured over the newest segments of one format.
    fn frame_rate(&self) -> Option<f64> {
        let init = self.init.as_ref()?;
        let same = || self.listed.iter().filter(|segment| Arc::ptr_eq(&segment.init, init));
        let span: Duration = same().map(|segment| segment.span).sum();
        let units: u32 = same().map(|segment| segment.units).sum();
        (!span.is_zero()).then(|| f64::from(units) / span.as_secs_f64())
    }
}

impl Segment {
    /// Writes this segment's lines; `map` is the number of the last `EXT-X-MAP` written.
    fn tell(&self, text: &mut String, map: &mut Option<u64>) {
        if self.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if *map != Some(self.init.number) {
            *map = Some(self.init.number);
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"init-{}.mp4\"", self.init.number);
        }
        let _ = write!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{:.6},\n{}.m4s\n",
            self.wall.to_rfc3339(),
            self.span.as_secs_f64(),
            self.number
        );
    }
}

#[cfg(test)]
#[path = "tests.rs"] // the tests of the whole directory
mod tests;
