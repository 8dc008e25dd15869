//! The configuration through the API: read, changed, refused, taken back, in the file with its
//! comments; and a camera that is tried before it is added.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::camera::{Camera, PASSWORD, USER};
use crate::harness::daemon::Daemon;
use crate::harness::{free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);
const STREAMS: &str = "\n# The yard, as somebody wrote it.\n[stream.yard]   # towards the street\n\
    source = { kind = \"pattern\", width = 320, height = 240, fps = 10 }\n\n\
    # A camera that is away.\n[stream.away]\nsource = { kind = \"rtsp_pull\", \
    url = \"rtsp://127.0.0.1:9/main\", username = \"viewer\", password = \"hunter2\" }\n# The end.\n";

/// An answer: status, tag, body.
struct Told {
    status: u16,
    tag: String,
    body: Value,
}

/// Calls the API; `tag` names the text that the change applies to.
fn ask(daemon: &Daemon, method: &str, path: &str, tag: Option<&str>, body: Option<&Value>) -> Told {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let url = daemon.http(&format!("/api/v1/{path}"));
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if let Some(tag) = tag {
        request = request.header("If-Match", tag);
    }
    let text = body.map(Value::to_string).unwrap_or_default();
    if body.is_some() {
        request = request.header("Content-Type", "application/json");
    }
    let mut answer = agent.run(request.body(text).unwrap()).unwrap();
    let header = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
    let (status, tag) = (answer.status().as_u16(), header.unwrap_or_default().to_owned());
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(!text.contains("hunter2"), "{method} {path} tells a secret: {text}");
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {text}"));
    Told { status, tag, body }
}

fn tag(daemon: &Daemon) -> String {
    ask(daemon, "GET", "config", None, None).tag
}

fn text(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.config()).unwrap()
}

