//! HTTP Live Streaming (RFC 8216, and 8216bis where it is stricter): cuts and playlists.
//!
//! Owns: where a segment ends, what a playlist says and for how long a segment stays downloadable.
//! Does not own: requests and their times. Playlists of recorded hours (`past`) are written from
//! segments of the ring; the invariants below are those of the live list.
//!
//! Invariants:
//! 1. `EXT-X-TARGETDURATION` never changes once published: it is the longest of the first segments
//!    and the longest distance of two entry points in the last hour, rounded up, plus one second,
//!    and four seconds at least. A segment that would grow past it is cut early, if need be without
//!    a key frame; the playlist then stops promising independent segments.
//! 2. Media sequence numbers never decrease, also over a restart. In a recorded stream they begin
//!    with a number made of the lap and place in the ring; in another at the seconds since 2024 of
//!    the wall clock, and segments come slower than seconds. (A clock that was set back between two
//!    starts breaks the latter; players then reload once.) Discontinuity sequence numbers never
//!    decrease in one life of the daemon. They stay small, see below: they begin with the number of
//!    the lap, or with every ten minutes since 2024, so that after a restart what was published
//!    since the lap or the ten minutes began is not counted. Nothing listed before is still listed
//!    then, so that no segment has two numbers.
//! 3. A live list holds at least three target durations, and a segment with which a player can
//!    begin. A removed segment of the ring stays
//!    downloadable while its lap lives; one in memory for its own duration plus that of the
//!    list. Only [`HLS_BYTES_MAX`] shortens the latter, and the list then.
//! 4. A new run, new parameters, a hole in the media and a step of the capture clock each begin
//!    with `EXT-X-DISCONTINUITY` and `EXT-X-MAP`.
//! 5. A segment is whole fragments of the ring with their seals, byte for byte as in a slot; in
//!    memory `moof` + `mdat` whose samples are the very bytes that the bus holds, one for each part
//!    where parts are published, else one.
//! 6. No part is longer than the part target, which never changes; what is hinted at comes.
//!
//! What players are known to do (each was seen in `tests/hls/foreign_players.rs`, 2026-11):
//! - VLC 3.0.24 reads the first `EXT-X-MAP` of a playlist only, and at `EXT-X-DISCONTINUITY` begins
//!   a new demuxer without it: "no moov before mdat". It ends at every gap and at other parameters
//!   and has to be reopened. Hence no discontinuity is published where nothing is missing.
//! - hls.js 1.7.4 has an array with a place for each discontinuity sequence number, and walks it
//!   from zero at every reload: at 67 million, as ours once were, that was half a core.
//! - hls.js and Shaka Player 5.2.12 skip a variant whose sound they cannot play. G.711 is published
//!   as FLAC, which Chromium 156 plays; where FLAC is missing (tried by hiding it from them) there
//!   is no picture either. A variant without sound would need segments of its own: there is none
//!   yet.
//!
//! The discontinuity sequence numbers of a stream and its sub-stream do not agree, though RFC 8216
//! §6.2.4 asks it of variants: they are two connections to the camera, which break at different
//! times. To agree each list would have to publish the breaks of the other, where its own media
//! continue, which ends VLC and makes other players restart decoding, for every reconnect of an
//! unwatched stream. Players find their way by what does agree: `EXT-X-PROGRAM-DATE-TIME` on every
//! segment, and the times in the media, which count from the same instant in all streams.
//!
//! [`HLS_BYTES_MAX`]: crate::base::limits::HLS_BYTES_MAX

mod gather;
mod key_frame;
mod multivariant;
mod pace;
mod past;
mod playlist;
mod segment;
mod segmenter;
mod tell;

pub use gather::{Gather, RecordedFragment};
pub use key_frame::key_frame;
pub use multivariant::{KEY_FRAME_LIST, KeyFrames, Variant, multivariant};
pub use past::{PastKind, PastSegment, PastWriter, past_init_name, past_target, skip_until};
pub use playlist::{Lookup, Parts, Playlist};
pub use segment::{
    FinishedSegment, Init, KEY_FRAME_ENDING, OpenSegment, Part, Segment, SegmentBody, StoredRange,
};
pub use segmenter::{Segmenter, Targets};
pub use tell::{PlaylistOptions, RenditionReport};
