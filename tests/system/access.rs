//! Who is let in: the claim of a new box, sessions, roles on every route, and what outlives a restart.

mod audit;
mod crowd;
mod events;
mod matrix;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use holdfast::base::limits::{AUTH_FAILURES_MAX, CLAIM_WRONG_MAX};
use serde_json::{Value, json};

use crate::harness::daemon::Daemon;
use crate::harness::{run, wait_for};

const STREAMS: &str = "\
    [stream.gate]\nsource = { kind = \"pattern\", width = 320, height = 180, fps = 10, bitrate_bps = 50000 }\n\
    [stream.yard]\nsource = { kind = \"pattern\", width = 320, height = 180, fps = 10, bitrate_bps = 50000 }\n";
const PASSWORD: &str = "correct horse battery";
const PATIENCE: Duration = Duration::from_secs(20);

/// A new box, as it comes out of its carton.
fn new_box() -> Daemon {
    let mut daemon = Daemon::new("64MiB", STREAMS);
    daemon.claimable = true;
    daemon.configure("64MiB", STREAMS);
    daemon
}

/// A box that `anna` has claimed from its command line, before its first start.
pub(super) fn claimed_box() -> Daemon {
    let mut daemon = new_box();
    add_account(&daemon, &["--name", "anna", "--role", "admin"]);
    daemon.start();
    daemon
}

fn add_account(daemon: &Daemon, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(["account", "add", "--password-stdin", "--config"]).arg(daemon.config());
    let mut child = command.args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{arguments:?}");
}

fn claim_code(daemon: &Daemon) -> String {
    let said = Daemon::holdfast(&["claim-code", "--config", daemon.config().to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// An answer: its head, and as much of its body as was asked for.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The cookie that it sets.
    fn cookie(&self) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let line = line.unwrap_or_else(|| panic!("no cookie in {}", self.head));
        line.split(';').next().unwrap().to_owned()
    }
}

/// What a browser of the box's own page adds.
fn own_page(daemon: &Daemon) -> String {
    format!("Origin: http://127.0.0.1:{}\r\nX-Holdfast-CSRF: 1\r\n", daemon.http_port)
}

/// Sends a request and reads the head of the answer, and its body if that has a length.
fn send(daemon: &Daemon, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut socket = TcpStream::connect(("127.0.0.1", daemon.http_port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n{kind}\
         Content-Length: {}\r\n{headers}\r\n{body}",
        daemon.http_port,
        body.len()
    );
    socket.write_all(text.as_bytes()).unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4_096]);
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        match socket.read(&mut buffer) {
            Ok(length @ 1..) => read.extend_from_slice(&buffer[..length]),
            other => panic!("{method} {path}: {other:?} after {read:?}"),
        }
    };
    let head = String::from_utf8_lossy(&read[..head_end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0).min(1 << 20);
    while read.len() < head_end + 4 + length {
        match socket.read(&mut buffer) {
            Ok(length @ 1..) => read.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    let whole = String::from_utf8_lossy(&read[..head_end]).into_owned();
    // Names in lower case, values as they came.
    let head = whole.lines().map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
        None => format!("{line}\n"),
    });
    Answer {
        status: whole[9..12].parse().unwrap(),
        head: head.collect(),
        body: String::from_utf8_lossy(&read[head_end + 4..]).into_owned(),
    }
}

