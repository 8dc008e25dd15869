//! What passes between the daemon and a decoder child: one request, then one reply.
//!
//! Owns: the form of both. A request is 14 bytes (codec, form, two sides, length of what follows,
//! shape of a sample) and length-prefixed NAL units; a reply is 14 bytes (what came of it, a blank,
//! two sides, length of what follows, four blanks) and a picture or words. Numbers are big-endian. Nothing that either side says
//! makes the other take more than its limits.

use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::base::limits::{DECODE_REQUEST_BYTES_MAX, JPEG_BYTES_MAX};
use crate::media::codec::SampleAspect;
use crate::media::{Codec, CodecParams, Shape};

/// Bytes before what a request or reply carries.
pub(super) const HEAD_BYTES: usize = 14;

/// An access unit delimiter behind its length (ITU-T H.264 §7.3.2.4).
const DELIMITER: &[u8] = &[0, 0, 0, 2, 9, 0xf0];

/// Which decoder a key frame needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// openh264's.
    H264,
    /// libde265's.
    H265,
}

/// What is made of a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A JPEG, at most this many pixels across, as high as the picture's shape asks for.
    Jpeg {
        /// `None`: as wide as the camera took it.
        width: Option<u16>,
    },
    /// Pixels of exactly this size, three octets each (red, green, blue), row by row; the picture
    /// is centred and the rest is black.
    Tile {
        /// Pixels across.
        width: u16,
        /// Pixels down.
        height: u16,
    },
}

/// A key frame on its way to the decoder.
#[derive(Clone, Debug)]
pub struct KeyFrame {
    coded: Coded,
    aspect: SampleAspect,
    /// Why no decoder here draws it.
    undrawable: Option<String>,
    /// Each NAL unit behind its length in 4 bytes, in pieces that others hold as well.
    pieces: Vec<Bytes>,
}

impl KeyFrame {
    /// The key frame `data`, length-prefixed NAL units, of a track with `params`. `None` when the
    /// track is not video.
    #[must_use]
    pub fn new(params: &CodecParams, data: Bytes) -> Option<Self> {
        let coded = match params.codec {
            Codec::H264 { .. } => Coded::H264,
            Codec::H265 { .. } => Coded::H265,
            Codec::Aac { .. } | Codec::G711(_) | Codec::Opus | Codec::Flac => return None,
        };
        let sets = params.parameter_nals();
        let sets = crate::media::nal::length_prefixed(sets.into_iter().map(|set| &set[..]));
        let aspect = match params.shape {
            Shape::Video { aspect, .. } => aspect,
            Shape::Audio { .. } => SampleAspect::SQUARE,
        };
        let undrawable = params.undrawable();
        Some(Self { coded, aspect, undrawable, pieces: vec![sets, data] })
    }

    /// The last of `pictures`, in decoding order, of a track that has no key pictures: whole when a
    /// whole refresh is among them. `None` where no decoder here draws such.
    #[must_use]
    pub fn of_refresh(
        params: &CodecParams,
        pictures: impl IntoIterator<Item = Bytes>,
    ) -> Option<Self> {
        let mut frame =
            Self::new(params, Bytes::new()).filter(|frame| frame.coded == Coded::H264)?;
        for picture in pictures {
            frame.pieces.extend([Bytes::from_static(DELIMITER), picture]);
        }
        Some(frame)
    }

    /// Which decoder it needs.
    #[must_use]
    pub fn coded(&self) -> Coded {
        self.coded
    }

    /// Why it is not tried, for people.
    pub(super) fn undrawable(&self) -> Option<&str> {
        self.undrawable.as_deref()
    }

    /// Its parts, to be written one after the other.
    pub(super) fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The head of the request for `form` of it. `None` when it is longer than any key frame.
    pub(super) fn head(&self, form: Form) -> Option<[u8; HEAD_BYTES]> {
        let bytes: usize = self.pieces.iter().map(Bytes::len).sum();
        let length = u32::try_from(bytes).ok().filter(|_| bytes <= DECODE_REQUEST_BYTES_MAX)?;
        let coded = match self.coded {
            Coded::H264 => 0,
            Coded::H265 => 1,
        };
        let (form, width, height) = match form {
            Form::Jpeg { width } => (0, width.unwrap_or(0), 0),
            Form::Tile { width, height } => (1, width, height),
        };
        let mut head = head(coded, form, (width, height), length);
        let (across, down) = self.aspect.parts();
        head[10..12].copy_from_slice(&across.to_be_bytes());
        head[12..].copy_from_slice(&down.to_be_bytes());
        Some(head)
    }
}

/// A request as the child reads it.
#[derive(Debug)]
pub(super) struct ChildRequest {
    pub(super) coded: Coded,
    pub(super) form: Form,
    /// The shape of a sample.
    pub(super) aspect: SampleAspect,
    /// Length-prefixed NAL units.
    pub(super) nals: Vec<u8>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeOutcome {
    /// The picture follows.
    Picture,
    /// There is none in it; words follow.
    Undecodable,
    /// The decoder that it needs is not there; words follow.
    NoDecoder,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChildReply {
    pub(super) outcome: DecodeOutcome,
    /// Pixels across and down.
    pub(super) size: (u16, u16),
    pub(super) bytes: Vec<u8>,
}

fn head(first: u8, second: u8, (width, height): (u16, u16), length: u32) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    (head[0], head[1]) = (first, second);
    head[2..4].copy_from_slice(&width.to_be_bytes());
    head[4..6].copy_from_slice(&height.to_be_bytes());
    head[6..10].copy_from_slice(&length.to_be_bytes());
    head
}

fn sides(head: [u8; HEAD_BYTES]) -> (u16, u16) {
    let [_, _, w0, w1, h0, h1, ..] = head;
    (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]))
}

