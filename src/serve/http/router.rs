//! The table of routes, each with who may use it.

use std::sync::Arc;

use super::context::HttpContext;
use super::door::Door;
use super::layer::Routes;
use super::media::{export, live, live_ws, mjpeg, play_ws, snapshot, sprites, vod};
use super::{api, layer, metrics, page, trust};

/// All routes with everything around them.
pub(super) fn router(context: Arc<HttpContext>) -> Routes {
    let (routes, table) = all(Door::new()).finish();
    // Every listening address has the same table.
    let _ = context.routes.set(table);
    let routes = routes
        .fallback(page::asset)
        .method_not_allowed_fallback(layer::method_not_allowed)
        .with_state(Arc::clone(&context));
    Routes::new(routes, context)
}

/// What a handler adds.
type Adds = fn(Door) -> Door;

/// The routes of every handler; each says who may use it.
fn all(door: Door) -> Door {
    let people = [
        api::claim::routes,
        api::preview::routes,
        api::session::routes,
        api::accounts::routes,
        api::credentials::routes,
        api::tokens::routes,
        api::audit::routes,
    ];
    let streams = [api::routes, api::recordings::routes, api::note::routes, api::exports::routes];
    let machine =
        [api::routes::routes, api::storage::routes, api::system::routes, api::rtsp::routes];
    let others = [
        api::devices::routes,
        api::recovery::routes,
        api::config::routes,
        api::update::routes,
        api::events::routes,
        api::event_stream::routes,
        api::webhooks::routes,
    ];
    let past = [vod::routes, export::routes, play_ws::routes, sprites::routes];
    let live = [live::routes, mjpeg::routes, live_ws::routes, snapshot::routes];
    let rooted = [page::routes, metrics::routes, trust::routes, api::try_camera::routes];
    let groups: [&[Adds]; 7] = [&rooted, &people, &streams, &machine, &others, &live, &past];
    groups.into_iter().flatten().fold(door, |door, routes| routes(door))
}
