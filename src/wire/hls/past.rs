//! Playlists of recorded hours: a window that slides with the recording, and a range that ends.
//!
//! Owns: their text. It is written piece by piece, so that a day costs no more memory than a
//! minute; where the segments come from and what number the first has is the caller's.

use std::fmt::Write as _;
use std::time::Duration;

use super::{StoredRange, playlist::VERSION};
use crate::base::limits::{HLS_PAST_TARGET_MAX, HLS_PAST_TARGET_MIN};
use crate::base::time::WallTime;

/// A client that knows what is older than so many target durations may leave it out (RFC
/// 8216bis §4.4.3.8: six at least).
const SKIP_TARGETS: u32 = 6;
/// The version of sliding playlists: `EXT-X-SKIP` is allowed (RFC 8216bis §8).
const WINDOW_VERSION: u32 = 9;

/// A segment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastSegment {
    /// Where its bytes are.
    pub place: StoredRange,
    /// Fingerprint of the init segment that it needs.
    pub init: u64,
    /// Media time that it covers.
    pub span: Duration,
    /// When its first unit was captured.
    pub wall: WallTime,
    /// It does not continue the one before it.
    pub discontinuity: bool,
}

/// What kind of playlist it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastKind {
    /// It slides: segments come at its end and leave at its front.
    Window {
        /// Media sequence number of the first segment, also when that is left out.
        number: u64,
        /// Discontinuities before it.
        discontinuities: u64,
        /// Segments that are left out because the client has them (`EXT-X-SKIP`).
        skipped: u64,
    },
    /// It is complete.
    Range {
        /// How far behind the first picture the range begins.
        start: Duration,
    },
}

/// Writes one playlist.
#[derive(Debug)]
pub struct PastWriter {
    target: Duration,
    /// What is before every name.
    prefix: String,
    map: Option<u64>,
}

/// The target duration of segments of which the longest plays for `longest`.
#[must_use]
pub fn past_target(longest: Duration) -> Duration {
    let whole = longest.as_secs() + u64::from(longest.subsec_nanos() > 0);
    Duration::from_secs(whole).clamp(HLS_PAST_TARGET_MIN, HLS_PAST_TARGET_MAX)
}

/// From how far back on a client may leave out what it has.
#[must_use]
pub fn skip_until(target: Duration) -> Duration {
    target * SKIP_TARGETS
}

/// What the init segment of this fingerprint is called: the same whichever lap it is read from.
#[must_use]
pub fn past_init_name(init: u64) -> String {
    format!("p{init:016x}.mp4")
}

impl PastWriter {
    /// A writer of a playlist with segments of `target` at most, whose names are found below
    /// `prefix`.
    #[must_use]
    pub fn new(target: Duration, prefix: impl Into<String>) -> Self {
        Self { target, prefix: prefix.into(), map: None }
    }

