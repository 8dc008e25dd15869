//! What a connection is before it is known what it carries.
//!
//! Owns: the handshake of a TLS listener, and telling RTSP from the halves of an HTTP tunnel.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, RtspServices};
use super::connection_limits::ConnectionPermit;
use super::transport::{Socket, Transport, Tunnel};
use super::tunnels::{Post, TunnelEntry, TunnelKey, TunnelRegistry};
use crate::base::limits::{RTSP_IDLE_TIME_MAX, RTSP_REQUEST_TIME_MAX, RTSP_TUNNEL_JOIN_TIME_MAX};
use crate::wire::rtsp::tunnel::{self, Ask, Half, Opening};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 10;
/// How long a refusal may take to the peer.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);

/// A connection that was accepted just now.
#[derive(Debug)]
pub(super) struct IncomingConnection {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    /// The settings of a listener that speaks TLS.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) services: RtspServices,
    pub(super) tunnels: TunnelRegistry,
    pub(super) permit: ConnectionPermit,
}

impl IncomingConnection {
    /// Serves the peer until one of both sides ends it. An error means that it never got so far.
    pub(super) async fn serve(self) -> io::Result<()> {
        let Self { socket, peer, tls, services, tunnels, permit } = self;
        let mut socket = Socket::plain(socket)?;
        if let Some(config) = tls {
            socket = socket.secured(config).await?;
        }
        let (opening, first) = open(&mut socket).await?;
        let key = |cookie| TunnelKey { cookie, peer: peer.ip().to_canonical() };
        match opening {
            Opening::Unclear => {}
            Opening::Refused(text) => refuse(socket, text).await,
            Opening::Rtsp => {
                Connection::new(Transport::Direct(socket), peer, services)?.run(&first).await;
            }
            Opening::Tunnel(Ask { half: Half::Down, cookie, .. }) => {
                match tunnels.open(key(cookie)) {
                    Some(entry) => {
                        let tunnel = joined(socket, entry).await?;
                        Connection::new(tunnel, peer, services)?.run(&[]).await;
                    }
                    None => refuse(socket, "the session cookie is taken").await,
                }
            }
            Opening::Tunnel(Ask { half: Half::Up, cookie, head_bytes }) => {
                let post = Post { socket, first: first.slice(head_bytes..), _permit: permit };
                if let Err(post) = tunnels.join(&key(cookie), post) {
                    refuse(post.socket, "there is no such tunnel").await;
                }
                return Ok(());
            }
        }
        drop(permit);
        Ok(())
    }
}

/// Waits for the POST that belongs to the GET `down`.
async fn joined(mut down: Socket, mut entry: TunnelEntry) -> io::Result<Transport> {
    let joined = async {
        down.say(&tunnel::welcome()).await?;
        io::Result::Ok(entry.next_post().await)
    };
    let post = timeout(RTSP_TUNNEL_JOIN_TIME_MAX, joined).await??;
    Ok(Transport::Tunnel(Box::new(Tunnel::new(down, entry, post))))
}

/// Reads until it is clear what the connection is. What is read by then is part of the answer.
async fn open(socket: &mut Socket) -> io::Result<(Opening, Bytes)> {
    let mut read = BytesMut::new();
    let mut until = Instant::now() + RTSP_IDLE_TIME_MAX;
    loop {
        timeout_at(until, socket.ready(Interest::READABLE)).await?;
        let mut buffer = [0; READ_BYTES];
        match socket.try_read(&mut buffer) {
            Ok(0) => return Ok((Opening::Unclear, Bytes::new())),
            Ok(length) => {
                if read.is_empty() {
                    until = Instant::now() + RTSP_REQUEST_TIME_MAX;
                }
                read.extend_from_slice(&buffer[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        match tunnel::look(&read) {
            Opening::Unclear => {}
            clear => return Ok((clear, read.freeze())),
        }
    }
}

async fn refuse(mut socket: Socket, text: &'static str) {
    let told = async {
        socket.say(&tunnel::refusal(text)).await?;
        socket.part().await
    };
    // Whatever becomes of it, the connection is over.
    let _ = timeout(REFUSAL_TIME_MAX, told).await;
}
