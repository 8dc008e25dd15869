//! The two doors: RTSP and HTTP.
//!
//! Owns: listeners, connections, routes, the page. Holds no media state: that is in `sink`.

pub mod http;
pub mod rtsp;
