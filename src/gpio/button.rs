//! What a press means.
//!
//! Owns: how long is long. Pure: levels and moments in.

use std::time::Duration;

use crate::base::limits::BUTTON_HELD_MAX;
use crate::base::time::BootTime;

/// How far a press has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PressStage {
    /// Shorter than the others: the box shows itself.
    Tap,
    /// 3 s: the claim window, on a box without network the access point.
    Claim,
    /// 10 s: network back to DHCP.
    Network,
    /// 20 s: factory reset.
    Reset,
}

const STAGES: [(Duration, PressStage); 4] = [
    (Duration::from_secs(20), PressStage::Reset),
    (Duration::from_secs(10), PressStage::Network),
    (Duration::from_secs(3), PressStage::Claim),
    (Duration::ZERO, PressStage::Tap),
];

impl PressStage {
    fn after(held: Duration) -> Self {
        let reached = STAGES.iter().find(|(from, _)| held >= *from);
        reached.map_or(Self::Tap, |(_, stage)| *stage)
    }

    /// Its function, as the log names it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Tap => "identify",
            Self::Claim => "claim window",
            Self::Network => "network to DHCP",
            Self::Reset => "factory reset",
        }
    }
}

/// The button.
#[derive(Debug, Default)]
pub(super) struct Button {
    pressed_at: Option<BootTime>,
}

impl Button {
    /// Takes a level, changed or just read; returns the action requested when the button is
    /// released.
    pub(super) fn level(&mut self, now: BootTime, pressed: bool) -> Option<PressStage> {
        if pressed {
            self.pressed_at.get_or_insert(now);
            return None;
        }
        let held = now.since(self.pressed_at.take()?);
        (held <= BUTTON_HELD_MAX).then(|| PressStage::after(held))
    }

    /// How far the press has come; `None` while the button is up or stuck.
    pub(super) fn held(&self, now: BootTime) -> Option<PressStage> {
        let held = now.since(self.pressed_at?);
        (held <= BUTTON_HELD_MAX).then(|| PressStage::after(held))
    }
}
