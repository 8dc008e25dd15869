//! Holdfast, the firmware of an edge video appliance.
//!
//! ```text
//!    cameras, encoders                                                       viewers, disk
//!         │                                                                       ▲
//!    ┌────┴──────┐    Arc<AccessUnit>    ┌───────┐   Subscriber (own cursor)  ┌───┴───────────┐
//!    │ source/   │ ────── publish ─────► │ bus/  │ ─────────────────────────► │ sink/         │
//!    │ rtsp_pull │                       │ one   │                            │ recorder ─► dvr/ (ring on disk)
//!    │ rtsp_push │   never waits for     │ per   │   a slow one is told       │ rtsp_play     │
//!    │ v4l2      │   a reader            │ stream│   Lagged(n), resumes at    │ hls · mse     │
//!    │ command   │                       │       │   a key frame              │ thumbnail     │
//!    │ pattern   │                       │       │                            │               │
//!    └─────▲─────┘                       │       │                            │               │
//!          │ packets of a RECORD session   └───────┘                            └───────▲───────┘
//!          │                                                                          │
//!         serve/ (RTSP door · HTTP door · the page) ──────────────────────────────────┘
//!    around everything: supervise/ (restart with backoff, heartbeats, the watchdog's food)
//!    beneath everything: wire/ (RTSP, RTP, SDP, fMP4, HLS: bytes and time in, bytes and events out)
//!                        media/ (access units, codecs) · encode/ (pictures) · v4l2/ (video devices)
//!                        base/ (clocks, limits)
//! ```
//!
//! Data flows to the right only. What goes left is "stop", and receiver reports inside one
//! connection.
//!
//! The modules stand on floors: a module names only modules on lower floors, and modules of one
//! floor are blind to each other. The test `tests/floors.rs` reads the source and holds them to it.
//!
//! | floor | modules |
//! |---|---|
//! | 8 | [`appliance`] |
//! | 7 | [`config`] |
//! | 6 | [`serve`] |
//! | 5 | [`source`] · [`sink`] · [`panel`] |
//! | 4 | [`dvr`] · [`encode`] |
//! | 3 | [`wire`] · [`bus`] |
//! | 2 | [`supervise`] · [`media`] · [`v4l2`] · [`usb`] · [`board`] |
//! | 1 | [`base`] |

pub mod appliance;
pub mod base;
pub mod board;
pub mod bus;
pub mod config;
pub mod dvr;
pub mod encode;
pub mod media;
pub mod panel;
pub mod serve;
pub mod sink;
pub mod source;
pub mod supervise;
pub mod usb;
pub mod v4l2;
pub mod wire;

/// Counts what retina holds while a camera sends, see [`base::held`].
#[global_allocator]
static ALLOCATOR: base::held::Counting = base::held::Counting;
