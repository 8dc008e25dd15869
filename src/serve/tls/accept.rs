//! The handshake of a connection that was accepted just now.
//!
//! Owns: its deadline, and how many run at once. A handshake costs the processor more than anything
//! else that a stranger can ask for; those of one network wait for each other before they keep
//! others waiting.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::base::limits::{
    TLS_HANDSHAKE_TIME_MAX, TLS_HANDSHAKES_MAX, TLS_HANDSHAKES_PER_NETWORK_MAX,
};
use crate::base::network::network_of;
use crate::base::sync::lock;

/// The turns of handshakes.
#[derive(Debug)]
pub(super) struct Turns {
    all: Semaphore,
    by_network: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Semaphore::new(TLS_HANDSHAKES_MAX), by_network: Mutex::default() }
    }
}

impl Turns {
    /// The line of the network of `peer`.
    fn of(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut lines = lock(&self.by_network);
        lines.retain(|_, line| line.strong_count() > 0);
        let network = network_of(peer);
        lines.get(&network).and_then(Weak::upgrade).unwrap_or_else(|| {
            let line = Arc::new(Semaphore::new(TLS_HANDSHAKES_PER_NETWORK_MAX));
            lines.insert(network, Arc::downgrade(&line));
            line
        })
    }
}

impl Tls {
    /// Shakes hands with an RTSP peer within [`TLS_HANDSHAKE_TIME_MAX`], the wait for a turn
    /// included.
    pub async fn accept_rtsp<S>(&self, socket: S, peer: IpAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let settings = self.settings().map_err(io::Error::other)?;
        self.accept(socket, peer, settings).await
    }

    /// The same with an HTTP peer; the stream says whether it is HTTP/2 that follows.
    pub async fn accept_http<S>(&self, socket: S, peer: IpAddr) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let settings = self.http_settings().map_err(io::Error::other)?;
        self.accept(socket, peer, settings).await
    }

    async fn accept<S>(
        &self,
        socket: S,
        peer: IpAddr,
        settings: Arc<ServerConfig>,
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaking = async {
            // A peer that says nothing takes no turn.
            let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
            let mut shaking = Box::pin(hello.into_stream(settings));
            let line = self.0.turns.of(peer);
            let turn = (line.acquire().await, self.0.turns.all.acquire().await);
            // The costly part is done in one go; waiting for the peer's answer costs nothing.
            let done = futures::poll!(shaking.as_mut());
            drop(turn);
            match done {
                Poll::Ready(done) => done,
                Poll::Pending => shaking.await,
            }
        };
        timeout(TLS_HANDSHAKE_TIME_MAX, shaking).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

/// Whether HTTP/2 follows on `stream` (RFC 9113 §3.2).
#[must_use]
pub fn is_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
