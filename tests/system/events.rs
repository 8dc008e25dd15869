//! What happens in the box, as a subscriber sees it: once, in order, and resumable.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::harness::daemon::Daemon;
use crate::harness::{need, run, wait_for};

pub(crate) const STREAMS: &str = "[stream.gate]\nsource = { kind = \"pattern\", width = 320, height = 180, \
                       fps = 10, bitrate_bps = 50000 }\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// A subscriber to the events.
pub(crate) struct Follower(WebSocket<TcpStream>);

fn request(port: u16, query: &str, headers: &str) -> tungstenite::http::Request<()> {
    let url = format!("ws://127.0.0.1:{port}/api/v1/events/ws?{query}");
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
        let name = tungstenite::http::HeaderName::try_from(name).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

impl Follower {
    /// Follows what `query` asks for, with `headers` in the form of a request's head.
    pub(crate) fn open(port: u16, query: &str, headers: &str) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(request(port, query, headers), socket).unwrap();
        let mut follower = Self(socket);
        let hello = follower.message().expect("a first message");
        assert!(hello["hello"]["instance"].is_string(), "{hello}");
        follower
    }

    /// The status of an upgrade that is refused.
    pub(crate) fn refused(port: u16, query: &str, cookie: &str) -> u16 {
        let headers = format!("Cookie: {cookie}\r\nOrigin: http://127.0.0.1:{port}\r\n");
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        match tungstenite::client(request(port, query, &headers), socket) {
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                answer.status().as_u16()
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The next message; `None` when the box closed the socket.
    pub(crate) fn message(&mut self) -> Option<Value> {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "nothing but pings");
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return None,
                Ok(_) => {}
                Err(error) => panic!("no message: {error}"),
            }
        }
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Value {
        loop {
            let mut message = self.message().expect("the socket is open");
            if message.get("event").is_some() {
                return message["event"].take();
            }
        }
    }

    /// The next event of `kind`, and what came before it.
    fn until(&mut self, kind: &str) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            let event = self.event();
            if event["kind"] == kind {
                return (event, before);
            }
            before.push(event);
        }
    }
}

