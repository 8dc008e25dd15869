//! H.264 in software with openh264.
//!
//! Owns: the settings, and where the library's complaints go. The library's defaults are wrong for a
//! recorder (one key frame ever, frames skipped, 120 kbit/s), so each that matters is set here. No
//! B-frames: decoding order is presentation order.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::time::Duration;

use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder as Codec, EncoderConfig as CodecConfig, FrameRate,
    IntraFramePeriod, Profile as CodecProfile, RateControlMode, SpsPpsStrategy, UsageType,
};
use openh264::formats::YUVSlices;
use tracing::{debug, warn};

use super::coded::Encoded;
use super::{EncoderSettings, Picture, Profile, RawFormat};

/// openh264 refused its settings or a picture.
#[derive(Debug, thiserror::Error)]
#[error("openh264 refused")]
pub struct SoftwareError(#[source] openh264::Error);

/// An encoder for pictures of one size.
pub(super) struct SoftwareEncoder(Codec);

impl std::fmt::Debug for SoftwareEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Software")
    }
}

/// `ENCODER_OPTION_TRACE_CALLBACK` of codec_app_def.h.
const TRACE_CALLBACK: c_int = 26;
/// `WELS_LOG_ERROR` of codec_app_def.h; warnings and the rest have higher numbers.
const TRACE_ERROR: c_int = 1;

/// `WelsTraceCallback` of codec_app_def.h: context, level, text.
type Trace = unsafe extern "C" fn(*mut c_void, c_int, *const c_char);

/// Receives the library's messages, which it would otherwise print to standard error. It warns at
/// each opening that frame skipping is off, which is intended.
#[allow(unsafe_code)] // the crate has no safe way to it
fn trace(codec: &mut Codec) {
    let mut told: Trace = told;
    // SAFETY: the option is read as a pointer to such a function, which is copied and lives as long
    // as the program; nothing that the crate relies on is changed.
    let _ = unsafe { codec.raw_api().set_option(TRACE_CALLBACK, (&raw mut told).cast()) };
}

/// # Safety
///
/// `text` ends with a zero, or is null.
#[allow(unsafe_code)] // a text of C
unsafe extern "C" fn told(_: *mut c_void, level: c_int, text: *const c_char) {
    if text.is_null() {
        return;
    }
    // SAFETY: as the caller says.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    if level <= TRACE_ERROR {
        warn!(part = "openh264", error = %text, "encoder complains");
    } else {
        debug!(part = "openh264", error = %text, "encoder warns");
    }
}

impl SoftwareEncoder {
    pub(super) fn new(
        settings: &EncoderSettings,
        format: RawFormat,
    ) -> Result<Self, SoftwareError> {
        let profile = match settings.profile {
            Profile::Baseline => CodecProfile::Baseline,
            Profile::Main => CodecProfile::Main,
            Profile::High => CodecProfile::High,
        };
        let config = CodecConfig::new()
            .bitrate(BitRate::from_bps(settings.bitrate_bps))
            .max_frame_rate(FrameRate::from_hz(format.fps))
            // Key frames are asked for by time; see `VideoEncoder`.
            .intra_frame_period(IntraFramePeriod::from_num_frames(0))
            .rate_control_mode(RateControlMode::Bitrate)
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            // It divides a picture among threads by slices, and here a picture is one slice.
            .num_threads(1)
            .skip_frames(false)
            .scene_change_detect(false)
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .profile(profile)
            .vui(format.colours.vui());
        let codec = Codec::with_api_config(OpenH264API::from_source(), config);
        let mut codec = codec.map_err(SoftwareError)?;
        trace(&mut codec);
        Ok(Self(codec))
    }

    /// Encodes one picture; the first one is a key frame anyway.
    pub(super) fn encode(
        &mut self,
        picture: &Picture,
        at: Duration,
        key: bool,
    ) -> Result<Option<Encoded>, SoftwareError> {
        if key {
            self.0.force_intra_frame();
        }
        let (width, height) = (picture.width(), picture.height());
        let source =
            YUVSlices::new(picture.planes(), (width, height), (width, width / 2, width / 2));
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX / 2);
        let at = openh264::Timestamp::from_millis(millis);
        let stream = self.0.encode_at(&source, at).map_err(SoftwareError)?;
        Ok(Encoded::from_annex_b(&stream.to_vec()))
    }
}
