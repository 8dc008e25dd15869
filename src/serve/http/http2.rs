//! One HTTP/2 connection: its bounds, and when it has to end.
//!
//! Owns: the settings that HTTP/2 knows and HTTP/1.1 has no need of, and the watch over a client
//! that keeps requests open without taking their answers: it may leave its window shut, which no
//! socket notices (RFC 9113 §10.5).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::peers::Peer;
use crate::base::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP_HEADER_TIME_MAX, HTTP_WRITE_STALL_MAX, HTTP2_IDLE_TIME_MAX,
    HTTP2_RESETS_MAX, HTTP2_SEND_BUFFER_BYTES, HTTP2_STREAMS_MAX, HTTP2_WINDOW_BYTES,
};
use crate::base::sync::lock;

/// How often the watch looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a silent client is asked whether it is there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Http2Error {
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    #[error("the client does not take the answers that it asked for")]
    Stalled,
}

/// Serves `socket` until the client leaves, has no more requests, or is asked to go.
pub(super) async fn serve<S, F>(
    socket: S,
    peer: Arc<Peer>,
    answering: impl Fn(Request<Body>) -> F,
) -> Result<(), Http2Error>
where
    F: Future<Output = Response<Body>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (closing, answers) = (peer.closing.clone(), Arc::new(Answers::new()));
    let ours = Arc::clone(&answers);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&peer));
        let (response, answer) = (answering(request.map(Body::new)), ours.begin());
        async move {
            let response = response.await;
            // As long as its window is shut, not even the first frame is asked for.
            answer.waits(!response.body().is_end_stream());
            Ok::<_, Infallible>(response.map(|body| Watched { body, answer }))
        }
    });
    let connection = builder().serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut leaving = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return Ok(ended?),
            () = closing.cancelled(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                if answers.is_stalled(Instant::now()) {
                    return Err(Http2Error::Stalled);
                }
                if !leaving && answers.is_idle(Instant::now()) {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let head_bytes = u32::try_from(HTTP_HEAD_BYTES_MAX).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(head_bytes)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(HTTP_WRITE_STALL_MAX);
    builder
}

/// The answers that are on their way.
#[derive(Debug)]
struct Answers {
    open: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Of each answer that waits for the client: since when.
    waiting: Vec<(u64, Instant)>,
    /// Until when there has to be a request.
    ask_by: Instant,
}

impl Answers {
    fn new() -> Self {
        let ask_by = Instant::now() + HTTP_HEADER_TIME_MAX;
        Self {
            open: AtomicUsize::new(0),
            state: Mutex::new(State { next: 0, waiting: Vec::new(), ask_by }),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut lock(&self.state))
    }

    fn begin(self: &Arc<Self>) -> Answer {
        self.open.fetch_add(1, Relaxed);
        let number = self.with(|state| {
            state.next += 1;
            state.next
        });
        Answer { answers: Arc::clone(self), number }
    }

    /// Whether some answer has waited for the client for too long.
    fn is_stalled(&self, now: Instant) -> bool {
        let late = |since: &Instant| now.duration_since(*since) >= HTTP_WRITE_STALL_MAX;
        self.with(|state| state.waiting.iter().any(|(_, since)| late(since)))
    }

    /// Whether nothing has been asked for too long.
    fn is_idle(&self, now: Instant) -> bool {
        self.open.load(Relaxed) == 0 && self.with(|state| now >= state.ask_by)
    }
}

/// One request, from its head to the end of its answer.
#[derive(Debug)]
struct Answer {
    answers: Arc<Answers>,
    number: u64,
}

impl Answer {
    /// Whether what was made of the answer now has to be taken before more is made.
    fn waits(&self, waits: bool) {
        self.answers.with(|state| {
            state.waiting.retain(|(number, _)| *number != self.number);
            if waits {
                state.waiting.push((self.number, Instant::now()));
            }
        });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.waits(false);
        self.answers.with(|state| state.ask_by = Instant::now() + HTTP2_IDLE_TIME_MAX);
        self.answers.open.fetch_sub(1, Relaxed);
    }
}

/// A body that notes whether it waits for the client: hyper asks for the next frame once the
/// client has room for it.
#[derive(Debug)]
struct Watched {
    body: Body,
    answer: Answer,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.answer.waits(matches!(frame, Poll::Ready(Some(Ok(_)))));
        frame
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
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::peers::Held;
    use super::*;
    use crate::base::Stop;
    use crate::base::time::SystemClock;
    use crate::serve::places::{Place, Places};
    use crate::supervise::Supervisor;

    fn peer(place: Place) -> Arc<Peer> {
        let (open, _) = tokio::sync::mpsc::channel(1);
        Arc::new(Peer {
            address: SocketAddr::from(([127, 0, 0, 1], 7)),
            secure: true,
            closing: Stop::new(),
            tasks: Supervisor::new(Stop::new(), Arc::new(SystemClock)),
            held: Arc::new(Held { _open: open, place }),
            revoked: None,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_shuts_its_window_is_cut() {
        let place = Places::default().enter([127, 0, 0, 1].into(), true).unwrap();
        let (mut client, server) = tokio::io::duplex(64 << 10);
        let answering = async |_| Response::new(Body::from(vec![b'x'; 200_000]));
        let serving = serve(server, peer(place), answering);
        let asking = async {
            client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            // SETTINGS: SETTINGS_INITIAL_WINDOW_SIZE is 0 (RFC 9113 §6.5.2).
            client.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await.unwrap();
            // HEADERS: GET https://x/ (RFC 7541, appendix A).
            let head = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x87, 0x84, 0x41, 1, b'x'];
            client.write_all(&head).await.unwrap();
            let mut sink = Vec::new();
            client.read_to_end(&mut sink).await.unwrap();
            sink.len()
        };
        let (ended, bytes) = tokio::join!(serving, asking);
        assert!(matches!(ended, Err(Http2Error::Stalled)), "{ended:?}");
        assert!(bytes < 1_000, "{bytes} bytes came in spite of the window");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_noticed_and_one_that_is_made_slowly_is_not() {
        let answers = Arc::new(Answers::new());
        let (taken, slow) = (answers.begin(), answers.begin());
        taken.waits(true);
        slow.waits(false);
        tokio::time::advance(HTTP_WRITE_STALL_MAX).await;
        assert!(answers.is_stalled(Instant::now()));
        drop(taken);
        assert!(!answers.is_stalled(Instant::now()), "an event that has not come yet");
        drop(slow);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_ends_soon_and_one_between_requests_later() {
        let answers = Arc::new(Answers::new());
        tokio::time::advance(HTTP_HEADER_TIME_MAX).await;
        assert!(answers.is_idle(Instant::now()));
        let first = answers.begin();
        assert!(!answers.is_idle(Instant::now()));
        drop(first);
        tokio::time::advance(HTTP2_IDLE_TIME_MAX / 2).await;
        assert!(!answers.is_idle(Instant::now()));
        tokio::time::advance(HTTP2_IDLE_TIME_MAX / 2).await;
        assert!(answers.is_idle(Instant::now()));
    }
}
