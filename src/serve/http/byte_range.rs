//! `Range` of a body whose bytes never change, or that has a tag (RFC 9110 §13, §14).
//!
//! Owns: 206 and 416, and the cutting of a body that comes in pieces.

use std::convert::Infallible;
use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};

pub(super) const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// What a request asks for of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// All of it.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// None that it has.
    Outside,
}

/// The part of `length` bytes that a request asks for: all of them is also the answer to what
/// is not understood, to several ranges, and to an `If-Range` that is not this strong `tag`
/// (§14.2, §13.1.5).
pub(super) fn requested(request: &HeaderMap, length: u64, tag: Option<&str>) -> ByteRange {
    let is_same = match request.get(header::IF_RANGE) {
        None => true,
        Some(wanted) => tag.is_some_and(|tag| wanted.as_bytes() == tag.as_bytes()),
    };
    match understood(request, length).filter(|_| is_same) {
        None => ByteRange::All,
        Some(range) if range.start < range.end => ByteRange::Part(range),
        Some(_) => ByteRange::Outside,
    }
}

fn understood(request: &HeaderMap, length: u64) -> Option<Range<u64>> {
    let range = request.get(header::RANGE)?.to_str().ok()?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some(match (first.trim(), last.trim()) {
        ("", last) => length.saturating_sub(whole(last)?)..length,
        (first, "") => whole(first)?..length,
        (first, last) => {
            let (first, last) = (whole(first)?, whole(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    })
}

/// Whether a request continues with a body of which it has the beginning, or jumps in it.
pub(super) fn continues(request: &HeaderMap) -> bool {
    understood(request, u64::MAX).is_some_and(|range| range.start > 0)
}

/// Whether the client has the body with this strong tag already (§13.1.2).
pub(super) fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let tags = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let known = |known: &str| known == "*" || known.trim_start_matches("W/") == tag;
    tags.is_some_and(|tags| tags.split(',').map(str::trim).any(known))
}

/// Says how long the body is of which something was asked for that it does not have.
pub(super) fn outside(length: u64) -> Response {
    let headers = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
    (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response()
}

fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Answers with the asked part of a body of `length` bytes that comes in `pieces`.
pub(super) fn answer<E>(
    request: &HeaderMap,
    length: u64,
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Response
where
    E: std::error::Error + Send + Sync + 'static,
{
    answer_at(request, length, None, |range| part(pieces, range))
}

/// As [`answer`], where `open` gives the bytes of any part of what has this strong `tag`.
pub(super) fn answer_at<S, E>(
    request: &HeaderMap,
    length: u64,
    tag: Option<&str>,
    open: impl FnOnce(Range<u64>) -> S,
) -> Response
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let (status, range) = match requested(request, length, tag) {
        ByteRange::All => (StatusCode::OK, 0..length),
        ByteRange::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        ByteRange::Outside => return outside(length),
    };
    let bytes = HeaderValue::from(range.end - range.start);
    let (from, last) = (range.start, range.end.saturating_sub(1));
    let body = Body::from_stream(open(range));
    let headers = [(header::CONTENT_LENGTH, bytes), (header::ACCEPT_RANGES, BYTES)];
    let mut response = (status, headers, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(told) = HeaderValue::from_str(&format!("bytes {from}-{last}/{length}"))
    {
        response.headers_mut().insert(header::CONTENT_RANGE, told);
    }
    response
}

/// The part of `pieces` within `range`; an error ends it.
fn part<E>(
    pieces: impl Stream<Item = Result<Bytes, E>>,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, E>> {
    let cut = pieces.scan(0u64, move |at, piece| {
        let next = match piece {
            Err(error) => Some(Err(error)),
            Ok(_) if *at >= range.end => None,
            Ok(piece) => {
                let within = |to: u64| {
                    let index = to.saturating_sub(*at).min(piece.len() as u64);
                    usize::try_from(index).unwrap_or(piece.len())
                };
                let cut = piece.slice(within(range.start)..within(range.end));
                *at += piece.len() as u64;
                Some(Ok(cut))
            }
        };
        std::future::ready(next)
    });
    cut.filter(|piece| {
        std::future::ready(!piece.as_ref().is_ok_and(|piece: &Bytes| piece.is_empty()))
    })
}

/// Pieces that are in memory.
pub(super) fn held(
    pieces: Vec<Bytes>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    futures::stream::iter(pieces.into_iter().map(Ok))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn ask(range: Option<&str>) -> (u16, String, Vec<u8>) {
        let mut request = HeaderMap::new();
        if let Some(range) = range {
            request.insert(header::RANGE, range.parse().unwrap());
        }
        let pieces = held(vec!["abc".into(), "".into(), "defg".into(), "hij".into()]);
        let response = answer(&request, 10, pieces);
        let status = response.status().as_u16();
        let told = response.headers().get(header::CONTENT_RANGE);
        let told = told.map(|told| told.to_str().unwrap().to_owned()).unwrap_or_default();
        (status, told, to_bytes(response.into_body(), 100).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn a_range_is_cut_out_of_the_pieces() {
        for (range, told, body) in [
            ("bytes=0-0", "bytes 0-0/10", "a"),
            ("bytes=2-5", "bytes 2-5/10", "cdef"),
            ("bytes=7-", "bytes 7-9/10", "hij"),
            ("bytes=-4", "bytes 6-9/10", "ghij"),
            ("bytes=-99", "bytes 0-9/10", "abcdefghij"),
            ("bytes=3-99", "bytes 3-9/10", "defghij"),
        ] {
            assert_eq!(ask(Some(range)).await, (206, told.to_owned(), body.into()), "{range}");
        }
    }

    #[tokio::test]
    async fn what_is_no_single_range_gets_everything() {
        let odd = ["bytes=5-2", "bytes=1-2,4-5", "bytes=a-b", "bytes=-", "lines=1-2", "bytes=+1-2"];
        for range in std::iter::once(None).chain(odd.map(Some)) {
            assert_eq!(ask(range).await, (200, String::new(), b"abcdefghij".to_vec()), "{range:?}");
        }
    }

    #[test]
    fn a_part_is_of_the_version_that_the_client_has_or_it_is_all() {
        for (if_range, wanted) in [
            (None, ByteRange::Part(2..6)),
            (Some("\"new\""), ByteRange::Part(2..6)),
            (Some("\"old\""), ByteRange::All),
            (Some("W/\"new\""), ByteRange::All),
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), ByteRange::All),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::RANGE, "bytes=2-5".parse().unwrap());
            if let Some(tag) = if_range {
                request.insert(header::IF_RANGE, tag.parse().unwrap());
            }
            assert_eq!(requested(&request, 10, Some("\"new\"")), wanted, "{if_range:?}");
        }
    }

    #[tokio::test]
    async fn what_lies_outside_is_refused_with_the_length() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(ask(Some(range)).await, (416, "bytes */10".to_owned(), Vec::new()));
        }
    }
}