#[test]
fn a_new_box_shows_its_own_cameras_to_its_networks_and_nothing_else() {
    let mut daemon = new_box();
    let streams = format!(
        "{STREAMS}[stream.lan]\nsource = {{ kind = \"rtsp_pull\", url = \"rtsp://127.0.0.1:9/a\" }}\n"
    );
    daemon.configure("64MiB", &streams);
    // A proxy on this computer says where the caller is.
    daemon.start();
    let from = |path: &str, client: &str| {
        send(&daemon, "GET", path, &format!("X-Forwarded-For: {client}\r\n"), "")
    };
    let told = get(&daemon, "/api/v1/preview", "");
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(
        told.json()["cameras"],
        json!(["gate", "yard"]),
        "a camera on the network has an owner"
    );
    assert!(told.json()["left"].as_u64() > Some(1_700));
    let picture = wait_for("a picture", PATIENCE, || {
        let picture = get(&daemon, "/api/v1/preview/gate.jpg", "");
        (picture.status == 200).then_some(picture)
    });
    assert!(picture.head.contains("content-type: image/jpeg"), "{}", picture.head);
    for name in ["lan.jpg", "cellar.jpg", "gate.png", "gate"] {
        let told = get(&daemon, &format!("/api/v1/preview/{name}"), "");
        assert_eq!(told.status, 404, "{name}");
    }
    for path in ["/api/v1/preview", "/api/v1/preview/gate.jpg"] {
        let told = from(path, "203.0.113.7");
        assert_eq!((told.status, told.code().as_str()), (403, "preview_over"), "{path}");
    }
    for path in ["/api/v1/streams", "/snap/gate.jpg", "/live/gate/index.m3u8"] {
        assert_eq!(get(&daemon, path, "").status, 403, "{path}");
    }
    let code = claim_code(&daemon);
    let body = json!({ "code": code, "name": "anna", "password": PASSWORD });
    assert_eq!(ask(&daemon, "POST", "/api/v1/claim", "", &body).status, 201);
    for path in ["/api/v1/preview", "/api/v1/preview/gate.jpg"] {
        let told = get(&daemon, path, "");
        assert_eq!((told.status, told.code().as_str()), (409, "claimed"), "{path}");
    }
}

fn get(daemon: &Daemon, path: &str, cookie: &str) -> Answer {
    send(daemon, "GET", path, &format!("Cookie: {cookie}\r\n"), "")
}

/// Asks as the page does, for a signed-in account.
fn ask(daemon: &Daemon, method: &str, path: &str, cookie: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = format!("Cookie: {cookie}\r\n{}", own_page(daemon));
    send(daemon, method, path, &headers, &body)
}

fn sign_in(daemon: &Daemon, name: &str, password: &str) -> Answer {
    let body = json!({ "name": name, "password": password }).to_string();
    send(daemon, "POST", "/api/v1/session", &own_page(daemon), &body)
}

fn claim(daemon: &Daemon, code: &str, name: &str) -> Answer {
    let body = json!({ "code": code, "name": name, "password": PASSWORD }).to_string();
    send(daemon, "POST", "/api/v1/claim", "", &body)
}

fn claim_state(daemon: &Daemon) -> Value {
    get(daemon, "/api/v1/claim", "").json()["state"].clone()
}

#[test]
fn a_new_box_shows_nothing_until_one_claim_wins() {
    let mut daemon = new_box();
    daemon.start();
    assert_eq!(claim_state(&daemon), "unclaimed");
    for path in ["/api/v1/streams", "/snap/gate.jpg", "/live/gate/index.m3u8", "/metrics"] {
        let answer = get(&daemon, path, "");
        assert_eq!((answer.status, answer.code()), (403, "unclaimed".to_owned()), "{path}");
    }
    assert_eq!(get(&daemon, "/", "").status, 200, "the page itself is for everybody");
    let health = get(&daemon, "/api/v1/health", "").json();
    assert_eq!(health.as_object().unwrap().len(), 1, "strangers are told one word: {health}");
    let describe = format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", daemon.rtsp("gate"));
    assert!(rtsp(&daemon, &describe).starts_with("RTSP/1.0 403"), "loopback is nobody special");
    wait_for("footage, whoever may see it", PATIENCE * 2, || {
        let made = daemon.data_dir().join("ring").exists();
        (made && !daemon.slots().is_empty()).then_some(())
    });

    let code = claim_code(&daemon);
    let weak = json!({ "code": code, "name": "anna", "password": "anna-anna-anna" }).to_string();
    let answer = send(&daemon, "POST", "/api/v1/claim", "", &weak);
    assert_eq!((answer.status, answer.code()), (422, "password_weak".to_owned()));
    let told: Vec<Answer> = std::thread::scope(|scope| {
        let both = ["anna", "bert"].map(|name| scope.spawn(|| claim(&daemon, &code, name)));
        both.into_iter().map(|claim| claim.join().unwrap()).collect()
    });
    let mut statuses: Vec<u16> = told.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{told:?}");
    let won = told.iter().find(|answer| answer.status == 201).unwrap();
    assert_eq!(won.json()["role"], "admin");
    assert_eq!(get(&daemon, "/api/v1/streams", &won.cookie()).status, 200);
    assert_eq!(claim(&daemon, &code, "carl").status, 409);
    assert_eq!(claim_state(&daemon), "claimed");
    let stranger = get(&daemon, "/api/v1/streams", "");
    assert_eq!(stranger.status, 401);
    assert!(!stranger.head.contains("www-authenticate"), "no box of the browser's own");
    assert!(!daemon.logs().contains(&code) && !daemon.logs().contains(PASSWORD));
}

