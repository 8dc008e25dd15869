//! The servers: RTSP and HTTP.
//!
//! Owns: listeners, connections, routes, the certificate, the page. Media comes from `live` and
//! `playback`, which keep it.

pub mod config_desk;
pub(crate) mod health;
pub mod http;
pub mod mdns;
pub mod observer;
pub mod places;
pub mod publish_desk;
pub mod rtsp;
mod services;
pub mod tls;

pub use services::{Foundation, Services};
