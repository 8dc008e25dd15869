//! RTSP inside HTTP, as QuickTime began it: a GET carries what we say, a POST what the peer says.
//!
//! Owns: telling such a connection from RTSP by its first bytes, both heads, and the base64 of the
//! uplink. Does not own: which GET a POST belongs to; the driver joins them by [`Ask::cookie`].
//!
//! The form is Apple's "Tunneling RTSP and RTP over HTTP" of 2000: both requests name the same
//! `x-sessioncookie`; the reply to the GET never ends; the POST gets none, its body is base64 of
//! the RTSP requests, and its Content-Length is a number that no client keeps to.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::frame::values;
use crate::base::limits::{RTSP_HEAD_BYTES_MAX, RTSP_HEADERS_MAX, RTSP_TUNNEL_COOKIE_BYTES_MAX};

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Too few to say.
    Unclear,
    /// RTSP, or nothing we know; the [`Session`](super::Session) deals with both.
    Rtsp,
    /// One half of a tunnel.
    Tunnel(Ask),
    /// HTTP, and not for us: answer [`refusal`] and close.
    Refused(&'static str),
}

/// The request for one half of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which half.
    pub half: Half,
    /// What both halves have in common: 1 to [`RTSP_TUNNEL_COOKIE_BYTES_MAX`] visible characters.
    pub cookie: String,
    /// Bytes of the head; what follows belongs to the body.
    pub head_bytes: usize,
}

/// One half of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// GET: from us to the peer, unencoded.
    Down,
    /// POST: from the peer to us, in base64.
    Up,
}

/// Looks at all that has come of a connection so far.
#[must_use]
pub fn look(bytes: &[u8]) -> Opening {
    for (word, half) in [(&b"GET "[..], Half::Down), (b"POST ", Half::Up)] {
        if bytes.starts_with(word) {
            return read(bytes, half);
        }
        if word.starts_with(bytes) {
            return Opening::Unclear;
        }
    }
    Opening::Rtsp
}

fn read(bytes: &[u8], half: Half) -> Opening {
    let window = &bytes[..bytes.len().min(RTSP_HEAD_BYTES_MAX)];
    let end = (0..window.len()).find_map(|at| match &window[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    });
    let Some(head_bytes) = end else {
        let whole = window.len() == RTSP_HEAD_BYTES_MAX;
        return if whole { Opening::Refused("the head is too long") } else { Opening::Unclear };
    };
    let head = &window[..head_bytes];
    let lines = || head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
    let speaks_http = lines().next().is_some_and(|line| {
        line.rsplit(|&b| b == b' ').next().is_some_and(|version| version.starts_with(b"HTTP/1."))
    });
    if !speaks_http || lines().count() > RTSP_HEADERS_MAX {
        return Opening::Refused("this is neither RTSP nor a short request of HTTP 1");
    }
    // A body in chunks has an end of its own; two ways to find an end are one too many.
    if values(lines(), "transfer-encoding").next().is_some() {
        return Opening::Refused("a tunnel has no transfer coding");
    }
    let mut cookies = values(lines(), "x-sessioncookie");
    match (cookies.next(), cookies.next()) {
        (None, _) => Opening::Refused("this is the RTSP port; the page has another one"),
        (Some(_), Some(_)) => Opening::Refused("there are two session cookies"),
        (Some(cookie), None) => match named(cookie) {
            Some(cookie) => Opening::Tunnel(Ask { half, cookie, head_bytes }),
            None => Opening::Refused("the session cookie is empty, too long or not plain text"),
        },
    }
}

/// The names by which the head of a half asks for this box; text that is not UTF-8 is none of them.
pub fn hosts(head: &[u8]) -> impl Iterator<Item = &str> {
    let lines = head.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end);
    values(lines, "host").map(|host| std::str::from_utf8(host).unwrap_or_default())
}

fn named(cookie: &[u8]) -> Option<String> {
    let fits = (1..=RTSP_TUNNEL_COOKIE_BYTES_MAX).contains(&cookie.len());
    let plain = cookie.iter().all(u8::is_ascii_graphic);
    (fits && plain).then(|| String::from_utf8_lossy(cookie).into_owned())
}

/// The reply to the GET; everything after it is RTSP.
#[must_use]
pub fn welcome() -> Bytes {
    Bytes::from_static(
        b"HTTP/1.0 200 OK\r\nServer: Holdfast\r\nConnection: close\r\nCache-Control: no-store\r\n\
          Pragma: no-cache\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n",
    )
}

/// The reply to HTTP that is not for us.
#[must_use]
pub fn refusal(text: &str) -> Bytes {
    answer("400 Bad Request", text)
}

/// The reply to a half that asks for another host: its program is a browser showing a page whose
/// name was pointed at this box (DNS rebinding).
#[must_use]
pub fn misdirected() -> Bytes {
    let text = "this box does not answer to this name; `hosts` in [http] lists those it has";
    answer("421 Misdirected Request", text)
}

fn answer(status: &str, text: &str) -> Bytes {
    let bytes = text.len() + 2;
    let head = format!("HTTP/1.0 {status}\r\nServer: Holdfast\r\nConnection: close\r\n");
    format!("{head}Content-Type: text/plain\r\nContent-Length: {bytes}\r\n\r\n{text}\r\n").into()
}

