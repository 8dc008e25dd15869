//! Requests to a camera, and answers to its own.
//!
//! Owns: their bytes. Headers keep the order given, CSeq first: some cameras look no further.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;

use crate::wire::rtsp::frame::Message;

/// The name in every request; no version, which would only tell an attacker what to try.
pub(super) const USER_AGENT: &str = "Holdfast";

/// Sixteen hexadecimal digits, the `count`th of `seed`: by one round of splitmix64, so not guessable
/// if the seed is not.
pub(super) fn unguessable(seed: u64, count: u32) -> String {
    let mut word = seed.wrapping_add(u64::from(count) << 1 | 1);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    format!("{:016x}", word ^ (word >> 31))
}

/// `uri` as it can stand in a request line: cameras describe control URLs with blanks in them, and
/// what would end the line must not.
pub(super) fn sayable(uri: &str) -> Cow<'_, str> {
    if uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return uri.into();
    }
    let mut said = String::with_capacity(uri.len() + 8);
    for byte in uri.bytes() {
        if byte.is_ascii_graphic() {
            said.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(said, "%{byte:02X}");
        }
    }
    said.into()
}

/// Adds a header; what a camera told us for it cannot end its line.
fn push(text: &mut String, name: &str, value: &str) {
    text.extend([name, ": "]);
    text.extend(value.chars().filter(|c| !c.is_control()));
    text.push_str("\r\n");
}

/// A request with its own headers behind those that all have.
pub(super) fn request(
    method: &str,
    uri: &str,
    cseq: u32,
    authorization: Option<&str>,
    session: Option<&str>,
    own: &[(&str, &str)],
) -> Bytes {
    let mut text = format!("{method} {uri} RTSP/1.0\r\nCSeq: {cseq}\r\n");
    let common =
        [("User-Agent", Some(USER_AGENT)), ("Authorization", authorization), ("Session", session)];
    let common = common.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in common.chain(own.iter().copied()) {
        push(&mut text, name, value);
    }
    text.push_str("\r\n");
    text.into()
}

/// What a camera's own request is answered with, and whether it ends the session.
pub(super) fn reply(message: &Message, session: Option<&str>) -> (Bytes, CameraRequest) {
    let method = message.start.split_ascii_whitespace().next().unwrap_or_default();
    let (status, wanted) = match method.to_ascii_uppercase().as_str() {
        "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" | "ANNOUNCE" => {
            ("200 OK", CameraRequest::Nothing)
        }
        "REDIRECT" => ("200 OK", CameraRequest::Elsewhere),
        "TEARDOWN" => ("200 OK", CameraRequest::End),
        _ => ("501 Not Implemented", CameraRequest::Nothing),
    };
    let mut text = format!("RTSP/1.0 {status}\r\n");
    // The number as written: it is the camera's.
    if let Some(cseq) = message.headers.get("CSeq") {
        push(&mut text, "CSeq", cseq);
    }
    if let Some(session) = session.or_else(|| message.headers.get("Session")) {
        push(&mut text, "Session", session);
    }
    text.push_str(
        "Public: OPTIONS, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, REDIRECT, TEARDOWN\r\n",
    );
    text.push_str("\r\n");
    (text.into(), wanted)
}

/// What a camera's request means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CameraRequest {
    Nothing,
    Elsewhere,
    End,
}
