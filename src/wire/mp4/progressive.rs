//! The front of a progressive file: `ftyp`, `moov` and the header of the one `mdat` behind them
//! (ISO/IEC 14496-12 §4.3, §8.2), for a file generated while it is sent.
//!
//! Owns: every byte in front of the media, as pieces: fixed bytes, and holes for the rows of the
//! sample tables. How long each hole is was counted on a first pass ([`Tally`]), so the length of
//! the file is known before its first byte.

use std::num::NonZeroU32;

use bytes::{BufMut, Bytes};

use super::init::{LANGUAGE_UNDETERMINED, put_matrix};
use super::tables::{Table, Tally};
use super::{put_box, put_roll_description};

/// Ticks per second of the movie header and of edit lists: those of video, so that an edit is
/// as exact as what it cuts.
pub const MOVIE_RATE: NonZeroU32 = NonZeroU32::new(90_000).expect("not zero");
/// Bytes of the header of the `mdat`, whose length is always written with 64 bits (§4.2).
const MDAT_HEADER_BYTES: u64 = 16;
/// Seconds between the beginnings of 1904, from which §8.2.2 counts, and 1970.
pub(super) const EPOCH_1904_SECS: i64 = 2_082_844_800;

/// What a track shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Pictures of this width and height.
    Video(u16, u16),
    /// Sound.
    Audio,
    /// Text (`tx3g`, 3GPP TS 26.245), at the bottom of pictures of this width and height.
    Text(u16, u16),
}

/// One entry of an edit list (§8.6.6), in ticks of [`MOVIE_RATE`] and of the track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// How long it lasts.
    pub movie_ticks: u64,
    /// Where in the media it begins; `None` shows nothing.
    pub media_ticks: Option<u64>,
}

/// A track of a progressive file.
#[derive(Debug)]
pub struct FilmTrack<'a> {
    /// What it shows.
    pub content: Content,
    /// Ticks per second.
    pub rate: NonZeroU32,
    /// Its sample entries, whole boxes.
    pub entries: &'a [Bytes],
    /// What of its media is shown when.
    pub edits: Vec<Edit>,
    /// Its tables, all chunks counted.
    pub tally: &'a Tally,
}

/// A piece of the front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderPart {
    /// These bytes.
    Bytes(Bytes),
    /// The rows of a table of the track of this index in the list that was given.
    Rows {
        /// Index of the track.
        track: usize,
        /// Which table.
        table: Table,
        /// How many bytes.
        bytes: u64,
    },
}

/// The front of a file, in order.
#[derive(Clone, Debug)]
pub struct Front {
    /// Its pieces.
    pub parts: Vec<HeaderPart>,
    /// Bytes of all of them: where the media begin.
    pub bytes: u64,
}

/// The `moov` would not fit into the 32 bits that readers of it expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tables of the file would have {bytes} bytes")]
pub struct TooLong {
    /// That it would have.
    pub bytes: u64,
}

