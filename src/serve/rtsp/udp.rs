//! The UDP sockets of one session: media leaves at a pace, receiver reports come in.
//!
//! Packets of equal size leave as one long datagram that the kernel, or the network card, cuts
//! (UDP_SEGMENT, Linux 4.18); where it cannot, one by one.
//!
//! Owns: an even and the odd port after it (RFC 3550 §11), the queue between pace and socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::pacer::Pacer;
use crate::base::limits::{RTP_PACKET_BYTES_MAX, UDP_BURST_PACKETS_MAX, UDP_GROUP_PACKETS};
use crate::base::time::BootTime;
use crate::wire::rtp::Packets;
use crate::wire::rtp::rtcp::is_rtcp;
use crate::wire::rtsp::Medium;

/// Tries to find two neighbouring free ports.
const PORT_TRIES_MAX: usize = 64;
/// Room asked of the kernel for packets on their way out.
const SEND_BUFFER_BYTES: usize = 512 << 10;
/// Room asked of the kernel for packets of a publisher: a key frame comes all at once.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;
/// Longest datagram there is.
pub(super) const DATAGRAM_BYTES_MAX: usize = 65_536;
/// When a socket that took nothing is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(1);
/// Longest report read; what is longer is cut, and only its head is checked.
const REPORT_BYTES_MAX: usize = 1_500;
/// Packets of one long datagram: what the pace lets through at once (the kernel takes 64).
const RUN_PACKETS_MAX: usize = UDP_BURST_PACKETS_MAX as usize + 1;

/// Two sockets and what waits for them.
#[derive(Debug)]
pub(super) struct UdpPair {
    rtp: UdpSocket,
    rtcp: Arc<UdpSocket>,
    ports: (u16, u16),
    peer: IpAddr,
    queue: VecDeque<Queued>,
    pacer: Pacer,
    /// Whether the kernel cuts long datagrams.
    segments: bool,
    /// Packets that the machine itself refused to send.
    refused: u64,
}

/// What waits to leave for a port of the peer.
#[derive(Debug)]
enum Queued {
    Report {
        bytes: Bytes,
        port: u16,
    },
    Media {
        packets: Packets,
        /// The first packet that has not left.
        next: usize,
        port: u16,
        /// How long after a packet the one behind it may leave.
        gap: Duration,
    },
}

