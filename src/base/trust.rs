//! How far this machine's date can be believed.
//!
//! Owns: the three grades, and asking the kernel which one it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who vouches for the date, from no one to a time server.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// No one: a board without a battery clock, or one set by hand.
    #[default]
    None,
    /// A battery clock, from which the kernel took the date at boot.
    Rtc,
    /// The kernel says that something disciplines its clock now.
    Ntp,
}

impl Trust {
    /// The grade as one lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rtc => "rtc",
            Self::Ntp => "ntp",
        }
    }

    /// The grade as one octet, from 1; 0 means "not judged".
    #[must_use]
    pub fn to_octet(grade: Option<Self>) -> u8 {
        match grade {
            None => 0,
            Some(Self::None) => 1,
            Some(Self::Rtc) => 2,
            Some(Self::Ntp) => 3,
        }
    }

    /// The grade of an octet; an octet that is not known says no more than 0 does.
    #[must_use]
    pub fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::None),
            2 => Some(Self::Rtc),
            3 => Some(Self::Ntp),
            _ => None,
        }
    }
}

/// What is known of the date's quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockQuality {
    /// Who vouches for it.
    pub trust: Trust,
    /// Largest error that the kernel knows of, where it may be asked and a time daemon disciplines
    /// the clock.
    pub error_max: Option<Duration>,
}

/// What systemd-timesyncd leaves once it has set the clock in this boot, systemd-timesyncd(8).
const TIMESYNCD_WORD: &str = "/run/systemd/timesync/synchronized";

/// Asks the kernel (adjtimex(2)) and, when no time daemon disciplines the clock, whether it was set
/// from a battery clock at boot (`hctosys` of sysfs-class-rtc). Where a sandbox forbids asking the
/// kernel, as our own unit does, systemd-timesyncd is believed.
pub(super) fn of_this_machine() -> ClockQuality {
    match discipline() {
        Ok(Some(error_max)) => ClockQuality { trust: Trust::Ntp, error_max: Some(error_max) },
        Err(()) if std::path::Path::new(TIMESYNCD_WORD).exists() => {
            ClockQuality { trust: Trust::Ntp, error_max: None }
        }
        _ => {
            let trust = if has_battery_clock() { Trust::Rtc } else { Trust::None };
            ClockQuality { trust, error_max: None }
        }
    }
}

/// The largest error of a clock that is disciplined; `Err` when the kernel does not tell.
fn discipline() -> Result<Option<Duration>, ()> {
    // SAFETY: all fields of `timex` are integers, for which zero is a value.
    #[allow(unsafe_code)] // no safe wrapper of adjtimex is among our dependencies
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `modes` is 0, so that the call only reads, into a struct that is ours.
    #[allow(unsafe_code)]
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(());
    }
    let synchronised = state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    #[allow(clippy::useless_conversion)] // 32 bits on 32-bit machines
    let micros = u64::try_from(i64::from(timex.maxerror)).unwrap_or(0);
    Ok(synchronised.then(|| Duration::from_micros(micros)))
}

fn has_battery_clock() -> bool {
    let Ok(clocks) = std::fs::read_dir("/sys/class/rtc") else { return false };
    let set_from = |dir: std::path::PathBuf| {
        std::fs::read_to_string(dir.join("hctosys")).is_ok_and(|text| text.trim() == "1")
    };
    clocks.flatten().any(|clock| set_from(clock.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        let quality = of_this_machine();
        if discipline().is_ok() {
            assert_eq!(quality.error_max.is_some(), quality.trust == Trust::Ntp);
        }
    }

    #[test]
    fn a_grade_comes_back_from_its_octet() {
        for grade in [None, Some(Trust::None), Some(Trust::Rtc), Some(Trust::Ntp)] {
            assert_eq!(Trust::from_octet(Trust::to_octet(grade)), grade);
        }
        assert_eq!(Trust::from_octet(4), None);
    }

    #[test]
    fn grades_are_ordered() {
        assert!(Trust::None < Trust::Rtc && Trust::Rtc < Trust::Ntp);
    }
}
