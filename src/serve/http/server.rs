//! Accepts connections on one address and serves each in a task of its own.
//!
//! Owns: the accept loop and the deadlines of a connection. hyper is driven here rather than by
//! `axum::serve`, which gives no access to the header deadline.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::context::HttpContext;
use super::http2;
use super::layer::Routes;
use super::peers::{Held, Peer};
use super::router;
use super::settings::Access;
use super::stall::Stalling;
use crate::base::Stop;
use crate::base::fault::{Class, Fault};
use crate::base::limits::{
    HTTP_DRAIN_TIME_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADER_TIME_MAX, HTTP_WRITE_STALL_MAX,
};
use crate::serve::places::PlaceLost;
use crate::serve::tls::{Tls, is_http2};
use crate::supervise::{Supervisor, TaskContext};

/// How often the accept loop beats without connections.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a failed accept, so that a lack of file descriptors is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// Failed accepts in a row after which the server starts again with a new listener.
const ACCEPT_FAILURES_MAX: u32 = 40;

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The listener takes no more connections.
    #[error("HTTP connections cannot be accepted")]
    Accept(#[source] io::Error),
    /// It was asked to.
    #[error("the HTTP server was asked to stop")]
    Stopped,
}

impl Fault for HttpError {
    fn class(&self) -> Class {
        Class::Network
    }
}

/// Serves `context` on `listener`, over `tls` if there is one, until asked to stop; then open
/// requests may end within [`HTTP_DRAIN_TIME_MAX`]. Never returns `Ok`.
pub async fn run(
    listener: Arc<TcpListener>,
    context: Arc<HttpContext>,
    tls: Option<Tls>,
    task: TaskContext,
) -> Result<Infallible, HttpError> {
    // Connections end after the server, not with it: they have a stop signal of their own, which
    // the guard gives whichever way this function ends.
    let hard_stop = Stop::new();
    let _guard = hard_stop.clone().drop_guard();
    let (open, all_closed) = mpsc::channel(1);
    let mut server = Server {
        routes: router::router(Arc::clone(&context)),
        tls,
        context: Arc::clone(&context),
        connections: Supervisor::new(hard_stop, Arc::clone(&context.clock)),
        closing: Stop::new(),
        open,
        failures: 0,
    };
    let mut idle = tokio::time::interval(IDLE_INTERVAL);
    loop {
        tokio::select! {
            biased;
            () = task.stop.cancelled() => break,
            _ = idle.tick() => task.heartbeat.beat(),
            accepted = listener.accept() => server.take(accepted).await?,
        }
    }
    server.drain(all_closed).await;
    Err(HttpError::Stopped)
}

/// One accept loop and its connections.
struct Server {
    routes: Routes,
    tls: Option<Tls>,
    context: Arc<HttpContext>,
    /// Where the connections' tasks live.
    connections: Supervisor,
    /// Asks the connections to finish.
    closing: Stop,
    /// Every connection holds a clone.
    open: mpsc::Sender<()>,
    failures: u32,
}

impl Server {
    async fn take(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
    ) -> Result<(), HttpError> {
        match accepted {
            Ok((socket, address)) => {
                self.failures = 0;
                self.serve(socket, address);
                Ok(())
            }
            Err(error) => self.failed(error).await,
        }
    }

    fn serve(&self, socket: TcpStream, address: SocketAddr) {
        let ip = address.ip().to_canonical();
        let open = self.context.http.now().access == Access::OpenOnLoopback;
        let Some(place) = self.context.places.enter(ip, open && ip.is_loopback()) else {
            debug!(part = "http", peer = %address, "too many connections from this address");
            return;
        };
        let peer = Arc::new(Peer {
            address,
            secure: self.tls.is_some(),
            closing: self.closing.child_token(),
            tasks: self.connections.clone(),
            held: Arc::new(Held { _open: self.open.clone(), place }),
            revoked: None,
        });
        // Each layer around a future holds it twice; boxed, thousands of idle connections stay small.
        let serving = serve(socket, Arc::clone(&peer), self.routes.clone(), self.tls.clone());
        let serving = Box::pin(serving);
        self.connections.spawn("http", while_held(peer, serving));
    }

    async fn failed(&mut self, error: io::Error) -> Result<(), HttpError> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset) {
            return Ok(());
        }
        self.failures += 1;
        if self.failures == 1 {
            warn!(part = "http", %error, "cannot accept a connection, pausing");
        }
        if self.failures >= ACCEPT_FAILURES_MAX {
            return Err(HttpError::Accept(error));
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
        Ok(())
    }

    /// Asks the connections to end, and waits until all have.
    async fn drain(self, mut all_closed: mpsc::Receiver<()>) {
        let Self { connections, closing, open, .. } = self;
        drop(open);
        closing.cancel();
        if timeout(HTTP_DRAIN_TIME_MAX, all_closed.recv()).await.is_err() {
            debug!(part = "http", "cutting the connections that are still open");
        }
        connections.stop().await;
    }
}

/// Serves a connection for as long as it may keep its place. One that is evicted ends at once; one on
/// which nobody signs in may finish the answer that it is at.
async fn while_held(peer: Arc<Peer>, serving: impl Future<Output = ()>) {
    tokio::pin!(serving);
    let lost = tokio::select! {
        biased;
        lost = peer.held.place.lost() => lost,
        () = serving.as_mut() => return,
    };
    debug!(part = "http", peer = %peer.address, "{lost}");
    if lost == PlaceLost::NotProven {
        peer.closing.cancel();
        let _ = timeout(HTTP_WRITE_STALL_MAX, serving).await;
    }
}

/// One connection, from its first byte to its end.
async fn serve(socket: TcpStream, peer: Arc<Peer>, routes: Routes, tls: Option<Tls>) {
    let address = peer.address;
    if let Err(error) = socket.set_nodelay(true) {
        debug!(part = "http", peer = %address, %error, "connection ended");
        return;
    }
    let socket = Stalling::new(socket, HTTP_WRITE_STALL_MAX);
    let Some(tls) = tls else { return Box::pin(serve_http1(socket, peer, routes)).await };
    let closing = peer.closing.clone();
    let shaken = tokio::select! {
        biased;
        () = closing.cancelled() => return,
        shaken = Box::pin(tls.accept_http(socket, address.ip())) => shaken,
    };
    match shaken {
        Ok(socket) if is_http2(&socket) => {
            let answering = move |request| routes.clone().answer(request);
            if let Err(error) = Box::pin(http2::serve(socket, peer, answering)).await {
                debug!(part = "http", peer = %address, %error, "connection ended");
            }
        }
        Ok(socket) => Box::pin(serve_http1(socket, peer, routes)).await,
        Err(error) => debug!(part = "http", peer = %address, %error, "no TLS handshake"),
    }
}

/// The same in HTTP/1.1. An upgrade to HTTP/2 in clear is not taken (RFC 9113 §3.1).
async fn serve_http1<S>(socket: S, peer: Arc<Peer>, routes: Routes)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (address, closing) = (peer.address, peer.closing.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&peer));
        // hyper has room for it from the beginning of the connection on: boxed, an idle one stays small.
        let answer = Box::pin(routes.clone().answer(request.map(Body::new)));
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEADER_TIME_MAX)
        .max_header_size(HTTP_HEAD_BYTES_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX * 2)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(part = "http", peer = %address, %error, "connection ended");
    }
}
