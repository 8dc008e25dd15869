//! Limits and figures are the box's: they count over all listening addresses, plain and TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use holdfast::base::limits::PLACES_PROVEN_PER_NETWORK_MAX;

use crate::harness::daemon::Daemon;
use crate::harness::{free_port, wait_for};

const PATTERN: &str = "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 180, \
                       fps = 10, bitrate_bps = 50000 }\n";
/// Recordings that are played at once.
const PLAYERS: usize = 16;
const WAIT: Duration = Duration::from_secs(10);

/// A daemon with two plain addresses for each protocol, and one with TLS.
struct TestBox {
    daemon: Daemon,
    rtsp: [u16; 2],
    http: [u16; 2],
}

impl TestBox {
    fn start() -> Self {
        let mut daemon = Daemon::new("64MiB", PATTERN);
        let rtsp = [daemon.rtsp_port, free_port()];
        let http = [daemon.http_port, free_port()];
        let mut text = fs::read_to_string(daemon.config()).unwrap();
        for [one, other] in [rtsp, http] {
            let two = format!("[\"127.0.0.1:{one}\", \"127.0.0.1:{other}\"]");
            text = text.replace(&format!("[\"127.0.0.1:{one}\"]"), &two);
        }
        fs::write(daemon.config(), text).unwrap();
        daemon.start();
        Self { daemon, rtsp, http }
    }
}

fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(WAIT)).unwrap();
    socket
}

/// What `socket` is answered until `end` comes, or until it is closed.
fn answer(mut socket: &TcpStream, request: &str, ends: &[&str]) -> String {
    let _ = socket.write_all(request.as_bytes());
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if ends.iter().any(|end| text.contains(end)) {
            return text;
        }
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => return text,
            Ok(length) => read.extend_from_slice(&buffer[..length]),
        }
    }
}

const OPTIONS: &str = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
/// Something that a peer asks for; from then on its place is its own.
const DESCRIBE: &str = "DESCRIBE rtsp://127.0.0.1/demo RTSP/1.0\r\nCSeq: 1\r\n\r\n";
const HEALTH: &str = "GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// The places of one client are counted together, whatever address and protocol it takes. They are
/// taken by RTSP, whose connections may rest for a minute: those of HTTP and of a handshake end after
/// ten seconds, which a busy machine needs to fill all places.
#[test]
fn connections_are_counted_over_all_addresses_and_protocols() {
    let test = TestBox::start();
    test.daemon.wait_state("demo", "live", WAIT * 2);
    let (most, [one, other]) = (PLACES_PROVEN_PER_NETWORK_MAX, test.rtsp);
    let described = |port: u16| {
        let socket = connect(port);
        let told = answer(&socket, DESCRIBE, &["RTSP/1.0 "]);
        told.contains("RTSP/1.0 200").then_some(socket)
    };
    let mut places: Vec<_> =
        [one, other].into_iter().cycle().take(most).map_while(described).collect();
    assert_eq!(places.len(), most);
    let doors = [
        (one, OPTIONS, "RTSP/1.0 200"),
        (other, OPTIONS, "RTSP/1.0 200"),
        (test.http[0], HEALTH, "HTTP/1.1 200"),
        (test.http[1], HEALTH, "HTTP/1.1 200"),
    ];
    for (port, request, reply) in doors {
        let told = answer(&connect(port), request, &[reply]);
        assert!(!told.contains(reply), "port {port} gave one more place");
    }
    for port in [test.daemon.rtsps_port, test.daemon.https_port] {
        assert!(!matches!(connect(port).read(&mut [0; 64]), Ok(1..)), "port {port}");
    }
    places.remove(0);
    wait_for("the place is free at every port", WAIT, || {
        let takes = |&(port, request, reply): &(u16, &str, &str)| {
            answer(&connect(port), request, &[reply]).contains(reply)
        };
        doors.iter().all(takes).then_some(())
    });
}

/// Plays the recording from its beginning; whether there was a place for it.
fn play(port: u16, start: &str) -> Option<TcpStream> {
    let socket = connect(port);
    let request = format!(
        "GET /play/demo/ws?start={start} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: SG9sZGZhc3QgaXMgaGVyZQ==\r\n\r\n"
    );
    let text = answer(&socket, &request, &["\"hello\"", "viewers_full"]);
    assert!(text.contains("\"hello\"") || text.contains("viewers_full"), "{text}");
    text.contains("\"hello\"").then_some(socket)
}

/// What `/metrics` at `port` reports of readers of recordings.
fn figures(port: u16) -> Vec<String> {
    let request = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let text = answer(&connect(port), request, &["# EOF"]);
    let told = ["holdfast_past_readers", "holdfast_downloads", "holdfast_download_bytes"];
    let lines = text.lines().filter(|line| told.iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

#[test]
fn playback_and_metrics_are_the_same_at_every_address() {
    let test = TestBox::start();
    let start = wait_for("something is recorded", WAIT * 2, || {
        let list = test.daemon.get("/api/v1/recordings/demo");
        list["runs"][0]["start"].as_str().map(str::to_owned)
    });
    let ports = test.http.iter().cycle();
    let players: Vec<_> = ports.take(PLAYERS).map(|&port| play(port, &start)).collect();
    assert!(players.iter().all(Option::is_some), "all {PLAYERS} have a place");
    for port in test.http {
        assert!(play(port, &start).is_none(), "port {port} played one more");
    }
    drop(players);

    let [one, other] = test.http;
    let export = format!(
        "GET /export/demo.mp4?start={start} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    );
    assert!(answer(&connect(one), &export, &[]).starts_with("HTTP/1.1 200"));
    wait_for("both tell of the download, and of nobody who plays", WAIT, || {
        let (here, there) = (figures(one), figures(other));
        let whole = |line: &String| line.contains("outcome=\"whole\"") && line.ends_with(" 1");
        let nobody = here.iter().any(|line| line.contains("door=\"play\"") && line.ends_with(" 0"));
        (here == there && here.iter().any(whole) && nobody).then_some(())
    });
}
