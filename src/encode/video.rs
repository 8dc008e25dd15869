//! Raw pictures to H.264, whichever encoder does the work.
//!
//! Owns: which encoder it is, when the next key frame is due, and that openh264 takes over where
//! the board's own encoder fails.

use std::time::Duration;

use tracing::{info, warn};

use super::coded::Encoded;
use super::h264::{SoftwareEncoder, SoftwareError};
use super::m2m::{self, M2m, M2mError};
use super::{EncoderChoice, EncoderSettings, Picture, RawFormat};
use crate::base::fault::chain;

/// Why a picture was not encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// openh264 failed.
    #[error(transparent)]
    Software(#[from] SoftwareError),
}

/// An encoder for pictures of one size. Blocks for the time that encoding takes (some
/// milliseconds), so it belongs on a thread of its own.
#[derive(Debug)]
pub struct VideoEncoder {
    settings: EncoderSettings,
    format: RawFormat,
    engine: Engine,
    keys: KeyClock,
    instead: Option<String>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one per stream
enum Engine {
    Software(SoftwareEncoder),
    Board(M2m),
}

impl VideoEncoder {
    /// Opens the encoder that the settings name for pictures of `format`, or openh264 if that one
    /// cannot be opened.
    pub fn open(settings: EncoderSettings, format: RawFormat) -> Result<Self, EncodeError> {
        let board = match &settings.encoder {
            EncoderChoice::Openh264 => Ok(None),
            EncoderChoice::Auto => Ok(m2m::find(&settings, format)),
            EncoderChoice::V4l2(node) => M2m::open(node, &settings, format).map(Some),
        };
        let (engine, instead) = match board {
            Ok(Some(board)) => (Engine::Board(board), None),
            Ok(None) => (Engine::Software(SoftwareEncoder::new(&settings, format)?), None),
            Err(error) => (
                Engine::Software(SoftwareEncoder::new(&settings, format)?),
                Some(take_over(&error)),
            ),
        };
        let keys = KeyClock::new(settings.gop, format.fps);
        let encoder = Self { settings, format, engine, keys, instead };
        info!(
            part = encoder.name(),
            width = format.width,
            height = format.height,
            "encoder opened"
        );
        Ok(encoder)
    }

    /// Encodes one picture taken `at` after the first, as a key frame when one is due or was asked
    /// for. `None`: nothing came out of it.
    pub fn encode(
        &mut self,
        picture: &Picture,
        at: Duration,
    ) -> Result<Option<Encoded>, EncodeError> {
        let key = self.keys.is_due(at);
        let encoded = match &mut self.engine {
            Engine::Software(engine) => engine.encode(picture, at, key)?,
            Engine::Board(engine) => match engine.encode(picture, at, key) {
                Ok(encoded) => encoded,
                Err(error) => {
                    self.instead = Some(take_over(&error));
                    let mut engine = SoftwareEncoder::new(&self.settings, self.format)?;
                    let encoded = engine.encode(picture, at, true)?;
                    self.engine = Engine::Software(engine);
                    encoded
                }
            },
        };
        if encoded.as_ref().is_some_and(|encoded| encoded.key) {
            self.keys.came(at);
        }
        Ok(encoded)
    }

    /// Asks for the next picture to be a key frame.
    pub fn force_key(&mut self) {
        self.keys.last = None;
    }

    /// Continues at another frame rate or bit rate. The next picture may be a key frame.
    pub fn retune(&mut self, fps: f32, bitrate_bps: u32) -> Result<(), EncodeError> {
        self.format.fps = fps;
        self.settings.bitrate_bps = bitrate_bps;
        match &self.engine {
            // openh264 changes neither while it runs, through a safe call.
            Engine::Software(_) => {
                self.engine = Engine::Software(SoftwareEncoder::new(&self.settings, self.format)?);
            }
            // One that refuses continues with what it has.
            Engine::Board(engine) => drop(engine.set_bitrate(bitrate_bps)),
        }
        self.keys = KeyClock { last: self.keys.last, ..KeyClock::new(self.settings.gop, fps) };
        Ok(())
    }

    /// The encoder in use, as people call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.engine {
            Engine::Software(_) => "openh264",
            Engine::Board(_) => "v4l2",
        }
    }

    /// Why it is openh264 where another one was to be taken.
    #[must_use]
    pub fn instead(&self) -> Option<&str> {
        self.instead.as_deref()
    }
}

