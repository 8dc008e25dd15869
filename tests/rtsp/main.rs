//! What goes over RTSP: our server, what is pushed to it, and the cameras it pulls.

#[path = "../support/clock/mod.rs"]
mod clock;
#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "../support/odd_camera/mod.rs"]
mod odd_camera;
#[path = "../support/replay/mod.rs"]
mod replay;
#[path = "../support/rtsp_door/mod.rs"]
mod rtsp_door;

mod accounts;
mod bad_wire;
mod dialogues;
mod fuzz_seeds;
mod interop;
mod odd_cameras;
mod on_demand;
mod places;
mod pull;
mod push;
mod readers;
mod recorded;
mod secrets;
mod server;
mod transports;
