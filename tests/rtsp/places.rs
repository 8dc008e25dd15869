//! Limits on connections: one count for the box, whatever the address it was reached at, and room
//! for those who sign in whatever strangers do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{ffmpeg, need, run};
use holdfast::base::limits::{PLACES_PROVEN_PER_NETWORK_MAX, PLACES_UNPROVEN_PER_NETWORK_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

const PATIENCE: Duration = Duration::from_secs(60);
const STREAM: &str = "[stream.gate]\nrecord = false\n\
    source = { kind = \"pattern\", width = 320, height = 240 }\n";
const OPTIONS: &[u8] = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
/// Something that a peer asks for; from then on its place is its own.
const DESCRIBE: &[u8] = b"DESCRIBE rtsp://127.0.0.1/gate RTSP/1.0\r\nCSeq: 1\r\n\r\n";

/// A test holds more connections than a process may at first.
fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// A connection from `from` that has said OPTIONS.
fn stranger(from: Ipv4Addr, port: u16) -> Option<TcpStream> {
    peer(from, port, OPTIONS)
}

/// A connection from `from` that has sent `request`.
fn peer(from: Ipv4Addr, port: u16, request: &[u8]) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddrV4::new(from, 0).into()).unwrap();
    socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()).ok()?;
    let mut socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request).ok()?;
    Some(socket)
}

/// Whether the request was answered, and not by closing.
fn is_answered(socket: &mut TcpStream) -> bool {
    let mut buffer = [0; 1_024];
    socket.read(&mut buffer).is_ok_and(|length| buffer[..length].starts_with(b"RTSP/1.0 200"))
}

/// Whether the connection is still open, once its pending output is read.
fn is_open(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut buffer = [0; 4_096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// What `openssl` reads when it says OPTIONS over TLS.
fn options_over_tls(daemon: &Daemon) -> String {
    need("openssl", "openssl");
    let line = format!(
        "printf 'OPTIONS * RTSP/1.0\\r\\nCSeq: 1\\r\\nConnection: close\\r\\n\\r\\n' | \
         timeout 10 openssl s_client -quiet -connect 127.0.0.1:{} 2>/dev/null",
        daemon.rtsps_port
    );
    let output = run(Command::new("sh").args(["-c", &line]), PATIENCE);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_peer_has_so_many_connections_in_all_and_not_to_each_address() {
    raise_descriptors();
    let mut daemon = Daemon::new("64MiB", STREAM);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(second) = other.local_addr().unwrap() else { unreachable!() };
    drop(other);
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    let first = format!("[\"127.0.0.1:{}\"]\nlisten_tls", daemon.rtsp_port);
    let both = format!("[\"127.0.0.1:{}\", \"{second}\"]\nlisten_tls", daemon.rtsp_port);
    assert!(text.contains(&first), "{text}");
    std::fs::write(daemon.config(), text.replace(&first, &both)).unwrap();
    daemon.start();
    daemon.wait_state("gate", "live", PATIENCE);
    let most = PLACES_PROVEN_PER_NETWORK_MAX;
    let mut open: Vec<TcpStream> = Vec::new();
    for port in [daemon.rtsp_port, second.port()] {
        for _ in 0..most / 2 + 12 {
            let found = peer(Ipv4Addr::LOCALHOST, port, DESCRIBE);
            let Some(mut socket) = found else { continue };
            if is_answered(&mut socket) {
                open.push(socket);
            }
        }
    }
    assert_eq!(open.len(), most, "over both addresses");
    assert_eq!(options_over_tls(&daemon), "", "TLS is no way round it");
    open.truncate(most - 8);
    let answered = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        options_over_tls(&daemon).starts_with("RTSP/1.0 200")
    });
    assert!(answered, "places that were left are free again");
}

#[test]
fn strangers_that_say_options_keep_no_reader_out() {
    raise_descriptors();
    let made = Daemon::holdfast(&["account", "new", "--name", "nvr"]);
    let section = String::from_utf8(made.stdout).unwrap();
    let told = String::from_utf8(made.stderr).unwrap();
    let password = told.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let mut daemon = Daemon::new("64MiB", &format!("{STREAM}{section}"));
    daemon.start();
    daemon.wait_state("gate", "live", PATIENCE);
    let address = |n: u8| Ipv4Addr::new(127, 0, 0, 2 + n);
    let port = daemon.rtsp_port;
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..128 {
        held.extend((0..10).filter_map(|n| stranger(address(n), port)));
    }
    assert!(held.len() > 1_000, "{} strangers came", held.len());
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // They keep coming as long as they are read.
        scope.spawn(|| {
            for n in (0..10).cycle() {
                if ends.load(Relaxed) {
                    return;
                }
                drop(stranger(address(n), port));
            }
        });
        let url = format!("rtsp://nvr:{password}@127.0.0.1:{port}/gate");
        let mut command = ffmpeg();
        command.args(["-rtsp_transport", "tcp", "-i", &url, "-map", "0:v:0"]);
        let read = run(command.args(["-frames:v", "25", "-f", "null", "-"]), PATIENCE);
        ends.store(true, Relaxed);
        assert!(read.status.success(), "{read:?}");
    });
    let open = held.iter_mut().map(is_open).filter(|open| *open).count();
    assert!(open <= 10 * PLACES_UNPROVEN_PER_NETWORK_MAX, "{open} strangers are still there");
}
