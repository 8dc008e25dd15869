//! Webhooks against real receivers: what arrives, what is tried again, and what outlives a restart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::events::{STREAMS, post, wait_for_footage};
use crate::harness::daemon::Daemon;
use crate::harness::{need, wait_for};

const SECRET: &str = "a secret of the receiver";
const PATIENCE: Duration = Duration::from_secs(30);

/// Python's own HTTP server: says each request as one line of JSON, and answers with the status that
/// is in a file, over TLS if there is a certificate.
const RECEIVER: &str = r#"
import http.server, json, ssl, sys
status, certificate = sys.argv[1], sys.argv[2]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        code = int(open(status).read())
        heads = {name.lower(): value for name, value in self.headers.items()}
        print(json.dumps({"path": self.path, "heads": heads, "body": body, "code": code}), flush=True)
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A receiver.
struct Sink {
    child: Child,
    port: u16,
    told: Receiver<Value>,
    dir: tempfile::TempDir,
}

impl Sink {
    fn start(status: u16, certificate: Option<&str>) -> Self {
        need("python3", "python3");
        let dir = tempfile::tempdir().unwrap();
        let pem = dir.path().join("receiver.pem");
        if let Some(text) = certificate {
            std::fs::write(&pem, text).unwrap();
        }
        let shown = certificate.map_or_else(PathBuf::new, |_| pem);
        let mut python = Command::new("python3");
        python.args(["-c", RECEIVER]).arg(dir.path().join("status")).arg(shown);
        std::fs::write(dir.path().join("status"), status.to_string()).unwrap();
        let mut child = python.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let (sender, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, port, told, dir }
    }

    fn answer(&self, status: u16) {
        let draft = self.dir.path().join("draft");
        std::fs::write(&draft, status.to_string()).unwrap();
        std::fs::rename(draft, self.dir.path().join("status")).unwrap();
    }