/// What may leave now.
enum Leaving {
    Nothing,
    Report,
    /// So many packets, as one datagram.
    Run(u32),
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
            // The other port may be taken; then the next pair is tried.
            if let Ok(rtcp) = bind(local, port + 1) {
                return Ok(Self {
                    segments: segment(&rtp, RTP_PACKET_BYTES_MAX),
                    rtp: UdpSocket::from_std(rtp)?,
                    rtcp: Arc::new(UdpSocket::from_std(rtcp)?),
                    ports: (port, port + 1),
                    peer,
                    queue: VecDeque::new(),
                    pacer: Pacer::default(),
                    refused: 0,
                });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Opens two neighbouring ports that send to `group` through the interface of `local`.
    pub(super) fn open_multicast(local: Ipv4Addr, group: Ipv4Addr, ttl: u8) -> io::Result<Self> {
        let pair = Self::open(local.into(), group.into())?;
        for socket in [&pair.rtp, &*pair.rtcp] {
            let options = socket2::SockRef::from(socket);
            options.set_multicast_if_v4(&local)?;
            options.set_multicast_ttl_v4(ttl.into())?;
        }
        Ok(pair)
    }

    /// Our RTP and RTCP ports.
    pub(super) fn ports(&self) -> (u16, u16) {
        self.ports
    }

    /// Packets that the machine itself refused to send.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Adds a report for `port`.
    pub(super) fn push_report(&mut self, bytes: Bytes, port: u16) {
        self.queue.push_back(Queued::Report { bytes, port });
    }

    /// Adds the packets of a unit for `port`, `gap` apart. A caller waits until the queue
    /// [`is_empty`](Self::is_empty) before the next unit, so it never holds more than what was
    /// taken at once.
    pub(super) fn push(&mut self, packets: Packets, port: u16, gap: Duration) {
        self.queue.push_back(Queued::Media { packets, next: 0, port, gap });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops what has not left yet.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// When something may leave: a packet at once, more of a unit in groups, so that a large
    /// picture does not take a timer for each packet.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        Some(match self.queue.front()? {
            Queued::Report { .. } => self.pacer.when(1, Duration::ZERO),
            Queued::Media { packets, next, gap, .. } => {
                let left = u32::try_from(packets.len() - next).unwrap_or(u32::MAX);
                self.pacer.when(left.min(UDP_GROUP_PACKETS), *gap)
            }
        })
    }

    /// Sends what may leave by `now`.
    pub(super) fn send(&mut self, now: BootTime) {
        loop {
            let (sent, count) = match self.leaving(now) {
                Leaving::Nothing => return,
                Leaving::Report => (self.send_report(), 1),
                Leaving::Run(count) => (self.send_run(count), count),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.pacer.hold(now, RETRY_AFTER);
                }
                // The device cannot cut it, or the path takes only shorter packets.
                Err(_) if self.segments => {
                    self.segments = false;
                    segment(&self.rtp, 0);
                    continue;
                }
                // No route, or a firewall: the packets are lost as any others may be.
                Err(_) => self.refused += u64::from(count),
                Ok(()) => {}
            }
            self.forget(now, count);
        }
    }

    fn leaving(&self, now: BootTime) -> Leaving {
        if self.deadline().is_none_or(|at| at > now) {
            return Leaving::Nothing;
        }
        let Some(Queued::Media { packets, next, gap, .. }) = self.queue.front() else {
            return Leaving::Report;
        };
        let most = if self.segments { self.pacer.allowance(now, *gap) as usize } else { 1 };
        Leaving::Run(run(packets, *next, most.clamp(1, RUN_PACKETS_MAX)))
    }

    fn send_report(&self) -> io::Result<()> {
        let Some(Queued::Report { bytes, port }) = self.queue.front() else { return Ok(()) };
        self.rtcp.try_send_to(bytes, SocketAddr::new(self.peer, *port)).map(|_| ())
    }

    fn send_run(&self, count: u32) -> io::Result<()> {
        let Some(Queued::Media { packets, next, port, .. }) = self.queue.front() else {
            return Ok(());
        };
        let mut slices = [IoSlice::new(&[]); RUN_PACKETS_MAX];
        let slices = &mut slices[..count as usize];
        for (at, slice) in slices.iter_mut().enumerate() {
            *slice = IoSlice::new(packets.datagram(next + at));
        }
        let target = SocketAddr::new(self.peer, *port).into();
        let socket = socket2::SockRef::from(&self.rtp);
        let send = || socket.send_to_vectored(slices, &target);
        self.rtp.try_io(Interest::WRITABLE, send).map(|_| ())
    }

    /// Counts `count` packets of the front as gone.
    fn forget(&mut self, now: BootTime, count: u32) {
        if let Some(Queued::Media { packets, next, gap, .. }) = self.queue.front_mut() {
            self.pacer.sent(now, count, *gap);
            *next += count as usize;
            if *next < packets.len() {
                return;
            }
        }
        self.queue.pop_front();
    }

    /// Asks the kernel for more room for what comes in; less room is still room.
    pub(super) fn make_room_for_input(&self) {
        let _ = socket2::SockRef::from(&self.rtp).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }

    /// A datagram of the peer, media before reports. `buffer` has room for
    /// [`DATAGRAM_BYTES_MAX`]; what does not fit is cut.
    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<(Medium, Bytes)> {
        for (socket, medium) in [(&self.rtp, Medium::Rtp), (&*self.rtcp, Medium::Rtcp)] {
            while socket.poll_recv_ready(cx).is_ready() {
                // Nothing: not ready after all, then it asks to be woken; or a stranger's.
                if let Ok(Some(packet)) = self.receive(socket, buffer) {
                    return Poll::Ready((medium, packet));
                }
            }
        }
        Poll::Pending
    }

    /// A datagram of the peer that is there already.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> Option<(Medium, Bytes)> {
        for (socket, medium) in [(&self.rtp, Medium::Rtp), (&*self.rtcp, Medium::Rtcp)] {
            while let Ok(packet) = self.receive(socket, buffer) {
                if let Some(packet) = packet {
                    return Some((medium, packet));
                }
            }
        }
        None
    }

    /// One datagram; `None` for a stranger's, or for an echo of one that could not be delivered. An
    /// error: nothing is there.
    fn receive(&self, socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<Bytes>, ()> {
        match socket.try_recv_from(buffer) {
            Ok((length, from)) if from.ip().to_canonical() == self.peer => {
                Ok(Some(Bytes::copy_from_slice(&buffer[..length])))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(()),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// The socket on which reports come in.
    pub(super) fn reports(&self) -> Reports {
        Reports { rtcp: Arc::clone(&self.rtcp), peer: self.peer }
    }
}

/// Where the peer's reports come in.
#[derive(Debug)]
pub(super) struct Reports {
    rtcp: Arc<UdpSocket>,
    peer: IpAddr,
}

impl Reports {
    /// Waits for RTCP from the peer. Cancel safe.
    pub(super) async fn next(&self) {
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

/// How many packets from number `next` on can leave as one datagram: those of full size, and one
/// that is shorter behind them; at most `most`, at least one.
fn run(packets: &Packets, next: usize, most: usize) -> u32 {
    let left = (packets.len() - next).min(most);
    let full = (next..next + left)
        .take_while(|&at| packets.datagram(at).len() == RTP_PACKET_BYTES_MAX)
        .count();
    u32::try_from((full + 1).min(left)).unwrap_or(1)
}

/// Lets the kernel cut datagrams into packets of `bytes`, or not with 0; whether it can.
fn segment(socket: &impl std::os::fd::AsFd, bytes: usize) -> bool {
    i32::try_from(bytes)
        .is_ok_and(|bytes| setsockopt(&socket.as_fd(), sockopt::UdpGsoSegment, &bytes).is_ok())
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

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Sends all that waits, one millisecond after the other.
    async fn drain(pair: &mut UdpPair) {
        for attempt in 0.. {
            // A new socket is not known to be writable until the runtime has looked.
            pair.send(BootTime::from_millis(attempt));
            if pair.is_empty() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn peer() -> (std::net::UdpSocket, u16) {
        let peer = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let port = peer.local_addr().unwrap().port();
        (peer, port)
    }

    #[tokio::test]
    async fn a_pair_is_even_and_odd_and_knows_its_peer() {
        let mut pair = UdpPair::open(LOOPBACK, LOOPBACK).unwrap();
        let ports = pair.ports();
        assert!(ports.0.is_multiple_of(2) && ports.1 == ports.0 + 1);
        let (peer, port) = peer();
        pair.push(Packets::of_sizes(&[20]), port, Duration::ZERO);
        pair.push_report(Bytes::from_static(b"report"), port);
        drain(&mut pair).await;
        let mut buffer = [0; 64];
        let from = [(); 2].map(|()| peer.recv_from(&mut buffer).unwrap().1.port());
        assert_eq!(from, [ports.0, ports.1]);
        peer.send_to(b"garbage", (LOOPBACK, ports.1)).unwrap();
        peer.send_to(b"\x80\xc9\0\x01\0\0\0\0", (LOOPBACK, ports.1)).unwrap();
        tokio::time::timeout(Duration::from_secs(10), pair.reports().next()).await.unwrap();
    }

    #[tokio::test]
    async fn packets_arrive_as_they_are_whether_the_kernel_cuts_them_or_not() {
        let full = RTP_PACKET_BYTES_MAX;
        let packets = Packets::of_sizes(&[40, full, full, full, 700, full, full, 30, 30]);
        for segments in [true, false] {
            let mut pair = UdpPair::open(LOOPBACK, LOOPBACK).unwrap();
            pair.segments &= segments;
            let (peer, port) = peer();
            for _ in 0..5 {
                pair.push(packets.clone(), port, Duration::from_micros(100));
            }
            drain(&mut pair).await;
            assert_eq!(pair.refused(), 0);
            let mut buffer = [0; 2_000];
            for at in 0..5 * packets.len() {
                let length = peer.recv(&mut buffer).unwrap();
                let wanted = packets.datagram(at % packets.len());
                assert_eq!(&buffer[..length], wanted, "packet {at}, segments {segments}");
            }
        }
    }

    #[test]
    fn a_run_ends_behind_the_first_packet_that_is_shorter() {
        let full = RTP_PACKET_BYTES_MAX;
        let packets = Packets::of_sizes(&[40, full, full, full, 700, full]);
        let runs = [(0, 25), (1, 25), (1, 2), (3, 25), (5, 25)];
        assert_eq!(runs.map(|(next, most)| run(&packets, next, most)), [1, 4, 2, 2, 1]);
    }
}
