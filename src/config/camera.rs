//! The keys of a camera of this machine.

use std::path::PathBuf;

use toml::Value as Toml;

use super::encode;
use super::reader::{KeyFault, Section};
use crate::encode::EncoderSettings;
use crate::ingest::v4l2::{CameraChoice, CaptureWish, FormatChoice, V4l2Config};
use crate::v4l2::setting::Value;

const DEVICE: &str =
    "\"auto\" or a node such as \"/dev/v4l/by-path/platform-xhci-usb-0:1.3:1.0-video-index0\"";
const CONTROL: &str = "a number, true, false or the name of a menu's item, such as \"50 Hz\"";

/// Takes every key of a `v4l2` source out of `section`.
pub(super) fn check(section: &mut Section, faults: &mut Vec<KeyFault>) -> V4l2Config {
    let default = CaptureWish::default();
    let device = section.parsed("device", device, faults).unwrap_or_default();
    let format = section.parsed("format", format, faults).unwrap_or_default();
    let mut number = |key, range: std::ops::RangeInclusive<i64>| {
        section.number(key, range, faults).and_then(|number| u32::try_from(number).ok())
    };
    let wish = CaptureWish {
        format,
        width: number("width", 16..=3_840),
        height: number("height", 16..=2_160),
        fps: number("fps", 1..=120).unwrap_or(default.fps),
    };
    let controls = controls(section, faults);
    V4l2Config::new(
        device,
        wish,
        controls,
        encode::check(section, EncoderSettings::default(), faults),
    )
}

fn device(text: &str) -> Result<CameraChoice, (String, &'static str)> {
    match text {
        "auto" => Ok(CameraChoice::Auto),
        _ if text.starts_with("/dev/") && !text.contains('\0') => {
            Ok(CameraChoice::Node(PathBuf::from(text)))
        }
        _ => Err((format!("{text:?} is not a device node"), DEVICE)),
    }
}

fn format(text: &str) -> Result<FormatChoice, (String, &'static str)> {
    let right = "\"auto\", \"h264\", \"mjpeg\", \"yuyv\" or \"nv12\"";
    FormatChoice::parse(text).ok_or_else(|| (format!("{text:?} is not a format"), right))
}

/// Whether a camera has these controls is known when it is opened.
fn controls(section: &mut Section, faults: &mut Vec<KeyFault>) -> Vec<(String, Value)> {
    let Some(mut table) = section.section("controls", faults) else { return Vec::new() };
    let mut controls = Vec::new();
    for key in table.keys() {
        let value = match table.take(&key) {
            Some(Toml::Boolean(flag)) => Value::Flag(flag),
            Some(Toml::Integer(number)) => Value::Number(number),
            Some(Toml::String(text)) => Value::Text(text),
            Some(other) => {
                let wrong = format!("{} found", other.type_str());
                faults.push(table.fault(Some(&key), wrong, CONTROL.to_owned()));
                continue;
            }
            None => continue,
        };
        controls.push((key, value));
    }
    controls
}
