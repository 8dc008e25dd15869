//! What a connection is before it is known what it carries.
//!
//! Owns: the handshake of a TLS listener, and telling RTSP from the halves of an HTTP tunnel.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::places::Place;
use super::super::tls::Tls;
use super::connection::{Connection, RtspServices};
use super::transport::{Socket, Transport, Tunnel};
use super::tunnels::{Post, TunnelEntry, TunnelKey, TunnelRegistry};
use crate::base::limits::{RTSP_IDLE_TIME_MAX, RTSP_REQUEST_TIME_MAX, RTSP_TUNNEL_JOIN_TIME_MAX};
use crate::serve::http::settings::Settings;
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
    /// The certificate of a listener that speaks TLS.
    pub(super) tls: Option<Tls>,
    pub(super) services: RtspServices,
    pub(super) tunnels: TunnelRegistry,
    /// The names that the box answers to.
    pub(super) hosts: Settings,
    pub(super) place: Place,
}

impl IncomingConnection {
    /// Serves the peer until either side ends it, or its place is lost. An error means that the
    /// connection never got as far as RTSP, or had to give way.
    pub(super) async fn serve(self) -> io::Result<()> {
        let Self { socket, peer, tls, services, tunnels, hosts, place } = self;
        let (socket, opening, first) = while_held(&place, identify(socket, peer, tls)).await??;
        let secure = socket.is_secure();
        let key = |cookie| TunnelKey { cookie, peer: peer.ip().to_canonical(), secure };
        match opening {
            Opening::Unclear => {}
            Opening::Refused(text) => refuse(socket, text).await,
            Opening::Rtsp => {
                serve_rtsp(Transport::Direct(socket), peer, services, place, &first).await?;
            }
            Opening::Tunnel(Ask { head_bytes, .. }) if !is_for_us(&first[..head_bytes], &hosts) => {
                answer(socket, tunnel::misdirected()).await;
            }
            Opening::Tunnel(Ask { half: Half::Down, cookie, .. }) => {
                let Some(entry) = tunnels.open(key(cookie)) else {
                    refuse(socket, "the session cookie is taken").await;
                    return Ok(());
                };
                let transport = while_held(&place, joined(socket, entry)).await??;
                serve_rtsp(transport, peer, services, place, &[]).await?;
            }
            Opening::Tunnel(Ask { half: Half::Up, cookie, head_bytes }) => {
                place.attach();
                let post = Post { socket, first: first.slice(head_bytes..), place };
                if let Err(post) = tunnels.join(&key(cookie), post) {
                    refuse(post.socket, "there is no such tunnel").await;
                }
            }
        }
        Ok(())
    }
}

/// Shakes hands where there is TLS, and reads until it is clear what the connection is.
async fn identify(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
) -> io::Result<(Socket, Opening, Bytes)> {
    let mut socket = Socket::plain(socket)?;
    if let Some(tls) = tls {
        socket = socket.secured(&tls, peer.ip()).await?;
    }
    let (opening, first) = open(&mut socket).await?;
    Ok((socket, opening, first))
}

/// Speaks RTSP over `transport`, of which `first` was read already.
async fn serve_rtsp(
    transport: Transport,
    peer: SocketAddr,
    services: RtspServices,
    place: Place,
    first: &[u8],
) -> io::Result<()> {
    let place = Arc::new(place);
    let connection = Connection::new(transport, peer, services, Arc::clone(&place))?;
    while_held(&place, connection.run(first)).await
}

/// Does `work` for as long as the connection may keep `place`.
async fn while_held<T>(place: &Place, work: impl Future<Output = T>) -> io::Result<T> {
    tokio::select! {
        biased;
        lost = place.lost() => Err(io::Error::other(lost)),
        done = work => Ok(done),
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

/// Reads until it is clear what kind the connection is. The bytes read by then are part of the
/// answer.
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

/// Whether a half of a tunnel asks for this box, if it says for whom at all.
fn is_for_us(head: &[u8], hosts: &Settings) -> bool {
    tunnel::hosts(head).all(|host| hosts.answers_to(host))
}

async fn refuse(socket: Socket, text: &'static str) {
    answer(socket, tunnel::refusal(text)).await;
}

async fn answer(mut socket: Socket, reply: Bytes) {
    let told = async {
        socket.say(&reply).await?;
        socket.part().await
    };
    // Whatever becomes of it, the connection is over.
    let _ = timeout(REFUSAL_TIME_MAX, told).await;
}
