//! HTTP Live Streaming (RFC 8216, and 8216bis where it is stricter): cuts and playlists.
//!
//! Owns: where a segment ends, what a playlist says and for how long a segment stays
//! downloadable. Does not own: who asks, or when.
//!
//! Invariants:
//! 1. `EXT-X-TARGETDURATION` never changes once it was told: it is the longest of the first
//!    segments, rounded up, plus one second. A segment that would grow past it is cut early, if
//!    need be without a key frame; the playlist then stops promising independent segments.
//! 2. Media sequence and discontinuity sequence never decrease, also over a restart: both begin
//!    at the seconds since 2024 of the wall clock, and segments come slower than seconds. (A
//!    clock that was set back between two starts breaks this; players then reload once.)
//! 3. A live list holds at least three target durations; a removed segment stays downloadable
//!    for its own duration plus that of the list. Only [`HLS_BYTES_MAX`] shortens either.
//! 4. A new run, new parameters, a hole in the media and a step of the capture clock each begin
//!    with `EXT-X-DISCONTINUITY`; new parameters with a new `EXT-X-MAP`, too.
//! 5. One segment is one `moof` + `mdat` whose samples are the very bytes that the bus holds.
//!
//! [`HLS_BYTES_MAX`]: crate::base::limits::HLS_BYTES_MAX

mod playlist;
mod segmenter;

pub use playlist::{Found, Init, Playlist, Segment};
pub use segmenter::{Cut, Segmenter};
