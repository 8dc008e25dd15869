//! Everything that reads the archive: playback, export, pictures and sprites.
//!
//! Owns: the way from the ring ([`dvr`](crate::dvr)) to viewers of recorded footage. Never touches
//! a live stream's window except to hand a session over to it, and never writes footage.
//!
//! Invariants of playback:
//! 1. At most [`REPLAY_SESSIONS_MAX`] sessions, each with one blocking read at a time and a bounded
//!    number of units ahead: a hanging disk holds that many threads and no live reader.
//! 2. Playback begins at a key frame and sends every frame of the range once, in decoding order;
//!    backwards, in decoding order inside each group of pictures.
//! 3. A session's sequence numbers only grow, across seeks and across the step to live too.
//! 4. Where the recording ends and live begins, no unit is missing and none comes twice: the
//!    session joins live at a key frame and reads the recording up to it.
//! 5. If footage is overwritten during playback, the session ends with a reason.
//!
//! [`REPLAY_SESSIONS_MAX`]: crate::base::limits::REPLAY_SESSIONS_MAX

mod browser;
mod error;
pub mod export;
pub mod export_jobs;
pub mod hls;
pub mod pictures;
mod request;
mod rtp;
mod service;
mod session;
pub mod sprite;
mod unpack;

pub use browser::{BrowserPlayback, MediaChunk, PlaybackEvent, PlaybackParams};
pub use error::PlaybackError;
pub use request::{FrameSelection, OnvifOptions, PlayFrom, PlayRange, PlayRequest, PlaySpeed};
pub use rtp::RtpTracks;
pub use service::{Playback, TracksProbe};
pub use session::{PlayStart, PlaybackNext, PlaybackSession};
