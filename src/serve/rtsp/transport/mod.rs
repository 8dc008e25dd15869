//! What carries the bytes of one RTSP connection.
//!
//! Owns: the sockets of one peer and their options. Does not own: what the bytes say. A new kind
//! of carrier is a variant here, or of [`Socket`] if it is one socket that reads and writes.

pub(super) mod socket;
mod tls;
mod tunnel;

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::Interest;

pub(super) use socket::Socket;
pub(super) use tunnel::Tunnel;

/// How long the last bytes may take to the peer, and its own to us.
const PART_TIME_MAX: Duration = Duration::from_secs(1);

/// What carries the bytes of one connection.
#[derive(Debug)]
pub(super) enum Transport {
    /// One socket for both directions.
    Direct(Socket),
    /// Two sockets, one for each direction, that speak HTTP.
    Tunnel(Box<Tunnel>),
}

impl Transport {
    /// Our address as the peer sees it.
    pub(super) fn local_ip(&self) -> io::Result<IpAddr> {
        match self {
            Self::Direct(socket) => socket.local_ip(),
            Self::Tunnel(tunnel) => tunnel.down().local_ip(),
        }
    }

    /// Whether the transport is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        match self {
            Self::Direct(socket) => socket.is_secure(),
            Self::Tunnel(tunnel) => tunnel.down().is_secure(),
        }
    }

    /// The peer has signed in.
    pub(super) fn prove(&mut self) {
        if let Self::Tunnel(tunnel) = self {
            tunnel.prove();
        }
    }

    /// A second handle on the socket, for writing while the connection sleeps; none when bytes do
    /// not go out unchanged.
    pub(super) fn writer(&self) -> Option<socket2::Socket> {
        match self {
            Self::Direct(socket) => socket.writer(),
            Self::Tunnel(tunnel) => tunnel.down().writer(),
        }
    }

    /// Reads what is there; `Ok(0)` is the end of what the peer says.
    pub(super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Direct(socket) => socket.try_read(buffer),
            Self::Tunnel(tunnel) => tunnel.try_read(buffer),
        }
    }

    /// Writes as much of `slices` as is taken at once, at least one byte.
    pub(super) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Direct(socket) => socket.try_write_vectored(slices),
            Self::Tunnel(tunnel) => tunnel.try_write_vectored(slices),
        }
    }

    /// Sends what was taken and has not left yet, as far as it goes now; whether all has left.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Direct(socket) => socket.flush(),
            Self::Tunnel(tunnel) => tunnel.down_mut().flush(),
        }
    }

    /// Waits until there is what `interest` asks for; whether it is something to read. An error
    /// shows at the read or write that follows. Cancel safe.
    pub(super) async fn ready(&mut self, interest: Interest) -> bool {
        match self {
            Self::Direct(socket) => socket.ready(interest).await,
            Self::Tunnel(tunnel) => tunnel.ready(interest).await,
        }
    }

    /// Takes leave: closing a socket with unread input would make the kernel send a reset, which
    /// overtakes the last reply.
    pub(super) async fn part(&mut self) {
        let parted = async {
            match self {
                Self::Direct(socket) => socket.part().await,
                Self::Tunnel(tunnel) => tunnel.down_mut().part().await,
            }
        };
        // Whatever happens now, the connection is over.
        let _ = tokio::time::timeout(PART_TIME_MAX, parted).await;
    }

    /// Lets the kernel forget what it still holds for a peer that takes nothing.
    pub(super) fn cut(&self) {
        match self {
            Self::Direct(socket) => socket.cut(),
            Self::Tunnel(tunnel) => tunnel.down().cut(),
        }
    }
}
