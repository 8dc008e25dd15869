//! Controls: brightness, exposure, the bit rate of an encoder.
//!
//! Owns: what a control may be set to, and the check before it is. A control belongs to the camera
//! (UVC keeps it over opens) or, for encoders, to the open node.

use std::io;

use super::driver::Driver;

/// A control's number, `V4L2_CID_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ControlId(pub u32);

/// What kind of value a control has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// A number.
    Integer,
    /// Off or on.
    Boolean,
    /// One of several, each with a name.
    Menu,
    /// One of several, each a number.
    IntegerMenu,
    /// Set to do something once; has no value.
    Button,
    /// Bits.
    Bitmask,
    /// Anything else: not set by us.
    Other,
}

/// A control and its range, `VIDIOC_QUERYCTRL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlInfo {
    /// Its number.
    pub id: ControlId,
    /// Its name, the driver's words.
    pub name: String,
    /// What kind of value it has.
    pub of: ControlType,
    /// Smallest value.
    pub min: i32,
    /// Largest value.
    pub max: i32,
    /// From one value to the next; 0 counts as 1.
    pub step: i32,
    /// The driver's default.
    pub default: i32,
    /// Cannot be set (read-only, disabled, or held by a running stream).
    pub fixed: bool,
    /// Has no effect now, because another control rules it (exposure while automatic).
    pub inactive: bool,
}

/// Why a control was not read or set.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The device has no such control.
    #[error("the device has no such control")]
    Unknown,
    /// The device has it, but it cannot be set now.
    #[error("{name} cannot be set now")]
    Fixed {
        /// Its name.
        name: String,
    },
    /// Outside its range.
    #[error("{name} goes from {min} to {max} in steps of {step}, which excludes {wanted}")]
    Range {
        /// Its name.
        name: String,
        /// The value requested.
        wanted: i64,
        /// Smallest value.
        min: i32,
        /// Largest value.
        max: i32,
        /// From one value to the next.
        step: i32,
    },
    /// No item of its menu.
    #[error("{name} is one of {items}")]
    Item {
        /// Its name.
        name: String,
        /// The items there are.
        items: String,
    },
    /// The driver refused.
    #[error("the driver refused {name}")]
    Call {
        /// The control's name or number.
        name: String,
        /// Its reason.
        source: io::Error,
    },
}

impl ControlInfo {
    /// `value` as this control takes it, or why it does not.
    pub fn check(&self, value: i64) -> Result<i32, ControlError> {
        let (min, max, step) = (self.min, self.max, self.step.max(1));
        let fits = i32::try_from(value).ok().filter(|&value| {
            let stepped = (i64::from(value) - i64::from(min)) % i64::from(step) == 0;
            let free = matches!(self.of, ControlType::Bitmask | ControlType::Button);
            free || (value >= min && value <= max && stepped)
        });
        let name = || self.name.clone();
        if self.fixed || self.of == ControlType::Other {
            return Err(ControlError::Fixed { name: name() });
        }
        fits.ok_or_else(|| ControlError::Range { name: name(), wanted: value, min, max, step })
    }
}

/// What `driver` says of a control.
pub fn query(driver: &impl Driver, id: ControlId) -> Result<ControlInfo, ControlError> {
    driver.query_control(id).map_err(|source| refused(id, None, source))
}

/// The value of a control.
pub fn get(driver: &impl Driver, id: ControlId) -> Result<i32, ControlError> {
    driver.control(id).map_err(|source| refused(id, None, source))
}

/// Sets a control after a look at its range; what the range is comes back.
pub fn set(driver: &impl Driver, id: ControlId, value: i64) -> Result<ControlInfo, ControlError> {
    let info = query(driver, id)?;
    let value = info.check(value)?;
    driver.set_control(id, value).map_err(|source| refused(id, Some(&info), source))?;
    Ok(info)
}

fn refused(id: ControlId, info: Option<&ControlInfo>, source: io::Error) -> ControlError {
    // ENOTTY: a node without any controls.
    if info.is_none() && matches!(source.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY)) {
        return ControlError::Unknown;
    }
    let name = info.map_or_else(|| format!("control {:#x}", id.0), |info| info.name.clone());
    ControlError::Call { name, source }
}