#[test]
fn a_change_is_written_with_all_comments_applied_at_once_and_can_be_taken_back() {
    let daemon = Daemon::start_new("64MiB", STREAMS);
    let before = text(&daemon);
    assert_eq!(ask(&daemon, "GET", "config", None, None).body["state"], "running");
    let yard = ask(&daemon, "GET", "config/streams/yard", None, None);
    assert_eq!(yard.body["section"]["source"]["fps"], 10);
    let away = ask(&daemon, "GET", "config/streams/away", None, None);
    assert_eq!(away.body["section"]["source"]["password"], json!({"set": true}));

    let patch = json!({"title": "Yard, north", "order": 1, "source": {"fps": 5}});
    let told = ask(&daemon, "PATCH", "config/streams/yard", Some(&yard.tag), Some(&patch));
    assert_eq!((told.status, &told.body["restarted"]), (200, &json!(["yard"])), "{}", told.body);
    assert_eq!(told.tag, tag(&daemon));
    let wanted = before.replace("fps = 10 }\n", "fps = 5 }\norder = 1\ntitle = \"Yard, north\"\n");
    assert_eq!(text(&daemon), wanted);
    wait_for("the title", PATIENCE, || {
        (daemon.stream("yard")["title"] == "Yard, north").then_some(())
    });

    let door = json!({"source": {"kind": "rtsp_push"}, "record": false});
    let told = ask(&daemon, "PUT", "config/streams/door", Some(&told.tag), Some(&door));
    assert_eq!(told.status, 201, "{}", told.body);
    assert!(text(&daemon).ends_with(
        "# The end.\n\n[stream.door]\nrecord = false\nsource = { kind = \"rtsp_push\" }\n"
    ));
    daemon.stream("door");

    let told = ask(
        &daemon,
        "PATCH",
        "config/streams/yard",
        Some(&told.tag),
        Some(&json!({"enabled": false})),
    );
    assert_eq!((told.status, &told.body["ended"]), (200, &json!(["yard"])), "{}", told.body);
    let streams = daemon.get("/api/v1/streams");
    assert_eq!(streams["disabled"][0]["name"], "yard", "{streams}");

    let told = ask(&daemon, "DELETE", "config/streams/door", Some(&told.tag), None);
    assert_eq!(told.status, 200, "{}", told.body);
    let told = ask(
        &daemon,
        "PATCH",
        "config/settings",
        Some(&told.tag),
        Some(&json!({"hls": {"low_latency": true}})),
    );
    assert_eq!(told.status, 200, "{}", told.body);
    let shown = ask(&daemon, "GET", "config/settings", None, None);
    assert_eq!(shown.body["hls"]["low_latency"], true);

    let history = ask(&daemon, "GET", "config/history", None, None);
    let texts = history.body["texts"].as_array().unwrap().clone();
    assert_eq!(texts.len(), 5, "{}", history.body);
    let first = json!({"id": texts.last().unwrap()["id"]});
    let told = ask(&daemon, "POST", "config/restore", Some(&told.tag), Some(&first));
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(text(&daemon), before);
    wait_for("the yard is back", PATIENCE, || {
        let streams = daemon.get("/api/v1/streams");
        (streams["disabled"] == json!([]) && streams["streams"].as_array()?.len() == 2)
            .then_some(())
    });
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(daemon.data_dir().join("state/config.history")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
    assert!(!daemon.logs().contains("hunter2"));
}

#[test]
fn what_would_be_wrong_is_refused_and_changes_nothing() {
    let daemon = Daemon::start_new("64MiB", STREAMS);
    let (before, now) = (text(&daemon), tag(&daemon));
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = format!("127.0.0.1:{}", busy.local_addr().unwrap().port());
    let (streams, settings) = ("config/streams/yard", "config/settings");
    let program = json!({"source": {"kind": "command", "command": ["sh"]}});
    let foreign = json!({"source": {"url": "rtsp://10.0.0.9/main"}});
    let fields = json!({"titel": "x", "source": {"fps": 0}});
    for (method, path, tag, body, status, fault) in [
        ("PATCH", streams, None, json!({"title": "x"}), 428, ""),
        ("PATCH", streams, Some("\"old\""), json!({"title": "x"}), 412, ""),
        ("PATCH", streams, Some(&*now), fields, 422, "stream.yard.source.fps"),
        ("PATCH", streams, Some(&*now), json!({"title": "\u{202e}x"}), 422, "stream.yard.title"),
        ("PATCH", streams, Some(&*now), program.clone(), 422, "stream.yard.source.command"),
        ("PUT", "config/streams/new", Some(&*now), program, 422, "stream.new.source.command"),
        ("PATCH", "config/streams/away", Some(&*now), foreign, 422, "stream.away.source.password"),
        ("PUT", "config/streams/..%2fx", Some(&*now), json!({}), 422, "stream"),
        ("PUT", "config/streams/X", Some(&*now), json!({}), 422, "stream"),
        ("PUT", streams, Some(&*now), json!([]), 422, "stream.yard"),
        ("DELETE", "config/streams/none", Some(&*now), json!({}), 404, ""),
        ("PATCH", "config/streams/none", Some(&*now), json!({}), 404, ""),
        ("PATCH", settings, Some(&*now), json!({"data_dir": "/"}), 422, "data_dir"),
        (
            "PATCH",
            settings,
            Some(&*now),
            json!({"http": {"trusted_proxies": []}}),
            422,
            "http.trusted_proxies",
        ),
        (
            "PATCH",
            settings,
            Some(&*now),
            json!({"ring": {"size": "200 bananas"}}),
            422,
            "ring.size",
        ),
        ("PATCH", settings, Some(&*now), json!({"rtsp": {"listen": [busy]}}), 409, ""),
        ("POST", "config/restore", Some(&*now), json!({"id": 77}), 404, ""),
    ] {
        let told = ask(&daemon, method, path, tag, Some(&body));
        assert_eq!(told.status, status, "{method} {path} {body}: {}", told.body);
        if !fault.is_empty() {
            assert_eq!(told.body["error"]["faults"][0]["path"], fault, "{}", told.body);
        }
        assert_eq!(text(&daemon), before, "{method} {path} {body}");
    }
    let check = json!({"stream": "yard", "section": {"source": {"kind": "pattern", "fps": 0}}});
    let told = ask(&daemon, "POST", "config/check", None, Some(&check));
    assert_eq!((told.status, &told.body["accepted"]), (200, &json!(false)), "{}", told.body);
    let check = json!({"settings": {"hls": {"low_latency": true}}});
    let told = ask(&daemon, "POST", "config/check", None, Some(&check));
    assert_eq!((told.status, &told.body["accepted"]), (200, &json!(true)), "{}", told.body);
    assert_eq!(text(&daemon), before);

    // A change by hand meanwhile: reported, not overwritten.
    std::fs::write(daemon.config(), format!("{before}# by hand\n")).unwrap();
    let told = ask(&daemon, "PATCH", streams, Some(&now), Some(&json!({"title": "x"})));
    assert_eq!(told.status, 412, "{}", told.body);
    assert_eq!(ask(&daemon, "GET", "config", None, None).body["state"], "file_differs");
    std::fs::write(daemon.config(), "data_dir = 7\n").unwrap();
    let told = ask(&daemon, "PATCH", streams, Some("*"), Some(&json!({"title": "x"})));
    assert_eq!((told.status, &told.body["error"]["code"]), (409, &json!("config_faulty")));
    assert_eq!(text(&daemon), "data_dir = 7\n");
}

#[test]
fn of_two_writers_at_once_one_is_told_to_read_again() {
    let daemon = Daemon::start_new("64MiB", STREAMS);
    let now = tag(&daemon);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let write = |title: &'static str| {
            let (daemon, now) = (&daemon, &now);
            scope.spawn(move || {
                let body = json!({"title": title});
                ask(daemon, "PATCH", "config/streams/yard", Some(now), Some(&body)).status
            })
        };
        let writers = [write("One"), write("Two")];
        writers.map(|writer| writer.join().unwrap()).to_vec()
    });
    let mut sorted = statuses.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [200, 412], "{statuses:?}");
    let title = if statuses[0] == 200 { "One" } else { "Two" };
    assert!(text(&daemon).contains(&format!("title = \"{title}\"")));
}

