//! What each fuzz target does with its input, and what has to hold then.
//!
//! One file per target, without the fuzzer, so that `tests/rtsp/fuzz_seeds.rs` feeds them the kept
//! inputs in every test run. What several of them need is in `peer` (one RTSP connection with a
//! driver around it), `camera` (our client before a camera), `media` (streams, accounts), `people` (a
//! claimed box) and `input`.

pub mod annex_b;
pub mod authorization;
mod camera;
pub mod client;
pub mod client_response;
pub mod client_sdp;
pub mod config_document;
pub mod cookie;
pub mod depacketise;
pub mod forwarding;
mod input;
pub mod interleaved;
mod media;
mod peer;
mod people;
pub mod proxy_headers;
pub mod request;
pub mod response;
pub mod rtp_rtcp;
pub mod sdp;
pub mod server;
pub mod ticket;
pub mod token;
pub mod transport;
