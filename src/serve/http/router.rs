//! The table of routes, each with who may use it.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

use super::context::HttpContext;
use super::door::{Access, Door, Object};
use super::media::{export, live, live_ws, mjpeg, play_ws, snapshot, sprites, vod};
use super::{api, cors, https_only, layer, metrics, origin, page, trust};
use crate::access::Right;

const LIVE: Access = Access::Viewer(Object::Stream(Right::Live));
const PAST: Access = Access::Viewer(Object::Stream(Right::Past));
const KEEP: Access = Access::Operator(Object::LookedUp);

/// All routes with everything around them.
pub(super) fn router(context: Arc<HttpContext>) -> Router {
    let (cors, settings) = (context.cors.clone(), context.http.clone());
    let door = Door::new(Arc::clone(&context))
        .get("/", Access::Public, page::index)
        .get("/timeline", Access::Public, page::index)
        .get("/metrics", Access::Metrics, metrics::text)
        .get("/ca.pem", Access::Public, trust::authority);
    let door = configuration(administration(streams(people(door))));
    let (routes, table) = media(door).finish();
    // Every listening address has the same table.
    let _ = context.routes.set(table);
    let routes = routes
        .fallback(page::asset)
        .method_not_allowed_fallback(layer::method_not_allowed)
        .with_state(Arc::clone(&context));
    let routes = routes
        .layer(from_fn_with_state(context, https_only::checked))
        .layer(from_fn_with_state(settings.clone(), origin::checked));
    layer::around(routes, settings).layer(from_fn_with_state(cors, cors::told))
}

/// The claim, sessions, accounts.
fn people(door: Door) -> Door {
    door.get("/api/v1/claim", Access::Public, api::claim::state)
        .post("/api/v1/claim", Access::Public, api::claim::claim)
        .post("/api/v1/session", Access::Public, api::session::open)
        .get("/api/v1/session", Access::Account, api::session::who)
        .delete("/api/v1/session", Access::Account, api::session::close)
        .put("/api/v1/session/password", Access::Account, api::session::change_password)
        .get("/api/v1/accounts", Access::Admin, api::accounts::list)
        .post("/api/v1/accounts", Access::Admin, api::accounts::create)
        .get("/api/v1/accounts/{name}", Access::Admin, api::accounts::one)
        .patch("/api/v1/accounts/{name}", Access::Admin, api::accounts::alter)
        .delete("/api/v1/accounts/{name}", Access::Admin, api::accounts::remove)
        .get("/api/v1/tokens", Access::Admin, api::tokens::list)
        .post("/api/v1/tokens", Access::Admin, api::tokens::create)
        .delete("/api/v1/tokens/{id}", Access::Admin, api::tokens::remove)
}

/// Streams, and what is recorded and kept of them.
fn streams(door: Door) -> Door {
    door.get("/api/v1/streams", Access::Viewer(Object::LookedUp), api::streams)
        .get("/api/v1/recordings/{stream}", PAST, api::recordings::listing)
        .get("/api/v1/recordings/{stream}/activity", PAST, api::recordings::activity)
        .get("/api/v1/recordings/{stream}/days", PAST, api::recordings::by_day)
        .get("/api/v1/pins", KEEP, api::note::pins)
        .post("/api/v1/pins", KEEP, api::note::pin)
        .delete("/api/v1/pins/{id}", KEEP, api::note::unpin)
        .post("/api/v1/marks", KEEP, api::note::mark)
        .get("/api/v1/events", Access::Viewer(Object::LookedUp), api::events::list)
        .post("/api/v1/events", KEEP, api::events::create)
        .get("/api/v1/events/ws", Access::Viewer(Object::LookedUp), api::event_stream::upgrade)
        .get("/api/v1/exports", KEEP, api::exports::list)
        .post("/api/v1/exports", KEEP, api::exports::create)
        .get("/api/v1/exports/{id}", KEEP, api::exports::one)
        .delete("/api/v1/exports/{id}", KEEP, api::exports::remove)
        .get("/api/v1/exports/{id}/file", KEEP, api::exports::file)
}

