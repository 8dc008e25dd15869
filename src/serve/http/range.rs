//! `Range` of a body whose bytes never change (RFC 9110 §14).
//!
//! Owns: 206 and 416, and the cutting of a body that comes in pieces.

use std::convert::Infallible;
use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};

const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// The part of `length` bytes that a request asks for: `None` for all of them, which is also
/// the answer to what is not understood, to several ranges and to `If-Range` (§14.2, §13.1.5).
fn asked(request: &HeaderMap, length: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let range = request.get(header::RANGE)?.to_str().ok()?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if request.contains_key(header::IF_RANGE) {
        return None;
    }
    let range = match (first.trim(), last.trim()) {
        ("", last) => length.saturating_sub(whole(last)?)..length,
        (first, "") => whole(first)?..length,
        (first, last) => {
            let (first, last) = (whole(first)?, whole(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some(if range.start < range.end { Ok(range) } else { Err(Unsatisfiable) })
}

struct Unsatisfiable;

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
    answer_at(request, length, |range| part(pieces, range))
}

/// As [`answer`], where `open` gives the bytes of any part.
pub(super) fn answer_at<S, E>(
    request: &HeaderMap,
    length: u64,
    open: impl FnOnce(Range<u64>) -> S,
) -> Response
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let (status, range) = match asked(request, length) {
        None => (StatusCode::OK, 0..length),
        Some(Ok(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(Err(Unsatisfiable)) => {
            let headers = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response();
        }
    };
    let bytes = HeaderValue::from(range.end - range.start);
    let told = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
    let body = Body::from_stream(open(range));
    let headers = [(header::CONTENT_LENGTH, bytes), (header::ACCEPT_RANGES, BYTES)];
    let mut response = (status, headers, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(told) = HeaderValue::from_str(&told)
    {
        response.headers_mut().insert(header::CONTENT_RANGE, told);
    }
    response
}

/// What of `pieces` lies in `range`; an error ends it.
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

    #[tokio::test]
    async fn what_lies_outside_is_refused_with_the_length() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(ask(Some(range)).await, (416, "bytes */10".to_owned(), Vec::new()));
        }
    }
}
