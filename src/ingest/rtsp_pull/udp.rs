//! Datagrams of a camera: a pair of ports for each track, or the group that it sends to.
//!
//! Owns: the sockets. Who may be heard is for the connection to say; what is sent goes to the
//! camera's own address only, whatever it names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Poll;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::wire::rtsp::Medium;

/// Tries to find an even port with a free one behind it (RFC 3550 §11).
const PAIR_TRIES: usize = 64;
/// What the kernel keeps for us while we are busy: a key frame of a large picture.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// Largest datagram.
pub(super) const DATAGRAM_BYTES_MAX: usize = 65_535;

/// The two ports of a track.
#[derive(Debug)]
pub(super) struct Port {
    /// Its place in the description.
    pub(super) medium: usize,
    peer: IpAddr,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where our reports go.
    reports: Option<SocketAddr>,
}

/// A datagram.
#[derive(Debug)]
pub(super) struct UdpPacket {
    pub(super) medium: usize,
    pub(super) kind: Medium,
    pub(super) from: IpAddr,
    pub(super) packet: Bytes,
}

impl Port {
    /// Opens a pair of ports on `own` for what `peer` sends.
    pub(super) fn open(medium: usize, peer: IpAddr, own: IpAddr) -> io::Result<Self> {
        for _ in 0..PAIR_TRIES {
            let rtp = bound(SocketAddr::new(own, 0), false)?;
            let number = rtp.local_addr()?.port();
            if !number.is_multiple_of(2) {
                continue;
            }
            if let Ok(rtcp) = bound(SocketAddr::new(own, number + 1), false) {
                return Ok(Self { medium, peer, rtp, rtcp, reports: None });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Joins `group` on the interface of `own`.
    pub(super) fn join(
        medium: usize,
        peer: IpAddr,
        own: IpAddr,
        group: Ipv4Addr,
        port: u16,
    ) -> io::Result<Self> {
        let IpAddr::V4(own) = own else { return Err(io::ErrorKind::Unsupported.into()) };
        let open = |port: u16| {
            let socket = bound(SocketAddr::new(group.into(), port), true)?;
            socket.join_multicast_v4(group, own)?;
            Ok::<_, io::Error>(socket)
        };
        let behind = port.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { medium, peer, rtp: open(port)?, rtcp: open(behind)?, reports: None })
    }

    /// Our ports of RTP and RTCP.
    pub(super) fn numbers(&self) -> Option<(u16, u16)> {
        let number = |socket: &UdpSocket| socket.local_addr().ok().map(|at| at.port());
        number(&self.rtp).zip(number(&self.rtcp))
    }

    /// Opens the way through a firewall of ours, and remembers where reports go.
    pub(super) fn greet(&mut self, server_port: Option<(u16, u16)>) {
        let Some((rtp, rtcp)) = server_port else { return };
        self.reports = Some(SocketAddr::new(self.peer, rtcp));
        // An empty RTP packet and an empty receiver report.
        let hello = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let _ = self.rtp.try_send_to(&hello, SocketAddr::new(self.peer, rtp));
        self.report(&[0x80, 201, 0, 1, 0, 0, 0, 0]);
    }

    /// Sends a report; one that is lost is followed by another.
    pub(super) fn report(&self, report: &[u8]) {
        if let Some(to) = self.reports {
            let _ = self.rtcp.try_send_to(report, to);
        }
    }
}

fn bound(at: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(shared)?;
    // The kernel gives what it may.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}

/// The next datagram of any port, by way of `room` for [`DATAGRAM_BYTES_MAX`]. Cancel safe.
pub(super) async fn receive(ports: &[Port], room: &mut [u8]) -> UdpPacket {
    std::future::poll_fn(|cx| {
        for port in ports {
            for (kind, socket) in [(Medium::Rtp, &port.rtp), (Medium::Rtcp, &port.rtcp)] {
                let mut buffer = ReadBuf::new(room);
                // An error is a camera's port that is closed; the next datagram may be none.
                if let Poll::Ready(Ok(from)) = socket.poll_recv_from(cx, &mut buffer) {
                    let packet = Bytes::copy_from_slice(buffer.filled());
                    let from = from.ip().to_canonical();
                    return Poll::Ready(UdpPacket { medium: port.medium, kind, from, packet });
                }
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn datagrams_that_wait_are_taken_in_order_and_none_is_lost() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let ports = [Port::open(0, here, here).unwrap(), Port::open(1, here, here).unwrap()];
        let camera = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut room = vec![0; DATAGRAM_BYTES_MAX];
        // More wait than one turn of the connection takes.
        for n in 0..200_u8 {
            for port in &ports {
                let (rtp, rtcp) = port.numbers().unwrap();
                camera.send_to(&[n; 1_200], ("127.0.0.1", rtp)).unwrap();
                if n % 50 == 0 {
                    camera.send_to(&[n; 32], ("127.0.0.1", rtcp)).unwrap();
                }
            }
        }
        let mut came: [Vec<u8>; 4] = Default::default();
        for _ in 0..2 * (200 + 4) {
            let next = timeout(Duration::from_secs(20), receive(&ports, &mut room));
            let next = next.await.expect("it waits already");
            assert_eq!(next.from, here);
            came[next.medium * 2 + usize::from(next.kind == Medium::Rtcp)].push(next.packet[0]);
        }
        let all: Vec<u8> = (0..200).collect();
        let some: Vec<u8> = (0..200).step_by(50).collect();
        assert_eq!(came, [all.clone(), some.clone(), all, some]);
    }
}
