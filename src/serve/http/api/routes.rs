//! `/api/v1/routes`: who may use which route.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::serve::http::extract::At;
use crate::serve::http::response::NO_STORE;
use crate::serve::http::route_entry::RouteEntry;

#[derive(Serialize)]
struct Routes<'a> {
    routes: &'a [RouteEntry],
}

/// `GET /api/v1/routes`: the table that the door goes by.
pub(crate) async fn table(State(context): At) -> Response {
    let routes = context.routes.get().map_or(&[][..], Vec::as_slice);
    (NO_STORE, Json(Routes { routes })).into_response()
}
