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

/// How much an event matters to a person.
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

/// The right that a reader needs on the event's stream, or on all streams where it has none.
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
    /// What.
    pub kind: Kind,
    /// To which stream; `None`: to the box, or to all of them.
    pub stream: Option<StreamName>,
    /// How much it matters.
    pub severity: Severity,
    /// Who may hear of it.
    pub audience: Audience,
    /// More of it, by its kind.
    pub data: Json,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Its name over all lives of the daemon: instance and number.
    pub id: String,
    /// Its number in this life of the daemon.
    pub seq: u64,
    /// What.
    pub kind: Kind,
    /// When, as the box believed.
    pub time: WallTime,
    /// Who vouched for that date.
    pub clock: Trust,
    /// To which stream.
    pub stream: Option<StreamName>,
    /// How much it matters.
    pub severity: Severity,
    /// Who may hear of it.
    #[serde(skip)]
    pub audience: Audience,
    /// More of it.
    pub data: Json,
}

impl NewEvent {
    /// An event of the box that administrators hear of.
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
