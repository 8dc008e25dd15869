//! The mark and the protected ranges of an event, on the disk.
//!
//! Owns: the words, the ranges, and what happens to an event while the ring cannot take it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::input::InputConfig;
use crate::base::limits::{INPUT_NOTE_TIME_MAX, INPUT_PINS_MAX, JOURNAL_RETRY_PAUSE};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, SharedClock, WallTime};
use crate::dvr::{Dvr, NewPin, PinError};

/// The kind of the marks of inputs.
const KIND: &str = "input";
/// The owner of what inputs protect begins so.
const OWNER: &str = "input ";

/// An input became active.
#[derive(Clone, Debug)]
pub(super) struct InputEvent {
    /// Its name.
    pub(super) input: String,
    /// When.
    pub(super) at: BootTime,
}

/// Writes events down, one after the other.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) inputs: Arc<BTreeMap<String, InputConfig>>,
    pub(super) dvr: Dvr,
    pub(super) clock: SharedClock,
}

impl Notes {
    /// Takes events as long as a sender exists.
    pub(super) async fn run(&self, events: &mut mpsc::Receiver<InputEvent>) {
        while let Some(event) = events.recv().await {
            let Some(config) = self.inputs.get(&event.input) else { continue };
            let at = self.dated(event.at);
            let text = format!("Input {}", event.input);
            info!(part = %text, "alarm input became active");
            let mark = |stream: &Option<StreamName>| {
                self.dvr.mark(stream.clone(), at, text.clone(), Some(KIND.to_owned()))
            };
            for stream in &config.marks {
                let marked = self.insist(event.at, || mark(stream)).await;
                told(&text, "mark", marked);
            }
            for wish in ranges(&event.input, config, at, self.clock.wall()) {
                told(&text, "protected range", self.protect(event.at, wish).await);
            }
        }
    }

    /// The date of a moment of this boot.
    fn dated(&self, at: BootTime) -> WallTime {
        self.clock.wall().offset_nanos(-nanos(self.clock.boot().since(at)))
    }

    async fn protect(&self, begun: BootTime, wish: NewPin) -> Result<(), PinError> {
        let ours = self.dvr.pins().iter().filter(|pin| pin.owner.starts_with(OWNER)).count();
        if ours >= INPUT_PINS_MAX {
            return Err(PinError::TooMany);
        }
        self.insist(begun, || self.dvr.pin(wish.clone())).await
    }

    /// Tries again while the ring is not ready, as after a start or while its disk is away.
    async fn insist<T, F>(&self, begun: BootTime, ask: impl Fn() -> F) -> Result<(), PinError>
    where
        F: Future<Output = Result<T, PinError>>,
    {
        loop {
            match ask().await {
                Err(PinError::NotNow(_))
                    if self.clock.boot().since(begun) < INPUT_NOTE_TIME_MAX =>
                {
                    tokio::time::sleep(JOURNAL_RETRY_PAUSE).await;
                }
                done => return done.map(drop),
            }
        }
    }
}

/// What an event at `at` protects, at the date `now`.
pub(super) fn ranges(
    input: &str,
    config: &InputConfig,
    at: WallTime,
    now: WallTime,
) -> Vec<NewPin> {
    let wish = |stream: &StreamName| NewPin {
        stream: stream.clone(),
        from: at.offset_nanos(-nanos(config.before)),
        until: at.offset_nanos(nanos(config.after)),
        reason: format!("Input {input}"),
        owner: format!("{OWNER}{input}"),
        expires: config.keep.map(|keep| now.offset_nanos(nanos(keep))),
    };
    config.streams.iter().map(wish).collect()
}

fn told(part: &str, what: &'static str, done: Result<(), PinError>) {
    if let Err(error) = done {
        warn!(part, what, error = %error, "an alarm could not be kept");
    }
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}
