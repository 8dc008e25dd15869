//! `/api/v1/recovery`: what the box did to heal itself.
//!
//! Owns: the shape of the answer.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::NO_STORE;
use crate::serve::http::route::At;
use crate::supervise::recovery::{Entry, RecoveryLog};

#[derive(Serialize)]
struct Recovery {
    /// Newest first.
    entries: Vec<Rung>,
}

#[derive(Serialize)]
struct Rung {
    /// Its number on the ladder.
    rung: u8,
    #[serde(flatten)]
    entry: Entry,
}

/// `GET /api/v1/recovery`: the recovery log, newest entry first.
pub(in crate::serve::http) async fn recovery(State(door): At) -> impl IntoResponse {
    let entries = door.supervisor.recovery().map(RecoveryLog::entries).unwrap_or_default();
    let numbered = |entry: Entry| Rung { rung: entry.rung.number(), entry };
    let entries = entries.into_iter().rev().map(numbered).collect();
    (NO_STORE, Json(Recovery { entries }))
}