/// The length in `head`, if it is no more than `max`.
fn length(head: [u8; HEAD_BYTES], max: usize) -> io::Result<usize> {
    let [_, _, _, _, _, _, a, b, c, d, ..] = head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > max { Err(wrong("a message that is too long")) } else { Ok(length) }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl ChildRequest {
    /// Waits for the next request; `None` when the other side has closed the pipe.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD_BYTES];
        if let Err(error) = from.read_exact(&mut head) {
            let closed = error.kind() == io::ErrorKind::UnexpectedEof;
            return if closed { Ok(None) } else { Err(error) };
        }
        let coded = match head[0] {
            0 => Coded::H264,
            1 => Coded::H265,
            _ => return Err(wrong("an unknown codec")),
        };
        let (width, height) = sides(head);
        let form = match head[1] {
            0 => Form::Jpeg { width: Some(width).filter(|&width| width > 0) },
            1 => Form::Tile { width, height },
            _ => return Err(wrong("an unknown form")),
        };
        let mut nals = vec![0; length(head, DECODE_REQUEST_BYTES_MAX)?];
        from.read_exact(&mut nals)?;
        let part = |at: usize| u32::from(u16::from_be_bytes([head[at], head[at + 1]]));
        let aspect = SampleAspect::new(part(10), part(12));
        Ok(Some(Self { coded, form, aspect, nals }))
    }
}

impl ChildReply {
    /// Words instead of a picture.
    pub(super) fn words(outcome: DecodeOutcome, words: &str) -> Self {
        Self { outcome, size: (0, 0), bytes: words.as_bytes().to_vec() }
    }

    /// Writes it and sees that it leaves.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let outcome = match self.outcome {
            DecodeOutcome::Picture => 0,
            DecodeOutcome::Undecodable => 1,
            DecodeOutcome::NoDecoder => 2,
        };
        let length = u32::try_from(self.bytes.len()).map_err(|_| wrong("a picture too large"))?;
        to.write_all(&head(outcome, 0, self.size, length))?;
        to.write_all(&self.bytes)?;
        to.flush()
    }

    /// What `head` says, with room for the bytes that follow it.
    pub(super) fn announced(head: [u8; HEAD_BYTES]) -> io::Result<Self> {
        let outcome = match head[0] {
            0 => DecodeOutcome::Picture,
            1 => DecodeOutcome::Undecodable,
            2 => DecodeOutcome::NoDecoder,
            _ => return Err(wrong("an unknown outcome")),
        };
        let bytes = vec![0; length(head, JPEG_BYTES_MAX)?];
        Ok(Self { outcome, size: sides(head), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> KeyFrame {
        KeyFrame {
            coded: Coded::H265,
            aspect: SampleAspect::new(4, 3),
            undrawable: None,
            pieces: vec![Bytes::from_static(b"set"), vec![7; bytes].into()],
        }
    }

    #[test]
    fn a_request_arrives_as_it_was_made() {
        for form in [
            Form::Jpeg { width: None },
            Form::Jpeg { width: Some(320) },
            Form::Tile { width: 160, height: 90 },
        ] {
            let frame = frame(4);
            let mut bytes = frame.head(form).unwrap().to_vec();
            bytes.extend(frame.pieces().concat());
            let mut rest = &bytes[..];
            let request = ChildRequest::read(&mut rest).unwrap().unwrap();
            assert_eq!((request.coded, request.form), (Coded::H265, form));
            assert_eq!(request.aspect.parts(), (4, 3));
            assert_eq!(request.nals, b"set\x07\x07\x07\x07");
            assert!(ChildRequest::read(&mut rest).unwrap().is_none());
        }
        assert!(frame(DECODE_REQUEST_BYTES_MAX).head(Form::Jpeg { width: None }).is_none());
    }

    #[test]
    fn a_reply_arrives_as_it_was_made() {
        let reply =
            ChildReply { outcome: DecodeOutcome::Picture, size: (640, 360), bytes: vec![1, 2, 3] };
        let mut bytes = Vec::new();
        reply.write(&mut bytes).unwrap();
        let (head, body) = bytes.split_first_chunk().unwrap();
        let mut read = ChildReply::announced(*head).unwrap();
        read.bytes.copy_from_slice(body);
        assert_eq!(read, reply);
    }

    #[test]
    fn no_length_makes_either_side_take_more_than_its_limit() {
        let endless = [0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert!(ChildReply::announced(endless).is_err());
        assert!(ChildRequest::read(&mut &endless[..]).is_err());
        for (at, value) in [(0, 9), (1, 9)] {
            let mut head = [0; HEAD_BYTES];
            head[at] = value;
            assert!(ChildRequest::read(&mut &head[..]).is_err());
        }
        assert!(ChildReply::announced([3; HEAD_BYTES]).is_err());
    }
}
