//! What a camera may bring, whichever source takes it.
//!
//! Owns: access units, parameter sets, pictures, tracks.

/// Largest access unit; a larger one is dropped and counted as lost.
pub const ACCESS_UNIT_BYTES_MAX: usize = 8 << 20;
/// Frames of AAC in one RTP packet; frames beyond are not read.
pub const AAC_FRAMES_PER_PACKET_MAX: usize = 512;
/// Largest parameter set (SPS, PPS, VPS, audio config); a larger one ends the run.
pub const PARAMETER_SET_BYTES_MAX: usize = 4 << 10;
/// Parameter sets of one track that are in force at once; further ids are not taken.
pub const PARAMETER_SETS_MAX: usize = 64;
/// Bytes of all of them together; a set that would exceed it is not taken.
pub const PARAMETER_SETS_BYTES_MAX: usize = 16 << 10;
/// Widest and highest picture accepted, in pixels.
pub const PICTURE_SIDE_PIXELS_MAX: u32 = 8_192;
/// Tracks of one stream; further ones are left unread.
pub const TRACKS_MAX: usize = 4;