    /// The next request.
    fn next(&self) -> Value {
        self.told.recv_timeout(PATIENCE).expect("a request")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn section(name: &str, url: &str, more: &str) -> String {
    format!("[webhook.{name}]\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n{more}\n")
}

fn view(daemon: &Daemon, name: &str) -> Value {
    let list = daemon.get("/api/v1/webhooks");
    let mut all = list["webhooks"].as_array().unwrap().iter();
    all.find(|hook| hook["name"] == name).unwrap().clone()
}

fn signature(request: &Value) -> String {
    let head = |name: &str| request["heads"][name].as_str().unwrap().to_owned();
    let signed = format!(
        "{}.{}.{}",
        head("webhook-id"),
        head("webhook-timestamp"),
        request["body"].as_str().unwrap()
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn an_event_arrives_signed_while_another_receiver_hangs() {
    let sink = Sink::start(204, None);
    // It takes connections and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_url = format!("http://{}/", mute.local_addr().unwrap());
    let hooks = section("mute", &mute_url, "")
        + &section(
            "house",
            &format!("http://127.0.0.1:{}/hook?key=hidden-in-the-query", sink.port),
            "kinds = [\"mark.*\"]\nstreams = [\"gate\"]",
        );
    let daemon = Daemon::start_new("64MiB", &format!("{STREAMS}{hooks}"));
    wait_for_footage(&daemon);
    for (stream, kind) in [(json!(null), "none"), (json!("gate"), "bell")] {
        let event = json!({ "stream": stream, "kind": kind, "text": "who is there?" });
        assert_eq!(post(&daemon, "/api/v1/events", &event).0, 201);
    }
    let request = sink.next();
    assert_eq!(request["path"], "/hook?key=hidden-in-the-query");
    assert_eq!(request["heads"]["webhook-signature"], signature(&request));
    let event: Value = serde_json::from_str(request["body"].as_str().unwrap()).unwrap();
    assert_eq!((&event["kind"], &event["stream"]), (&json!("mark.bell"), &json!("gate")));
    assert_eq!(request["heads"]["webhook-id"], event["id"]);
    let house = wait_for("the receiver's answer is known", PATIENCE, || {
        let house = view(&daemon, "house");
        (house["delivered"] == 1).then_some(house)
    });
    assert_eq!((&house["state"], &house["pending"]), (&json!("ok"), &json!(0)));
    assert!(view(&daemon, "mute")["pending"].as_u64().unwrap() >= 1);

    let settings = daemon.get("/api/v1/config/settings");
    assert_eq!(settings["webhook"]["house"]["secret"], json!({ "set": true }));
    let shown = format!("{settings}{}{}", daemon.get("/api/v1/webhooks"), daemon.logs());
    for hidden in [SECRET, "hidden-in-the-query"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(!daemon.data_dir().join("state/webhooks/house.json").exists(), "nothing to keep");
}

#[test]
fn what_cannot_be_delivered_outlives_a_crash_and_is_sent_again() {
    let sink = Sink::start(500, None);
    let hook =
        section("house", &format!("http://127.0.0.1:{}/", sink.port), "kinds = [\"mark.*\"]");
    let mut daemon = Daemon::start_new("64MiB", &format!("{STREAMS}{hook}"));
    wait_for_footage(&daemon);
    let event = json!({ "stream": "gate", "text": "a fall", "kind": "fall" });
    assert_eq!(post(&daemon, "/api/v1/events", &event).0, 201);
    let first = sink.next();
    // More than may wait: the oldest become dead letters.
    let mut socket = BufReader::new(TcpStream::connect(("127.0.0.1", daemon.http_port)).unwrap());
    let request = "POST /api/v1/webhooks/house/test HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                   Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    for _ in 0..300 {
        socket.get_mut().write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.ends_with('}') {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            answer.push(char::from(byte[0]));
        }
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    let file = daemon.data_dir().join("state/webhooks/house.json");
    wait_for("what waits is on the disk", PATIENCE * 2, || {
        let text = std::fs::read_to_string(&file).ok()?;
        let kept: Value = serde_json::from_str(&text).ok()?;
        let (pending, dead) = (kept["pending"].as_array()?.len(), kept["dead"].as_array()?.len());
        (pending == 256 && dead == 45).then_some(())
    });
    assert_eq!(view(&daemon, "house")["state"], "failing");
    let dead = daemon.get("/api/v1/webhooks/house/dead");
    assert_eq!(dead["dead"][0]["kind"], "mark.fall", "{dead}");
    assert_eq!(dead["dead"][0]["error"], "The receiver answers with status 500.");

    daemon.kill();
    sink.answer(200);
    daemon.start();
    let told = wait_for("all that waited arrived", PATIENCE, || {
        let house = view(&daemon, "house");
        (house["pending"] == 0).then_some(house)
    });
    assert_eq!((&told["dead"], &told["state"]), (&json!(45), &json!("ok")));
    let wrong = post(&daemon, "/api/v1/webhooks/house/resend", &json!({ "ids": ["nonsense"] }));
    assert_eq!(wrong, (202, json!({ "resent": 0 })));
    while sink.told.try_recv().is_ok() {}
    let all = post(&daemon, "/api/v1/webhooks/house/resend", &json!({}));
    assert_eq!(all, (202, json!({ "resent": 45 })));
    let again = sink.next();
    assert_eq!(again["heads"]["webhook-id"], first["heads"]["webhook-id"], "the oldest first");
    assert_eq!(again["body"], first["body"]);
    wait_for("none is dead any more", PATIENCE, || {
        let house = view(&daemon, "house");
        (house["dead"] == 0 && house["pending"] == 0).then_some(())
    });
}

#[test]
fn only_a_receiver_that_is_believed_gets_anything_and_no_redirect_is_followed() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = format!("{}{}", key.cert.pem(), key.signing_key.serialize_pem());
    let sink = Sink::start(302, Some(&pem));
    let ca = sink.dir.path().join("ca.pem");
    std::fs::File::create(&ca).unwrap().write_all(key.cert.pem().as_bytes()).unwrap();
    let url = format!("https://127.0.0.1:{}/", sink.port);
    let believed = section("known", &url, &format!("ca = \"{}\"", ca.display()));
    // The system's authorities do not vouch for it.
    let hooks = believed + &section("stranger", &url, "kinds = [\"webhook.*\"]");
    let daemon = Daemon::start_new("64MiB", &format!("{STREAMS}{hooks}"));
    let error = |name: &str| {
        wait_for("an attempt failed", PATIENCE, || {
            view(&daemon, name)["error"].as_str().map(str::to_owned)
        })
    };
    assert_eq!(error("known"), "The receiver answers with status 302.");
    assert_eq!(sink.next()["path"], "/");
    assert_eq!(post(&daemon, "/api/v1/webhooks/stranger/test", &json!({})).0, 202);
    assert!(error("stranger").contains("`ca`"), "{}", error("stranger"));
    sink.answer(410);
    assert_eq!(post(&daemon, "/api/v1/webhooks/known/test", &json!({})).0, 202);
    wait_for("it is gone", PATIENCE, || (view(&daemon, "known")["state"] == "gone").then_some(()));
    let paths = std::iter::from_fn(|| sink.told.try_recv().ok());
    assert!(paths.into_iter().all(|request| request["path"] == "/"), "no redirect was followed");
    assert_eq!(post(&daemon, "/api/v1/webhooks/nobody/test", &json!({})).0, 404);
}
