//! The table of routes, and how a path becomes a stream.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};

use super::error::ApiError;
use super::{
    Door, api, cors, export, layer, live, metrics, mjpeg, page, past, play, snapshot, sprite, ws,
};
use crate::live::Outlet;

/// All routes with everything around them.
pub(super) fn router(door: Arc<Door>) -> Router {
    let cors = door.cors.clone();
    let routes = Router::new()
        .route("/", get(page::index))
        .route("/timeline", get(page::index))
        .route("/api/v1/streams", get(api::streams))
        .route("/api/v1/health", get(api::health))
        .route("/api/v1/storage", get(api::storage::storage))
        .route("/api/v1/storage/shrink", post(api::storage::shrink))
        .route("/api/v1/recordings/{stream}", get(api::recordings::listing))
        .route("/api/v1/recordings/{stream}/days", get(api::recordings::by_day))
        .route("/api/v1/pins", get(api::note::pins).post(api::note::pin))
        .route("/api/v1/pins/{id}", delete(api::note::unpin))
        .route("/api/v1/marks", post(api::note::mark))
        .route("/api/v1/exports", get(api::exports::list).post(api::exports::create))
        .route("/api/v1/exports/{id}", get(api::exports::one).delete(api::exports::remove))
        .route("/api/v1/exports/{id}/file", get(api::exports::file))
        .route("/api/v1/system", get(api::system::system))
        .route("/api/v1/inputs", get(api::system::inputs))
        .route("/api/v1/rtsp/sessions", get(api::rtsp::sessions))
        .route("/api/v1/rtsp/sessions/{id}", delete(api::rtsp::end_session))
        .route("/api/v1/rtsp/failures", get(api::rtsp::failures))
        .route("/api/v1/rtsp/failures/{id}", get(api::rtsp::transcript))
        .route("/api/v1/devices", get(api::devices::devices))
        .route("/api/v1/devices/{id}/controls", put(api::devices::set_controls))
        .route("/api/v1/recovery", get(api::recovery::recovery))
        .route("/api/v1/recovery/resume", post(api::recovery::resume))
        .route("/live/{stream}/index.m3u8", get(live::multivariant))
        .route("/live/{stream}/media.m3u8", get(live::media))
        .route("/live/{stream}/dvr.m3u8", get(past::window))
        .route("/vod/{stream}/index.m3u8", get(past::range))
        .route("/live/{stream}/mjpeg", get(mjpeg::pictures))
        .route("/live/{stream}/ws", get(ws::upgrade))
        .route("/live/{stream}/{file}", get(live::file))
        .route("/export/{file}", get(export::export))
        .route("/clip/{file}", get(export::clip))
        .route("/play/{stream}/ws", get(play::upgrade))
        .route("/snap/{file}", get(snapshot::picture))
        .route("/sprites/{stream}/{file}", get(sprite::file))
        .route("/metrics", get(metrics::text))
        .fallback(page::asset)
        .method_not_allowed_fallback(layer::method_not_allowed)
        .with_state(door);
    layer::around(routes).layer(from_fn_with_state(cors, cors::told))
}

/// The stream that the path names as `{stream}`.
pub(super) struct Named(pub(super) Arc<Outlet>);

impl FromRequestParts<Arc<Door>> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, ApiError> {
        let name = parameter(parts, door, "stream").await?;
        door.streams.get(&name).map(Self).ok_or_else(|| ApiError::stream_unknown(&name))
    }
}

/// What the path names as `{stream}`, which need not be configured.
pub(super) struct StreamPath(pub(super) String);

impl FromRequestParts<Arc<Door>> for StreamPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, ApiError> {
        parameter(parts, door, "stream").await.map(Self)
    }
}

/// The last part of the path, named `{file}`.
pub(super) struct FileName(pub(super) String);

impl FromRequestParts<Arc<Door>> for FileName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, ApiError> {
        parameter(parts, door, "file").await.map(Self)
    }
}

async fn parameter(parts: &mut Parts, door: &Arc<Door>, name: &str) -> Result<String, ApiError> {
    // A path that is no UTF-8 behind its percent signs names nothing here.
    let params = RawPathParams::from_request_parts(parts, door).await;
    let params = params.map_err(|_| ApiError::not_found())?;
    let found = params.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).ok_or_else(ApiError::not_found)
}

/// The door, as handlers take it.
pub(super) type At = State<Arc<Door>>;