/// A box that is open to this computer, and may look for cameras on it.
fn open_box() -> Daemon {
    let mut daemon = Daemon::new("64MiB", "");
    let text = text(&daemon);
    if !text.contains("claim = ") {
        std::fs::write(daemon.config(), format!("claim = \"loopback\"\n{text}")).unwrap();
    }
    daemon.start();
    daemon
}

#[test]
fn a_camera_is_tried_added_and_live() {
    let camera = Camera::start();
    let daemon = open_box();
    let url = camera.url("h264");
    let wanted = json!({"url": url, "username": USER, "password": PASSWORD});
    let begun = Instant::now();
    let told = ask(&daemon, "POST", "streams/try", None, Some(&json!({"url": url})));
    assert_eq!((told.status, told.body["error"]["code"].as_str()), (422, Some("credentials")));
    let told = ask(&daemon, "POST", "streams/try", None, Some(&wanted));
    assert_eq!(told.status, 200, "{}\n{}", told.body, daemon.logs());
    assert!(begun.elapsed() < Duration::from_secs(20), "two tries of 10 s at most");
    assert_eq!(told.body["codec"], "H264", "{}", told.body);
    assert!(told.body["width"].as_u64() > Some(100) && told.body["fps"].as_f64() > Some(1.0));
    assert!(told.body["gop"].as_f64() > Some(0.1) && told.body["bitrate"].as_u64() > Some(1_000));
    let picture = told.body["picture"].as_str().unwrap_or_default();
    assert!(picture.starts_with("data:image/jpeg;base64,/9j/"), "{}", told.body);
    let source = json!({"kind": "rtsp_pull", "url": url, "username": USER, "password": PASSWORD});
    let section = json!({"source": source, "title": "Gate"});
    let told = ask(&daemon, "PUT", "config/streams/gate", Some(&tag(&daemon)), Some(&section));
    assert_eq!(told.status, 201, "{}", told.body);
    daemon.wait_state("gate", "live", PATIENCE);
    assert!(text(&daemon).contains("[stream.gate]\nsource = { kind = \"rtsp_pull\", password = "));
}

#[test]
fn what_is_no_camera_is_refused_in_our_own_words() {
    let daemon = open_box();
    // A server that sends a secret to every client.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::Write;
        for socket in listener.incoming().take(8) {
            let _ =
                socket.unwrap().write_all(b"HTTP/1.1 200 OK\r\nX-Secret: hunter2\r\n\r\nhunter2\n");
        }
    });
    for (url, code) in [
        (format!("rtsp://127.0.0.1:{port}/main"), "not_a_camera"),
        (format!("rtsp://127.0.0.1:{}/main", free_port()), "unreachable"),
        ("rtsp://169.254.169.254/latest".to_owned(), "forbidden_address"),
        ("rtsp://224.0.0.1/".to_owned(), "forbidden_address"),
        ("rtsp://127.0.0.1:22/".to_owned(), "forbidden_address"),
        (format!("http://127.0.0.1:{}/video", free_port()), "unreachable"),
        ("https://127.0.0.1:22/video".to_owned(), "forbidden_address"),
        ("ftp://127.0.0.1/".to_owned(), "address"),
        ("file:///etc/passwd".to_owned(), "address"),
        ("rtsp://u:hunter2@127.0.0.1/".to_owned(), "address"),
        ("rtsp://nobody.invalid/".to_owned(), "unreachable"),
    ] {
        let told = ask(&daemon, "POST", "streams/try", None, Some(&json!({"url": url})));
        assert_eq!(
            (told.status, told.body["error"]["code"].as_str()),
            (422, Some(code)),
            "{url}: {}",
            told.body
        );
    }
}