/// The box itself.
fn administration(door: Door) -> Door {
    door.get("/api/v1/health", Access::Public, api::health)
        .get("/api/v1/routes", Access::Admin, api::routes::table)
        .get("/api/v1/storage", Access::Admin, api::storage::storage)
        .post("/api/v1/storage/shrink", Access::Admin, api::storage::shrink)
        .get("/api/v1/system", Access::Admin, api::system::system)
        .get("/api/v1/inputs", Access::Admin, api::system::inputs)
        .get("/api/v1/rtsp/sessions", Access::Admin, api::rtsp::sessions)
        .delete("/api/v1/rtsp/sessions/{id}", Access::Admin, api::rtsp::end_session)
        .get("/api/v1/rtsp/failures", Access::Admin, api::rtsp::failures)
        .get("/api/v1/rtsp/failures/{id}", Access::Admin, api::rtsp::transcript)
        .get("/api/v1/devices", Access::Admin, api::devices::devices)
        .put("/api/v1/devices/{id}/controls", Access::Admin, api::devices::set_controls)
        .get("/api/v1/update", Access::Admin, api::update::state)
        .post_stream("/api/v1/update", Access::Admin, api::update::upload)
        .delete("/api/v1/update", Access::Admin, api::update::discard)
        .post("/api/v1/update/install", Access::Admin, api::update::install)
        .get("/api/v1/webhooks", Access::Admin, api::webhooks::list)
        .get("/api/v1/webhooks/{name}/dead", Access::Admin, api::webhooks::dead)
        .delete("/api/v1/webhooks/{name}/dead", Access::Admin, api::webhooks::forget)
        .post("/api/v1/webhooks/{name}/resend", Access::Admin, api::webhooks::resend)
        .post("/api/v1/webhooks/{name}/test", Access::Admin, api::webhooks::test)
        .get("/api/v1/recovery", Access::Admin, api::recovery::recovery)
        .post("/api/v1/recovery/resume", Access::Admin, api::recovery::resume)
}

/// The configuration.
fn configuration(door: Door) -> Door {
    door.post("/api/v1/streams/try", Access::Admin, api::try_camera::try_camera)
        .get("/api/v1/config", Access::Admin, api::config::status)
        .get("/api/v1/config/settings", Access::Admin, api::config::settings)
        .patch("/api/v1/config/settings", Access::Admin, api::config::patch_settings)
        .get("/api/v1/config/streams/{name}", Access::Admin, api::config::stream)
        .put("/api/v1/config/streams/{name}", Access::Admin, api::config::put_stream)
        .patch("/api/v1/config/streams/{name}", Access::Admin, api::config::patch_stream)
        .delete("/api/v1/config/streams/{name}", Access::Admin, api::config::remove_stream)
        .post("/api/v1/config/check", Access::Admin, api::config::check)
        .get("/api/v1/config/history", Access::Admin, api::config::history)
        .post("/api/v1/config/restore", Access::Admin, api::config::restore)
}

/// Pictures and sound, live and of the past.
fn media(door: Door) -> Door {
    door.get_media("/live/{stream}/index.m3u8", LIVE, live::multivariant)
        .get_media("/live/{stream}/media.m3u8", LIVE, live::media)
        .get_media("/live/{stream}/iframes.m3u8", LIVE, live::key_frames)
        .get_media("/live/{stream}/dvr.m3u8", PAST, vod::window)
        .get_media("/vod/{stream}/index.m3u8", PAST, vod::range)
        .get_media("/live/{stream}/mjpeg", LIVE, mjpeg::pictures)
        .get("/live/{stream}/ws", LIVE, live_ws::upgrade)
        .get_media("/live/{stream}/{file}", Access::Viewer(Object::LookedUp), live::file)
        .get("/export/{file}", Access::Operator(Object::File(Right::Past)), export::export)
        .get("/clip/{file}", KEEP, export::clip)
        .get("/play/{stream}/ws", PAST, play_ws::upgrade)
        .get_media("/snap/{file}", Access::Viewer(Object::LookedUp), snapshot::picture)
        .get_media("/sprites/{stream}/{file}", PAST, sprites::file)
}
