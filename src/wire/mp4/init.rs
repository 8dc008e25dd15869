//! The init segment: what a reader must know before the first fragment.
//!
//! Owns: `ftyp` and `moov`. Codecs describe themselves through their sample entry.

use bytes::{BufMut, Bytes};

use super::boxes::{put_box, put_full_box};
use super::{SAMPLE_FLAGS_DELTA, SAMPLE_FLAGS_SYNC, track_id};
use crate::media::{Kind, Track, Tracks};

/// The identity matrix of `mvhd` and `tkhd`: 16.16 fixed point, last column 2.30.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// The language "und" in three 5-bit letters (§8.4.2.3).
pub(super) const LANGUAGE_UNDETERMINED: u16 = 0x55c4;
/// Timescale of the movie header, in which nothing here is measured.
const MOVIE_TIMESCALE: u32 = 1_000;

/// `ftyp` and `moov` with `mvex` for these tracks (ISO/IEC 14496-12 §4.3, §8.2.1, §8.8.1).
///
/// `track_ID` is the track's index plus one, its timescale the codec's clock rate.
#[must_use]
pub fn init_segment(tracks: &Tracks) -> Bytes {
    let mut out = Vec::with_capacity(1_024);
    put_box(&mut out, b"ftyp", |out| {
        out.put_slice(b"iso6");
        out.put_u32(0); // minor_version
        out.put_slice(b"iso6cmfcmp41");
    });
    put_box(&mut out, b"moov", |out| {
        put_movie_header(out, tracks);
        for track in &tracks.list {
            put_track(out, track);
        }
        put_box(out, b"mvex", |out| {
            for track in &tracks.list {
                put_defaults(out, track);
            }
        });
    });
    out.into()
}

fn put_movie_header(out: &mut Vec<u8>, tracks: &Tracks) {
    let next_track = tracks.list.iter().map(|t| track_id(t.id)).max().unwrap_or(0) + 1;
    put_full_box(out, b"mvhd", 0, 0, |out| {
        out.put_u64(0); // creation and modification time: the seal knows better
        out.put_u32(MOVIE_TIMESCALE);
        out.put_u32(0); // duration: all of it is in fragments
        out.put_u32(0x1_0000); // rate 1.0
        out.put_u16(0x0100); // volume 1.0
        out.put_bytes(0, 10); // reserved
        put_matrix(out);
        out.put_bytes(0, 24); // pre_defined
        out.put_u32(next_track);
    });
}

pub(super) fn put_matrix(out: &mut Vec<u8>) {
    for value in MATRIX {
        out.put_u32(value);
    }
}

fn put_track(out: &mut Vec<u8>, track: &Track) {
    put_box(out, b"trak", |out| {
        put_track_header(out, track);
        put_box(out, b"mdia", |out| {
            put_full_box(out, b"mdhd", 0, 0, |out| {
                out.put_u64(0); // creation and modification time
                out.put_u32(track.params.clock_rate.get());
                out.put_u32(0); // duration
                out.put_u16(LANGUAGE_UNDETERMINED);
                out.put_u16(0); // pre_defined
            });
            put_handler(out, track.params.kind());
            put_media_information(out, track);
        });
    });
}

/// `tkhd`, §8.3.2, with flags "enabled" and "in movie".
fn put_track_header(out: &mut Vec<u8>, track: &Track) {
    // The size on the screen, not that of the samples.
    let (volume, (width, height)) = match track.params.shape.display() {
        Some(display) => (0, display),
        None => (0x0100, (0, 0)),
    };
    put_full_box(out, b"tkhd", 0, 3, |out| {
        out.put_u64(0); // creation and modification time
        out.put_u32(track_id(track.id));
        out.put_u32(0); // reserved
        out.put_u32(0); // duration
        out.put_u64(0); // reserved
        out.put_u32(0); // layer, alternate_group
        out.put_u16(volume);
        out.put_u16(0); // reserved
        put_matrix(out);
        out.put_u32(u32::from(width) << 16);
        out.put_u32(u32::from(height) << 16);
    });
}

/// `hdlr`, §8.4.3.
fn put_handler(out: &mut Vec<u8>, kind: Kind) {
    let (handler, name): (&[u8; 4], &[u8]) = match kind {
        Kind::Video => (b"vide", b"video\0"),
        Kind::Audio => (b"soun", b"audio\0"),
    };
    put_full_box(out, b"hdlr", 0, 0, |out| {
        out.put_u32(0); // pre_defined
        out.put_slice(handler);
        out.put_bytes(0, 12); // reserved
        out.put_slice(name);
    });
}

/// `minf`, §8.4.4, with a sample table that has no samples.
fn put_media_information(out: &mut Vec<u8>, track: &Track) {
    put_box(out, b"minf", |out| {
        match track.params.kind() {
            Kind::Video => put_full_box(out, b"vmhd", 0, 1, |out| out.put_u64(0)),
            Kind::Audio => put_full_box(out, b"smhd", 0, 0, |out| out.put_u32(0)),
        }
        put_box(out, b"dinf", |out| {
            put_full_box(out, b"dref", 0, 0, |out| {
                out.put_u32(1);
                put_full_box(out, b"url ", 0, 1, |_| {}); // flag 1: the media is in this file
            });
        });
        put_box(out, b"stbl", |out| {
            put_full_box(out, b"stsd", 0, 0, |out| {
                out.put_u32(1);
                out.put_slice(&track.params.sample_entry);
            });
            put_full_box(out, b"stts", 0, 0, |out| out.put_u32(0));
            put_full_box(out, b"stsc", 0, 0, |out| out.put_u32(0));
            put_full_box(out, b"stsz", 0, 0, |out| out.put_u64(0));
            put_full_box(out, b"stco", 0, 0, |out| out.put_u32(0));
        });
    });
}

/// `trex`, §8.8.3.
fn put_defaults(out: &mut Vec<u8>, track: &Track) {
    put_full_box(out, b"trex", 0, 0, |out| {
        out.put_u32(track_id(track.id));
        out.put_u32(1); // default_sample_description_index
        out.put_u32(0); // default_sample_duration
        out.put_u32(0); // default_sample_size
        out.put_u32(match track.params.kind() {
            Kind::Video => SAMPLE_FLAGS_DELTA,
            Kind::Audio => SAMPLE_FLAGS_SYNC,
        });
    });
}
