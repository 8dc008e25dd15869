//! `/api/v1/preview`: what the cameras of a new box see, before anybody has claimed it.
//!
//! Owns: when, whose and to whom. The box is unclaimed and has not run for long; the camera is part of
//! the box, because those on the network have owners; the peer is on a network of the box. So that
//! an installer sees that the right box, with its cameras, is claimed.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;

use crate::access::ClaimStatus;
use crate::base::limits::{PREVIEW_PICTURE_WIDTH, PREVIEW_TIME};
use crate::base::network::is_neighbour;
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::{At, FileName};
use crate::serve::http::origin::Reached;
use crate::serve::http::response::NO_STORE;
use crate::serve::http::settings::Access as Openness;

/// The kinds of sources that are part of the box.
const OWN_KINDS: [&str; 3] = ["v4l2", "command", "pattern"];

#[derive(Serialize, schemars::JsonSchema)]
struct Preview {
    /// The names of the box's own cameras; each has its picture at `preview/<name>.jpg`.
    cameras: Vec<String>,
    /// Seconds until the preview ends.
    left: u64,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/preview", Access::Public, list)
        .says("The box's own cameras, on a new box, for its own networks.")
        .answers::<Preview>(200)
        .refuses(&[409])
        .get("/api/v1/preview/{file}", Access::Public, picture)
        .says("The newest picture of one of them.")
        .answers_media(200, &["image/jpeg"])
        .refuses(&[409])
}

/// `GET /api/v1/preview`.
pub(crate) async fn list(
    State(context): At,
    Extension(reached): Extension<Reached>,
) -> Result<Response, ApiError> {
    let left = admitted(&context, &reached)?.as_secs();
    let streams = context.streams.all();
    let own =
        streams.iter().filter(|(_, outputs)| OWN_KINDS.contains(&outputs.stream.source_kind()));
    let cameras = own.map(|(name, _)| name.to_string()).collect();
    Ok((NO_STORE, Json(Preview { cameras, left })).into_response())
}

/// `GET /api/v1/preview/<name>.jpg`.
pub(crate) async fn picture(
    State(context): At,
    Extension(reached): Extension<Reached>,
    FileName(file): FileName,
) -> Result<Response, ApiError> {
    admitted(&context, &reached)?;
    let name = file.strip_suffix(".jpg").ok_or_else(ApiError::not_found)?;
    let outputs = context.streams.get(name);
    let outputs = outputs.filter(|outputs| OWN_KINDS.contains(&outputs.stream.source_kind()));
    let outputs = outputs.ok_or_else(ApiError::not_found)?;
    let picture = outputs.thumbnail.picture(Some(PREVIEW_PICTURE_WIDTH)).await?;
    let kind = [(axum::http::header::CONTENT_TYPE, "image/jpeg")];
    Ok((kind, NO_STORE, picture.jpeg).into_response())
}

/// For how long the preview goes on, for a peer who may see it.
fn admitted(context: &HttpContext, reached: &Reached) -> Result<Duration, ApiError> {
    let open = context.http.now().access == Openness::OpenOnLoopback;
    let unclaimed =
        matches!(context.access.claim_status(), ClaimStatus::Unclaimed | ClaimStatus::Locked(_));
    if open || !unclaimed {
        let message = "This box is in use. Sign in to see its cameras.";
        return Err(ApiError::new(StatusCode::CONFLICT, "claimed", message));
    }
    let ran = context.clock.boot().since(context.begun);
    left(ran, is_neighbour(reached.client)).ok_or_else(|| {
        let message = "The preview of a new box is for its own networks, and ends half an hour after it \
                       started. Claim the box to see its cameras.";
        ApiError::new(StatusCode::FORBIDDEN, "preview_over", message)
    })
}

/// What is left of the preview of a box that `ran` so long.
fn left(ran: Duration, neighbour: bool) -> Option<Duration> {
    PREVIEW_TIME.checked_sub(ran).filter(|left| neighbour && !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_neighbours_and_ends_half_an_hour_after_the_start() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(left(minutes(0), true), Some(minutes(30)));
        assert_eq!(left(minutes(29), true), Some(minutes(1)));
        assert_eq!(left(minutes(30), true), None);
        assert_eq!(left(minutes(600), true), None);
        assert_eq!(left(minutes(0), false), None);
    }
}
