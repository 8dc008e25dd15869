//! What carries the bytes of one RTSP connection.
//!
//! Owns: the sockets of one peer and their options. Does not own: what the bytes say. A new kind
//! of carrier is a variant here.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::base::limits::{RTSP_SEND_BUFFER_BYTES, RTSP_WRITE_STALL_MAX};

/// What is read and dropped of a peer after its last reply, and for how long.
const PART_BYTES_MAX: u64 = 256 << 10;
const PART_TIME_MAX: Duration = Duration::from_secs(1);

/// The kernel asks a silent peer whether it is there after this, and again; how often in vain
/// follows from [`RTSP_WRITE_STALL_MAX`].
const KEEPALIVE_TIME: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// What carries the bytes of one connection.
#[derive(Debug)]
pub(super) enum Link {
    /// One TCP connection, as it is.
    Plain(TcpStream),
}

impl Link {
    /// Takes over a TCP connection.
    pub(super) fn plain(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let options = socket2::SockRef::from(&socket);
        // A peer that vanished without a word is gone after this, not after 15 minutes.
        options.set_tcp_user_timeout(Some(RTSP_WRITE_STALL_MAX))?;
        options.set_send_buffer_size(RTSP_SEND_BUFFER_BYTES)?;
        // Neither is one noticed that has nothing to acknowledge, such as a reader over UDP.
        let alive = socket2::TcpKeepalive::new().with_time(KEEPALIVE_TIME);
        options.set_tcp_keepalive(&alive.with_interval(KEEPALIVE_INTERVAL))?;
        Ok(Self::Plain(socket))
    }

    /// Our address as the peer sees it.
    pub(super) fn local_ip(&self) -> io::Result<IpAddr> {
        match self {
            Self::Plain(socket) => Ok(socket.local_addr()?.ip().to_canonical()),
        }
    }

    /// A second handle on the socket, for who writes to it while the connection sleeps; none when
    /// bytes do not go out as they are.
    pub(super) fn writer(&self) -> Option<socket2::Socket> {
        match self {
            Self::Plain(socket) => socket2::SockRef::from(socket).try_clone().ok(),
        }
    }

    /// Reads what is there; `Ok(0)` is the end of what the peer says.
    pub(super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(buffer),
        }
    }

    /// Writes as much of `slices` as is taken at once, at least one byte.
    pub(super) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(slices),
        }
    }

    /// Waits until there is what `interest` asks for; whether it is something to read. An error
    /// shows at the read or write that follows. Cancel safe.
    pub(super) async fn ready(&mut self, interest: Interest) -> bool {
        match self {
            Self::Plain(socket) => is_ready(socket, interest).await,
        }
    }

    /// Takes leave: closing a socket with unread input would make the kernel send a reset, which
    /// overtakes the last reply.
    pub(super) async fn part(&mut self) {
        let drained = async {
            match self {
                Self::Plain(socket) => drain(socket).await,
            }
        };
        // Whatever happens now, the connection is over.
        let _ = tokio::time::timeout(PART_TIME_MAX, drained).await;
    }

    /// Lets the kernel forget what it still holds for a peer that takes nothing.
    pub(super) fn cut(&self) {
        let Self::Plain(socket) = self;
        // A socket that refuses this is closed in the ordinary way.
        let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
    }
}

async fn is_ready(socket: &TcpStream, interest: Interest) -> bool {
    socket.ready(interest).await.is_ok_and(|ready| ready.is_readable() || ready.is_read_closed())
        && interest.is_readable()
}

async fn drain(socket: &mut TcpStream) -> io::Result<u64> {
    socket.shutdown().await?;
    tokio::io::copy(&mut socket.take(PART_BYTES_MAX), &mut tokio::io::sink()).await
}