/// Lays out the front of a file of `tracks` whose `mdat` holds `media_bytes`, begun at the date
/// `begun_unix_secs`.
pub fn front(
    tracks: &[FilmTrack<'_>],
    media_bytes: u64,
    begun_unix_secs: i64,
) -> Result<Front, TooLong> {
    let begun = u64::try_from(begun_unix_secs.saturating_add(EPOCH_1904_SECS)).unwrap_or(0);
    let mut layout = Layout { begun, ..Layout::default() };
    put_box(&mut layout.bytes, b"ftyp", |out| {
        out.put_slice(b"isom");
        out.put_u32(0x200); // minor_version
        out.put_slice(b"isomiso2iso4mp41mp42");
    });
    layout.boxed(*b"moov", |layout| {
        layout.movie_header(tracks);
        for index in 0..tracks.len() {
            layout.boxed(*b"trak", |layout| layout.track(tracks, index));
        }
    });
    layout.bytes.put_u32(1);
    layout.bytes.put_slice(b"mdat");
    layout.bytes.put_u64(media_bytes + MDAT_HEADER_BYTES);
    layout.end()
}

/// The bytes and holes so far.
#[derive(Debug, Default)]
struct Layout {
    bytes: Vec<u8>,
    /// Each is behind so many of `bytes`.
    holes: Vec<(usize, HeaderPart)>,
    hole_bytes: u64,
    longest: u64,
    /// When the recording began, in seconds since 1904 (§8.2.2): creation and modification time.
    begun: u64,
}

impl Layout {
    /// A box of type `kind` with what `content` adds, holes included.
    fn boxed(&mut self, kind: [u8; 4], content: impl FnOnce(&mut Self)) {
        let (start, holes) = (self.bytes.len(), self.hole_bytes);
        self.bytes.put_u32(0);
        self.bytes.put_slice(&kind);
        content(self);
        let length = (self.bytes.len() - start) as u64 + self.hole_bytes - holes;
        self.longest = self.longest.max(length);
        let length = u32::try_from(length).unwrap_or(0);
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn full(&mut self, kind: [u8; 4], version: u8, flags: u32, content: impl FnOnce(&mut Self)) {
        self.boxed(kind, |layout| {
            layout.bytes.put_u32((u32::from(version) << 24) | flags);
            content(layout);
        });
    }

    fn end(self) -> Result<Front, TooLong> {
        if u32::try_from(self.longest).is_err() {
            return Err(TooLong { bytes: self.longest });
        }
        let all = (self.bytes.len() as u64) + self.hole_bytes;
        let bytes = Bytes::from(self.bytes);
        let (mut parts, mut from) = (Vec::new(), 0);
        for (at, hole) in self.holes {
            parts.push(HeaderPart::Bytes(bytes.slice(from..at)));
            parts.push(hole);
            from = at;
        }
        parts.push(HeaderPart::Bytes(bytes.slice(from..)));
        Ok(Front { parts, bytes: all })
    }

    /// Creation and modification time, as the headers of version 1 have them.
    fn times(&mut self) {
        self.bytes.put_u64(self.begun);
        self.bytes.put_u64(self.begun);
    }

    /// `mvhd`, §8.2.2.
    fn movie_header(&mut self, tracks: &[FilmTrack<'_>]) {
        let duration = tracks.iter().map(shown_ticks).max().unwrap_or(0);
        self.full(*b"mvhd", 1, 0, |layout| {
            layout.times();
            let out = &mut layout.bytes;
            out.put_u32(MOVIE_RATE.get());
            out.put_u64(duration);
            out.put_u32(0x1_0000); // rate 1.0
            out.put_u16(0x0100); // volume 1.0
            out.put_bytes(0, 10); // reserved
            put_matrix(out);
            out.put_bytes(0, 24); // pre_defined
            out.put_u32(number(tracks.len()) + 1);
        });
    }

    fn track(&mut self, tracks: &[FilmTrack<'_>], index: usize) {
        let track = &tracks[index];
        self.track_header(track, number(index) + 1);
        self.boxed(*b"edts", |layout| layout.edits(&track.edits));
        self.boxed(*b"mdia", |layout| {
            layout.full(*b"mdhd", 1, 0, |layout| {
                layout.times();
                let out = &mut layout.bytes;
                out.put_u32(track.rate.get());
                out.put_u64(track.tally.media_ticks());
                out.put_u16(LANGUAGE_UNDETERMINED);
                out.put_u16(0); // pre_defined
            });
            layout.handler(track.content);
            layout.boxed(*b"minf", |layout| layout.media_information(track, index));
        });
    }

    /// `tkhd`, §8.3.2, with flags "enabled" and "in movie".
    fn track_header(&mut self, track: &FilmTrack<'_>, id: u32) {
        let (volume, width, height, down) = match track.content {
            Content::Video(width, height) => (0, width, height, 0),
            Content::Audio => (0x0100, 0, 0, 0),
            Content::Text(width, height) => (0, width, height / 8, height - height / 8),
        };
        self.full(*b"tkhd", 1, 3, |layout| {
            layout.times();
            let out = &mut layout.bytes;
            out.put_u32(id);
            out.put_u32(0); // reserved
            out.put_u64(shown_ticks(track));
            out.put_u64(0); // reserved
            out.put_u32(0); // layer, alternate_group
            out.put_u16(volume);
            out.put_u16(0); // reserved
            let matrix = out.len();
            put_matrix(out);
            // The translation downwards of the matrix.
            let down = (u32::from(down) << 16).to_be_bytes();
            out[matrix + 28..matrix + 32].copy_from_slice(&down);
            out.put_u32(u32::from(width) << 16);
            out.put_u32(u32::from(height) << 16);
        });
    }

    /// `elst`, §8.6.6.
    fn edits(&mut self, edits: &[Edit]) {
        self.full(*b"elst", 1, 0, |layout| {
            let out = &mut layout.bytes;
            out.put_u32(number(edits.len()));
            for edit in edits {
                out.put_u64(edit.movie_ticks);
                let media = edit.media_ticks.map(|ticks| i64::try_from(ticks).unwrap_or(i64::MAX));
                out.put_i64(media.unwrap_or(-1));
                out.put_u32(0x1_0000); // media_rate 1.0
            }
        });
    }

    /// `hdlr`, §8.4.3. Text is `sbtl`, by which Apple's players know subtitles; others take
    /// the sample entry's word.
    fn handler(&mut self, content: Content) {
        let (handler, name): (&[u8; 4], &[u8]) = match content {
            Content::Video(..) => (b"vide", b"video\0"),
            Content::Audio => (b"soun", b"audio\0"),
            Content::Text(..) => (b"sbtl", b"time\0"),
        };
        self.full(*b"hdlr", 0, 0, |layout| {
            layout.bytes.put_u32(0); // pre_defined
            layout.bytes.put_slice(handler);
            layout.bytes.put_bytes(0, 12); // reserved
            layout.bytes.put_slice(name);
        });
    }

    /// The content of `minf`, §8.4.4.
    fn media_information(&mut self, track: &FilmTrack<'_>, index: usize) {
        match track.content {
            Content::Video(..) => self.full(*b"vmhd", 0, 1, |layout| layout.bytes.put_u64(0)),
            Content::Audio => self.full(*b"smhd", 0, 0, |layout| layout.bytes.put_u32(0)),
            Content::Text(..) => self.full(*b"nmhd", 0, 0, |_| {}),
        }
        self.boxed(*b"dinf", |layout| {
            layout.full(*b"dref", 0, 0, |layout| {
                layout.bytes.put_u32(1);
                layout.full(*b"url ", 0, 1, |_| {}); // flag 1: the media are in this file
            });
        });
        self.boxed(*b"stbl", |layout| {
            layout.full(*b"stsd", 0, 0, |layout| {
                layout.bytes.put_u32(number(track.entries.len()));
                for entry in track.entries {
                    layout.bytes.put_slice(entry);
                }
            });
            for (table, rows) in track.tally.tables() {
                layout.table(track, index, table, rows);
            }
        });
    }

    fn table(&mut self, track: &FilmTrack<'_>, index: usize, table: Table, rows: u64) {
        let bytes = rows.saturating_mul(table.row_bytes());
        if table == Table::Rolls {
            put_roll_description(&mut self.bytes, track.tally.rolls());
        }
        self.full(*table.kind(), 0, 0, |layout| {
            if table == Table::Sizes {
                layout.bytes.put_u32(0); // sample_size: they differ
                let samples = u32::try_from(track.tally.samples()).unwrap_or(u32::MAX);
                layout.bytes.put_u32(samples);
            } else {
                if table == Table::Rolls {
                    layout.bytes.put_slice(b"roll");
                }
                layout.bytes.put_u32(u32::try_from(rows).unwrap_or(u32::MAX));
            }
            let hole = HeaderPart::Rows { track: index, table, bytes };
            layout.holes.push((layout.bytes.len(), hole));
            layout.hole_bytes += bytes;
        });
    }
}

fn shown_ticks(track: &FilmTrack<'_>) -> u64 {
    track.edits.iter().map(|edit| edit.movie_ticks).sum()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The sample entry of text: one line in the middle of the bottom, white on half black
/// (3GPP TS 26.245 §5.16).
#[must_use]
pub fn text_entry() -> Bytes {
    let mut out = Vec::with_capacity(64);
    put_box(&mut out, b"tx3g", |out| {
        out.put_bytes(0, 6); // reserved
        out.put_u16(1); // data_reference_index
        out.put_u32(0); // displayFlags
        out.put_i8(1); // horizontally in the middle
        out.put_i8(-1); // vertically at the bottom
        out.put_slice(&[0, 0, 0, 0x80]); // background
        out.put_u64(0); // the box that text stands in: the whole track
        out.put_u32(0); // the style's first and last character: all
        out.put_u16(1); // font
        out.put_u8(0); // plain
        out.put_u8(18); // size
        out.put_slice(&[0xff; 4]); // colour
        put_box(out, b"ftab", |out| {
            out.put_u16(1);
            out.put_u16(1); // font
            out.put_u8(10);
            out.put_slice(b"Sans-Serif");
        });
    });
    out.into()
}

/// A sample of text (3GPP TS 26.245 §5.17).
#[must_use]
pub fn text_sample(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + text.len());
    out.put_u16(u16::try_from(text.len()).unwrap_or(0));
    out.put_slice(text.as_bytes());
    out
}
