//! Holdfast, the firmware of an edge video appliance.
//!
//! ```text
//!    cameras, encoders                                                       viewers, disk
//!         │                                                                       ▲
//!    ┌────┴──────┐    Arc<AccessUnit>    ┌────────┐  Subscriber (own cursor)  ┌───┴───────────┐
//!    │ ingest/   │ ───── Publisher ────► │ stream/│ ────────────────────────► │ live/         │
//!    │ v4l2      │                       │ window │                           │ recorder ─► dvr/ (ring on disk)
//!    │ rtsp_pull │   never waits for     │ one per│   a slow one is told      │ rtsp · hls    │
//!    │ rtsp_push │   a reader            │ stream │   Lagged(n), resumes at   │ mse · pictures│
//!    │ command   │                       └────────┘   a key frame             └───┬───────────┘
//!    │ pattern   │                                                                │
//!    └────▲──────┘                    dvr/ ──► playback/ (replay, export, pictures, sprites)
//!         │                                                                       │
//!         └───────────── serve/ (RTSP server · HTTP server · the page) ───────────┘
//!    around everything: supervise/ (restart with backoff, heartbeats, the watchdog ladder)
//!    beneath everything: wire/ (RTSP, RTP, SDP, fMP4, HLS: bytes and time in, bytes and events out)
//!                        rtp/ (one access unit as packets) · media/ (access units, codecs)
//!                        encode/ (pictures) · v4l2/ (video devices) · base/ (clocks, limits)
//! ```
//!
//! Data flows to the right only. What goes left is "stop", and receiver reports inside one
//! connection.
//!
//! The modules are layered in floors: a module names only modules on lower floors, and modules of
//! one floor are blind to each other. The test `tests/house/floors.rs` reads the source and holds
//! them to it.
//!
//! | floor | modules |
//! |---|---|
//! | 9 | [`appliance`] |
//! | 8 | [`config`] |
//! | 7 | [`serve`] |
//! | 6 | [`ingest`] · [`live`] · [`playback`] · [`gpio`] · [`webhook`] |
//! | 5 | [`dvr`] · [`encode`] |
//! | 4 | [`rtp`] |
//! | 3 | [`wire`] · [`stream`] |
//! | 2 | [`access`] · [`event`] · [`supervise`] · [`media`] · [`v4l2`] · [`usb`] · [`board`] · [`update`] |
//! | 1 | [`base`] |

pub mod access;
pub mod appliance;
pub mod base;
pub mod board;
pub mod config;
pub mod dvr;
pub mod encode;
pub mod event;
pub mod gpio;
pub mod ingest;
pub mod live;
pub mod media;
pub mod playback;
pub mod rtp;
pub mod serve;
pub mod stream;
pub mod supervise;
pub mod update;
pub mod usb;
pub mod v4l2;
pub mod webhook;
pub mod wire;

/// Counts what retina holds while a camera sends, see [`base::held`].
#[global_allocator]
static ALLOCATOR: base::held::Counting = base::held::Counting;
