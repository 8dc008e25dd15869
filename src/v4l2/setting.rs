//! Controls by their names, as the configuration and the API say them.
//!
//! Owns: the names. A control's key is the driver's name in lower case, with `_` for all that is
//! neither letter nor digit (`power_line_frequency`), as v4l2-ctl prints it. The few that everyone
//! sets also go by one key on every kernel, because drivers renamed them.

use v4l::v4l_sys as sys;

use super::control::{self, ControlError, ControlId, ControlInfo, ControlType};
use super::driver::Driver;
use crate::base::limits::V4L2_CONTROLS_MAX;

/// Keys that mean the same control whatever the driver calls it.
const KNOWN: [(&str, u32); 9] = [
    ("brightness", sys::V4L2_CID_BRIGHTNESS),
    ("contrast", sys::V4L2_CID_CONTRAST),
    ("saturation", sys::V4L2_CID_SATURATION),
    ("sharpness", sys::V4L2_CID_SHARPNESS),
    ("gain", sys::V4L2_CID_GAIN),
    ("auto_exposure", sys::V4L2_CID_EXPOSURE_AUTO),
    ("exposure", sys::V4L2_CID_EXPOSURE_ABSOLUTE),
    ("auto_white_balance", sys::V4L2_CID_AUTO_WHITE_BALANCE),
    ("power_line_frequency", sys::V4L2_CID_POWER_LINE_FREQUENCY),
];

/// What a control is set to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// Off or on.
    Flag(bool),
    /// A number; of a menu, the number of an item.
    Number(i64),
    /// An item of a menu by its name, such as `"50 Hz"`; case and spaces do not count.
    Text(String),
}

/// A control with its value now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// Its name and range.
    pub info: ControlInfo,
    /// What it is set to; `None` where it cannot be read (buttons).
    pub value: Option<i32>,
    /// The items of a menu.
    pub items: Vec<(i32, String)>,
}

/// All controls of a device that can be set by a number.
pub fn list(driver: &impl Driver) -> Vec<Setting> {
    infos(driver).into_iter().map(|info| setting(driver, info)).collect()
}

fn infos(driver: &impl Driver) -> Vec<ControlInfo> {
    let (mut last, mut found) = (ControlId(0), Vec::new());
    while found.len() < V4L2_CONTROLS_MAX {
        match driver.next_control(last) {
            // A driver that goes round in circles ends the list.
            Ok(info) if info.id > last => {
                last = info.id;
                found.push(info);
            }
            _ => break,
        }
    }
    found.retain(|info| info.of != ControlType::Other);
    found
}

fn setting(driver: &impl Driver, info: ControlInfo) -> Setting {
    let value = match info.of {
        ControlType::Button => None,
        _ => driver.control(info.id).ok(),
    };
    Setting { key: key(&info), value, items: items(driver, &info), info }
}

fn key(info: &ControlInfo) -> String {
    if let Some((key, _)) = KNOWN.iter().find(|(_, id)| *id == info.id.0) {
        return (*key).to_owned();
    }
    plain(&info.name)
}

/// `Exposure Time, Absolute` as `exposure_time_absolute`.
fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

fn items(driver: &impl Driver, info: &ControlInfo) -> Vec<(i32, String)> {
    let integers = match info.of {
        ControlType::Menu => false,
        ControlType::IntegerMenu => true,
        _ => return Vec::new(),
    };
    // A menu may have holes, and a driver may say that it has no end.
    let values = (info.min..=info.max).take(V4L2_CONTROLS_MAX);
    let named = values.filter_map(|value| {
        let item = u32::try_from(value).ok()?;
        Some((value, driver.menu_item(info.id, item, integers).ok()?))
    });
    named.collect()
}

/// Sets the control `key` to `value`, and says how it is set then.
pub fn set(driver: &impl Driver, key: &str, value: &Value) -> Result<Setting, ControlError> {
    let known = KNOWN.iter().find(|(known, _)| *known == key);
    let info = if let Some((_, id)) = known {
        control::query(driver, ControlId(*id))?
    } else {
        let mut all = infos(driver).into_iter();
        all.find(|info| plain(&info.name) == key).ok_or(ControlError::Unknown)?
    };
    let value = match value {
        Value::Flag(on) => i64::from(*on),
        Value::Number(number) => *number,
        Value::Text(text) => item(driver, &info, text)?,
    };
    let info = control::set(driver, info.id, value)?;
    Ok(setting(driver, info))
}

fn item(driver: &impl Driver, info: &ControlInfo, text: &str) -> Result<i64, ControlError> {
    let same = |name: &str| plain(name).replace('_', "") == plain(text).replace('_', "");
    let items = items(driver, info);
    let found = items.iter().find(|(_, name)| same(name)).map(|(value, _)| i64::from(*value));
    found.ok_or_else(|| ControlError::Item {
        name: info.name.clone(),
        items: items
            .into_iter()
            .map(|(_, name)| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, control};
    use super::*;

    fn camera() -> Fake {
        let fake = Fake::new(1);
        let line = sys::V4L2_CID_POWER_LINE_FREQUENCY;
        fake.state().controls = vec![
            (control(sys::V4L2_CID_BRIGHTNESS, "Brightness", ControlType::Integer, 0, 255), 128),
            (control(line, "Power Line Frequency", ControlType::Menu, 0, 3), 1),
            (control(line + 1, "Focus, Auto", ControlType::Boolean, 0, 1), 1),
            (control(line + 2, "Class", ControlType::Other, 0, 0), 0),
        ];
        fake
    }

    #[test]
    fn controls_go_by_the_names_people_know() {
        let keys: Vec<_> = list(&camera()).into_iter().map(|setting| setting.key).collect();
        assert_eq!(keys, ["brightness", "power_line_frequency", "focus_auto"]);
        assert_eq!(plain("Exposure Time, Absolute"), "exposure_time_absolute");
    }

    #[test]
    fn a_value_is_a_number_a_flag_or_the_name_of_an_item() {
        let camera = camera();
        let set = |key, value| set(&camera, key, &value);
        assert_eq!(set("brightness", Value::Number(7)).unwrap().value, Some(7));
        assert_eq!(set("focus_auto", Value::Flag(false)).unwrap().value, Some(0));
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(set("power_line_frequency", text("ITEM2")).unwrap().value, Some(2));
        let error = set("power_line_frequency", text("55Hz")).unwrap_err();
        assert!(error.to_string().contains("\"item 0\", \"item 1\""), "{error}");
        assert!(matches!(set("zoom", Value::Number(1)), Err(ControlError::Unknown)));
        assert!(matches!(set("brightness", Value::Number(256)), Err(ControlError::Range { .. })));
    }
}