/// The uplink is not base64: its rest cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the uplink of the tunnel is not base64")]
pub struct NotBase64;

/// Four characters at a time; some peers pad each request, some only the last, and left-over bits
/// are ignored.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The decoder of an uplink: base64 that may be cut anywhere, also between two POSTs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uplink {
    /// Characters of a group that is not complete.
    group: [u8; 4],
    held: usize,
}

impl Uplink {
    /// Most bytes that decoding this many characters can give.
    #[must_use]
    pub fn decoded_bytes_max(characters: usize) -> usize {
        characters.div_ceil(4) * 3
    }

    /// Decodes `characters`, leaving out line ends and blanks; returns the number of bytes in
    /// `out`, which has room for [`decoded_bytes_max`](Self::decoded_bytes_max) of them.
    pub fn decode(&mut self, characters: &[u8], out: &mut [u8]) -> Result<usize, NotBase64> {
        let mut bytes = 0;
        for &character in characters.iter().filter(|c| !c.is_ascii_whitespace()) {
            self.group[self.held] = character;
            self.held += 1;
            if self.held == self.group.len() {
                let room = out.get_mut(bytes..).unwrap_or_default();
                bytes += ENGINE.decode_slice(self.group, room).map_err(|_| NotBase64)?;
                self.held = 0;
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(half: Half, head: &str) -> Opening {
        Opening::Tunnel(Ask { half, cookie: "abc".to_owned(), head_bytes: head.len() })
    }

    #[test]
    fn the_first_bytes_tell_a_tunnel_from_rtsp() {
        for unclear in ["", "G", "GET", "GET ", "P", "POST", "POST /gate HTTP/1.0\r\nx-ses"] {
            assert_eq!(look(unclear.as_bytes()), Opening::Unclear, "{unclear}");
        }
        for rtsp in ["GET_PARAMETER", "PLAY", "PO ", "OPTIONS", "$", "\x16\x03", "get "] {
            assert_eq!(look(rtsp.as_bytes()), Opening::Rtsp, "{rtsp}");
        }
        let get = "GET /gate HTTP/1.0\r\nX-SessionCookie: abc\r\nAccept: x\r\n\r\n";
        assert_eq!(look(get.as_bytes()), ask(Half::Down, get));
        let post = "POST /gate HTTP/1.1\nx-sessioncookie:abc\nContent-Length: 32767\n\n";
        assert_eq!(look(format!("{post}T1BUSU9OUw==").as_bytes()), ask(Half::Up, post));
    }

    #[test]
    fn http_that_is_no_tunnel_is_refused() {
        let long = format!("GET /{} HTTP/1.0\r\n", "x".repeat(RTSP_HEAD_BYTES_MAX));
        let cookie = format!("GET / HTTP/1.0\r\nx-sessioncookie: {}\r\n\r\n", "x".repeat(500));
        for head in [
            "GET / HTTP/1.1\r\nHost: box\r\n\r\n",
            "GET / HTTP/1.0\r\nx-sessioncookie: \r\n\r\n",
            "GET / HTTP/1.0\r\nx-sessioncookie: a b\r\n\r\n",
            "GET / HTTP/1.0\r\nx-sessioncookie: a\r\nx-sessioncookie: b\r\n\r\n",
            "POST / HTTP/1.1\r\nx-sessioncookie: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET nonsense\r\n\r\n",
            &long,
            &cookie,
        ] {
            assert!(matches!(look(head.as_bytes()), Opening::Refused(_)), "{head}");
        }
    }

    fn decoded(pieces: &[&[u8]]) -> Result<Vec<u8>, NotBase64> {
        let (mut uplink, mut whole) = (Uplink::default(), Vec::new());
        for piece in pieces {
            let mut out = vec![0; Uplink::decoded_bytes_max(piece.len())];
            let bytes = uplink.decode(piece, &mut out)?;
            whole.extend_from_slice(&out[..bytes]);
        }
        Ok(whole)
    }

    #[test]
    fn requests_that_are_padded_one_by_one_are_read() {
        assert_eq!(decoded(&[b"T1A=\r\nVElPTg==", b"Uw", b"= ", b"="]).unwrap(), b"OPTIONS");
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for bad in [&b"T1!="[..], b"=AAA", b"A===", b"AA=A", b"\0\0\0\0"] {
            decoded(&[bad]).unwrap_err();
        }
    }

    proptest::proptest! {
        #[test]
        fn base64_may_be_cut_anywhere(data: Vec<u8>, cuts in proptest::collection::vec(0usize..9, 0..50)) {
            let text = ENGINE.encode(&data);
            let mut rest = text.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            pieces.push(rest);
            proptest::prop_assert_eq!(decoded(&pieces).unwrap(), data);
        }

        #[test]
        fn no_opening_makes_looking_panic(bytes: Vec<u8>, get: bool) {
            let _ = look(&bytes);
            let head = [if get { &b"GET "[..] } else { b"POST " }, &bytes, b"\r\n\r\n"].concat();
            let _ = look(&head);
        }
    }
}