#[test]
fn a_change_that_may_lock_out_stays_only_if_confirmed_over_a_new_connection() {
    let mut daemon = Daemon::start_new("64MiB", STREAMS);
    let (before, settings) = (text(&daemon), "config/settings?confirm_within=5");
    let names = |names: &[&str]| json!({"http": {"hosts": names}});
    let told =
        ask(&daemon, "PATCH", settings, Some("*"), Some(&names(&["a.example", "b.example"])));
    assert_eq!((told.status, &told.body["confirm_within"]), (200, &Value::Null), "{}", told.body);
    let wider = text(&daemon);

    // Over the same connection, which the box ends anyway.
    let patch = names(&["a.example"]).to_string();
    let confirm = "POST /api/v1/config/confirm HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let change = format!(
        "PATCH /api/v1/{settings} HTTP/1.1\r\nHost: 127.0.0.1\r\nIf-Match: *\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{patch}{confirm}",
        patch.len()
    );
    let said = over_one_connection(&daemon, &change);
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"confirm_within\":5"), "{said}");
    assert!(!said.contains("confirmed"), "{said}");
    let other = json!({"hls": {"low_latency": true}});
    let told = ask(&daemon, "PATCH", settings, Some("*"), Some(&other));
    assert_eq!(told.body["error"]["code"], "config_unconfirmed", "{}", told.body);
    wait_for("it is taken back", PATIENCE, || (text(&daemon) == wider).then_some(()));

    ask(&daemon, "PATCH", settings, Some("*"), Some(&names(&["a.example"])));
    let told = ask(&daemon, "POST", "config/confirm", None, None);
    assert_eq!(told.status, 200, "{}", told.body);
    let told = ask(&daemon, "POST", "config/confirm", None, None);
    assert_eq!(told.body["error"]["code"], "nothing_to_confirm", "{}", told.body);
    let confirmed = text(&daemon);
    assert!(confirmed != wider && confirmed != before);

    // A loss of power is no confirmation.
    let long = "config/settings?confirm_within=600";
    ask(&daemon, "PATCH", long, Some("*"), Some(&names(&[])));
    assert_ne!(text(&daemon), confirmed);
    daemon.kill();
    daemon.start();
    assert_eq!(text(&daemon), confirmed);
}

#[test]
fn a_change_goes_into_the_file_of_conf_d_that_has_the_key() {
    let mut daemon = Daemon::new("64MiB", "");
    let main = text(&daemon);
    let drop_in = |name: &str| daemon.config().with_file_name("conf.d").join(name);
    let (cameras, names) = (drop_in("10-cameras.toml"), drop_in("20-names.toml"));
    std::fs::create_dir(cameras.parent().unwrap()).unwrap();
    std::fs::write(&cameras, STREAMS).unwrap();
    std::fs::write(&names, "[http]\ncors = [\"https://a.example\"]   # ours\n").unwrap();
    daemon.start();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let first = tag(&daemon);
    let title = json!({"title": "Yard"});
    let told = ask(&daemon, "PATCH", "config/streams/yard", Some(&first), Some(&title));
    assert_eq!(told.status, 200, "{}", told.body);
    let titled = STREAMS.replace("fps = 10 }\n", "fps = 10 }\ntitle = \"Yard\"\n");
    assert_eq!((read(&cameras), text(&daemon)), (titled, main.clone()));
    let origins = json!({"http": {"cors": ["https://a.example", "https://b.example"]}});
    let told = ask(&daemon, "PATCH", "config/settings", Some(&told.tag), Some(&origins));
    assert_eq!(told.status, 200, "{}", told.body);
    let both = "[http]\ncors = [\"https://a.example\", \"https://b.example\"]   # ours\n";
    assert_eq!(read(&names), both);

    // Step by step it goes back; both steps at once would be two files.
    let history = ask(&daemon, "GET", "config/history", None, None);
    let id = |at: usize| json!({"id": history.body["texts"][at]["id"]});
    let told = ask(&daemon, "POST", "config/restore", Some("*"), Some(&id(1)));
    assert_eq!((told.status, &told.body["error"]["code"]), (409, &json!("config_several_files")));
    assert!(told.body["error"]["message"].as_str().unwrap().contains("20-names.toml"));
    for at in 0..2 {
        let told = ask(&daemon, "POST", "config/restore", Some("*"), Some(&id(at)));
        assert_eq!(told.status, 200, "{}", told.body);
    }
    assert_eq!((read(&cameras), tag(&daemon)), (STREAMS.to_owned(), first.clone()));

    // An edit by hand of any of the files is not overwritten.
    std::fs::write(&names, "[http]\ncors = []\n").unwrap();
    let told = ask(&daemon, "PATCH", "config/streams/yard", Some(&first), Some(&title));
    assert_eq!(told.status, 412, "{}", told.body);
    assert_eq!(ask(&daemon, "GET", "config", None, None).body["state"], "file_differs");
}

/// What is answered to `text` until the box ends the connection.
fn over_one_connection(daemon: &Daemon, text: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", daemon.http_port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(text.as_bytes()).unwrap();
    let mut said = String::new();
    let _ = socket.read_to_string(&mut said);
    said
}
