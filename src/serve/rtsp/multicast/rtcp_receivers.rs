//! Receiver reports that come to a group: the only sign that a silent member is there.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::base::limits::TRACKS_MAX;
use crate::wire::rtp::rtcp::is_rtcp;
use crate::wire::rtsp::Group;

/// Longest report read; what is longer is cut, and only its head is checked.
const REPORT_BYTES_MAX: usize = 1_500;

/// One socket per track, on its RTCP port of the group.
#[derive(Debug)]
pub(super) struct RtcpReceivers {
    sockets: Vec<UdpSocket>,
    /// The source of our own reports, which the group returns to us.
    own: SocketAddr,
}

impl RtcpReceivers {
    /// Listens to `group`, that of the first track, on the interface of `local`. A port that cannot
    /// be opened stays unheard: RTSP keeps its members alive too.
    pub(super) fn open(local: Ipv4Addr, group: Group, own_port: u16) -> Self {
        let ports = (group.port..).skip(1).step_by(2).take(TRACKS_MAX);
        let sockets = ports.filter_map(|port| listen(local, group.address, port).ok()).collect();
        Self { sockets, own: SocketAddr::from((local, own_port)) }
    }

    /// Waits for a report and says whose it is. Cancel safe.
    pub(super) async fn next(&self) -> IpAddr {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<IpAddr> {
        for socket in &self.sockets {
            let mut buffer = [0; REPORT_BYTES_MAX];
            let mut report = ReadBuf::new(&mut buffer);
            while let Poll::Ready(read) = socket.poll_recv_from(cx, &mut report) {
                if let Ok(from) = read
                    && from != self.own
                    && is_rtcp(report.filled())
                {
                    return Poll::Ready(from.ip());
                }
                report.clear();
            }
        }
        Poll::Pending
    }
}

fn listen(local: Ipv4Addr, group: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // A member on this machine has the same port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(group, port).into())?;
    socket.join_multicast_v4(&group, &local)?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
    const REPORT: &[u8] = b"\x80\xc9\0\x01\0\0\0\0";

    fn mouth() -> std::net::UdpSocket {
        let socket = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
        socket2::SockRef::from(&socket).set_multicast_if_v4(&LOOPBACK).unwrap();
        socket
    }

    #[tokio::test]
    async fn reports_of_every_track_are_heard_and_our_own_are_not() {
        let (own, member) = (mouth(), mouth());
        let group = Group { address: Ipv4Addr::new(239, 9, 8, 7), port: 42_120, ttl: 1 };
        let receivers = RtcpReceivers::open(LOOPBACK, group, own.local_addr().unwrap().port());
        assert_eq!(receivers.sockets.len(), TRACKS_MAX);
        own.send_to(REPORT, (group.address, group.port + 1)).unwrap();
        member.send_to(b"garbage", (group.address, group.port + 1)).unwrap();
        tokio::time::timeout(Duration::from_millis(300), receivers.next()).await.unwrap_err();
        for track in 0..4 {
            member.send_to(REPORT, (group.address, group.port + 1 + 2 * track)).unwrap();
            let heard = tokio::time::timeout(Duration::from_secs(10), receivers.next()).await;
            assert_eq!(heard.unwrap(), IpAddr::V4(LOOPBACK));
        }
    }
}
