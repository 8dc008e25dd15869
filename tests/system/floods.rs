//! Floods of what a protocol allows: frames of HTTP/2 that cost the sender nothing, requests whose
//! answers nobody reads, heads and bodies without an end. Each costs its own connection, while eight
//! streams record and a reader watches.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::bad_input::assert_no_step;
use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, need, run, wait_for};

/// What records meanwhile.
const STREAMS: u8 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends one flood for three seconds, or until the box has had enough (what it refuses is sent for as long
/// as a busy box may need to see it); reads nothing. Says whether the
/// box closed the connection, and how much it took.
const FLOODER: &str = r#"
import select, socket, ssl, struct, sys, time
kind, http, https, rtsp, refused = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5] == "refused"
def plain(port):
    return socket.create_connection(("127.0.0.1", port))
def secure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    sock = context.wrap_socket(plain(https))
    assert sock.selected_alpn_protocol() == "h2"
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
    return sock
def frame(kind, flags, stream, body=b""):
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body
HEAD = b"\x82\x87\x84\x41\x09127.0.0.1"
def resets():
    for stream in range(1, 400_000, 2):
        yield frame(1, 5, stream, HEAD) + frame(3, 0, stream, struct.pack(">I", 8))
def forever(first, piece):
    yield first
    while True:
        yield piece
upgrade = (b"GET /live/cam-1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: SG9sZGZhc3QgaXMgaGVyZQ==\r\n\r\n")
pad = b"\x00\x7f\x81\xf3\x07" + b"x" * 1_000 + b"\x01y"
floods = {
    "resets": (secure, resets),
    "pings": (secure, lambda: forever(b"", frame(6, 0, 0, b"12345678") * 64)),
    "settings": (secure, lambda: forever(b"", frame(4, 0, 0) * 64)),
    "continuations": (secure, lambda: forever(frame(1, 1, 1, HEAD), frame(9, 0, 1, pad * 8))),
    "updates": (secure, lambda: forever(b"", frame(2, 0, 1, b"\0\0\0\0\x10") * 64)),
    "pipelined": (lambda: plain(http), lambda: forever(b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 64)),
    "head": (lambda: plain(http), lambda: forever(b"GET / HTTP/1.1\r\nX: ", b"a" * 4096)),
    "chunks": (lambda: plain(http), lambda: forever(
        b"POST /api/v1/marks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"a" * 4096 + b"\r\n")),
    "ws-pings": (lambda: plain(http), lambda: forever(upgrade, (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 32)),
    "rtsp-head": (lambda: plain(rtsp), lambda: forever(b"OPTIONS * RTSP/1.0\r\nX: ", b"a" * 4096)),
    "rtsp-pipelined": (lambda: plain(rtsp), lambda: forever(b"", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 64)),
    "tunnel": (lambda: plain(rtsp), lambda: forever(
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nx-sessioncookie: abc\r\n"
        b"Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 2000000000\r\n\r\n", b"QUFB" * 1024)),
}
opened, pieces = floods[kind]
if kind == "tunnel":
    down = plain(rtsp)
    down.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nx-sessioncookie: abc\r\n"
                 b"Accept: application/x-rtsp-tunnelled\r\n\r\n")
    time.sleep(0.3)
sock = opened()
sock.settimeout(30 if refused else 0.5)
until, sent, ended = time.monotonic() + (30 if refused else 3), 0, "open"
try:
    for piece in pieces():
        sock.sendall(piece)
        sent += len(piece)
        if time.monotonic() > until:
            break
except TimeoutError:
    ended = "waits"
except OSError:
    ended = "closed"
print(kind, ended, sent)
"#;

const FLOODS: [&str; 12] = [
    "resets",
    "pings",
    "settings",
    "continuations",
    "updates",
    "pipelined",
    "head",
    "chunks",
    "ws-pings",
    "rtsp-head",
    "rtsp-pipelined",
    "tunnel",
];

fn peak_kib(daemon: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_flood_costs_its_own_connection_and_no_memory() {
    need("python3", "python3");
    let names: Vec<String> = (1..=STREAMS).map(|n| format!("cam-{n}")).collect();
    let stream = |name: &String| {
        format!(
            "[stream.{name}]\nsource = {{ kind = \"pattern\", width = 160, height = 120, fps = 5, \
             bitrate_bps = 50000 }}\n"
        )
    };
    let streams: String = names.iter().map(stream).collect();
    let daemon = Daemon::start_new("256MiB", &streams);
    let listed = |name: &String| daemon.get(&format!("/api/v1/recordings/{name}"));
    wait_for("footage", PATIENCE, || {
        let has_two = |name| listed(name)["runs"][0]["fragments"].as_u64() >= Some(2);
        names.iter().all(has_two).then_some(())
    });
    let sums = tempfile::NamedTempFile::new().unwrap();
    let mut reader = ffmpeg();
    reader.args(["-rtsp_transport", "tcp", "-i", &daemon.rtsp("cam-8"), "-t", "10"]);
    reader.args(["-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]);
    reader.stdout(sums.reopen().unwrap()).stderr(Stdio::null());
    let mut reader = Running::start(&mut reader);
    let before = peak_kib(&daemon);
    let ports =
        [daemon.http_port, daemon.https_port, daemon.rtsp_port].map(|port| port.to_string());
    // What HTTP/2 never needs so much of is refused. A head or body without an end, and requests whose
    // answers nobody reads, are not read any further.
    let refused = ["resets", "continuations", "ws-pings"];
    let told: Vec<String> = std::thread::scope(|scope| {
        let flood = |kind: &'static str| {
            let ports = &ports;
            scope.spawn(move || {
                let mut python = Command::new("python3");
                let known = if refused.contains(&kind) { "refused" } else { "" };
                let out = run(python.args(["-c", FLOODER, kind]).args(ports).arg(known), PATIENCE);
                let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
                assert!(out.status.success(), "{kind}: {}", String::from_utf8_lossy(&out.stderr));
                said
            })
        };
        let all: Vec<_> = FLOODS.into_iter().flat_map(|kind| [flood(kind), flood(kind)]).collect();
        all.into_iter().map(|flood| flood.join().unwrap()).collect()
    });
    let peak = peak_kib(&daemon);
    println!("{}\npeak of memory {peak} KiB, {before} before", told.join("\n"));
    for kind in refused {
        let ended = told.iter().filter(|line| line.starts_with(&format!("{kind} closed")));
        assert_eq!(ended.count(), 2, "{kind}: {told:?}");
    }
    for kind in ["pipelined", "head", "chunks", "rtsp-head", "rtsp-pipelined", "tunnel"] {
        assert!(!told.iter().any(|line| line.starts_with(&format!("{kind} open"))), "{told:?}");
    }
    assert!(peak < before + (48 << 10), "{before} KiB grew to {peak} KiB");
    assert!(reader.ended_within(PATIENCE).success());
    assert_no_step(&std::fs::read_to_string(sums.path()).unwrap(), 40);
    for name in &names {
        let list = listed(name);
        let runs = list["runs"].as_array().map(Vec::len);
        assert_eq!((runs, &list["gaps"]), (Some(1), &serde_json::json!([])), "{list}");
    }
}
