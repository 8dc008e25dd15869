//! What a player asks for: from where, which way, how fast, and which frames.
//!
//! Owns: the types. A protocol (RTSP's `Range`, `Scale` and `Frames`, the page's messages)
//! translates into these.

use std::time::Duration;

use crate::base::time::WallTime;

/// The range of dates to play. The end is exclusive; without one, playback follows the recording
/// and then the live stream. Backwards, `until` is the earlier date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayRange {
    /// Where playback begins.
    pub from: WallTime,
    /// Where it ends.
    pub until: Option<WallTime>,
}

/// Where playback begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayFrom {
    /// At a date.
    Date(PlayRange),
    /// At the live edge.
    Live,
}

/// How fast time passes, in thousandths of real time; negative is backwards, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaySpeed(i32);

/// Which frames are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameSelection {
    /// All.
    #[default]
    All,
    /// Those that other frames refer to.
    Reference,
    /// Key frames.
    Key {
        /// Least time from one to the next.
        apart: Duration,
    },
}

/// What a client that plays after the ONVIF Streaming Specification (§6) adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnvifOptions {
    /// As fast as the client reads, with the timestamps of the recording.
    pub unpaced: bool,
    /// Which frames.
    pub frames: FrameSelection,
    /// Low octet of the request's CSeq, which goes into the RTP header extension.
    pub cseq: u8,
}

/// What a player asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayRequest {
    /// From where.
    pub from: PlayFrom,
    /// How fast and which way.
    pub speed: PlaySpeed,
    /// The client reads ONVIF's header extension.
    pub onvif: Option<OnvifOptions>,
}

impl PlaySpeed {
    /// Real time.
    pub const ONE: Self = Self(1_000);
    /// Real time, backwards.
    pub const MINUS_ONE: Self = Self(-1_000);

    /// `millis` thousandths of real time; `None` for zero.
    #[must_use]
    pub fn from_millis(millis: i32) -> Option<Self> {
        (millis != 0).then_some(Self(millis))
    }

    /// Thousandths of real time.
    #[must_use]
    pub fn millis(self) -> i32 {
        self.0
    }

    /// The factor.
    #[must_use]
    pub fn factor(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// Whether time runs backwards.
    #[must_use]
    pub fn is_backwards(self) -> bool {
        self.0 < 0
    }
}
