//! Finds the messages in what a peer sends, with every limit checked before anything is parsed.
//!
//! Owns: the input buffer; head, URI, header and body limits; tolerance for bare LF and blank
//! lines, folded lines, empty values. Does not own: what a message means.

use bytes::{Buf, Bytes, BytesMut};
use rtsp_types::{Request, StatusCode};

use crate::base::limits::{
    RTSP_BODY_BYTES_MAX, RTSP_DESCRIPTION_BYTES_MAX, RTSP_HEAD_BYTES_MAX, RTSP_HEADERS_MAX,
    RTSP_ODD_BYTES_MAX, RTSP_URI_BYTES_MAX,
};
use crate::wire::rtp::FRAME_HEAD_BYTES;

/// Bytes that may wait here: one whole request and two interleaved frames.
pub(super) const INPUT_BYTES_MAX: usize =
    RTSP_HEAD_BYTES_MAX + RTSP_BODY_BYTES_MAX + 2 * (FRAME_HEAD_BYTES + 65_535);

/// One message of a peer.
#[derive(Debug)]
pub(super) enum Frame {
    /// A request or an answer.
    Message(Box<Message>),
    /// What came behind `$`, channel and length: the channel, and up to 65535 bytes.
    Interleaved(u8, Bytes),
}

/// A message as it came: nothing in it is believed but its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The request line or status line.
    pub(super) start: String,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    /// Nothing tells how long its body is, which is not taken. Of a camera only.
    pub(super) open_ended: bool,
}

/// Headers in the order in which they came, by their exact names in any letter case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads header lines. A line that begins with a blank continues with the one before
    /// (RFC 2326 §4.2); a line without a colon is not a header.
    fn read<'a>(lines: impl Iterator<Item = std::borrow::Cow<'a, str>>) -> Self {
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = headers.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Self(headers)
    }

    /// The first value of `name` that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of `name` that are not empty.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.0.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

impl Message {
    /// Whether it answers something. No answer is answered, however odd: two that do so never
    /// end.
    pub(super) fn is_answer(&self) -> bool {
        self.start.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("RTSP/"))
    }

    /// The status of an answer; its reason may be missing, or the blank before it.
    pub(super) fn status(&self) -> Option<u16> {
        let word = self.start.split_ascii_whitespace().nth(1)?;
        let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        word[..end].parse().ok()
    }

    /// The number that says which request is answered, if it is one.
    pub(super) fn cseq(&self) -> Option<u32> {
        number(self.headers.get("CSeq")?.as_bytes())
    }

    /// As a request.
    pub(super) fn request(&self) -> Result<Request<Vec<u8>>, Fault> {
        let cseq = self.cseq().map(|n| n.to_string());
        let refuse = |status, text| Fault { status, cseq: cseq.clone(), text };
        if let Some(fault) = start_line_fault(self.start.as_bytes()) {
            return Err(refuse(fault.status, fault.text));
        }
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers.0 {
            // rtsp-types compares names by their common length, so that one of these would hide
            // the other; and it knows no empty value.
            let hides = HEADERS_READ.iter().any(|known| is_beginning(known, name));
            let known = HEADERS_READ.iter().any(|known| known.eq_ignore_ascii_case(name));
            if !value.is_empty() && (known || !hides) {
                text.extend([name, ": ", value, "\r\n"]);
            }
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        match rtsp_types::Message::<Vec<u8>>::parse(&bytes) {
            Ok((rtsp_types::Message::Request(request), _)) => Ok(request),
            _ => Err(refuse(StatusCode::BadRequest, "the request cannot be read")),
        }
    }
}

/// The headers of requests that anything is done with.
const HEADERS_READ: [&str; 17] = [
    "Accept",
    "Authorization",
    "Connection",
    "Content-Length",
    "Content-Type",
    "CSeq",
    "Frames",
    "Immediate",
    "Proxy-Require",
    "Range",
    "Rate-Control",
    "Require",
    "Scale",
    "Session",
    "Timestamp",
    "Transport",
    "User-Agent",
];

