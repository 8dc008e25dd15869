//! The keys of every source that encodes raw pictures.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::{KeyFault, Section};
use super::unit;
use crate::encode::{EncoderChoice, EncoderSettings, Profile};

const ENCODERS: &str = "\"auto\", \"openh264\" or \"v4l2:<node>\", such as \"v4l2:/dev/video11\"";
const GOP: &str = "a duration from \"100ms\" to \"10s\"";

/// Takes `encoder`, `bitrate_bps`, `gop` and `profile` out of `section`.
pub(super) fn check(
    section: &mut Section,
    default: EncoderSettings,
    faults: &mut Vec<KeyFault>,
) -> EncoderSettings {
    let bitrate = section.number("bitrate_bps", 50_000..=50_000_000, faults);
    let bitrate = bitrate.and_then(|bitrate| u32::try_from(bitrate).ok());
    EncoderSettings {
        bitrate_bps: bitrate.unwrap_or(default.bitrate_bps),
        encoder: section.parsed("encoder", encoder, faults).unwrap_or(default.encoder),
        gop: section.parsed("gop", gop, faults).unwrap_or(default.gop),
        profile: section.parsed("profile", profile, faults).unwrap_or(default.profile),
    }
}

fn encoder(text: &str) -> Result<EncoderChoice, (String, &'static str)> {
    match (text, text.strip_prefix("v4l2:")) {
        ("auto", _) => Ok(EncoderChoice::Auto),
        ("openh264", _) => Ok(EncoderChoice::Openh264),
        (_, Some(node)) if node.starts_with("/dev/") => {
            Ok(EncoderChoice::V4l2(PathBuf::from(node)))
        }
        _ => Err((format!("{text:?} is not an encoder"), ENCODERS)),
    }
}

fn gop(text: &str) -> Result<Duration, (String, &'static str)> {
    let gop = unit::duration(text).map_err(|(wrong, _)| (wrong, GOP))?;
    let range = Duration::from_millis(100)..=Duration::from_secs(10);
    if range.contains(&gop) {
        Ok(gop)
    } else {
        Err((format!("{text:?} is too short or long"), GOP))
    }
}

fn profile(text: &str) -> Result<Profile, (String, &'static str)> {
    match text {
        "baseline" => Ok(Profile::Baseline),
        "main" => Ok(Profile::Main),
        "high" => Ok(Profile::High),
        _ => Err((format!("{text:?} is not a profile"), "\"baseline\", \"main\" or \"high\"")),
    }
}
