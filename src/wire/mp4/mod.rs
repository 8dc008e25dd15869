//! MP4 (ISO/IEC 14496-12): init segments, fragments, and the progressive files made of them.
//!
//! Owns: the bytes that the ring, HLS and the page's player all carry. The same fragment serves
//! all three. Does not own: what follows a fragment on disk (`dvr`) or a playlist (`wire::hls`).
//!
//! Invariants:
//! 1. `mp4 track_ID = TrackId + 1`; a track's timescale is its clock rate.
//! 2. A fragment depends on nothing but the init segment: `default-base-is-moof`, and `tfdt`
//!    carries the decode time since boot, so fragments may be dropped, joined and moved. On the disk
//!    it counts from the slot's own beginning, which `dvr` adds and takes off.
//! 3. Samples are the bytes of the access units, unchanged, grouped by track.

mod boxes;
mod fragment;
mod init;
mod look;
mod progressive;
mod read;
mod rebase;
mod repack;
mod tables;
#[cfg(test)]
mod tests;

pub use boxes::{put_box, put_full_box};
pub use fragment::{Fragment, FragmentBuilder, FragmentTimes};
pub use init::init_segment;
pub use look::{hidden_tracks, hide, samples};
pub use progressive::{
    Content, Edit, FilmTrack, Front, HeaderPart, MOVIE_RATE, TooLong, front, text_entry,
    text_sample,
};
pub use read::{ReadError, Row, Sample, SampleRun, read_fragment, read_init, read_runs};
pub use rebase::{Origin, decode_times, set_dates, shift_decode_times, timescales, with_length};
pub use repack::repack;
pub use tables::{Chunk, Table, TableWriter, Tally};

/// Appends a `sgpd` with a description for each number of pictures after which decoding that begins at a
/// sample of it is right (§8.9.3, §10.1).
fn put_roll_description(out: &mut Vec<u8>, pictures: &[u16]) {
    put_full_box(out, b"sgpd", 1, 0, |out| {
        out.extend_from_slice(b"roll");
        out.extend_from_slice(&2u32.to_be_bytes()); // default_length
        out.extend_from_slice(&u32::try_from(pictures.len()).unwrap_or(0).to_be_bytes());
        for &pictures in pictures {
            let distance = i16::try_from(pictures).unwrap_or(i16::MAX);
            out.extend_from_slice(&distance.to_be_bytes());
        }
    });
}

/// The `track_ID` of a track: they begin at one (ISO/IEC 14496-12 §8.3.2.3).
fn track_id(track: crate::media::TrackId) -> u32 {
    u32::from(track.0) + 1
}

/// `sample_flags` of a sample at which decoding can begin (ISO/IEC 14496-12 §8.8.3.1):
/// depends on no other.
const SAMPLE_FLAGS_SYNC: u32 = 0x0200_0000;
/// `sample_flags` of any other sample: depends on others, is not a sync sample.
const SAMPLE_FLAGS_DELTA: u32 = 0x0101_0000;
