#![doc = include_str!("README.md")]

mod button;
mod front;
mod input;
mod led;
mod note;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::board::gpio::Line;

pub use self::front::{InputView, Panel, PanelView, TellCondition, keep};
pub use self::input::{Active, Config as InputConfig, Manner};
pub use self::led::{Condition, Trouble, Wires};

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
    pub wires: Wires<Line>,
    /// The level at which it shines.
    pub active: Active,
}

/// The button.
#[derive(Clone, Debug, PartialEq)]
pub struct ButtonConfig {
    /// Its line.
    pub line: Line,
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
