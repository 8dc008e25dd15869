//! `/api/v1/routes`: who may use which route.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::serve::http::document::document;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::extract::At;
use crate::serve::http::response::NO_STORE;
use crate::serve::http::route_entry::RouteEntry;

#[derive(Serialize, schemars::JsonSchema)]
struct Routes<'a> {
    routes: &'a [RouteEntry],
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/routes", Access::Admin, table)
        .says("Who may use which route.")
        .answers::<Routes<'static>>(200)
        .get("/api/v1/openapi.json", Access::Admin, openapi)
        .says("This document.")
        .answers::<serde_json::Map<String, Value>>(200)
}

/// `GET /api/v1/openapi.json`: the same in OpenAPI 3.1, with what each route takes and answers.
pub(crate) async fn openapi(State(context): At) -> Response {
    let routes = context.routes.get().map_or(&[][..], Vec::as_slice);
    (NO_STORE, Json(document(routes))).into_response()
}

/// `GET /api/v1/routes`: the table that the door goes by.
pub(crate) async fn table(State(context): At) -> Response {
    let routes = context.routes.get().map_or(&[][..], Vec::as_slice);
    (NO_STORE, Json(Routes { routes })).into_response()
}
