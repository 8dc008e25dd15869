//! `/live/<stream>/mjpeg`: one picture after the other, for clients that know nothing better.
//!
//! Owns: the body (`multipart/x-mixed-replace`). Its pictures are the stream's key frames, at most
//! about one a second; a viewer that takes them slowly gets fewer, always the newest.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;

use super::error::ApiError;
use super::listener::Slot;
use super::route::{At, Named};
use super::snapshot::width;
use crate::base::Stop;
use crate::live::thumbnail::{Picture, Watcher};

const TYPE: HeaderValue = HeaderValue::from_static("multipart/x-mixed-replace; boundary=frame");
const FIRST_BOUNDARY: &[u8] = b"--frame\r\n";
/// Behind every picture, so that a client shows it at once and not when the next one comes.
const BOUNDARY: &[u8] = b"\r\n--frame\r\n";

/// What may stand behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    width: Option<String>,
}

/// `GET /live/{stream}/mjpeg`.
pub(super) async fn pictures(
    State(door): At,
    Named(outlet): Named,
    Extension(slot): Extension<Arc<Slot>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let only = "Only `width` may stand behind the question mark, once.";
    let Query(asked) = asked.map_err(|_| ApiError::bad_request(only))?;
    let width = width(asked.width.as_deref())?;
    let watcher = outlet.thumbnail.watch(width)?;
    // Whoever gets no first picture is told why, while there still is a status to say it with.
    outlet.thumbnail.picture(width).await?;
    let show = Show { watcher, closing: door.closing.clone(), begun: false, _slot: slot };
    let body = futures::stream::unfold(show, |mut show| async move {
        let part = show.next().await?;
        Some((Ok::<_, Infallible>(part), show))
    });
    let headers = [
        (header::CONTENT_TYPE, TYPE),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// One viewer. It is asked for the next part when the socket has taken the last one.
struct Show {
    watcher: Watcher,
    closing: Stop,
    begun: bool,
    /// The connection's place, held as long as somebody watches.
    _slot: Arc<Slot>,
}

impl Show {
    async fn next(&mut self) -> Option<Bytes> {
        let picture = tokio::select! {
            biased;
            () = self.closing.cancelled() => return None,
            picture = self.watcher.next() => picture?,
        };
        let first = !std::mem::replace(&mut self.begun, true);
        Some(part(&picture, first))
    }
}

fn part(picture: &Picture, first: bool) -> Bytes {
    let (length, taken) = (picture.jpeg.len(), picture.captured.to_rfc3339());
    let head = format!(
        "Content-Type: image/jpeg\r\nContent-Length: {length}\r\nX-Frame-Time: {taken}\r\n\r\n"
    );
    let begin = if first { FIRST_BOUNDARY } else { b"" };
    [begin, head.as_bytes(), &picture.jpeg, BOUNDARY].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{BootTime, WallTime};

    #[test]
    fn every_picture_ends_with_the_boundary_of_the_next() {
        let picture = Picture {
            jpeg: Bytes::from_static(b"JPEG"),
            captured: WallTime::default(),
            arrived: BootTime::default(),
            age: std::time::Duration::ZERO,
        };
        let head = "Content-Type: image/jpeg\r\nContent-Length: 4\r\n\
                    X-Frame-Time: 1970-01-01T00:00:00.000Z\r\n\r\n";
        let first = format!("--frame\r\n{head}JPEG\r\n--frame\r\n");
        assert_eq!(part(&picture, true), first.as_bytes());
        assert_eq!(part(&picture, false), format!("{head}JPEG\r\n--frame\r\n").as_bytes());
    }
}
