//! Finds the messages in what a peer sends, with every limit checked before anything is parsed.
//!
//! Owns: the input buffer; head, URI, header and body limits; tolerance for bare LF and blank
//! lines. Does not own: what a request means. The head is rewritten with CRLF and then read by
//! rtsp-types.

use bytes::{Buf, Bytes, BytesMut};
use rtsp_types::{Message, Request, StatusCode};

use crate::base::limits::{
    RTSP_BODY_BYTES_MAX, RTSP_HEAD_BYTES_MAX, RTSP_HEADERS_MAX, RTSP_URI_BYTES_MAX,
};
use crate::wire::rtp::FRAME_HEAD_BYTES;

/// Bytes that may wait here: one whole request and two interleaved frames.
pub(super) const INPUT_BYTES_MAX: usize =
    RTSP_HEAD_BYTES_MAX + RTSP_BODY_BYTES_MAX + 2 * (FRAME_HEAD_BYTES + 65_535);

/// One message of a peer.
#[derive(Debug)]
pub(super) enum Frame {
    /// A request that could be read.
    Request(Box<Request<Vec<u8>>>),
    /// A request that could be delimited but not read; the connection stays open.
    Refused(Fault),
    /// A reply to a request of ours, or to none; nothing in it matters but that the peer lives.
    Reply,
    /// What came behind `$`, channel and length: the channel, and up to 65535 bytes.
    Interleaved(u8, Bytes),
}

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) cseq: Option<String>,
    pub(super) text: &'static str,
}

impl Fault {
    fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, cseq: None, text }
    }
}

/// The bytes of one connection that are not yet a message.
#[derive(Debug, Default)]
pub(super) struct Framer {
    buffer: BytesMut,
    /// Bytes of `buffer` in which no end of a head was found.
    searched: usize,
}

impl Framer {
    /// Adds bytes.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes waiting.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets what waits, when the connection is going to end.
    pub(super) fn clear(&mut self) {
        self.buffer = BytesMut::new();
        self.searched = 0;
    }

    /// The next message, if it is whole. An error means that its end is unknown: the connection
    /// must end.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Fault> {
        let blank = self.buffer.iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
        if self.searched == 0 {
            self.buffer.advance(blank);
        }
        match self.buffer.first() {
            None => Ok(None),
            Some(b'$') => Ok(self.interleaved()),
            Some(first) if !first.is_ascii_alphabetic() => {
                Err(Fault::new(StatusCode::BadRequest, "this is not RTSP"))
            }
            Some(_) => self.request(),
        }
    }

    fn interleaved(&mut self) -> Option<Frame> {
        let [_, channel, high, low] = *self.buffer.first_chunk::<FRAME_HEAD_BYTES>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.buffer.len() < FRAME_HEAD_BYTES + length {
            return None;
        }
        self.buffer.advance(FRAME_HEAD_BYTES);
        Some(Frame::Interleaved(channel, self.buffer.split_to(length).freeze()))
    }

    fn request(&mut self) -> Result<Option<Frame>, Fault> {
        let Some(head_bytes) = self.find_head_end()? else { return Ok(None) };
        let head = Head::read(&self.buffer[..head_bytes])?;
        let whole = head_bytes + head.body_bytes;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(whole);
        self.searched = 0;
        Ok(Some(head.message(&bytes[head_bytes..])))
    }

    /// Where the head ends, just behind its empty line.
    fn find_head_end(&mut self) -> Result<Option<usize>, Fault> {
        let from = self.searched.saturating_sub(3);
        let window = &self.buffer[..self.buffer.len().min(RTSP_HEAD_BYTES_MAX)];
        let end = (from..window.len()).find_map(|at| match &window[at..] {
            [b'\n', b'\n', ..] => Some(at + 2),
            [b'\n', b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        });
        if end.is_none() {
            self.searched = window.len();
        }
        if end.is_none() && self.buffer.len() >= RTSP_HEAD_BYTES_MAX {
            return Err(too_long(&self.buffer));
        }
        Ok(end)
    }
}

/// Which limit a head without end has passed.
fn too_long(buffer: &[u8]) -> Fault {
    if buffer.iter().take(RTSP_URI_BYTES_MAX).any(|&b| b == b'\n') {
        Fault::new(StatusCode::BadRequest, "the head is longer than 16 KiB")
    } else {
        Fault::new(StatusCode::RequestURITooLong, "the URI is longer than 2 KiB")
    }
}

