//! Motion JPEG over HTTP: the head of the answer, then picture after picture.
//!
//! Owns: their reading, with tolerance. Cameras write the boundaries between pictures wrongly in
//! many ways (no dashes, quotes, no length, none at all), so no boundary is read: a JPEG says
//! itself where it ends (ITU-T T.81 §B.1.1). Holds one head or one picture, each within its limit.

use bytes::{Buf, Bytes, BytesMut};

use crate::base::limits::{ACCESS_UNIT_BYTES_MAX, MJPEG_HEAD_BYTES_MAX, MJPEG_ODD_BYTES_MAX};

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

/// The head of an HTTP answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its status.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.split('\n').map(str::trim_end);
        let start = lines.next()?;
        // Some say `ICY 200 OK`, or no version at all.
        let status = start
            .split_ascii_whitespace()
            .find_map(|word| word.parse().ok().filter(|status| (100..600).contains(status)))?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        Some(Self { status, headers: lines.filter_map(header).collect() })
    }

    /// All values of the header `name`.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str())
    }

    /// The first value of the header `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MjpegItem {
    /// The head of the answer; what follows is asked for with the next items.
    Head(Head),
    /// A whole picture, and how many before it were not.
    Picture {
        /// From SOI to EOI.
        jpeg: Bytes,
        /// Pictures that could not be read since the last one.
        lost: u16,
    },
}

/// Why no more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPictures {
    /// The answer is not HTTP.
    #[error("it does not answer as a web server")]
    NoHttp,
    /// Much came, and no picture.
    #[error("what it sends holds no JPEG pictures")]
    NoJpeg,
    /// A picture is too large.
    #[error("one of its pictures has more than {} MiB", ACCESS_UNIT_BYTES_MAX >> 20)]
    TooLarge,
}

/// What came of one answer and was not read yet.
#[derive(Debug, Default)]
pub struct HttpPictures {
    raw: BytesMut,
    body: BytesMut,
    part: BodyState,
    /// Where the walk through the picture at the front of `body` is.
    at: usize,
    /// It is within the coded picture, where markers are found and not followed.
    in_scan: bool,
    lost: u16,
    /// Bytes skipped since the last picture.
    odd: usize,
}

/// What is to come of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BodyState {
    #[default]
    Head,
    /// The body without a transfer coding.
    Plain,
    /// So many bytes of a chunk; 0: the line that says how many.
    Chunk(usize),
}

impl HttpPictures {
    /// Takes bytes that arrived.
    pub fn receive(&mut self, bytes: &[u8]) {
        match self.part {
            BodyState::Plain => self.body.extend_from_slice(bytes),
            BodyState::Head | BodyState::Chunk(_) => self.raw.extend_from_slice(bytes),
        }
    }

    /// The next item, if there is a whole one.
    pub fn next_item(&mut self) -> Result<Option<MjpegItem>, NoPictures> {
        if self.part == BodyState::Head {
            let Some(head) = self.head()? else { return Ok(None) };
            let is_chunked = head
                .all("Transfer-Encoding")
                .any(|coding| coding.to_ascii_lowercase().contains("chunked"));
            self.part = if is_chunked { BodyState::Chunk(0) } else { BodyState::Plain };
            let rest = self.raw.split();
            self.receive(&rest);
            return Ok(Some(MjpegItem::Head(head)));
        }
        self.unchunk()?;
        self.picture()
    }

    fn head(&mut self) -> Result<Option<Head>, NoPictures> {
        let ends =
            [(&b"\r\n\r\n"[..], 4), (b"\n\n", 2)].into_iter().filter_map(|(mark, length)| {
                let at = self.raw.windows(length).position(|window| window == mark)?;
                Some(at + length)
            });
        match ends.min() {
            Some(end) if end <= MJPEG_HEAD_BYTES_MAX => {
                let head = self.raw.split_to(end);
                Head::read(&head).map(Some).ok_or(NoPictures::NoHttp)
            }
            _ if self.raw.len() > MJPEG_HEAD_BYTES_MAX => Err(NoPictures::NoHttp),
            _ => Ok(None),
        }
    }