/// Says that openh264 takes over, and why.
fn take_over(error: &M2mError) -> String {
    let error = chain(error);
    warn!(part = "encoder", error, "the board's encoder cannot be used, falling back to openh264");
    error
}

/// When the next key frame is due. Counted in time, not in pictures, because pictures are skipped
/// when there is no time for them.
#[derive(Debug)]
struct KeyClock {
    /// The first picture this long behind a key frame is the next one.
    span: Duration,
    last: Option<Duration>,
}

impl KeyClock {
    fn new(gop: Duration, fps: f32) -> Self {
        let half_picture = Duration::from_secs_f32(0.5 / fps.clamp(0.1, 1_000.0));
        Self { span: gop.saturating_sub(half_picture), last: None }
    }

    fn is_due(&self, at: Duration) -> bool {
        self.last.is_none_or(|last| at.saturating_sub(last) >= self.span)
    }

    fn came(&mut self, at: Duration) {
        self.last = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Colours, Profile};
    use crate::media::{CodecParams, nal};

    fn encoder(settings: EncoderSettings) -> VideoEncoder {
        VideoEncoder::open(
            settings,
            RawFormat { width: 320, height: 180, fps: 25.0, colours: Colours::BT709 },
        )
        .unwrap()
    }

    fn settings() -> EncoderSettings {
        EncoderSettings {
            bitrate_bps: 500_000,
            gop: Duration::from_millis(200),
            ..EncoderSettings::default()
        }
    }

    /// Encodes pictures at these times and says which became key frames.
    fn keys(encoder: &mut VideoEncoder, at_ms: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut picture = Picture::black(320, 180);
        let mut keys = Vec::new();
        for at in at_ms {
            picture.fill(usize::try_from(at).unwrap() / 5 % 300, 20, 16, 16, [200, 90, 160]);
            let unit = encoder.encode(&picture, Duration::from_millis(at)).unwrap();
            let unit = unit.expect("no frame is skipped");
            assert!(nal::is_whole(&unit.data));
            assert_eq!(unit.key, unit.sets.is_some());
            keys.extend(unit.key.then_some(at));
        }
        keys
    }

    #[test]
    fn key_frames_come_by_time_and_bring_their_sets() {
        let mut encoder = encoder(settings());
        assert_eq!(keys(&mut encoder, (0..12).map(|n| n * 40)), [0, 200, 400]);
        // Half of the pictures: the distance is the same, to the next picture that is there.
        assert_eq!(keys(&mut encoder, (6..14).map(|n| n * 80)), [640, 880]);
    }

    #[test]
    fn a_key_frame_comes_when_asked_and_after_a_change_of_rate() {
        let mut encoder = encoder(settings());
        keys(&mut encoder, [0, 40]);
        encoder.force_key();
        assert_eq!(keys(&mut encoder, [80, 120]), [80]);
        encoder.retune(12.5, 250_000).unwrap();
        assert_eq!(keys(&mut encoder, [160, 240]), [160]);
    }

    #[test]
    fn openh264_takes_over_where_the_boards_encoder_fails_and_says_why() {
        let node = EncoderChoice::V4l2("/dev/null".into());
        let mut encoder = encoder(EncoderSettings { encoder: node, ..settings() });
        assert_eq!(encoder.name(), "openh264");
        let why = encoder.instead().unwrap().to_owned();
        assert!(
            why.starts_with("/dev/null cannot be opened") || why.contains("not an H.264 encoder"),
            "{why}"
        );
        assert_eq!(keys(&mut encoder, [0, 40]), [0]);
    }

    #[test]
    fn the_profile_is_the_one_configured() {
        for (profile, told) in [
            (Profile::Baseline, "avc1.42C0"),
            (Profile::Main, "avc1.4D"),
            (Profile::High, "avc1.64"),
        ] {
            let mut encoder = encoder(EncoderSettings { profile, ..settings() });
            let unit = encoder.encode(&Picture::black(320, 180), Duration::ZERO).unwrap().unwrap();
            let (sps, pps) = unit.sets.unwrap();
            let params = CodecParams::from_h264_sets(&sps, &pps).unwrap();
            let codecs = params.rfc6381.unwrap();
            assert!(codecs.starts_with(told), "{codecs}");
        }
    }
}
