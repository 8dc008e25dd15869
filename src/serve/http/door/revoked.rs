//! A body that ends when its reader loses the right to it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Caller;
use crate::base::Stop;

/// The body, the signal that ends it, and its reader's session, which it keeps in use.
struct Revocable {
    body: Body,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _caller: Caller,
}

/// `body`, until `ended` is given.
pub(super) fn body(body: Body, ended: Stop, caller: Caller) -> Body {
    // What is in memory already goes out at once.
    if body.is_end_stream() || body.size_hint().exact().is_some_and(|bytes| bytes < 64 << 10) {
        return body;
    }
    Body::new(Revocable { body, ended: Box::pin(ended.cancelled_owned()), _caller: caller })
}

impl HttpBody for Revocable {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            let error = std::io::Error::other("the reader may no longer have this");
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_ends_with_the_right_to_it() {
        let ended = Stop::new();
        let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("piece"));
        let nobody = Caller::nobody();
        let mut body = body(Body::from_stream(pieces), ended.clone(), nobody);
        assert!(body.frame().await.unwrap().is_ok());
        ended.cancel();
        assert!(body.frame().await.unwrap().is_err());
    }
}