    /// Moves what is whole of chunks into the body (RFC 9112 §7.1).
    fn unchunk(&mut self) -> Result<(), NoPictures> {
        while let BodyState::Chunk(left) = self.part {
            if left > 0 {
                let taken = left.min(self.raw.len());
                self.body.extend_from_slice(&self.raw.split_to(taken));
                self.part = BodyState::Chunk(left - taken);
                if taken < left {
                    return Ok(());
                }
                continue;
            }
            let Some(end) = self.raw.iter().position(|&byte| byte == b'\n') else {
                let is_line = self.raw.len() <= MJPEG_HEAD_BYTES_MAX;
                return if is_line { Ok(()) } else { Err(NoPictures::NoHttp) };
            };
            let line = self.raw.split_to(end + 1);
            let line = String::from_utf8_lossy(&line);
            let size = line.split(';').next().unwrap_or_default().trim();
            if size.is_empty() {
                continue; // the end of the chunk before
            }
            match usize::from_str_radix(size, 16) {
                Ok(0) => return Ok(()),
                Ok(size) => self.part = BodyState::Chunk(size),
                Err(_) => return Err(NoPictures::NoHttp),
            }
        }
        Ok(())
    }

    fn picture(&mut self) -> Result<Option<MjpegItem>, NoPictures> {
        loop {
            if self.at == 0 && !self.seek()? {
                return Ok(None);
            }
            match self.walk() {
                Walk::Whole(end) => {
                    let jpeg = self.body.split_to(end).freeze();
                    (self.at, self.in_scan, self.odd) = (0, false, 0);
                    let lost = std::mem::take(&mut self.lost);
                    return Ok(Some(MjpegItem::Picture { jpeg, lost }));
                }
                Walk::More if self.body.len() > ACCESS_UNIT_BYTES_MAX => {
                    return Err(NoPictures::TooLarge);
                }
                Walk::More => return Ok(None),
                Walk::Broken(skip) => {
                    self.body.advance(skip);
                    self.odd = self.odd.saturating_add(skip);
                    (self.at, self.in_scan) = (0, false);
                    self.lost = self.lost.saturating_add(1);
                }
            }
        }
    }

    /// Passes over bytes up to the next picture; whether there is one.
    fn seek(&mut self) -> Result<bool, NoPictures> {
        let found = self.body.windows(3).position(|window| window == [0xff, SOI, 0xff]);
        let odd = found.unwrap_or(self.body.len().saturating_sub(2));
        self.body.advance(odd);
        self.odd = self.odd.saturating_add(odd);
        if self.odd > MJPEG_ODD_BYTES_MAX {
            return Err(NoPictures::NoJpeg);
        }
        self.at = if found.is_some() { 2 } else { 0 };
        Ok(found.is_some())
    }

    /// Continues through the picture at the front.
    fn walk(&mut self) -> Walk {
        loop {
            if self.in_scan {
                let rest = self.body.get(self.at..).unwrap_or_default();
                let found = rest.windows(2).position(|pair| pair[0] == 0xff && is_marker(pair[1]));
                let Some(found) = found else {
                    self.at += rest.len().saturating_sub(1);
                    return Walk::More;
                };
                (self.at, self.in_scan) = (self.at + found, false);
            }
            let Some(&[first, marker]) = self.body.get(self.at..self.at + 2) else {
                return Walk::More;
            };
            match (first, marker) {
                (0xff, 0xff) => self.at += 1,
                (0xff, EOI) => return Walk::Whole(self.at + 2),
                // The one before has no end.
                (0xff, SOI) => return Walk::Broken(self.at),
                (0xff, 1 | 0xd0..=0xd7) => self.at += 2,
                (0xff, 2..) => {
                    let Some(&[high, low]) = self.body.get(self.at + 2..self.at + 4) else {
                        return Walk::More;
                    };
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    if length < 2 {
                        return Walk::Broken(2);
                    }
                    self.at += 2 + length;
                    self.in_scan = marker == SOS;
                }
                _ => return Walk::Broken(2),
            }
        }
    }
}

/// Where the walk through a picture came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// It ends here.
    Whole(usize),
    /// More of it is to come.
    More,
    /// Not a picture; so many bytes to skip.
    Broken(usize),
}

