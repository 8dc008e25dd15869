//! `/live/<stream>/mjpeg`: one picture after the other, for clients that know nothing better.
//!
//! Owns: the body (`multipart/x-mixed-replace`). Its pictures are the stream's key frames, at most
//! about one a second; a viewer that takes them slowly gets fewer, always the newest.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::access::Right;
use crate::live::thumbnail::{StillPicture, Watcher};
use crate::serve::http::door::{Access, Door, Object};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::Named;
use crate::serve::http::peers::Peer;
use crate::serve::http::request::{Query, picture_width, width};

const TYPE: HeaderValue = HeaderValue::from_static("multipart/x-mixed-replace; boundary=frame");
const FIRST_BOUNDARY: &[u8] = b"--frame\r\n";
/// Behind every picture, so that a client shows it at once and not when the next one comes.
const BOUNDARY: &[u8] = b"\r\n--frame\r\n";

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let live = Access::Viewer(Object::Stream(Right::Live));
    door.get_media("/live/{stream}/mjpeg", live, pictures)
        .says("Motion JPEG: a picture about every second.")
        .hears(width())
        .answers_media(200, &["multipart/x-mixed-replace"])
}

/// `GET /live/{stream}/mjpeg`.
pub(crate) async fn pictures(
    Named(outputs): Named,
    Extension(peer): Extension<Arc<Peer>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(query.as_deref()).only(&["width"], &[])?;
    let width = picture_width(query.get("width"))?;
    let watcher = outputs.thumbnail.watch(width)?;
    // A viewer whose first picture fails gets the reason, while there still is a status to say it
    // with.
    outputs.thumbnail.picture(width).await?;
    let show = Show { watcher, peer, begun: false };
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
    begun: bool,
    /// The connection, whose place is held as long as it is watched.
    peer: Arc<Peer>,
}

impl Show {
    async fn next(&mut self) -> Option<Bytes> {
        let picture = tokio::select! {
            biased;
            () = self.peer.closed() => return None,
            picture = self.watcher.next() => picture?,
        };
        let first = !std::mem::replace(&mut self.begun, true);
        Some(part(&picture, first))
    }
}

fn part(picture: &StillPicture, first: bool) -> Bytes {
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
        let picture = StillPicture {
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
