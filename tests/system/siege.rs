//! What strangers and hostile guests send to a claimed box, all at once, while eight streams record and a
//! reader watches: each kind gets its refusal, no footage is missing, and the reader misses no picture.
//!
//! One daemon serves all of them. What needs many connections is in `access/crowd`, floods of frames and
//! of what nobody reads are in `floods`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast::base::secret::Secret;
use holdfast::wire::rtsp::auth::Credential;
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::bad_input::assert_no_step;
use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, run, wait_for};

const STREAMS: u8 = 8;
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer may take on a machine that is busy with all the others.
const ANSWER: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct horse battery";
/// Who of 127.0.2.0/24 sends what.
const OUTSIDERS: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 0);

/// The box, and what is known of it: an administrator's and a viewer's token, and a guest's password.
struct Siege {
    daemon: Daemon,
    admin: String,
    viewer: String,
}

/// One kind of attack.
type Attack = fn(&Siege);

/// All kinds that come at once, by the names under which they fail.
const ATTACKS: [(&str, Attack); 12] = [
    ("readers that vanish", readers_vanish),
    ("odd requests over HTTP", odd_http),
    ("odd requests over RTSP", odd_rtsp),
    ("guessed RTSP sessions", guessed_sessions),
    ("media to a third party", media_elsewhere),
    ("odd playlists and ranges", odd_media),
    ("a flood of pictures", picture_flood),
    ("exports of months that nobody takes", long_exports),
    ("roles, tokens and pages of others", foreign_hands),
    ("names and paths", names_and_paths),
    ("cameras that are the box itself", forged_cameras),
    ("a late claim, a bomb for a configuration", late_claims),
];

