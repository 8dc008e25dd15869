//! Accepts connections and serves each in a task of its own.
//!
//! Owns: how many, from where, and their deadlines. hyper is driven here rather than by
//! `axum::serve`, which gives no access to the header deadline.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;
use tracing::{debug, warn};

use super::api::devices::Turn;
use super::audience::Audience;
use super::export::Kept;
use super::stall::Stalling;
use super::{Door, HttpDoor, route};
use crate::base::Stop;
use crate::base::fault::{Class, Fault};
use crate::base::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_PER_PEER_MAX, HTTP_DRAIN_TIME_MAX, HTTP_HEAD_BYTES_MAX,
    HTTP_HEADER_TIME_MAX, HTTP_WRITE_STALL_MAX,
};
use crate::playback::Playback;
use crate::playback::export::Exports;
use crate::playback::hls::FragmentCache;
use crate::supervise::{Supervisor, TaskContext};

/// How often the accept loop beats while nobody comes.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a failed accept, so that a lack of file descriptors is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// Failed accepts in a row after which the door is opened anew.
const ACCEPT_FAILURES_MAX: u32 = 40;

/// Why the door ended.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The listener takes no more connections.
    #[error("HTTP connections cannot be accepted")]
    Accept(#[source] io::Error),
    /// It was told to.
    #[error("the HTTP door was told to close")]
    Stopped,
}

impl Fault for HttpError {
    fn class(&self) -> Class {
        Class::Network
    }
}

/// What a connection holds while it lives; handlers that outlast their request keep a clone.
#[derive(Debug)]
pub(super) struct Slot {
    /// Who is there.
    pub(super) peer: SocketAddr,
    peers: Arc<Peers>,
    _permit: OwnedSemaphorePermit,
}

/// Connections by address.
#[derive(Debug, Default)]
struct Peers(Mutex<HashMap<IpAddr, usize>>);

impl Peers {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn enter(
        self: &Arc<Self>,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) -> Option<Arc<Slot>> {
        let mut peers = self.lock();
        let count = peers.entry(peer.ip()).or_default();
        if *count >= HTTP_CONNECTIONS_PER_PEER_MAX {
            return None;
        }
        *count += 1;
        Some(Arc::new(Slot { peer, peers: Arc::clone(self), _permit: permit }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut peers = self.peers.lock();
        if let Some(count) = peers.get_mut(&self.peer.ip()) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.peer.ip());
            }
        }
    }
}

/// Serves `door` on `listener` until told to stop; then open requests may end within
/// [`HTTP_DRAIN_TIME_MAX`]. Never returns `Ok`.
pub async fn run(
    listener: Arc<TcpListener>,
    door: Arc<HttpDoor>,
    context: TaskContext,
) -> Result<Infallible, HttpError> {
    // Connections end after the door, not with it: they have a stop signal of their own, which
    // the guard gives whichever way this function ends.
    let hard_stop = Stop::new();
    let _guard = hard_stop.clone().drop_guard();
    let connections = Supervisor::new(hard_stop, Arc::clone(&door.clock));
    let exports = Exports::new(door.dvr.clone());
    let archive = Playback::new(door.dvr.clone());
    let door = Arc::new(Door {
        open: door,
        archive,
        connections,
        closing: Stop::new(),
        fragments: FragmentCache::default(),
        audience: Audience::default(),
        exports,
        kept: Kept::default(),
        turn: Turn::default(),
    });
    let slots = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    let mut accepting = Accepting {
        router: route::router(Arc::clone(&door)),
        door: Arc::clone(&door),
        peers: Arc::default(),
        failures: 0,
    };
    let mut idle = tokio::time::interval(IDLE_INTERVAL);
    loop {
        tokio::select! {
            biased;
            () = context.stop.cancelled() => break,
            _ = idle.tick() => context.heartbeat.beat(),
            accepted = accept(&listener, &slots) => accepting.take(accepted).await?,
        }
    }
    drain(&door, &slots).await;
    Err(HttpError::Stopped)
}

/// Waits for a free slot and then for a connection. Cancel safe.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (socket, peer) = listener.accept().await?;
    Ok((socket, peer, permit))
}

/// Tells the connections to end, and waits until all gave their slots back.
async fn drain(door: &Door, slots: &Semaphore) {
    door.closing.cancel();
    let all = u32::try_from(HTTP_CONNECTIONS_MAX).unwrap_or(u32::MAX);
    if tokio::time::timeout(HTTP_DRAIN_TIME_MAX, slots.acquire_many(all)).await.is_err() {
        debug!(part = "http", "connections are cut");
    }
    door.connections.stop().await;
}

struct Accepting {
    router: Router,
    door: Arc<Door>,
    peers: Arc<Peers>,
    failures: u32,
}

impl Accepting {
    async fn take(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)>,
    ) -> Result<(), HttpError> {
        match accepted {
            Ok((socket, peer, permit)) => {
                self.failures = 0;
                self.serve(socket, peer, permit);
                Ok(())
            }
            Err(error) => self.failed(error).await,
        }
    }

    fn serve(&self, socket: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let Some(slot) = self.peers.enter(peer, permit) else {
            debug!(part = "http", %peer, "too many connections from this address");
            return;
        };
        let connection = serve(socket, slot, self.router.clone(), self.door.closing.clone());
        self.door.connections.spawn("http", connection);
    }

    async fn failed(&mut self, error: io::Error) -> Result<(), HttpError> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset) {
            return Ok(());
        }
        self.failures += 1;
        if self.failures == 1 {
            warn!(part = "http", %error, "connection not accepted, pausing");
        }
        if self.failures >= ACCEPT_FAILURES_MAX {
            return Err(HttpError::Accept(error));
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
        Ok(())
    }
}

/// One connection, from its first request to its end.
async fn serve(socket: TcpStream, slot: Arc<Slot>, router: Router, closing: Stop) {
    let peer = slot.peer;
    if let Err(error) = socket.set_nodelay(true) {
        debug!(part = "http", %peer, %error, "connection ended");
        return;
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&slot));
        router.clone().oneshot(request)
    });
    let io = TokioIo::new(Stalling::new(socket, HTTP_WRITE_STALL_MAX));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEADER_TIME_MAX)
        .max_header_size(HTTP_HEAD_BYTES_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX * 2)
        .serve_connection(io, service)
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
        debug!(part = "http", %peer, %error, "connection ended");
    }
}
