//! The two doors: RTSP and HTTP.
//!
//! Owns: listeners, connections, routes, the certificate, the page. Holds no media state: that is in `sink`.

pub mod http;
pub mod places;
pub mod rtsp;
pub mod tls;