impl Siege {
    fn begin() -> Self {
        let source = "source = { kind = \"pattern\", width = 160, height = 120, fps = 5, bitrate_bps = 50000 }";
        let stream = |n: u8| format!("[stream.cam-{n}]\n{source}\n");
        let streams: String = (1..=STREAMS).map(stream).collect();
        let account = |name: &str| {
            let ha1 = Credential::of(name, Secret::new(PASSWORD)).ha1;
            format!("[account.{name}]\nha1 = \"{}\"\n", ha1.reveal())
        };
        let mut daemon = Daemon::new("256MiB", "");
        daemon.claimable = true;
        daemon.configure("256MiB", &format!("{streams}{}{}", account("guest"), account("mallory")));
        let text = std::fs::read_to_string(daemon.config()).unwrap();
        // So that a plain line of text signs a hostile guest in.
        let text = text.replace("[rtsp]\n", "[rtsp]\nbasic = true\n");
        std::fs::write(daemon.config(), text).unwrap();
        let config = daemon.config().display().to_string();
        let mut add = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        add.args(["account", "add", "--name", "anna", "--role", "admin", "--password-stdin"]);
        let mut add = add.args(["--config", &config]).stdin(Stdio::piped()).spawn().unwrap();
        writeln!(add.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        assert!(add.wait().unwrap().success());
        let token = |role: &str| {
            let made = ["account", "token", "--config", &config, "--label", "t", "--role", role];
            String::from_utf8(Daemon::holdfast(&made).stdout).unwrap().trim().to_owned()
        };
        let (admin, viewer) = (token("admin"), token("viewer"));
        daemon.start();
        Self { daemon, admin, viewer }
    }

    /// The status of the answer to a request over HTTP.
    fn http(&self, from: u8, line: &str, headers: &str, body: &str) -> u16 {
        let host = format!("Host: 127.0.0.1:{}\r\n", self.daemon.http_port);
        let host = if headers.contains("Host: ") { "" } else { &host };
        let text = format!(
            "{line} HTTP/1.1\r\n{host}Connection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        status(&say(from, self.daemon.http_port, text.as_bytes()))
    }

    /// A request with JSON of whoever shows `token`.
    fn json(&self, from: u8, line: &str, token: &str, body: &serde_json::Value) -> u16 {
        let headers =
            format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
        self.http(from, line, &headers, &body.to_string())
    }

    /// The status of the reply to one RTSP request of a guest.
    fn rtsp(&self, from: u8, method: &str, path: &str, headers: &str) -> u16 {
        let mut socket = connect(from, self.daemon.rtsp_port);
        status(&self.ask(&mut socket, method, path, headers))
    }

    /// One RTSP request of a guest, and the head of its reply.
    fn ask(&self, socket: &mut TcpStream, method: &str, path: &str, headers: &str) -> String {
        let text = format!(
            "{method} {} RTSP/1.0\r\nCSeq: 1\r\n{}{headers}\r\n",
            self.daemon.rtsp(path),
            basic("mallory")
        );
        socket.write_all(text.as_bytes()).unwrap();
        let (mut told, mut byte) = (Vec::new(), [0]);
        while !told.ends_with(b"\r\n\r\n") && matches!(socket.read(&mut byte), Ok(1)) {
            told.push(byte[0]);
        }
        String::from_utf8_lossy(&told).into_owned()
    }

    fn recordings(&self, name: &str) -> serde_json::Value {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-H"]);
        curl.arg(format!("Authorization: Bearer {}", self.admin));
        curl.arg(self.daemon.http(&format!("/api/v1/recordings/{name}")));
        serde_json::from_slice(&run(&mut curl, ANSWER).stdout).unwrap_or_default()
    }

    fn peak_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// A connection from 127.0.2.`from`.
fn connect(from: u8, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let [a, b, c, _] = OUTSIDERS.octets();
    socket.bind(&SocketAddrV4::new(Ipv4Addr::new(a, b, c, from), 0).into()).unwrap();
    socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    socket
}

/// Sends `bytes` to `port` from 127.0.2.`from`, and reads until the box ends it or says no more.
fn say(from: u8, port: u16, bytes: &[u8]) -> String {
    let mut socket = connect(from, port);
    // The box may have had enough before it has everything.
    let _ = socket.write_all(bytes);
    let mut told = Vec::new();
    let _ = socket.read_to_end(&mut told);
    String::from_utf8_lossy(&told).into_owned()
}

fn basic(user: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{PASSWORD}")))
}

/// What a browser of the box's own page adds.
fn own_page(siege: &Siege) -> String {
    format!("Origin: http://127.0.0.1:{}\r\nX-Holdfast-CSRF: 1\r\n", siege.daemon.http_port)
}

/// The status in the first line of an answer; 0 when there was none.
fn status(told: &str) -> u16 {
    told.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn eight_streams_record_and_a_reader_watches_through_all_of_it() {
    let siege = Siege::begin();
    let names: Vec<String> = (1..=STREAMS).map(|n| format!("cam-{n}")).collect();
    wait_for("footage", PATIENCE, || {
        let has_two =
            |name: &String| siege.recordings(name)["runs"][0]["fragments"].as_u64() >= Some(2);
        names.iter().all(has_two).then_some(())
    });
    let sums = tempfile::NamedTempFile::new().unwrap();
    let mut reader = ffmpeg();
    let url =
        siege.daemon.rtsp("cam-8").replace("rtsp://", "rtsp://guest:correct%20horse%20battery@");
    reader.args(["-rtsp_transport", "tcp", "-i", &url, "-t", "12"]);
    reader.args(["-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-"]);
    reader.stdout(sums.reopen().unwrap()).stderr(Stdio::null());
    let mut reader = Running::start(&mut reader);
    let before = siege.peak_kib();
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let begin = |(name, attack): &(&'static str, Attack)| {
            let (name, attack, siege) = (*name, *attack, &siege);
            (name, scope.spawn(move || attack(siege)))
        };
        let begun: Vec<_> = ATTACKS.iter().map(begin).collect();
        let ended = begun.into_iter().map(|(name, thread)| (name, thread.join()));
        ended.filter(|(_, outcome)| outcome.is_err()).map(|(name, _)| name).collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
    // It makes everybody wait who was never right before.
    brute_force(&siege);
    let peak = siege.peak_kib();
    println!("peak of memory {peak} KiB, {before} before");
    // One hash of a password takes 19 MiB.
    assert!(peak < before + (64 << 10), "{before} KiB grew to {peak} KiB");
    assert!(reader.ended_within(PATIENCE).success());
    assert_no_step(&std::fs::read_to_string(sums.path()).unwrap(), 50);
    for name in &names {
        let list = siege.recordings(name);
        let runs = list["runs"].as_array().map(Vec::len);
        assert_eq!((runs, &list["gaps"]), (Some(1), &json!([])), "{list}");
    }
}

/// A guest plays and is gone without a word, again and again.
fn readers_vanish(siege: &Siege) {
    for round in 0..20 {
        let mut socket = connect(1, siege.daemon.rtsp_port);
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let setup = siege.ask(&mut socket, "SETUP", "cam-1/trackID=0", transport);
        assert_eq!(status(&setup), 200, "{setup}");
        let session = setup.lines().find(|line| line.starts_with("Session")).unwrap();
        let session = session.split(';').next().unwrap().trim();
        let play = siege.ask(&mut socket, "PLAY", "cam-1", &format!("{session}\r\n"));
        assert_eq!(status(&play), 200, "{play}");
        // With a reset, or with a FIN behind which nothing is read.
        let reset = (round % 2 == 0).then_some(Duration::ZERO);
        socket2::SockRef::from(&socket).set_linger(reset).unwrap();
    }
}

fn odd_http(siege: &Siege) {
    let port = siege.daemon.http_port;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 << 10));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(1_000));
    for (bytes, refused) in [
        (long.as_str(), &[414, 431][..]),
        (many.as_str(), &[431][..]),
        ("GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", &[400][..]),
        ("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", &[400][..]),
        ("BREW / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[405][..]),
        (
            "POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400, 415][..],
        ),
    ] {
        for _ in 0..5 {
            let told = say(2, port, bytes.as_bytes());
            assert!(refused.contains(&status(&told)), "{bytes:.60}: {told:.300}");
            assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{told}");
        }
    }
}

fn odd_rtsp(siege: &Siege) {
    let port = siege.daemon.rtsp_port;
    let long = format!("DESCRIBE rtsp://h/{} RTSP/1.0\r\nCSeq: 1\r\n\r\n", "x".repeat(64 << 10));
    for (bytes, wanted) in [
        (long.as_str(), 414),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0", 400),
    ] {
        for _ in 0..5 {
            let told = say(3, port, bytes.as_bytes());
            assert_eq!(status(&told), wanted, "{bytes:.60}: {told:.300}");
        }
    }
    // Out of order, unknown, and without an account.
    assert_eq!(siege.rtsp(3, "BREW", "cam-1", ""), 501);
    assert!((400..500).contains(&siege.rtsp(3, "PLAY", "cam-1", "")));
    assert!((400..500).contains(&siege.rtsp(3, "RECORD", "cam-1", "")));
    let mut socket = connect(3, port);
    socket.write_all(b"DESCRIBE rtsp://h/cam-1 RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    let mut told = [0; 12];
    socket.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"RTSP/1.0 401");
}

/// Sessions that were never given out, and one of another connection.
fn guessed_sessions(siege: &Siege) {
    let mut own = connect(4, siege.daemon.rtsp_port);
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    let setup = siege.ask(&mut own, "SETUP", "cam-2/trackID=0", transport);
    let theirs = setup.lines().find_map(|line| line.strip_prefix("Session:")).unwrap();
    let theirs = theirs.split(';').next().unwrap().trim();
    for id in [theirs, "0", "1234567890abcdef"] {
        for method in ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
            let told = siege.rtsp(4, method, "cam-2", &format!("Session: {id}\r\n"));
            assert_eq!(told, 454, "{method} of {id}");
        }
    }
    let session = format!("Session: {theirs}\r\n");
    assert_eq!(status(&siege.ask(&mut own, "PLAY", "cam-2", &session)), 200, "its own still plays");
}

/// Media are sent to who asks for them, and to ports that a client may have.
fn media_elsewhere(siege: &Siege) {
    let victim = std::net::UdpSocket::bind("127.0.0.77:0").unwrap();
    victim.set_nonblocking(true).unwrap();
    let port = victim.local_addr().unwrap().port() & !1;
    for transport in [
        format!("RTP/AVP;unicast;destination=127.0.0.77;client_port={port}-{}", port + 1),
        "RTP/AVP;unicast;client_port=22-23".to_owned(),
        "RTP/AVP;multicast;destination=127.0.0.77;port=53-54;ttl=255".to_owned(),
    ] {
        let mut socket = connect(5, siege.daemon.rtsp_port);
        let header = format!("Transport: {transport}\r\n");
        let setup = siege.ask(&mut socket, "SETUP", "cam-3/trackID=0", &header);
        if status(&setup) == 200 {
            let session = setup.lines().find(|line| line.starts_with("Session")).unwrap();
            let session = format!("{}\r\n", session.split(';').next().unwrap().trim());
            siege.ask(&mut socket, "PLAY", "cam-3", &session);
            std::thread::sleep(Duration::from_millis(500));
            assert!(!setup.contains("127.0.0.77"), "{setup}");
        } else {
            assert_eq!(status(&setup), 461, "{transport}: {setup}");
        }
    }
    assert!(victim.recv(&mut [0; 16]).is_err(), "a third party got media");
}

fn odd_media(siege: &Siege) {
    let guest = basic("mallory");
    for (path, headers, refused) in [
        ("GET /live/cam-1/media.m3u8?_HLS_msn=-1", "", &[400][..]),
        ("GET /live/cam-1/media.m3u8?_HLS_msn=99999999999&_HLS_part=3", "", &[200, 400, 503][..]),
        ("GET /live/cam-1/99999.m4s", "", &[404, 410][..]),
        ("GET /live/cam-1/../../etc/passwd", "", &[404, 403, 401][..]),
        ("GET /vod/cam-1/index.m3u8?start=never", "", &[400][..]),
        ("HEAD /live/cam-1/index.m3u8", "", &[200][..]),
        ("GET /snap/cam-1.jpg", "Range: bytes=9999999-,0-1,garbage\r\n", &[200, 206, 416][..]),
    ] {
        for _ in 0..8 {
            let told = siege.http(6, path, &format!("{guest}{headers}"), "");
            assert!(refused.contains(&told), "{path}: {told}");
        }
    }
}

/// Eight guests ask for pictures as fast as they can.
fn picture_flood(siege: &Siege) {
    std::thread::scope(|scope| {
        for from in 10..18 {
            scope.spawn(move || {
                for n in 0..25 {
                    let line = format!("GET /snap/cam-{}.jpg", 1 + n % STREAMS);
                    let told = siege.http(from, &line, &basic("mallory"), "");
                    assert!(matches!(told, 200 | 429 | 503), "{told}");
                }
            });
        }
    });
}

/// Downloads of more than there is, whose clients take a little and leave.
fn long_exports(siege: &Siege) {
    let token = &siege.admin;
    for _ in 0..10 {
        let mut socket = connect(20, siege.daemon.http_port);
        let head = format!(
            "GET /export/cam-4.mp4?start=2000-01-01T00:00:00Z&end=2100-01-01T00:00:00Z HTTP/1.1\r\n\
             Host: 127.0.0.1:{}\r\nAuthorization: Bearer {token}\r\n\r\n",
            siege.daemon.http_port
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut told = [0; 12];
        socket.read_exact(&mut told).unwrap();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(matches!(status(&format!("{told} ")), 200 | 400 | 422 | 429 | 503), "{told}");
    }
}

/// Who may not, with what is not theirs, from pages that are not the box's.
fn foreign_hands(siege: &Siege) {
    let own = own_page(siege);
    let evil = "Origin: http://evil.example\r\nX-Holdfast-CSRF: 1\r\n";
    let json = "Content-Type: application/json\r\n";
    let sign_in = format!("{{\"name\":\"anna\",\"password\":\"{PASSWORD}\"}}");
    for (headers, refused) in [
        (format!("{json}{evil}"), &[403][..]),
        (format!("Content-Type: text/plain\r\n{own}"), &[415][..]),
        (format!("{json}{own}Host: evil.example\r\n"), &[421][..]),
    ] {
        let told = siege.http(21, "POST /api/v1/session", &headers, &sign_in);
        assert!(refused.contains(&told), "{headers}: {told}");
    }
    for (line, headers, refused) in [
        ("GET /api/v1/streams", String::new(), 401),
        ("GET /api/v1/streams", "Cookie: hf-plain=0123456789abcdef\r\n".to_owned(), 401),
        ("GET /api/v1/streams", "Authorization: Bearer hft_0000\r\n".to_owned(), 401),
        ("GET /api/v1/streams?token=hft_0000", String::new(), 401),
        ("GET /api/v1/audit", format!("Authorization: Bearer {}\r\n", siege.viewer), 403),
        ("GET /api/v1/credentials", format!("Authorization: Bearer {}\r\n", siege.viewer), 403),
        (
            "DELETE /api/v1/config/streams/cam-1",
            format!("Authorization: Bearer {}\r\n", siege.viewer),
            403,
        ),
        ("GET /api/v1/streams", basic("mallory"), 401),
        ("GET /", "Host: evil.example\r\n".to_owned(), 421),
    ] {
        assert_eq!(siege.http(21, line, &headers, ""), refused, "{line} {headers}");
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: SG9sZGZhc3QgaXMgaGVyZQ==\r\n";
    let text = format!(
        "GET /live/cam-1/ws HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{upgrade}Origin: http://evil.example\r\n\
         Authorization: Bearer {}\r\n\r\n",
        siege.daemon.http_port, siege.viewer
    );
    let mut socket = connect(21, siege.daemon.http_port);
    socket.write_all(text.as_bytes()).unwrap();
    let mut told = [0; 12];
    socket.read_exact(&mut told).unwrap();
    assert_eq!(&told[9..], b"403", "a page of another site opens no socket");
}

fn names_and_paths(siege: &Siege) {
    let token = &siege.admin;
    for name in ["<script>alert(1)</script>", "a\"b", "\u{202e}gate", "../x", "%2e%2e", "\u{1f600}"]
    {
        let account = json!({"name": name, "password": PASSWORD});
        assert_eq!(siege.json(22, "POST /api/v1/accounts", token, &account), 422, "{name}");
        let credential = json!({"name": name});
        assert_eq!(siege.json(22, "POST /api/v1/credentials", token, &credential), 422, "{name}");
    }
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for path in [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%252e%252e/%252e%252e/etc/passwd",
        "//etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/snap/..%2fcam-1.jpg",
        "/snap/%00.jpg",
        "/api/v1/exports/..%2f..%2fholdfast.toml/file",
    ] {
        let told = siege.http(22, &format!("GET {path}"), &bearer, "");
        assert!(matches!(told, 400 | 404), "{path}: {told}");
    }
}

fn forged_cameras(siege: &Siege) {
    for url in [
        "rtsp://127.0.0.1/main",
        "rtsp://[::1]/main",
        "rtsp://0x7f000001/main",
        "rtsp://0/main",
        "rtsp://169.254.169.254/latest",
        "rtsp://[::ffff:127.0.0.1]/main",
        "http://127.0.0.1/video",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ] {
        let told = siege.json(23, "POST /api/v1/streams/try", &siege.admin, &json!({"url": url}));
        assert_eq!(told, 422, "{url}");
    }
}

fn late_claims(siege: &Siege) {
    let own = own_page(siege);
    let json = format!("Content-Type: application/json\r\n{own}");
    let claim = json!({"code": "AAAABBBB", "name": "eve", "password": PASSWORD}).to_string();
    for _ in 0..10 {
        assert_eq!(siege.http(24, "POST /api/v1/claim", &json, &claim), 409);
    }
    let (line, token) = ("PATCH /api/v1/config/settings", &siege.admin);
    let deep = format!("{}1{}", "{\"a\":".repeat(2_000), "}".repeat(2_000));
    let headers = format!(
        "Content-Type: application/json\r\nAuthorization: Bearer {token}\r\nIf-Match: *\r\n"
    );
    for (body, refused) in [
        (json!({"nonsense": {}}).to_string(), &[422][..]),
        (json!({"http": {"trusted_proxies": ["0.0.0.0/0"]}}).to_string(), &[422][..]),
        (deep, &[400, 422][..]),
        ("x".repeat(1 << 20), &[413][..]),
    ] {
        let told = siege.http(24, line, &headers, &body);
        assert!(refused.contains(&told), "{body:.40}: {told}");
    }
}

/// Wrong passwords over the page, RTSP and HTTP from many addresses, more at once than can be hashed.
fn brute_force(siege: &Siege) {
    let own = own_page(siege);
    let json = format!("Content-Type: application/json\r\n{own}");
    let seen = std::thread::scope(|scope| {
        let tries: Vec<_> = (30..60)
            .map(|from| {
                let json = &json;
                scope.spawn(move || {
                    let guess =
                        json!({"name": "anna", "password": format!("guess {from} of many")});
                    let mut seen = Vec::new();
                    for _ in 0..4 {
                        let body = guess.to_string();
                        seen.push(siege.http(from, "POST /api/v1/session", json, &body));
                        let header = format!(
                            "Authorization: Basic {}\r\n",
                            STANDARD.encode(format!("guest:guess {from}"))
                        );
                        for _ in 0..3 {
                            seen.push(siege.http(from, "GET /snap/cam-1.jpg", &header, ""));
                            let text = format!(
                                "DESCRIBE rtsp://h/cam-1 RTSP/1.0\r\nCSeq: 1\r\n{header}\r\n"
                            );
                            let mut socket = connect(from, siege.daemon.rtsp_port);
                            socket.write_all(text.as_bytes()).unwrap();
                            let mut told = [0; 12];
                            socket.read_exact(&mut told).unwrap();
                            seen.push(status(&format!("{} ", String::from_utf8_lossy(&told))));
                        }
                    }
                    seen
                })
            })
            .collect();
        tries.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<u16>>()
    });
    let odd: Vec<_> = seen.iter().filter(|told| !matches!(told, 401 | 429 | 503)).collect();
    assert!(odd.is_empty(), "{odd:?}");
    let waits = seen.iter().filter(|told| matches!(told, 429 | 503)).count();
    assert!(waits > seen.len() / 4, "only {waits} of {} had to wait", seen.len());
    // Who was right before does not wait for the debts of others.
    let mut socket = connect(1, siege.daemon.rtsp_port);
    let described = siege.ask(&mut socket, "DESCRIBE", "cam-1", "");
    assert_eq!(status(&described), 200, "{described}");
}