/// Whether the byte after `FF` in a coded picture is a marker that does not belong to it.
fn is_marker(byte: u8) -> bool {
    !matches!(byte, 0 | 0xd0..=0xd7 | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with a small one inside its comment, and all that a scan may contain.
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x0a\xff\xd8\xff\xd9ABCD\xff\xda\0\x03x\
        ab\xff\0cd\xff\xd3ef\xff\xff\xd9";

    fn read(chunks: &[&[u8]]) -> Result<Vec<MjpegItem>, NoPictures> {
        let mut pictures = HttpPictures::default();
        let mut items = Vec::new();
        for chunk in chunks {
            pictures.receive(chunk);
            while let Some(item) = pictures.next_item()? {
                items.push(item);
            }
        }
        Ok(items)
    }

    fn pictures(body: &[u8]) -> Vec<(usize, u16)> {
        let answer = [b"HTTP/1.0 200 OK\r\n\r\n", body].concat();
        let told = |step: usize| {
            let items = read(&answer.chunks(step).collect::<Vec<_>>()).unwrap();
            let picture = |item: &MjpegItem| match item {
                MjpegItem::Picture { jpeg, lost } => Some((jpeg.len(), *lost)),
                MjpegItem::Head(_) => None,
            };
            items.iter().filter_map(picture).collect::<Vec<_>>()
        };
        let whole = told(answer.len());
        assert_eq!(told(1), whole, "byte by byte");
        assert_eq!(told(3), whole, "in threes");
        whole
    }

    #[test]
    fn pictures_are_found_whatever_stands_between_them() {
        let whole = (JPEG.len(), 0);
        for between in [
            &b"\r\n--x\r\nContent-Type: image/jpeg\r\nContent-Length: 31\r\n\r\n"[..],
            b"--x\nContent-type: image/jpeg\n\n",
            b"x\r\n\r\n",
            b"Content-Length: 99999\r\n\r\n",
            b"\0\0\0\0",
            b"",
        ] {
            let body = [between, JPEG, between, JPEG, between].concat();
            assert_eq!(pictures(&body), [whole, whole], "{}", String::from_utf8_lossy(between));
        }
    }

    #[test]
    fn a_picture_that_is_cut_off_or_none_is_counted_and_the_next_is_whole() {
        let cut = &JPEG[..JPEG.len() - 5];
        assert_eq!(pictures(&[cut, b"\r\n--x\r\n\r\n", JPEG].concat()), [(JPEG.len(), 1)]);
        let odd = b"\xff\xd8\xff\xe0\0\x01 and \xff\xd8\xff\xe0\0\x02?";
        assert_eq!(pictures(&[odd, JPEG].concat()), [(JPEG.len(), 2)]);
    }

    #[test]
    fn chunks_are_put_together_across_their_borders() {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
        let mut answer = head.to_vec();
        for part in [JPEG, JPEG].concat().chunks(7) {
            answer.extend_from_slice(format!("{:X};x=y\r\n", part.len()).as_bytes());
            answer.extend_from_slice(part);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        for step in [1, 2, 5, answer.len()] {
            let items = read(&answer.chunks(step).collect::<Vec<_>>()).unwrap();
            assert_eq!(items.len(), 3, "in steps of {step}");
            let all_whole = items[1..].iter().all(
                |item| matches!(item, MjpegItem::Picture { jpeg, lost: 0 } if jpeg[..] == *JPEG),
            );
            assert!(all_whole);
        }
    }

    #[test]
    fn a_head_is_read_with_its_challenges() {
        let answer =
            b"HTTP/1.1 401 No\nWWW-Authenticate: Digest realm=\"a\"\nwww-authenticate: Basic\n\n";
        let items = read(&[answer]).unwrap();
        let [MjpegItem::Head(head)] = &items[..] else { panic!("{items:?}") };
        assert_eq!(head.status, 401);
        assert_eq!(head.all("WWW-Authenticate").count(), 2);
    }

    #[test]
    fn what_is_neither_http_nor_a_picture_ends_and_memory_is_bounded() {
        assert_eq!(read(&[b"SSH-2.0-x\r\n\r\n"]), Err(NoPictures::NoHttp));
        assert_eq!(read(&[&vec![b'x'; MJPEG_HEAD_BYTES_MAX + 1]]), Err(NoPictures::NoHttp));
        let head: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";
        assert_eq!(read(&[head, &vec![0; MJPEG_ODD_BYTES_MAX + 3]]), Err(NoPictures::NoJpeg));
        let endless = [&JPEG[..JPEG.len() - 3], &vec![1; ACCESS_UNIT_BYTES_MAX]].concat();
        assert_eq!(read(&[head, &endless]), Err(NoPictures::TooLarge));
        let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(&[chunked, b"zz\r\n"]), Err(NoPictures::NoHttp));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_reading_panic(chunks: Vec<Vec<u8>>) {
            let mut all: Vec<&[u8]> = vec![b"HTTP/1.0 200 OK\r\n\r\n\xff\xd8\xff"];
            all.extend(chunks.iter().map(Vec::as_slice));
            let _ = read(&all);
        }
    }
}
