#![doc = include_str!("README.md")]

mod button;
mod input;
mod led;
mod note;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::BTreeMap;

use crate::board::gpio::LineName;

pub use self::input::{Active, InputConfig, Manner};
pub use self::led::{LedStatus, LedTrouble, Wires};
pub use self::thread::{InputView, OnHeld, Panel, PanelCalls, PanelView, ReadStatus, keep};

/// What hangs on the lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The LED.
    pub led: Option<LedConfig>,
    /// The button.
    pub button: Option<ButtonConfig>,
    /// The alarm inputs, by name.
    pub inputs: BTreeMap<String, InputConfig>,
}

/// The LED.
#[derive(Clone, Debug, PartialEq)]
pub struct LedConfig {
    /// Its lines.
    pub wires: Wires<LineName>,
    /// The level at which it shines.
    pub active: Active,
}

/// The button.
#[derive(Clone, Debug, PartialEq)]
pub struct ButtonConfig {
    /// Its line.
    pub line: LineName,
    /// The level while it is pressed.
    pub active: Active,
}

impl Config {
    /// Whether nothing hangs on any line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