/// What RTSP answers to `request`.
fn rtsp(daemon: &Daemon, request: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", daemon.rtsp_port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 4_096];
    let length = socket.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn wrong_codes_lock_the_claim_over_a_restart() {
    let mut daemon = new_box();
    daemon.start();
    let code = claim_code(&daemon);
    for _ in 0..CLAIM_WRONG_MAX {
        let answer = claim(&daemon, "AAAA-AAAA", "anna");
        assert_eq!((answer.status, answer.code()), (403, "wrong_code".to_owned()));
    }
    for _ in 0..2 {
        let answer = claim(&daemon, &code, "anna");
        assert_eq!((answer.status, answer.code()), (429, "claim_locked".to_owned()));
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        let state = get(&daemon, "/api/v1/claim", "").json();
        assert_eq!(state["state"], "locked");
        assert!(state["retry_after"].as_u64().unwrap() > 600, "{state}");
        daemon.stop();
        daemon.start();
    }
}

#[test]
fn who_signs_out_loses_the_open_socket_too() {
    let daemon = claimed_box();
    let cookie = sign_in(&daemon, "anna", PASSWORD).cookie();
    daemon_is_live(&daemon, &cookie);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: SG9sZGZhc3QgaXMgaGVyZQ==\r\n";
    let open = |headers: &str| {
        let mut socket = TcpStream::connect(("127.0.0.1", daemon.http_port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = format!("Host: 127.0.0.1:{}\r\n", daemon.http_port);
        write!(socket, "GET /live/gate/ws HTTP/1.1\r\n{host}{upgrade}{headers}\r\n").unwrap();
        let mut buffer = [0; 12];
        socket.read_exact(&mut buffer).unwrap();
        (String::from_utf8_lossy(&buffer[9..]).into_owned(), socket)
    };
    let proof = format!("Cookie: {cookie}\r\n");
    assert_eq!(open("").0, "401");
    assert_eq!(open(&proof).0, "403", "a browser says where its page is from");
    assert_eq!(open(&format!("{proof}Origin: http://evil.example\r\n")).0, "403");
    let (status, mut socket) = open(&format!("{proof}{}", own_page(&daemon)));
    assert_eq!(status, "101");
    let mut buffer = [0; 1 << 12];
    assert!(socket.read(&mut buffer).unwrap() > 0);

    let bare = send(&daemon, "DELETE", "/api/v1/session", &proof, "");
    assert_eq!((bare.status, bare.code()), (403, "origin_missing".to_owned()));
    let left = ask(&daemon, "DELETE", "/api/v1/session", &cookie, &Value::Null);
    assert_eq!(left.status, 204);
    let since = Instant::now();
    while socket.read(&mut buffer).is_ok_and(|read| read > 0) {
        assert!(since.elapsed() < Duration::from_secs(5), "the socket goes on");
    }
    assert_eq!(get(&daemon, "/api/v1/session", &cookie).status, 401);
}

/// Waits until the streams are live, as an account that may see them.
fn daemon_is_live(daemon: &Daemon, cookie: &str) {
    wait_for("both streams are live", PATIENCE, || {
        let streams = get(daemon, "/api/v1/streams", cookie).json();
        let streams = streams["streams"].as_array()?;
        streams.iter().all(|stream| stream["state"] == "live").then_some(())
    });
}

#[test]
fn accounts_and_debts_outlive_a_restart_and_damage_opens_nothing() {
    let mut daemon = claimed_box();
    let before = sign_in(&daemon, "anna", PASSWORD).cookie();
    for _ in 0..AUTH_FAILURES_MAX {
        let answer = sign_in(&daemon, "anna", "not the password");
        assert_eq!((answer.status, answer.code()), (401, "wrong_password".to_owned()));
    }
    let unknown = sign_in(&daemon, "nobody", PASSWORD);
    assert_eq!((unknown.status, unknown.code()), (429, "too_many_tries".to_owned()));
    daemon.stop();
    daemon.start();
    let answer = sign_in(&daemon, "anna", PASSWORD);
    assert_eq!(answer.status, 429, "guessing is not forgiven by a restart");
    assert!(answer.json()["error"]["retry_after"].as_u64().unwrap() > 0);
    assert_eq!(get(&daemon, "/api/v1/streams", &before).status, 401, "sessions are not kept");
    assert_eq!(claim_state(&daemon), "claimed");

    let file = daemon.data_dir().join("state/accounts.json");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    daemon.stop();
    daemon.start();
    assert_eq!(claim_state(&daemon), "claimed", "nobody can claim it");
    let answer = get(&daemon, "/api/v1/streams", "");
    assert_eq!((answer.status, answer.code()), (503, "accounts_damaged".to_owned()));
    let config = daemon.config();
    let reset = Daemon::holdfast(&["account", "reset", "--config", config.to_str().unwrap()]);
    assert!(reset.status.success(), "{reset:?}");
    wait_for("the box is unclaimed", PATIENCE, || {
        (claim_state(&daemon) == "unclaimed").then_some(())
    });
}

/// `program` on the file systems of a daemon that was started on one of its own.
fn inside(daemon: &Daemon, program: &[&str]) -> std::process::Output {
    let root = rustix::process::geteuid().is_root();
    let user: &[&str] = if root { &[] } else { &["--user", "--preserve-credentials"] };
    let mut command = Command::new("nsenter");
    command.args(["--target", &daemon.pid().to_string(), "--mount"]).args(user).args(program);
    run(&mut command, PATIENCE)
}

#[test]
fn a_password_that_the_full_disk_does_not_take_leaves_the_old_one() {
    const OTHER: &str = "another long password";
    let mut daemon = new_box();
    daemon.configure("8MiB", "");
    daemon.start_on_tmpfs("size=24m");
    let config = daemon.config().display().to_string();
    let binary = env!("CARGO_BIN_EXE_holdfast");
    let code = inside(&daemon, &[binary, "claim-code", "--config", &config]);
    let code = String::from_utf8(code.stdout).unwrap();
    assert_eq!(claim(&daemon, code.trim(), "anna").status, 201);
    let fill = daemon.data_dir().join("fill");
    let (fill, zeros) = (fill.to_str().unwrap(), "head -c 100000000 /dev/zero > \"$1\"");
    assert!(!inside(&daemon, &["sh", "-c", zeros, "sh", fill]).status.success(), "it is full");
    let change = |cookie: &str| {
        let body = json!({ "old": PASSWORD, "new": OTHER });
        ask(&daemon, "PUT", "/api/v1/session/password", cookie, &body)
    };
    let told = change(&sign_in(&daemon, "anna", PASSWORD).cookie());
    assert_eq!((told.status, told.code().as_str()), (503, "accounts_unwritable"), "{told:?}");
    assert_eq!(sign_in(&daemon, "anna", OTHER).status, 401);
    let cookie = sign_in(&daemon, "anna", PASSWORD).cookie();
    assert!(inside(&daemon, &["rm", fill]).status.success());
    assert_eq!(change(&cookie).status, 204);
    assert_eq!(sign_in(&daemon, "anna", OTHER).status, 200);
}

#[test]
fn the_command_line_is_let_in_whatever_the_claim() {
    let mut daemon = new_box();
    daemon.start();
    let config = daemon.config();
    let asks = |arguments: &[&str]| {
        let said = Daemon::holdfast(&[arguments, &["--config", config.to_str().unwrap()]].concat());
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    assert!(asks(&["health"]).contains("of 60 seconds"), "{}", asks(&["health"]));
    assert_eq!(asks(&["recovery", "resume"]), "The box is not parked.\n");
    add_account(&daemon, &["--name", "anna", "--role", "admin"]);
    wait_for("the daemon knows it", PATIENCE, || (claim_state(&daemon) == "claimed").then_some(()));
    assert_eq!(sign_in(&daemon, "anna", PASSWORD).status, 200);
    assert_eq!(asks(&["account", "list"]), "anna  admin, streams *\n");
    assert_eq!(asks(&["recovery", "resume"]), "The box is not parked.\n");
    let mut curl = Command::new("curl");
    let stranger = run(curl.args(["-s", &daemon.http("/api/v1/recovery")]), PATIENCE);
    assert!(String::from_utf8_lossy(&stranger.stdout).contains("not_signed_in"));
}

/// What a program with `token` is answered.
fn with_token(daemon: &Daemon, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(daemon, method, path, &format!("Authorization: Bearer {token}\r\n"), &body)
}

#[test]
fn a_token_does_what_its_role_may_until_it_is_revoked() {
    let daemon = claimed_box();
    let anna = sign_in(&daemon, "anna", PASSWORD).cookie();
    let make = |body: Value| {
        let made = ask(&daemon, "POST", "/api/v1/tokens", &anna, &body);
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        [&made["id"], &made["token"]].map(|text| text.as_str().unwrap().to_owned())
    };
    let [id, viewer] = make(json!({ "label": "wall", "streams": ["gate"] }));
    let [_, admin] = make(json!({ "label": "ansible", "role": "admin" }));
    let [_, metrics] = make(json!({ "label": "prometheus", "scope": "metrics" }));
    let [_, over] = make(json!({ "label": "old", "role": "admin", "expires": "1" }));
    let status = |token: &str, path| with_token(&daemon, token, "GET", path, &Value::Null).status;
    for (token, path, wanted) in [
        (&viewer, "/api/v1/streams", 200),
        (&viewer, "/api/v1/recordings/gate", 200),
        (&viewer, "/api/v1/recordings/yard", 403),
        (&viewer, "/api/v1/accounts", 403),
        (&viewer, "/metrics", 403),
        (&admin, "/api/v1/accounts", 200),
        (&admin, "/metrics", 200),
        (&metrics, "/metrics", 200),
        (&metrics, "/api/v1/streams", 403),
        (&over, "/api/v1/streams", 401),
        (&"hft_nonsense".to_owned(), "/api/v1/streams", 401),
        (&String::new(), "/api/v1/streams", 401),
    ] {
        assert_eq!(status(token, path), wanted, "{path} with {token}");
    }
    let named = json!({ "name": "bert", "password": PASSWORD, "role": "viewer" });
    let made = with_token(&daemon, &admin, "POST", "/api/v1/accounts", &named);
    assert_eq!(made.status, 201, "a program needs no page: {made:?}");
    let in_url = get(&daemon, &format!("/api/v1/streams?token={admin}"), "");
    assert_eq!(in_url.status, 401, "never in a URL");
    let list = get(&daemon, "/api/v1/tokens", &anna);
    assert!(list.body.contains("wall") && !list.body.contains(&viewer[4..]), "{}", list.body);
    let gone = ask(&daemon, "DELETE", &format!("/api/v1/tokens/{id}"), &anna, &Value::Null);
    assert_eq!(gone.status, 204);
    assert_eq!(status(&viewer, "/api/v1/streams"), 401);
    assert!(!daemon.logs().contains("hft_"), "{}", daemon.logs());
}

#[test]
fn what_was_done_is_noted_with_who_and_from_where_and_outlives_a_restart() {
    let mut daemon = claimed_box();
    let wrong = sign_in(&daemon, "anna", "not the password at all");
    assert_eq!(wrong.status, 401);
    // A password that was typed into the wrong field.
    assert_eq!(sign_in(&daemon, "hunter2-hunter2", PASSWORD).status, 401);
    let cookie = sign_in(&daemon, "anna", PASSWORD).cookie();
    let token = json!({ "label": "hunter3" });
    ask(&daemon, "POST", "/api/v1/tokens", &cookie, &token);
    daemon.kill();
    daemon.start();
    let cookie = sign_in(&daemon, "anna", PASSWORD).cookie();
    let told = ask(&daemon, "GET", "/api/v1/audit", &cookie, &Value::Null);
    assert!(!told.body.contains("hunter") && !told.body.contains(PASSWORD), "{}", told.body);
    let told = told.json();
    assert_eq!(told["whole"], true, "{told}");
    let entries = told["entries"].as_array().unwrap();
    let line = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {} {}", text("who"), text("proof"), text("act"), entry["result"])
    };
    let lines: Vec<_> = entries.iter().rev().map(line).collect();
    assert_eq!(
        lines,
        [
            "command line local account add anna 0",
            "anna none POST /api/v1/session 401",
            "unknown none POST /api/v1/session 401",
            "anna none POST /api/v1/session 200",
            "anna session POST /api/v1/tokens 201",
            "anna none POST /api/v1/session 200",
        ]
    );
    assert_eq!(entries[0]["address"], "127.0.0.1");
    let few = ask(&daemon, "GET", "/api/v1/audit?limit=2", &cookie, &Value::Null).json();
    assert_eq!(few["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!(ask(&daemon, "GET", "/api/v1/audit?limit=0", &cookie, &Value::Null).status, 400);
}
