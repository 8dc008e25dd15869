//! One socket of a peer, with or without TLS.
//!
//! Owns: the socket and its options.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use super::tls::TlsSocket;
use crate::base::limits::{RTSP_SEND_BUFFER_BYTES, RTSP_WRITE_STALL_MAX};
use crate::serve::tls::Tls;

/// What is read and dropped of a peer after its last reply.
const PART_BYTES_MAX: u64 = 256 << 10;
/// The kernel probes a silent peer after this time, and again; how often without an answer follows
/// from [`RTSP_WRITE_STALL_MAX`].
const KEEPALIVE_TIME: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// One socket of a peer.
#[derive(Debug)]
pub(in super::super) enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsSocket>),
}

impl Socket {
    /// Takes over a TCP connection.
    pub(in super::super) fn plain(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let options = socket2::SockRef::from(&socket);
        // A peer that vanished without a word is gone after this, not after 15 minutes.
        options.set_tcp_user_timeout(Some(RTSP_WRITE_STALL_MAX))?;
        options.set_send_buffer_size(RTSP_SEND_BUFFER_BYTES)?;
        // Nor would one be missed that has nothing to acknowledge, such as a reader over UDP.
        let alive = socket2::TcpKeepalive::new().with_time(KEEPALIVE_TIME);
        options.set_tcp_keepalive(&alive.with_interval(KEEPALIVE_INTERVAL))?;
        Ok(Self::Plain(socket))
    }

    /// Puts TLS on a TCP connection.
    pub(in super::super) async fn secured(self, tls: &Tls, peer: IpAddr) -> io::Result<Self> {
        let Self::Plain(socket) = self else { return Ok(self) };
        let (socket, tls) = tls.accept_rtsp(socket, peer).await?.into_inner();
        Ok(Self::Tls(Box::new(TlsSocket::new(socket, tls))))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.tcp(),
        }
    }

    /// Our address as the peer sees it.
    pub(super) fn local_ip(&self) -> io::Result<IpAddr> {
        Ok(self.tcp().local_addr()?.ip().to_canonical())
    }

    /// Whether the transport is encrypted.
    pub(in super::super) fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// A second handle on a socket that takes bytes as they are.
    pub(super) fn writer(&self) -> Option<socket2::Socket> {
        match self {
            Self::Plain(socket) => socket2::SockRef::from(socket).try_clone().ok(),
            Self::Tls(_) => None,
        }
    }

    /// Reads what is there; `Ok(0)` is the end of what the peer says.
    pub(in super::super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    /// Writes as much of `slices` as is taken at once, at least one byte.
    pub(in super::super) fn try_write_vectored(
        &mut self,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write_vectored(slices),
            Self::Tls(tls) => tls.try_write_vectored(slices),
        }
    }

    /// Sends what was taken and has not left yet, as far as it goes now; whether all has left.
    pub(in super::super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// Waits until there is what `interest` asks for; whether it is something to read. Cancel
    /// safe.
    pub(in super::super) async fn ready(&self, interest: Interest) -> bool {
        if let Self::Tls(tls) = self
            && tls.has_unread()
            && interest.is_readable()
        {
            return true;
        }
        let ready = self.tcp().ready(interest).await;
        ready.is_ok_and(|ready| ready.is_readable() || ready.is_read_closed())
            && interest.is_readable()
    }

    /// Sends all of `bytes`.
    pub(in super::super) async fn say(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() || !self.flush()? {
            match self.try_write_vectored(&[IoSlice::new(bytes)]) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready(Interest::WRITABLE).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says good-bye and reads on until the peer does so too.
    pub(in super::super) async fn part(&mut self) -> io::Result<()> {
        if let Self::Tls(tls) = self {
            tls.close();
            while !tls.flush()? {
                tls.tcp().writable().await?;
            }
        }
        let tcp = match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.tcp_mut(),
        };
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(PART_BYTES_MAX), &mut tokio::io::sink()).await?;
        Ok(())
    }

    /// Lets the kernel forget what it still holds for the peer.
    pub(super) fn cut(&self) {
        // A socket that refuses this is closed in the ordinary way.
        let _ = socket2::SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }
}
