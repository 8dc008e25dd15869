//! How a PLAY is to go: from where, how fast, which frames.
//!
//! Owns: the headers Scale (RFC 2326 §12.34), Rate-Control and Frames (ONVIF Streaming
//! Specification §6.4, §6.5).

use std::time::Duration;

use rtsp_types::{HeaderName, Request, headers};

use super::range::Span;

/// Fastest playing that is promised, either way; more is answered with this.
const SCALE_MILLIS_MAX: u32 = 32_000;
const SCALE_MILLIS_MIN: u32 = 62;
/// The feature tag of replay after ONVIF.
pub(super) const ONVIF_REPLAY: &str = "onvif-replay";

/// What a PLAY asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayOptions {
    /// From where.
    pub start: StartPoint,
    /// How fast and which way.
    pub scale: Scale,
    /// The client reads ONVIF's header extension, and wants this.
    pub onvif: Option<Onvif>,
}

/// From where playing begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPoint {
    /// Where it was paused; live when it was live, or never played.
    Resume,
    /// At what comes now.
    Live,
    /// At a date.
    Past(Span),
}

/// What a client after ONVIF wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onvif {
    /// As fast as the client takes it, with the timestamps of the recording.
    pub unpaced: bool,
    /// Which frames.
    pub frames: Frames,
    /// Low octet of the request's CSeq, for the header extension.
    pub cseq: u8,
}

/// Which frames are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// All.
    #[default]
    All,
    /// Those that others need.
    Predicted,
    /// Key frames, at least so far apart.
    Intra {
        /// Least time from one to the next.
        apart: Duration,
    },
}

/// How fast the past is played, in thousandths; negative is backwards, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(i32);

impl Scale {
    /// Unchanged.
    pub const ONE: Self = Self(1_000);
    /// Unchanged, backwards.
    pub const MINUS_ONE: Self = Self(-1_000);

    /// This speed in thousandths, moved into what can be played; zero counts as the slowest.
    #[must_use]
    pub fn from_millis(millis: i32) -> Self {
        let bounded = millis.unsigned_abs().clamp(SCALE_MILLIS_MIN, SCALE_MILLIS_MAX);
        Self(bounded.cast_signed() * if millis < 0 { -1 } else { 1 })
    }

    /// The speed in thousandths.
    #[must_use]
    pub fn millis(self) -> i32 {
        self.0
    }

    /// Whether time runs backwards.
    #[must_use]
    pub fn is_backwards(self) -> bool {
        self.0 < 0
    }

    /// Reads a header's value; what cannot be played so fast, or so slowly, becomes what can.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let factor: f64 = text.trim().parse().ok().filter(|f: &f64| f.is_finite() && *f != 0.0)?;
        let max = f64::from(SCALE_MILLIS_MAX);
        #[allow(clippy::cast_possible_truncation)] // it was just made small enough
        let millis = (factor.abs() * 1_000.0).min(max).round() as i32;
        let slowest = SCALE_MILLIS_MIN.cast_signed();
        Some(Self::from_millis(millis.max(slowest) * if factor < 0.0 { -1 } else { 1 }))
    }
}

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", f64::from(self.0) / 1_000.0)
    }
}

/// The value of a header by its name, trimmed.
fn header<'a>(request: &'a Request<Vec<u8>>, name: &'static str) -> Option<&'a str> {
    let name = HeaderName::from_static_str(name).ok()?;
    request.header(&name).map(|value| value.as_str().trim())
}

impl Onvif {
    /// What `request`, whose CSeq is `cseq`, wants; `None` when it does not require replay.
    pub(super) fn of(request: &Request<Vec<u8>>, cseq: u32) -> Option<Self> {
        if !requires_replay(request) {
            return None;
        }
        let unpaced = header(request, "Rate-Control").is_some_and(|v| v.eq_ignore_ascii_case("no"));
        let frames = header(request, "Frames").map(Frames::parse).unwrap_or_default();
        // `Immediate: yes` is how every PLAY is done here: it takes the place of the one before.
        Some(Self { unpaced, frames, cseq: cseq.to_be_bytes()[3] })
    }
}

/// Whether `request` is made under ONVIF's rules of replay.
pub(super) fn requires_replay(request: &Request<Vec<u8>>) -> bool {
    let tags = request.header(&headers::REQUIRE).map(rtsp_types::HeaderValue::as_str);
    tags.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == ONVIF_REPLAY))
}

impl Frames {
    /// Reads a header's value; what is unknown means all.
    fn parse(text: &str) -> Self {
        let (kind, apart) = text.split_once('/').unwrap_or((text, "0"));
        match kind.trim().to_ascii_lowercase().as_str() {
            "intra" => {
                let millis: u32 = apart.trim().parse().unwrap_or(0);
                Self::Intra { apart: Duration::from_millis(millis.into()) }
            }
            "predicted" => Self::Predicted,
            _ => Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_read_within_bounds() {
        for (text, wanted) in [
            ("1", "1.0"),
            ("-1.0", "-1.0"),
            (" 2.5 ", "2.5"),
            ("1e9", "32.0"),
            ("-99", "-32.0"),
            ("0.001", "0.062"),
        ] {
            assert_eq!(Scale::parse(text).unwrap().to_string(), wanted, "{text}");
        }
        for text in ["", "0", "-0", "NaN", "inf", "fast"] {
            assert_eq!(Scale::parse(text), None, "{text}");
        }
        assert!(Scale::parse("-0.001").unwrap().is_backwards());
    }

    #[test]
    fn frames_are_read() {
        let apart = Duration::from_secs(4);
        assert_eq!(Frames::parse("intra/4000"), Frames::Intra { apart });
        assert_eq!(Frames::parse("Intra"), Frames::Intra { apart: Duration::ZERO });
        assert_eq!(Frames::parse("predicted"), Frames::Predicted);
        assert_eq!(Frames::parse("all"), Frames::All);
        assert_eq!(Frames::parse("intra/x"), Frames::Intra { apart: Duration::ZERO });
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_readers_panic(text in "\\PC*") {
            let _ = (Scale::parse(&text), Frames::parse(&text));
        }
    }
}