    /// Everything before the first segment.
    #[must_use]
    pub fn head(&self, kind: PastKind, independent: bool) -> String {
        let version = match kind {
            PastKind::Window { .. } => WINDOW_VERSION,
            PastKind::Range { .. } => VERSION,
        };
        let target = self.target.as_secs();
        let mut text =
            format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}\n");
        // Writing into a String cannot fail.
        let _ = match kind {
            PastKind::Window { number, discontinuities, .. } => write!(
                text,
                "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL={}.0\n#EXT-X-MEDIA-SEQUENCE:{number}\n\
                 #EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}\n",
                skip_until(self.target).as_secs()
            ),
            PastKind::Range { start } => write!(
                text,
                "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n\
                 #EXT-X-START:TIME-OFFSET={:.3},PRECISE=YES\n",
                start.as_secs_f64()
            ),
        };
        if independent {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if let PastKind::Window { skipped: skipped @ 1.., .. } = kind {
            let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
        text
    }

    /// Appends the lines of the next segment. One that is longer than the target, which a stream of
    /// few pictures may have, is listed as long as that; its successor is a discontinuity.
    pub fn tell(&mut self, segment: &PastSegment, text: &mut String) {
        if segment.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if segment.discontinuity || self.map != Some(segment.init) {
            self.map = Some(segment.init);
            let name = past_init_name(segment.init);
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}{name}\"", self.prefix);
        }
        let _ = write!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{:.6},\n{}{}\n",
            segment.wall.to_rfc3339(),
            segment.span.min(self.target).as_secs_f64(),
            self.prefix,
            segment.place.name()
        );
    }

    /// The last line of a complete playlist.
    #[must_use]
    pub fn end() -> &'static str {
        "#EXT-X-ENDLIST\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(at_secs: i64, discontinuity: bool, init: u64) -> PastSegment {
        let at = u64::try_from(at_secs).unwrap();
        PastSegment {
            place: StoredRange { lap: 7, from: at * 100, until: at * 100 + 400 },
            init,
            span: Duration::from_secs(4),
            wall: WallTime::from_unix_nanos(1_795_000_000_000_000_000 + at_secs * 1_000_000_000),
            discontinuity,
        }
    }

    #[test]
    fn a_range_is_told_with_its_gaps_and_its_end() {
        let mut writer = PastWriter::new(Duration::from_secs(6), "../../live/gate/");
        let start = PastKind::Range { start: Duration::from_millis(1_500) };
        let mut text = writer.head(start, true);
        for one in [segment(1, false, 0xab), segment(5, false, 0xab), segment(100, true, 0xcd)] {
            writer.tell(&one, &mut text);
        }
        text.push_str(PastWriter::end());
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-START:TIME-OFFSET=1.500,PRECISE=YES\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-MAP:URI=\"../../live/gate/p00000000000000ab.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-18T11:06:41.000Z\n#EXTINF:4.000000,\n\
             ../../live/gate/7-100-500.m4s\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-18T11:06:45.000Z\n#EXTINF:4.000000,\n\
             ../../live/gate/7-500-900.m4s\n#EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"../../live/gate/p00000000000000cd.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-18T11:08:20.000Z\n#EXTINF:4.000000,\n\
             ../../live/gate/7-10000-10400.m4s\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn a_window_says_what_may_be_left_out_and_what_is() {
        let mut writer = PastWriter::new(Duration::from_secs(6), "");
        let kind = |skipped| PastKind::Window { number: 1 << 33, discontinuities: 3, skipped };
        let whole = writer.head(kind(0), false);
        assert!(whole.contains("#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=36.0\n"), "{whole}");
        assert!(whole.contains("#EXT-X-MEDIA-SEQUENCE:8589934592\n"), "{whole}");
        assert!(whole.contains("#EXT-X-DISCONTINUITY-SEQUENCE:3\n"), "{whole}");
        assert!(whole.contains("#EXT-X-VERSION:9\n") && !whole.contains("SKIP:"), "{whole}");
        assert!(!whole.contains("PLAYLIST-TYPE") && !whole.contains("INDEPENDENT"), "{whole}");
        let mut delta = writer.head(kind(21_000), true);
        assert!(delta.contains("#EXT-X-VERSION:9\n"), "{delta}");
        assert!(delta.ends_with("#EXT-X-SKIP:SKIPPED-SEGMENTS=21000\n"), "{delta}");
        // A client need not remember the map of what it leaves out.
        writer.tell(&segment(1, false, 1), &mut delta);
        assert!(delta.contains("#EXT-X-MAP"), "{delta}");
    }

    #[test]
    fn no_segment_is_longer_than_the_target() {
        assert_eq!(past_target(Duration::from_millis(4_100)), Duration::from_secs(6));
        assert_eq!(past_target(Duration::from_millis(6_001)), Duration::from_secs(7));
        assert_eq!(past_target(Duration::from_secs(40)), Duration::from_secs(10));
        let mut text = String::new();
        let long = PastSegment { span: Duration::from_secs(40), ..segment(1, false, 1) };
        PastWriter::new(Duration::from_secs(10), "").tell(&long, &mut text);
        assert!(text.contains("#EXTINF:10.000000,\n"), "{text}");
    }
}
