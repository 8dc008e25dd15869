//! What to encode to, and with what.

use std::path::PathBuf;
use std::time::Duration;

use super::Colours;

/// Which encoder is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EncoderChoice {
    /// The board's own if it has one that works, else openh264.
    #[default]
    Auto,
    /// openh264, on the processor.
    Openh264,
    /// The V4L2 encoder behind this node; openh264 takes over where it fails.
    V4l2(PathBuf),
}

/// Which tools of H.264 may be used (ITU-T H.264 §A.2). More of them are fewer bits for the same
/// picture, and more work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Constrained Baseline: every decoder knows it.
    #[default]
    Baseline,
    /// Main.
    Main,
    /// High.
    High,
}

/// How raw pictures become a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// With what.
    pub encoder: EncoderChoice,
    /// Bits per second aimed at.
    pub bitrate_bps: u32,
    /// From one key frame to the next, give or take a picture.
    pub gop: Duration,
    /// With which tools.
    pub profile: Profile,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            encoder: EncoderChoice::default(),
            bitrate_bps: 2_000_000,
            gop: Duration::from_secs(1),
            profile: Profile::default(),
        }
    }
}

/// The pictures that come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawFormat {
    /// Pixels across, even.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// Pictures per second at most.
    pub fps: f32,
    /// How their numbers are meant.
    pub colours: Colours,
}
