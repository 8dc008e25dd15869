//! The HTTP server: page, API, HLS, fMP4 over WebSocket, pictures, metrics.
//!
//! Owns: routes, what each answers in which words, and the bounds of a connection. Media comes
//! from `live` and `playback`. In layers: `context`, `extract`, `request` and `error` know no
//! handler; handlers (`api`, `media`, `metrics`, `page`) know no other handler; `router` knows
//! them all, through the `door`, which says who may; `server` accepts connections.
//!
//! Invariants:
//! 1. Every answer that is not a success is JSON, `{"error": {"code", "message"}}`, except where
//!    hyper itself refuses bytes that are not an HTTP request (400 or 431, empty).
//! 2. A client costs at most its connection: headers have a deadline, bodies and heads a
//!    largest size, a client that reads nothing is cut, connections are counted for the box.
//! 3. Nothing here can stop another server: a panic in a handler is one 500.

mod api;
mod archive_stats;
mod byte_range;
mod content_policy;
mod context;
mod cookie;
mod cors;
mod document;
mod door;
mod driver_queue;
mod error;
mod extract;
mod http2;
mod https_only;
mod json_body;
mod layer;
mod media;
mod metrics;
mod operation;
mod origin;
mod page;
mod peers;
mod plan_cache;
mod request;
mod request_body;
mod response;
mod route_entry;
mod router;
mod server;
pub(crate) mod settings;
mod stall;
mod trial_places;
mod trust;
mod websocket;

pub use context::HttpContext;
pub use cookie::session_keys;
pub use cors::Cors;
pub use origin::{Reached, prefix_base};
pub use server::{HttpError, run};
pub use settings::{Access, ExternalUrl, HttpSettings, Network, Settings};
