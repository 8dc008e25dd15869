//! Requests to a camera, and answers to its own.
//!
//! Owns: their bytes. Headers keep the order given, CSeq first: some cameras look no further.

use bytes::Bytes;

use crate::wire::rtsp::frame::Message;

/// The name in every request; no version, which would only tell an attacker what to try.
const USER_AGENT: &str = "Holdfast";

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
        text.extend([name, ": ", value, "\r\n"]);
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
        text.extend(["CSeq: ", cseq, "\r\n"]);
    }
    if let Some(session) = session.or_else(|| message.headers.get("Session")) {
        text.extend(["Session: ", session, "\r\n"]);
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
