//! What the level of an alarm input means.
//!
//! Owns: when a level is an event, when an input chatters and when it is stuck. Pure: levels and
//! moments in. Debounce is the driver's.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::base::limits::{INPUT_EVENTS_MAX, INPUT_EVENTS_WINDOW, INPUT_STUCK_AFTER};
use crate::base::name::StreamName;
use crate::base::time::BootTime;
use crate::board::gpio::{Bias, InputWish};

/// The level at which something is so: a button pressed, a door open, an LED on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Active {
    /// Low: a contact that opens lets the pull-up win, one that closes pulls down.
    Low,
    /// High.
    High,
}

impl Active {
    /// Whether a line at this level is active; and the level of a line that shall be.
    #[must_use]
    pub fn is(self, high: bool) -> bool {
        (self == Self::High) == high
    }

    /// What keeps an inactive line where it is.
    #[must_use]
    pub fn rest(self) -> Bias {
        match self {
            Self::Low => Bias::Up,
            Self::High => Bias::Down,
        }
    }
}

/// An alarm input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputConfig {
    /// Its line.
    pub wish: InputWish,
    /// The level of an alarm.
    pub active: Active,
    /// The streams that its marks belong to; none in one of them: all.
    pub marks: Vec<Option<StreamName>>,
    /// The streams whose footage it protects.
    pub streams: Vec<StreamName>,
    /// From how long before its moment.
    pub before: Duration,
    /// Until how long after it.
    pub after: Duration,
    /// How long that stays protected; `None`: until a person ends it.
    pub keep: Option<Duration>,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Manner {
    /// Nothing.
    #[default]
    Ok,
    /// It became active too often; further events are only counted.
    Chattering,
    /// It has been active for very long.
    Stuck,
    /// Its line cannot be used.
    Unavailable,
}

/// What a change of level means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An alarm.
    Event,
    /// The input has begun to chatter: say so, once.
    Chatter,
    /// Nothing.
    None,
}

/// The state of one input.
#[derive(Debug, Default)]
pub(super) struct InputState {
    active_since: Option<BootTime>,
    /// Whether its level was ever seen.
    known: bool,
    /// The moments it became active, the newest last.
    recent: VecDeque<BootTime>,
    chattering: bool,
    told_stuck: bool,
    /// Events.
    pub(super) events: u64,
    /// Activations that were only counted.
    pub(super) suppressed: u64,
}

impl InputState {
    /// Takes a level, from an edge or from looking.
    pub(super) fn level(&mut self, now: BootTime, active: bool) -> Meaning {
        let was_known = std::mem::replace(&mut self.known, true);
        if !active {
            self.active_since = None;
            self.told_stuck = false;
            return Meaning::None;
        }
        if self.active_since.is_some() {
            return Meaning::None;
        }
        self.active_since = Some(now);
        if !was_known {
            return Meaning::None;
        }
        self.forget(now);
        self.recent.push_back(now);
        if self.recent.len() <= INPUT_EVENTS_MAX && !self.chattering {
            self.events += 1;
            return Meaning::Event;
        }
        // Only the newest moments matter to whether it continues.
        self.recent.truncate(INPUT_EVENTS_MAX + 1);
        if let Some(newest) = self.recent.back_mut() {
            *newest = now;
        }
        self.suppressed += 1;
        if std::mem::replace(&mut self.chattering, true) { Meaning::None } else { Meaning::Chatter }
    }

    /// Time passes; returns whether to report now that the input is stuck.
    pub(super) fn tick(&mut self, now: BootTime) -> bool {
        self.forget(now);
        let stuck = self.manner(now) == Manner::Stuck;
        stuck && !std::mem::replace(&mut self.told_stuck, true)
    }

    /// Forgets activations that ended long ago; silence ends the chatter.
    fn forget(&mut self, now: BootTime) {
        let old = |at: &BootTime| now.since(*at) >= INPUT_EVENTS_WINDOW;
        while self.recent.front().is_some_and(old) {
            self.recent.pop_front();
        }
        self.chattering &= !self.recent.is_empty();
    }

    /// How it behaves.
    pub(super) fn manner(&self, now: BootTime) -> Manner {
        match self.active_since {
            _ if self.chattering => Manner::Chattering,
            Some(since) if now.since(since) >= INPUT_STUCK_AFTER => Manner::Stuck,
            _ => Manner::Ok,
        }
    }

    /// Whether it is active; `None` before its level was seen.
    pub(super) fn is_active(&self) -> Option<bool> {
        self.known.then_some(self.active_since.is_some())
    }
}
