//! The UDP sockets of one session: media leaves at a pace, receiver reports come in.
//!
//! Owns: an even and the odd port after it (RFC 3550 §11), the queue between pace and socket.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;

use super::pace::Pace;
use crate::base::time::BootTime;
use crate::wire::rtp::rtcp::is_rtcp;
use crate::wire::rtsp::Medium;

/// Tries to find two neighbouring free ports.
const PORT_TRIES_MAX: usize = 64;
/// Room asked of the kernel for packets on their way out.
const SEND_BUFFER_BYTES: usize = 512 << 10;
/// Room asked of the kernel for packets of a publisher: a key frame comes all at once.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;
/// Longest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// When a socket that took nothing is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(1);
/// Longest report read; what is longer is cut, and only its head is looked at.
const REPORT_BYTES_MAX: usize = 1_500;

/// Two sockets and what waits for them.
#[derive(Debug)]
pub(super) struct UdpPair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    ports: (u16, u16),
    peer: IpAddr,
    queue: VecDeque<Datagram>,
    pace: Pace,
    /// Packets that the machine itself refused to send.
    refused: u64,
}

/// One packet on its way.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) bytes: Bytes,
    /// Port of the peer.
    pub(super) port: u16,
    pub(super) kind: Kind,
    /// How long after it the next may leave.
    pub(super) gap: Duration,
}

/// From which socket a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rtp,
    Rtcp,
}

impl UdpPair {
    /// Opens two neighbouring ports on `local` for packets to `peer`.
    pub(super) fn open(local: IpAddr, peer: IpAddr) -> io::Result<Self> {
        for _ in 0..PORT_TRIES_MAX {
            let rtp = bind(local, 0)?;
            let port = rtp.local_addr()?.port();
            if !port.is_multiple_of(2) {
                continue;
            }
            // The other port may be somebody's; then the next pair is tried.
            if let Ok(rtcp) = bind(local, port + 1) {
                return Ok(Self {
                    rtp: UdpSocket::from_std(rtp)?,
                    rtcp: UdpSocket::from_std(rtcp)?,
                    ports: (port, port + 1),
                    peer,
                    queue: VecDeque::new(),
                    pace: Pace::default(),
                    refused: 0,
                });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Our RTP and RTCP ports.
    pub(super) fn ports(&self) -> (u16, u16) {
        self.ports
    }

    /// Packets that the machine itself refused to send.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Adds a packet. Whoever adds waits until the queue [`is_empty`](Self::is_empty) before
    /// the next unit, so it never holds more than what was taken at once.
    pub(super) fn push(&mut self, datagram: Datagram) {
        self.queue.push_back(datagram);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops what has not left yet.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// When the next packet may leave.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        (!self.is_empty()).then(|| self.pace.next())
    }

    /// Sends what may leave by `now`.
    pub(super) fn send(&mut self, now: BootTime) {
        while self.pace.next() <= now {
            let Some(datagram) = self.queue.front() else { return };
            let socket = match datagram.kind {
                Kind::Rtp => &self.rtp,
                Kind::Rtcp => &self.rtcp,
            };
            let target = SocketAddr::new(self.peer, datagram.port);
            match socket.try_send_to(&datagram.bytes, target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.pace.hold(now, RETRY_AFTER);
                }
                // No route, or a firewall: the packet is lost as any other may be.
                Err(_) => self.refused += 1,
                Ok(_) => {}
            }
            self.pace.sent(now, datagram.gap);
            self.queue.pop_front();
        }
    }

    /// Asks the kernel for more room for what comes in; less room is still room.
    pub(super) fn make_room_for_input(&self) {
        let _ = socket2::SockRef::from(&self.rtp).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }

    /// A datagram of the peer, media before reports.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<(Medium, Bytes)> {
        for (socket, medium) in [(&self.rtp, Medium::Rtp), (&self.rtcp, Medium::Rtcp)] {
            while socket.poll_recv_ready(cx).is_ready() {
                match self.receive(socket) {
                    Ok(Some(packet)) => return Poll::Ready((medium, packet)),
                    // A stranger's packet, or an echo of one that could not be delivered.
                    Ok(None) => {}
                    Err(()) => continue, // not ready after all: asks to be woken
                }
            }
        }
        Poll::Pending
    }

    /// A datagram of the peer that is there already.
    pub(super) fn try_receive(&self) -> Option<(Medium, Bytes)> {
        for (socket, medium) in [(&self.rtp, Medium::Rtp), (&self.rtcp, Medium::Rtcp)] {
            while let Ok(packet) = self.receive(socket) {
                if let Some(packet) = packet {
                    return Some((medium, packet));
                }
            }
        }
        None
    }

    /// One datagram; `None` for a stranger's. An error: there is none.
    fn receive(&self, socket: &UdpSocket) -> Result<Option<Bytes>, ()> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        match socket.try_recv_from(&mut buffer) {
            Ok((length, from)) if from.ip().to_canonical() == self.peer => {
                Ok(Some(Bytes::copy_from_slice(&buffer[..length])))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(()),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Waits for RTCP from the peer. Cancel safe.
    pub(super) async fn report(&self) {
        let mut buffer = [0; REPORT_BYTES_MAX];
        loop {
            // An error here is an echo of a packet that could not be delivered.
            if let Ok((length, from)) = self.rtcp.recv_from(&mut buffer).await
                && from.ip().to_canonical() == self.peer
                && is_rtcp(&buffer[..length])
            {
                return;
            }
        }
    }
}

fn bind(local: IpAddr, port: u16) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind((local, port))?;
    socket.set_nonblocking(true)?;
    // A smaller buffer is still a buffer.
    let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES);
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pair_is_even_and_odd_and_knows_its_peer() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let mut pair = UdpPair::open(loopback, loopback).unwrap();
        let ports = pair.ports();
        assert!(ports.0.is_multiple_of(2) && ports.1 == ports.0 + 1);
        let peer = std::net::UdpSocket::bind((loopback, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let port = peer.local_addr().unwrap().port();
        for kind in [Kind::Rtp, Kind::Rtcp] {
            let bytes = Bytes::from_static(b"packet");
            pair.push(Datagram { bytes, port, kind, gap: Duration::ZERO });
        }
        for attempt in 0.. {
            // A new socket is not known to be writable until the runtime has looked.
            pair.send(BootTime::from_millis(attempt));
            if pair.is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut buffer = [0; 64];
        let from = [(); 2].map(|()| peer.recv_from(&mut buffer).unwrap().1.port());
        assert_eq!(from, [ports.0, ports.1]);
        peer.send_to(b"garbage", (loopback, ports.1)).unwrap();
        peer.send_to(b"\x80\xc9\0\x01\0\0\0\0", (loopback, ports.1)).unwrap();
        tokio::time::timeout(Duration::from_secs(10), pair.report()).await.unwrap();
    }
}
