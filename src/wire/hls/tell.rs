//! The media playlist (RFC 8216 §4.3.3; parts and delta updates: 8216bis §4.4).
//!
//! Owns: its text.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::playlist::{LIST_TARGETS, Parts, Playlist, VERSION};
use super::segment::{Init, Part, Segment};
use super::skip_until;
use crate::base::time::WallTime;

/// A player of low latency stays so many parts behind the newest (8216bis §4.4.3.8: two at
/// least, three are better).
const PART_HOLD_BACK: u32 = 3;

/// The version that allows `EXT-X-GAP` in a playlist (8216bis §8).
const VERSION_WITH_GAPS: u32 = 8;

/// What a request wants of a media playlist besides what is in it.
#[derive(Debug, Default)]
pub struct PlaylistOptions {
    /// What the player has already may be left out (`_HLS_skip`).
    pub skip: bool,
    /// How far the other variants are.
    pub reports: Vec<RenditionReport>,
}

/// How far another variant is.
#[derive(Clone, Debug)]
pub struct RenditionReport {
    /// Where its media playlist is, as seen from this one.
    pub uri: String,
    /// The newest segment of which something is there.
    pub segment: u64,
    /// Its newest part.
    pub part: u64,
}

impl Playlist {
    /// The current media playlist, once [`Playlist::is_ready`]. Written once for all who ask before it
    /// changes.
    pub fn media(&mut self) -> Option<Bytes> {
        let written = |list: &Self| list.tell(&PlaylistOptions::default()).map(Bytes::from);
        if self.text.is_none() {
            self.text = written(self);
        }
        debug_assert_eq!(self.text, written(self), "a change must forget the text");
        self.text.clone()
    }

    /// The media playlist for one request, once [`Playlist::is_ready`].
    #[must_use]
    pub fn tell(&self, telling: &PlaylistOptions) -> Option<String> {
        let target = self.target().filter(|_| self.is_ready())?;
        let first = self.listed().next()?;
        let mut text = String::with_capacity(512 + self.listed().len() * 160);
        // Writing into a String cannot fail.
        let (version, secs) = (self.version(), target.as_secs());
        let _ = write!(text, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{secs}\n");
        if let Parts::Told(part) = self.parts() {
            let part = part.as_secs_f64();
            let _ = write!(
                text,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},\
                 HOLD-BACK={:.1},CAN-SKIP-UNTIL={:.1}\n#EXT-X-PART-INF:PART-TARGET={part:.3}\n",
                part * f64::from(PART_HOLD_BACK),
                (target * LIST_TARGETS).as_secs_f64(),
                skip_until(target).as_secs_f64(),
            );
        }
        let _ = write!(
            text,
            "#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            first.number,
            self.discontinuities_left()
        );
        if self.is_independent() {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        self.tell_segments(&mut text, target, telling.skip);
        self.tell_edge(&mut text, telling);
        Some(text)
    }

    /// The key frames of the list by themselves, one for each segment that begins with one, once
    /// [`Playlist::is_ready`].
    #[must_use]
    pub fn key_frame_list(&self) -> Option<String> {
        let target = self.target().filter(|_| self.is_ready())?;
        let first = self.listed().next()?;
        let has_gaps = self.listed().any(|segment| !segment.cut.independent);
        let version = if has_gaps { VERSION_WITH_GAPS } else { VERSION };
        // Writing into a String cannot fail.
        let mut text = String::new();
        let _ = write!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}\n\
             #EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n\
             #EXT-X-I-FRAMES-ONLY\n",
            target.as_secs(),
            first.number,
            self.discontinuities_left()
        );
        let mut map = None;
        for segment in self.listed() {
            let cut = &segment.cut;
            tell_head(&mut text, &segment.init, cut.discontinuity, cut.wall, &mut map);
            if !cut.independent {
                // The numbers of the other segments stay what they are in the media playlist.
                text.push_str("#EXT-X-GAP\n");
            }
            let secs = cut.span.as_secs_f64();
            let _ = writeln!(text, "#EXTINF:{secs:.6},\n{}", segment.key_frame_name());
        }
        Some(text)
    }

    fn tell_segments(&self, text: &mut String, target: Duration, skip: bool) {
        let has_parts = matches!(self.parts(), Parts::Told(_));
        let mut behind: Duration = self.listed().map(|segment| segment.cut.span).sum();
        let mut skipped = 0;
        let mut map = None;
        for segment in self.listed() {
            let whole = behind;
            behind -= segment.cut.span;
            if skip && has_parts && whole > skip_until(target) {
                skipped += 1;
                map = Some(segment.init.number);
                continue;
            }
            if skipped > 0 {
                let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
                skipped = 0;
            }
            tell_head(text, &segment.init, segment.cut.discontinuity, segment.cut.wall, &mut map);
            if behind <= target * LIST_TARGETS && self.is_made_of_parts(segment) {
                tell_parts(text, segment.number, segment.cut.body.parts());
            }
            let secs = segment.cut.span.as_secs_f64();
            let _ = writeln!(text, "#EXTINF:{secs:.6},\n{}", segment.name());
        }
        if let Some((open, init)) = self.open().filter(|(open, _)| !open.parts.is_empty()) {
            tell_head(text, init, open.discontinuity, open.wall, &mut map);
            tell_parts(text, self.next().0, &open.parts);
        }
    }

    /// Whether the segment was cut into parts of the published length; before that length was known
    /// it was not.
    fn is_made_of_parts(&self, segment: &Segment) -> bool {
        let Parts::Told(target) = self.parts() else { return false };
        segment.cut.body.parts().iter().all(|part| part.span <= target)
    }

    /// What is behind the last segment: the part that comes next, and the other variants.
    fn tell_edge(&self, text: &mut String, telling: &PlaylistOptions) {
        if !matches!(self.parts(), Parts::Told(_)) {
            return;
        }
        if self.open().is_some() {
            let (segment, part) = self.next();
            let name = part_name(segment, part);
            let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}\"");
        }
        for RenditionReport { uri, segment, part } in &telling.reports {
            let _ = writeln!(
                text,
                "#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={segment},LAST-PART={part}"
            );
        }
    }
}

/// What a part is called.
fn part_name(segment: u64, part: u64) -> String {
    format!("{segment}.{part}.m4s")
}

/// What is before the first part of a segment, or before all of it; `map` is the number of
/// the last `EXT-X-MAP` that a player knows.
fn tell_head(
    text: &mut String,
    init: &Init,
    discontinuity: bool,
    wall: WallTime,
    map: &mut Option<u64>,
) {
    if discontinuity {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if discontinuity || *map != Some(init.number) {
        *map = Some(init.number);
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}\"", init.name());
    }
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", wall.to_rfc3339());
}

fn tell_parts(text: &mut String, segment: u64, parts: &[Arc<Part>]) {
    for (at, part) in (0..).zip(parts) {
        let (secs, name) = (part.span.as_secs_f64(), part_name(segment, at));
        let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
        let _ = writeln!(text, "#EXT-X-PART:DURATION={secs:.6},URI=\"{name}\"{independent}");
    }
}
