//! Inputs and the button.
//!
//! Owns: their times, their events, what they may protect.

use std::time::Duration;

/// Edges of all lines that wait to be checked; past it they are dropped, and the levels are checked
/// once a second anyway.
pub const GPIO_EDGES_MAX: usize = 64;

/// Alarm inputs in one configuration; more are refused.
pub const INPUTS_MAX: usize = 16;
/// Debounce of an input; a shorter one is contact bounce, a longer one hides an alarm.
pub const INPUT_DEBOUNCES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(5);
/// How far before and behind its moment an input may protect footage.
pub const INPUT_SPAN_MAX: Duration = Duration::from_secs(600);
/// Events of one input within [`INPUT_EVENTS_WINDOW`]; past it the input chatters, which is
/// reported once, and its events are only counted until it was silent for that long.
pub const INPUT_EVENTS_MAX: usize = 6;
/// Over how long [`INPUT_EVENTS_MAX`] is counted.
pub const INPUT_EVENTS_WINDOW: Duration = Duration::from_secs(60);
/// An input that is active for longer is said to be stuck, once; it changes nothing else.
pub const INPUT_STUCK_AFTER: Duration = Duration::from_secs(3_600);
/// Events of inputs that wait for the journal; past it the newest is dropped and said.
pub const INPUT_QUEUE_LEN_MAX: usize = 64;
/// How long an event waits for a ring that is not ready; then it is dropped and said.
pub const INPUT_NOTE_TIME_MAX: Duration = Duration::from_secs(600);
/// Ranges that inputs may protect together, so that people always find room for theirs; past it
/// inputs only make marks.
pub const INPUT_PINS_MAX: usize = 512;
/// A button that is held longer is stuck, and means nothing.
pub const BUTTON_HELD_MAX: Duration = Duration::from_secs(60);
