//! The body of a request, read before its handler runs.
//!
//! Owns: its bounds, and what is answered when they are passed.

use std::error::Error;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::error::ApiError;
use crate::base::limits::{HTTP_BODY_BYTES_MAX, HTTP_BODY_TIME_MAX};

/// Reads the body before a handler runs, whole and in time: no handler can forget a bound, and a
/// body that trickles in holds nothing but its connection, for [`HTTP_BODY_TIME_MAX`].
pub(super) async fn bounded(request: Request) -> Result<Request, Box<Response>> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|bytes| bytes > HTTP_BODY_BYTES_MAX as u64) {
        return Err(Box::new(refused(body_too_large())));
    }
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Request::from_parts(head, body));
    }
    match timeout(HTTP_BODY_TIME_MAX, to_bytes(body, HTTP_BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(head, Body::from(bytes))),
        Ok(Err(error)) if is_too_large(&error) => Err(Box::new(refused(body_too_large()))),
        Ok(Err(_)) => {
            Err(Box::new(refused(ApiError::bad_request("The request body could not be read."))))
        }
        Err(_) => {
            let secs = HTTP_BODY_TIME_MAX.as_secs();
            let message = format!("The request body did not arrive within {secs} seconds.");
            Err(Box::new(refused(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                message,
            ))))
        }
    }
}

fn body_too_large() -> ApiError {
    let message = format!("A request body may have {HTTP_BODY_BYTES_MAX} bytes at most.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn is_too_large(error: &axum::Error) -> bool {
    error.source().is_some_and(<dyn Error>::is::<LengthLimitError>)
}

/// The answer to a request whose body is still on its way: the connection ends with it.
fn refused(error: ApiError) -> Response {
    let mut response = error.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a route that reads its body answers to `body`.
    async fn posted(body: Body) -> Response {
        let request = axum::http::Request::post("/").body(body).unwrap();
        let bounded = bounded(request).await.map(|_| StatusCode::OK.into_response());
        bounded.unwrap_or_else(|refused| *refused)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_deadline_however_it_trickles_in() {
        let trickle = futures::stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        });
        let response = posted(Body::from_stream(trickle)).await;
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(response.headers()[header::CONNECTION], "close");
    }

    #[tokio::test]
    async fn a_body_has_a_largest_size_whether_it_says_its_length_or_not() {
        let most = "x".repeat(HTTP_BODY_BYTES_MAX);
        let in_pieces = |text: String| {
            Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(text)]))
        };
        assert_eq!(posted(in_pieces(most.clone())).await.status(), StatusCode::OK);
        for body in [in_pieces(most.clone() + "x"), Body::from(most + "x")] {
            assert_eq!(posted(body).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
}
