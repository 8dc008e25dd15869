//! Sees what changes in the box, and publishes it as events.
//!
//! Owns: when it looks, and the handling of reports. What a change means is in [`changes`], which
//! compares two looks. Everything here only reads and delays nothing.

mod changes;
mod noted;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;

use self::changes::Look;
use super::Services;
use crate::event::{Kind, NewEvent, Severity};

/// How often streams are checked.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// At every so many of these looks, everything else is checked too.
const WIDE_LOOK_EVERY: u32 = 8;

/// Publishes what changes, for ever.
pub async fn observe(services: Arc<Services>) {
    let events = services.events.clone();
    let mut notes = services.dvr.watch_notes();
    let version = env!("CARGO_PKG_VERSION");
    events.publish(NewEvent::of_box(
        Kind::BOX_STARTED,
        Severity::Info,
        json!({ "version": version }),
    ));
    let mut before = Look::at(&services);
    let mut ticks = tokio::time::interval(LOOK_PAUSE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut count = 0u32;
    loop {
        tokio::select! {
            biased;
            noted = notes.recv() => match noted {
                Ok(noted) => events.publish(noted::event(noted)),
                Err(RecvError::Lagged(lost)) => {
                    debug!(part = "events", lost, "notes of the journal were not published");
                }
                // The ring closes with the daemon.
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => {
                count = count.wrapping_add(1);
                let now = if count.is_multiple_of(WIDE_LOOK_EVERY) {
                    Look::at(&services)
                } else {
                    before.with_streams_of(&services)
                };
                now.changes_since(&before).into_iter().for_each(|event| events.publish(event));
                before = now;
            }
        }
    }
}
