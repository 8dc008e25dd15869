//! The table of routes.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};

use super::context::HttpContext;
use super::media::{export, live, live_ws, mjpeg, play_ws, snapshot, sprites, vod};
use super::{api, cors, https_only, layer, metrics, origin, page, trust};

/// All routes with everything around them.
pub(super) fn router(context: Arc<HttpContext>) -> Router {
    let (cors, settings) = (context.cors.clone(), context.http.clone());
    let routes = Router::new()
        .route("/", get(page::index))
        .route("/timeline", get(page::index))
        .route("/api/v1/streams", get(api::streams))
        .route("/api/v1/health", get(api::health))
        .route("/api/v1/storage", get(api::storage::storage))
        .route("/api/v1/storage/shrink", post(api::storage::shrink))
        .route("/api/v1/recordings/{stream}", get(api::recordings::listing))
        .route("/api/v1/recordings/{stream}/activity", get(api::recordings::activity))
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
        .route("/live/{stream}/iframes.m3u8", get(live::key_frames))
        .route("/live/{stream}/dvr.m3u8", get(vod::window))
        .route("/vod/{stream}/index.m3u8", get(vod::range))
        .route("/live/{stream}/mjpeg", get(mjpeg::pictures))
        .route("/live/{stream}/ws", get(live_ws::upgrade))
        .route("/live/{stream}/{file}", get(live::file))
        .route("/export/{file}", get(export::export))
        .route("/clip/{file}", get(export::clip))
        .route("/play/{stream}/ws", get(play_ws::upgrade))
        .route("/snap/{file}", get(snapshot::picture))
        .route("/sprites/{stream}/{file}", get(sprites::file))
        .route("/metrics", get(metrics::text))
        .route("/ca.pem", get(trust::authority))
        .merge(administration())
        .fallback(page::asset)
        .method_not_allowed_fallback(layer::method_not_allowed)
        .with_state(context);
    let routes = routes
        .layer(from_fn_with_state(settings.clone(), https_only::checked))
        .layer(from_fn_with_state(settings.clone(), origin::checked));
    layer::around(routes, settings).layer(from_fn_with_state(cors, cors::told))
}

/// What changes the box, for whoever sits at it.
fn administration() -> Router<Arc<HttpContext>> {
    Router::new()
        .route("/api/v1/streams/try", post(api::try_camera::try_camera))
        .route("/api/v1/config", get(api::config::status))
        .route(
            "/api/v1/config/settings",
            get(api::config::settings).patch(api::config::patch_settings),
        )
        .route(
            "/api/v1/config/streams/{name}",
            get(api::config::stream)
                .put(api::config::put_stream)
                .patch(api::config::patch_stream)
                .delete(api::config::remove_stream),
        )
        .route("/api/v1/config/check", post(api::config::check))
        .route("/api/v1/config/history", get(api::config::history))
        .route("/api/v1/config/restore", post(api::config::restore))
        .route_layer(from_fn(trust::at_the_box))
}