/// Posts `body` as a program does.
pub(crate) fn post(daemon: &Daemon, path: &str, body: &Value) -> (u16, Value) {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-w", "\n%{http_code}", "-H", "Content-Type: application/json"]);
    curl.args(["-d", &body.to_string(), &daemon.http(path)]);
    let text = String::from_utf8(run(&mut curl, PATIENCE).stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

pub(crate) fn wait_for_footage(daemon: &Daemon) {
    wait_for("footage", PATIENCE, || {
        let list = daemon.get("/api/v1/recordings/gate");
        (list["runs"][0]["fragments"].as_u64()? >= 3).then_some(())
    });
}

#[test]
fn a_change_is_told_once_and_a_reader_comes_back_behind_it() {
    let daemon = Daemon::start_new("64MiB", STREAMS);
    let mut all = Follower::open(daemon.http_port, "after=another-7", "");
    let mut messages = std::iter::from_fn(|| all.message());
    assert_eq!(messages.next().unwrap(), json!({ "lost": { "count": null } }));
    assert_eq!(messages.next().unwrap()["event"]["kind"], "box.started");
    wait_for_footage(&daemon);

    let wish = json!({
        "stream": "gate", "kind": "motion", "text": "a fox", "pre": "2s", "post": "3s", "keep": "1d",
    });
    let (status, made) = post(&daemon, "/api/v1/events", &wish);
    assert_eq!(status, 201, "{made}");
    let made = &made["events"][0];
    let (protected, before) = all.until("range.protected");
    let (marked, between) = all.until("mark.motion");
    assert_eq!(marked["data"]["id"], made["id"]);
    assert_eq!(protected["data"]["id"], made["ranges"][0]["id"]);
    let live = before.iter().chain(&between).filter(|event| event["kind"] == "stream.live").count();
    assert!(live <= 1, "{before:?}");
    let seconds = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let span =
        seconds(&protected["data"]["end"]).duration_since(seconds(&protected["data"]["start"]));
    assert_eq!(span.as_secs(), 5);

    daemon.configure("64MiB", &format!("{STREAMS}{}", STREAMS.replace("gate", "yard")));
    daemon.reload();
    let after = format!("after={}", marked["id"].as_str().unwrap());
    let mut resumed = Follower::open(daemon.http_port, &after, "");
    let (changed, before) = resumed.until("config.changed");
    assert_eq!(changed["data"]["restarted"], json!(["yard"]));
    let seqs = |events: &[Value]| -> Vec<_> { events.iter().map(|e| e["seq"].as_u64()).collect() };
    let first = marked["seq"].as_u64().unwrap() + 1;
    let numbers = seqs(&before);
    assert!(numbers.iter().zip(first..).all(|(seq, wanted)| *seq == Some(wanted)), "{numbers:?}");
    assert_eq!(resumed.until("stream.added").0["stream"], "yard");
}

#[test]
fn marks_are_listed_by_stream_kind_and_time_and_refused_whole() {
    let mut daemon = Daemon::start_new("64MiB", STREAMS);
    wait_for_footage(&daemon);
    let mut bells = Follower::open(daemon.http_port, "kinds=mark.bell&streams=gate", "");
    let event_at = |daemon: &Daemon, more: Value| {
        let mut event = json!({ "stream": "gate", "text": "x" });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(daemon, "/api/v1/events", &event)
    };
    for (kind, time) in [("bell", "1000"), ("door", "2000"), ("bell", "3000")] {
        assert_eq!(event_at(&daemon, json!({ "kind": kind, "time": time })).0, 201);
    }
    let (status, of_all) = post(&daemon, "/api/v1/events", &json!({ "text": "all", "post": "1s" }));
    assert_eq!((status, of_all["events"][0]["ranges"].as_array().unwrap().len()), (201, 1));
    let texts = |daemon: &Daemon, query: &str| -> Vec<String> {
        let list = daemon.get(&format!("/api/v1/events{query}"));
        let events = list["events"].as_array().unwrap().iter();
        events.map(|mark| format!("{} {}", mark["kind"], mark["at"]).replace('"', "")).collect()
    };
    let bell = |at: &str| format!("bell 1970-01-01T00:{at}.000Z");
    assert_eq!(texts(&daemon, "?kind=bell"), [bell("16:40"), bell("50:00")]);
    assert_eq!(texts(&daemon, "?kind=bell&start=1001&end=4000"), [bell("50:00")]);
    assert_eq!(texts(&daemon, "?stream=gate").len(), 4);
    assert_eq!(texts(&daemon, "?stream=gate&end=500"), [] as [String; 0]);
    for _ in 0..2 {
        assert_eq!(bells.event()["kind"], "mark.bell");
    }
    daemon.stop();
    daemon.start();
    wait_for("the journal is read", PATIENCE, || {
        (texts(&daemon, "?kind=bell") == [bell("16:40"), bell("50:00")]).then_some(())
    });

    for wrong in [
        json!({ "kind": "Door Bell" }),
        json!({ "pre": "2h" }),
        json!({ "post": "soon" }),
        json!({ "keep": "0s" }),
        json!({ "time": "yesterday" }),
        json!({ "text": "" }),
        json!({ "sound": true }),
    ] {
        assert_eq!(event_at(&daemon, wrong.clone()).0, 400, "{wrong}");
    }
    assert_eq!(event_at(&daemon, json!({ "stream": "cellar" })).0, 404);
    let pins = daemon.get("/api/v1/pins")["pins"].as_array().unwrap().len();
    let long = "x".repeat(300);
    assert_eq!(event_at(&daemon, json!({ "text": long, "post": "9s" })).0, 400);
    assert_eq!(daemon.get("/api/v1/pins")["pins"].as_array().unwrap().len(), pins);
}

#[test]
fn the_script_of_the_reference_follows() {
    need("python3", "python3");
    let page = include_str!("../../docs/reference/events.md");
    let (_, script) = page.split_once("```python\n").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let daemon = Daemon::start_new("64MiB", STREAMS);
    let mut python = Command::new("python3");
    python.args(["-", "127.0.0.1", &daemon.http_port.to_string()]);
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"hello\""));
    wait_for_footage(&daemon);
    assert_eq!(post(&daemon, "/api/v1/marks", &json!({ "text": "hello, script" })).0, 201);
    let told = lines.map(Result::unwrap).find(|line| line.contains("hello, script"));
    assert!(told.unwrap().contains("\"mark.manual\""));
    child.kill().unwrap();
    child.wait().unwrap();
}