/// Whether the shorter of two names is how the longer one begins.
fn is_beginning(one: &str, other: &str) -> bool {
    let common = one.len().min(other.len());
    match (one.get(..common), other.get(..common)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => false,
    }
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
#[derive(Debug)]
pub(super) struct Framer {
    buffer: BytesMut,
    /// Bytes of `buffer` in which no end of a head was found.
    searched: usize,
    /// Longest body that is taken.
    body_max: usize,
    /// What is not a message is skipped; else it ends the connection.
    skips: bool,
    /// Bytes skipped since the last message.
    skipped: usize,
}

impl Default for Framer {
    fn default() -> Self {
        let (buffer, body_max) = (BytesMut::new(), RTSP_BODY_BYTES_MAX);
        Self { buffer, searched: 0, body_max, skips: false, skipped: 0 }
    }
}

impl Framer {
    /// For what a camera says: longer bodies, and odd bytes between messages are skipped.
    pub(super) fn of_camera() -> Self {
        Self { body_max: RTSP_DESCRIPTION_BYTES_MAX, skips: true, ..Self::default() }
    }

    /// Whether a message may begin here. Behind odd bytes it is the same wherever the pieces end in
    /// which they came. A first line that is neither that of a request nor of an answer is odd,
    /// such as the rest of a description that was longer than its answer said.
    fn may_begin(&self, first: u8) -> bool {
        if self.skipped > 0 {
            return begins_message(&self.buffer);
        }
        let end = memchr::memchr(b'\n', &self.buffer);
        first.is_ascii_alphabetic() && end.is_none_or(|end| is_first_line(&self.buffer[..end]))
    }

    /// Passes over bytes up to what may be a message.
    fn skip(&mut self) -> Result<Option<Frame>, Fault> {
        let starts = |at: &usize| self.buffer[*at] == b'$' || begins_message(&self.buffer[*at..]);
        let odd = (1..self.buffer.len()).find(starts).unwrap_or(self.buffer.len());
        self.buffer.advance(odd);
        self.searched = 0;
        self.skipped += odd;
        if self.skipped > RTSP_ODD_BYTES_MAX {
            return Err(Fault::new(StatusCode::BadRequest, "this is not RTSP"));
        }
        self.next()
    }

    /// Adds bytes.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether what came last belongs to no message.
    pub(super) fn is_lost(&self) -> bool {
        self.skipped > 0
    }

    /// What waits, unread.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes that many bytes away unread.
    pub(super) fn pass_over(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.searched = 0;
    }

    /// A message whose head is whole and whose body is not, with what there is of the body: for a
    /// camera that said too great a length. Forgets everything else.
    pub(super) fn cut_short(&mut self) -> Option<Message> {
        let head_bytes = self.find_head_end().ok()??;
        let head = MessageHead::read(&self.buffer[..head_bytes], self.body_max).ok()?;
        let body = self.buffer.split().freeze().slice(head_bytes..);
        self.searched = 0;
        let MessageHead { start, headers, .. } = head;
        Some(Message { start, headers, body, open_ended: false })
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
            Some(&first) if self.skips && !self.may_begin(first) => self.skip(),
            Some(first) if !first.is_ascii_alphabetic() => {
                Err(Fault::new(StatusCode::BadRequest, "this is not RTSP"))
            }
            Some(_) => self.message(),
        }
    }

    fn interleaved(&mut self) -> Option<Frame> {
        let [_, channel, high, low] = *self.buffer.first_chunk::<FRAME_HEAD_BYTES>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.buffer.len() < FRAME_HEAD_BYTES + length {
            return None;
        }
        self.buffer.advance(FRAME_HEAD_BYTES);
        self.skipped = 0;
        Some(Frame::Interleaved(channel, self.buffer.split_to(length).freeze()))
    }

    fn message(&mut self) -> Result<Option<Frame>, Fault> {
        let Some(head_bytes) = self.find_head_end()? else { return Ok(None) };
        let head = MessageHead::read(&self.buffer[..head_bytes], self.body_max)?;
        let open_ended = head.body_bytes.is_none();
        let whole = head_bytes + head.body_bytes.unwrap_or(0);
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let body = self.buffer.split_to(whole).freeze().slice(head_bytes..);
        (self.searched, self.skipped) = (0, 0);
        let MessageHead { start, headers, .. } = head;
        Ok(Some(Frame::Message(Box::new(Message { start, headers, body, open_ended }))))
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

/// Whether a camera's message begins with `bytes`, as far as they go.
fn begins_message(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 8] = [
        b"RTSP/",
        b"OPTIONS ",
        b"ANNOUNCE ",
        b"DESCRIBE ",
        b"GET_PARAMETER ",
        b"SET_PARAMETER ",
        b"REDIRECT ",
        b"TEARDOWN ",
    ];
    BEGINNINGS.iter().any(|word| bytes.iter().zip(*word).all(|(one, other)| one == other))
}

/// Whether a camera may have meant `line` as the first of a message: an answer, or a request with
/// its version.
fn is_first_line(line: &[u8]) -> bool {
    let is = |word: &[u8], wanted: &[u8]| word.eq_ignore_ascii_case(wanted);
    let begins = |wanted: &[u8]| line.get(..5).is_some_and(|start| is(start, wanted));
    begins(b"RTSP/") || begins(b"HTTP/") || line.windows(6).any(|word| is(word, b" RTSP/"))
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
struct MessageHead {
    start: String,
    headers: Headers,
    /// `None`: nothing that can be believed tells it.
    body_bytes: Option<usize>,
}

impl MessageHead {
    fn read(head: &[u8], body_max: usize) -> Result<Self, Fault> {
        let bad = |text| Fault::new(StatusCode::BadRequest, text);
        // A return that ends no line would end one for the reader of a message that quotes it.
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
        let body_bytes = body_bytes(lines(), body_max)?;
        let mut lines = lines().map(String::from_utf8_lossy);
        let start = lines.next().unwrap_or_default().trim_end().to_owned();
        Ok(Self { start, headers: Headers::read(lines), body_bytes })
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

/// A run of digits as a number; signs, blanks and what does not fit 32 bits are refused.
fn number(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The length of the body, RFC 2326 §12.14. A missing one means no body. Of a client two are a
/// trick, and so is what is no number; of a camera they tell nothing.
fn body_bytes<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    body_max: usize,
) -> Result<Option<usize>, Fault> {
    let of_camera = body_max != RTSP_BODY_BYTES_MAX;
    let mut lengths = values(lines, "content-length");
    let Some(length) = lengths.next() else { return Ok((!of_camera).then_some(0)) };
    let refused = |text| Err(Fault::new(StatusCode::BadRequest, text));
    let bad = |text| if of_camera { Ok(None) } else { refused(text) };
    if lengths.any(|other| !of_camera || other != length) {
        return bad("more than one Content-Length");
    }
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return bad("Content-Length is not a number");
    }
    match number(length).map(|n| n as usize) {
        Some(bytes) if bytes <= body_max => Ok(Some(bytes)),
        _ => {
            let text = "the body is longer than 64 KiB";
            Err(Fault::new(StatusCode::RequestMessageBodyTooLarge, text))
        }
    }
}
