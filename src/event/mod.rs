#![doc = include_str!("README.md")]

mod bus;
mod filter;
mod kind;

use serde::Serialize;
use serde_json::Value as Json;

pub use bus::{EventBus, EventReader, Heard};
pub use filter::{Filter, FilterError};
pub use kind::Kind;

use crate::base::name::StreamName;
use crate::base::time::{Trust, WallTime};

/// How urgent an event is for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// A person should look.
    Warn,
    /// A person should look now.
    Alarm,
}

/// The right a reader needs on the event's stream, or on every stream if the event has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Its live pictures.
    Live,
    /// Its recordings.
    Past,
    /// Everything: administrators.
    Admin,
}

/// An event as it is published.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub kind: Kind,
    /// The stream it concerns; `None` for the box or all streams.
    pub stream: Option<StreamName>,
    /// How urgent it is.
    pub severity: Severity,
    /// Who may receive it.
    pub audience: Audience,
    /// Details, which depend on the kind.
    pub data: Json,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Its name across all runs of the daemon: instance and number.
    pub id: String,
    /// Its number in this run of the daemon.
    pub seq: u64,
    /// What happened.
    pub kind: Kind,
    /// When it happened, by the box's clock.
    pub time: WallTime,
    /// How far that date can be trusted.
    pub clock: Trust,
    /// The stream it concerns.
    pub stream: Option<StreamName>,
    /// How urgent it is.
    pub severity: Severity,
    /// Who may receive it.
    #[serde(skip)]
    pub audience: Audience,
    /// Details.
    pub data: Json,
}

impl NewEvent {
    /// An event of the box, for administrators.
    #[must_use]
    pub fn of_box(kind: Kind, severity: Severity, data: Json) -> Self {
        Self { kind, stream: None, severity, audience: Audience::Admin, data }
    }

    /// An event of `stream`.
    #[must_use]
    pub fn of_stream(
        stream: &StreamName,
        audience: Audience,
        kind: Kind,
        severity: Severity,
        data: Json,
    ) -> Self {
        Self { kind, stream: Some(stream.clone()), severity, audience, data }
    }
}