/// What has to be known of a head to delimit and answer its message.
#[derive(Debug)]
struct Head {
    /// The lines with CRLF, and the empty line.
    text: Vec<u8>,
    body_bytes: usize,
    cseq: Option<String>,
    fault: Option<Fault>,
    /// It answers something. No answer is answered, however odd: two that do so never end.
    is_reply: bool,
}

impl Head {
    fn read(head: &[u8]) -> Result<Self, Fault> {
        let bad = |text| Fault::new(StatusCode::BadRequest, text);
        // A return that ends no line would end one for whoever reads what we repeat of it.
        let ends_line = |at: usize| head.get(at + 1) == Some(&b'\n');
        if head.iter().enumerate().any(|(at, &byte)| match byte {
            b'\r' => !ends_line(at),
            b'\t' | b'\n' => false,
            byte => byte < b' ' || byte == 0x7f,
        }) {
            return Err(bad("the head holds control characters"));
        }
        let lines = || {
            let lines = head.split(|&b| b == b'\n');
            lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).take_while(|l| !l.is_empty())
        };
        if lines().count() > RTSP_HEADERS_MAX + 1 {
            return Err(bad("more than 64 headers"));
        }
        let mut text = lines().collect::<Vec<_>>().join(&b"\r\n"[..]);
        text.extend_from_slice(b"\r\n\r\n");
        let is_reply = text.starts_with(b"RTSP/");
        let mut read = Self { text, body_bytes: 0, cseq: None, fault: None, is_reply };
        read.body_bytes = body_bytes(lines())?;
        read.cseq = values(lines(), "cseq").next().and_then(number).map(|n| n.to_string());
        read.fault = start_line_fault(lines().next().unwrap_or_default());
        Ok(read)
    }

    /// The message as rtsp-types reads it.
    fn message(mut self, body: &[u8]) -> Frame {
        if self.is_reply {
            return Frame::Reply;
        }
        let refuse = |status, text| Fault { status, cseq: self.cseq.clone(), text };
        if let Some(fault) = self.fault {
            return Frame::Refused(refuse(fault.status, fault.text));
        }
        self.text.extend_from_slice(body);
        if let Ok((Message::Request(request), _)) = Message::<Vec<u8>>::parse(&self.text) {
            return Frame::Request(Box::new(request));
        }
        Frame::Refused(refuse(StatusCode::BadRequest, "the request cannot be read"))
    }
}

/// What is wrong with a start line although the message can be delimited.
fn start_line_fault(line: &[u8]) -> Option<Fault> {
    let mut words = line.split(|&b| b == b' ');
    let (_method, uri, version) = (words.next()?, words.next()?, words.next_back());
    if uri.len() > RTSP_URI_BYTES_MAX {
        return Some(Fault::new(StatusCode::RequestURITooLong, "the URI is longer than 2 KiB"));
    }
    let other = |v: &&[u8]| v.starts_with(b"RTSP/") && *v != b"RTSP/1.0";
    version.filter(other)?;
    Some(Fault::new(StatusCode::RTSPVersionNotSupported, "only RTSP 1.0 is spoken here"))
}

/// The values of every header called `name` (lower case), trimmed.
pub(super) fn values<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    lines.skip(1).filter_map(move |line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let (key, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    })
}

/// A run of digits as a number; signs, blanks and what does not fit 32 bits are no number.
fn number(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The length of the body, RFC 2326 §12.14. A missing one means no body.
fn body_bytes<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<usize, Fault> {
    let mut lengths = values(lines, "content-length");
    let Some(length) = lengths.next() else { return Ok(0) };
    let bad = |text| Err(Fault::new(StatusCode::BadRequest, text));
    if lengths.next().is_some() {
        return bad("more than one Content-Length");
    }
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return bad("Content-Length is not a number");
    }
    match number(length).map(|n| n as usize) {
        Some(bytes) if bytes <= RTSP_BODY_BYTES_MAX => Ok(bytes),
        _ => {
            let text = "the body is longer than 64 KiB";
            Err(Fault::new(StatusCode::RequestMessageBodyTooLarge, text))
        }
    }
}
