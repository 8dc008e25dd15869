//! Raw pictures to H.264, whoever does the work.
//!
//! Owns: which encoder it is, when the next key frame is due, and that openh264 takes over where
//! the board's own encoder fails.

use std::time::Duration;

use super::coded::Encoded;
use super::h264::{Software, SoftwareError};
use super::{Format, Picture, Settings};

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
    settings: Settings,
    format: Format,
    engine: Engine,
    keys: KeyClock,
}

#[derive(Debug)]
enum Engine {
    Software(Software),
}

impl VideoEncoder {
    /// Opens an encoder for pictures of `format`.
    pub fn open(settings: Settings, format: Format) -> Result<Self, EncodeError> {
        let engine = Engine::Software(Software::new(&settings, format)?);
        let keys = KeyClock::new(settings.gop, format.fps);
        Ok(Self { settings, format, engine, keys })
    }

    /// Encodes one picture taken `at` after the first, as a key frame when one is due or was asked
    /// for. `None`: nothing came out of it.
    pub fn encode(
        &mut self,
        picture: &Picture,
        at: Duration,
    ) -> Result<Option<Encoded>, EncodeError> {
        let key = self.keys.is_due(at);
        let Engine::Software(engine) = &mut self.engine;
        let encoded = engine.encode(picture, at, key)?;
        if encoded.as_ref().is_some_and(|encoded| encoded.key) {
            self.keys.came(at);
        }
        Ok(encoded)
    }

    /// Asks for the next picture to be a key frame.
    pub fn force_key(&mut self) {
        self.keys.last = None;
    }

    /// Goes on with another rate of pictures, or of bits. The next picture is a key frame.
    pub fn retune(&mut self, fps: f32, bitrate_bps: u32) -> Result<(), EncodeError> {
        // openh264 changes neither while it runs, through a safe call.
        self.format.fps = fps;
        self.settings.bitrate_bps = bitrate_bps;
        self.engine = Engine::Software(Software::new(&self.settings, self.format)?);
        self.keys = KeyClock::new(self.settings.gop, fps);
        Ok(())
    }

    /// The encoder in use, as people call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let Engine::Software(_) = self.engine;
        "openh264"
    }
}

/// When the next key frame is due. Counted in time, not in pictures, because pictures are left out
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
    use crate::encode::Profile;
    use crate::media::{CodecParams, nal};

    fn encoder(settings: Settings) -> VideoEncoder {
        VideoEncoder::open(settings, Format { width: 320, height: 180, fps: 25.0 }).unwrap()
    }

    fn settings() -> Settings {
        Settings { bitrate_bps: 500_000, gop: Duration::from_millis(200), ..Settings::default() }
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
    fn the_profile_is_the_one_configured() {
        for (profile, told) in [
            (Profile::Baseline, "avc1.42C0"),
            (Profile::Main, "avc1.4D"),
            (Profile::High, "avc1.64"),
        ] {
            let mut encoder = encoder(Settings { profile, ..settings() });
            let unit = encoder.encode(&Picture::black(320, 180), Duration::ZERO).unwrap().unwrap();
            let (sps, pps) = unit.sets.unwrap();
            let params = CodecParams::from_h264_sets(&sps, &pps).unwrap();
            let codecs = params.rfc6381.unwrap();
            assert!(codecs.starts_with(told), "{codecs}");
        }
    }
}
