//! `/api/v1/recovery`: what the box did to heal itself, and the end of a park by hand.
//!
//! Owns: the shape of the answer.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use crate::serve::http::door::{Access, Door};
use crate::serve::http::extract::At;
use crate::serve::http::response::NO_STORE;
use crate::supervise::recovery::{ParkedRecording, RecoveryEntry, RecoveryLog};

#[derive(Serialize, schemars::JsonSchema)]
struct Recovery {
    /// Why recording is off, while it is.
    parked: Option<ParkedRecording>,
    /// Newest first.
    entries: Vec<Rung>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Resumed {
    /// Whether there was a park to end.
    resumed: bool,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Rung {
    /// Its number on the ladder.
    rung: u8,
    #[serde(flatten)]
    entry: RecoveryEntry,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/recovery", Access::Admin, recovery)
        .says("What the box did to heal itself, the newest first.")
        .answers::<Recovery>(200)
        .post("/api/v1/recovery/resume", Access::Admin, resume)
        .says("Lets a parked box record again.")
        .answers::<Resumed>(200)
}

/// `GET /api/v1/recovery`: the recovery log, newest entry first.
pub(crate) async fn recovery(State(context): At) -> impl IntoResponse {
    let log = context.supervisor.recovery();
    let parked = log.and_then(|log| log.parked().borrow().clone());
    let entries = log.map(RecoveryLog::entries).unwrap_or_default();
    let numbered = |entry: RecoveryEntry| Rung { rung: entry.rung.number(), entry };
    let entries = entries.into_iter().rev().map(numbered).collect();
    (NO_STORE, Json(Recovery { parked, entries }))
}

/// `POST /api/v1/recovery/resume`: a parked box records again.
pub(crate) async fn resume(State(context): At) -> impl IntoResponse {
    let resumed = context.supervisor.recovery().is_some_and(RecoveryLog::resume);
    (NO_STORE, Json(Resumed { resumed }))
}
