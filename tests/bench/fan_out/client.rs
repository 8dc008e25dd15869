//! How a reader comes in: four RTSP requests, or one line to the floor.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// How a reader wants its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Tcp,
    Udp,
}

/// A reader that has just sent PLAY.
pub struct Joined {
    pub asked: Instant,
    pub control: TcpStream,
    /// RTP and RTCP, over UDP.
    pub media: Option<(UdpSocket, UdpSocket)>,
}

/// Readers that share an address, so that they stay below a server's limit for one.
const READERS_PER_ADDRESS: usize = 100;

/// Joins as the reader with `number`; `speaks` is false at the floor.
pub fn join(server: SocketAddr, number: usize, way: Way, speaks: bool) -> Joined {
    let host = u8::try_from(number / READERS_PER_ADDRESS).unwrap() + 1;
    let local = IpAddr::from([127, 0, host, 1]);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(local, 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let mut control = TcpStream::from(socket);
    control.set_nodelay(true).unwrap();
    control.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let media = (way == Way::Udp).then(|| pair(local));
    let port = media.as_ref().map(|(rtp, _)| rtp.local_addr().unwrap().port());
    let asked = if speaks {
        ask_rtsp(&mut control, server, port)
    } else {
        let line = port.map_or("tcp\n".to_owned(), |port| format!("udp {port}\n"));
        control.write_all(line.as_bytes()).unwrap();
        Instant::now()
    };
    control.set_nonblocking(true).unwrap();
    Joined { asked, control, media }
}

/// An even port and the one behind it.
fn pair(local: IpAddr) -> (UdpSocket, UdpSocket) {
    loop {
        let rtp = UdpSocket::bind((local, 0)).unwrap();
        let port = rtp.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(rtcp) = UdpSocket::bind((local, port + 1))
        {
            rtp.set_nonblocking(true).unwrap();
            rtcp.set_nonblocking(true).unwrap();
            return (rtp, rtcp);
        }
    }
}

/// DESCRIBE, SETUP of the pictures, PLAY; when the latter was sent.
fn ask_rtsp(control: &mut TcpStream, server: SocketAddr, port: Option<u16>) -> Instant {
    let url = format!("rtsp://{server}/gate");
    let described = ask(control, "DESCRIBE", &url, "Accept: application/sdp\r\n");
    let base = header(&described, "Content-Base").unwrap_or(&url).trim_end_matches('/');
    let video = &described[described.find("m=video").expect("there is video")..];
    let track = video.lines().find_map(|line| line.strip_prefix("a=control:")).unwrap().trim();
    let track = if track.contains("://") { track.to_owned() } else { format!("{base}/{track}") };
    let transport = match port {
        None => "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned(),
        Some(port) => format!("RTP/AVP;unicast;client_port={port}-{}", port + 1),
    };
    let set_up = ask(control, "SETUP", &track, &format!("Transport: {transport}\r\n"));
    let session = header(&set_up, "Session").unwrap().split(';').next().unwrap();
    let asked = Instant::now();
    send(control, "PLAY", base, &format!("Session: {session}\r\nRange: npt=now-\r\n"));
    asked
}

fn send(control: &mut TcpStream, method: &str, url: &str, more: &str) {
    let request = format!("{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{more}\r\n");
    control.write_all(request.as_bytes()).unwrap();
}

fn ask(control: &mut TcpStream, method: &str, url: &str, more: &str) -> String {
    send(control, method, url, more);
    let mut reply = Vec::new();
    let mut byte = [0];
    while !reply.ends_with(b"\r\n\r\n") {
        control.read_exact(&mut byte).unwrap();
        reply.push(byte[0]);
    }
    let head = String::from_utf8(reply).unwrap();
    assert!(head.starts_with("RTSP/1.0 200"), "{method} {url}: {head}");
    let length = header(&head, "Content-Length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    control.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn header<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = reply.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
