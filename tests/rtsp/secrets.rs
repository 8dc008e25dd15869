//! Passwords in a camera's or a reader's messages appear nowhere: whatever is given in any place
//! where a secret may be, no output of the box repeats it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{run, wait_for};

/// Part of every secret.
const CANARY: &str = "c4n4ry";
/// `viewer:c4n4ry-password` and `reader:c4n4ry-basic` as Basic credentials.
const BASIC: [&str; 2] = ["dmlld2VyOmM0bjRyeS1wYXNzd29yZA==", "cmVhZGVyOmM0bjRyeS1iYXNpYw=="];

/// Where events would go, whose address and key are secrets. Nothing of this kind happens.
const HOOK: &str = "[webhook.house]\nurl = \"https://203.0.113.9/hook?token=c4n4ry\"\n\
    secret = \"c4n4ry-c4n4ry-c4n4ry-c4n4ry-c4n4ry\"\nkinds = [\"mark.*\"]\n";

/// What a camera answers to DESCRIBE of `/0`, `/1` and so on; `{at}` is its address. Each is a fault
/// that has words of its own.
const ANSWERS: [&str; 9] = [
    "401 c4n4ry\r\nWWW-Authenticate: Basic realm=\"c4n4ry\"\r\n\r\n",
    "302 Moved\r\nLocation: rtsp://admin:c4n4ry@{at}/other?password=c4n4ry\r\n\r\n",
    "302 Moved\r\nLocation: rtsp://admin:c4n4ry@203.0.113.9:99/other?password=c4n4ry\r\n\r\n",
    "404 No c4n4ry\r\n\r\n",
    "500 No c4n4ry\r\nServer: c4n4ry\r\n\r\n",
    "200 OK\r\nContent-Type: text/html; url=rtsp://{at}/main?password=c4n4ry\r\nContent-Length: 8\r\n\r\n<c4n4ry>",
    "200 OK\r\nContent-Base: rtsp://admin:c4n4ry@{at}/main?password=c4n4ry\r\nContent-Length: 53\r\n\r\n\
     m=video c4n4ry\r\na=control:rtsp://a:c4n4ry@h/?c4n4ry\r\n",
    "200 OK\r\nContent-Length: 69\r\n\r\n\
     s=rtsp://h/?c4n4ry\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 VP9/90000\r\n\r\n\r\n",
    "c4n4ry c4n4ry\r\n\r\n",
];

/// Answers one connection, and counts the descriptions that were asked for.
fn converse(mut socket: TcpStream, at: &str, count: &AtomicUsize) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("0");
        let said = if text.starts_with("DESCRIBE") {
            count.fetch_add(1, Relaxed);
            let which = text.split_once(&format!("{at}/")).and_then(|(_, path)| {
                ANSWERS.get(usize::try_from(path.chars().next()?.to_digit(10)?).ok()?)
            });
            which.unwrap_or(&ANSWERS[3]).replace("{at}", at)
        } else {
            "200 OK\r\nPublic: DESCRIBE, c4n4ry\r\n\r\n".to_owned()
        };
        let (status, rest) = said.split_once("\r\n").unwrap();
        write!(socket, "RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{rest}")?;
    }
}

/// A camera that tells what it is asked in each of its answers.
fn camera() -> (u16, &'static AtomicUsize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count: &'static AtomicUsize = Box::leak(Box::default());
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let at = format!("127.0.0.1:{port}");
            std::thread::spawn(move || converse(socket, &at, count));
        }
    });
    (port, count)
}

fn assert_silent(place: &str, said: &[u8]) {
    let said = String::from_utf8_lossy(said);
    for secret in [CANARY, BASIC[0], BASIC[1]] {
        let found = said.find(secret).map(|at| {
            let around = said[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
            &said[around..at + secret.len()]
        });
        assert_eq!(found, None, "{place} tells a secret");
    }
}

/// A reader that says secrets wherever a reader may.
fn read_with_secrets(port: u16) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for (n, method) in ["OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP"].iter().enumerate() {
        let request = format!(
            "{method} rtsp://reader:c4n4ry@127.0.0.1/cam0?password=c4n4ry RTSP/1.0\r\nCSeq: {n}\r\n\
             Authorization: Basic {}\r\nUser-Agent: probe\r\n\r\n",
            BASIC[1]
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4_096];
        let _ = socket.read(&mut answer);
    }
}

#[test]
fn no_output_tells_a_secret_whoever_said_it() {
    let (port, count) = camera();
    let source = |kind: &str, scheme: &str, path: &str| {
        format!(
            "source = {{ kind = \"{kind}\", username = \"viewer\", password = \"c4n4ry-password\", \
             url = \"{scheme}://127.0.0.1:{port}/{path}?password=c4n4ry\" }}\n"
        )
    };
    let pulled = (0..ANSWERS.len())
        .map(|n| format!("[stream.cam{n}]\n{}", source("rtsp_pull", "rtsp", &n.to_string())));
    let streams = format!(
        "{HOOK}{}[stream.yard]\n{}",
        pulled.collect::<String>(),
        source("mjpeg", "http", "x")
    );
    let mut daemon = Daemon::new("512MiB", &streams);
    daemon.verbose = true;
    daemon.start();
    read_with_secrets(daemon.rtsp_port);
    wait_for("every camera failed", Duration::from_secs(60), || {
        for path in ["/api/v1/streams", "/api/v1/health", "/api/v1/recovery"] {
            assert_silent(path, daemon.get(path).to_string().as_bytes());
        }
        let all = daemon.get("/api/v1/streams");
        let offline = |stream: &&serde_json::Value| stream["reason"].is_string();
        let failed = all["streams"].as_array().into_iter().flatten().filter(offline).count();
        (failed >= ANSWERS.len() && count.load(Relaxed) > ANSWERS.len()).then_some(())
    });
    for path in [
        "/",
        "/metrics",
        "/api/v1/audit",
        "/api/v1/config",
        "/api/v1/config/history",
        "/api/v1/config/settings",
        "/api/v1/config/streams/cam0",
        "/api/v1/events?limit=1000",
        "/api/v1/exports",
        "/api/v1/recordings/cam0",
        "/api/v1/rtsp/sessions",
        "/api/v1/storage",
        "/api/v1/system",
        "/api/v1/webhooks",
        "/api/v1/webhooks/house/dead",
    ] {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-s", &daemon.http(path)]);
        assert_silent(path, &run(&mut curl, Duration::from_secs(20)).stdout);
    }
    let failures = daemon.get("/api/v1/rtsp/failures");
    assert_silent("the list of failures", failures.to_string().as_bytes());
    for failure in failures["failures"].as_array().into_iter().flatten() {
        let mut curl = std::process::Command::new("curl");
        let path = format!("/api/v1/rtsp/failures/{}", failure["id"]);
        curl.args(["-s", &daemon.http(&path)]);
        assert_silent(&path, &run(&mut curl, Duration::from_secs(20)).stdout);
    }
    assert!(daemon.stop().success());
    assert_silent("the log", daemon.logs().as_bytes());
    // But for the copy of the configuration that is known to be good.
    let files = std::fs::read_dir(daemon.data_dir()).unwrap().flatten();
    for file in files.filter(|file| !file.file_name().to_string_lossy().starts_with("config")) {
        let text = std::fs::read(file.path()).unwrap_or_default();
        assert_silent(&file.path().display().to_string(), &text);
    }
}
