//! The HTTP door over real sockets: refusals, the API, headers.

use std::time::Duration;

use crate::door::{Reply, TestBox};
use holdfast::stream::StreamState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

#[tokio::test]
async fn every_refusal_is_json() {
    let door = TestBox::plain().await;
    let get = |path: &'static str| door.get(path);
    for (path, status, code) in [
        ("/nothing", 404, "not_found"),
        ("/../Cargo.toml", 404, "not_found"),
        ("/..%2f..%2fCargo.toml", 404, "not_found"),
        ("/assets/%00.js", 404, "not_found"),
        ("/live/%ff/index.m3u8", 404, "not_found"),
        ("/live/nobody/index.m3u8", 404, "stream_unknown"),
        ("/live/..%2f..%2fgate/index.m3u8", 404, "stream_unknown"),
        ("/live/nobody/ws", 404, "stream_unknown"),
        ("/live/gate/ws", 426, "websocket_only"),
        ("/live/gate/0.m4s", 404, "segment_unknown"),
        ("/live/gate/99999999999999999999.m4s", 404, "not_found"),
        ("/live/gate/init-0.mp4", 404, "segment_unknown"),
        ("/snap/nobody.jpg", 404, "stream_unknown"),
        ("/snap/gate.png", 404, "not_found"),
        ("/snap/gate.jpg", 503, "no_picture"),
        ("/api/v1/recordings/gate", 404, "not_recorded"),
        ("/api/v1/recordings/nobody", 404, "stream_unknown"),
    ] {
        let reply = get(path).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    let close = "Host: box.test\r\nConnection: close";
    let reply = door.ask(&format!("POST /api/v1/streams HTTP/1.1\r\n{close}\r\n\r\n")).await;
    assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"));
    assert!(reply.header("allow").contains("GET"));
    let big = format!("POST /api/v1/marks HTTP/1.1\r\n{close}\r\nContent-Length: 1000000\r\n\r\n");
    let reply = door.ask(&big).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_door_goes_on() {
    let door = TestBox::plain().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 << 10));
    assert!([414, 431].contains(&door.ask(&long).await.status));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1_000));
    assert_eq!(door.ask(&many).await.status, 431);
    for bad in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "$\0\0\u{4}abcd\r\n\r\n",
    ] {
        assert_eq!(door.ask(bad).await.status, 400, "{bad:?}");
    }
    assert_eq!(door.get("/api/v1/streams").await.status, 200);
}

/// In virtual time: the runtime moves the clock on when everyone waits.
#[tokio::test(start_paused = true)]
async fn a_header_that_never_ends_is_cut_after_its_deadline() {
    let door = TestBox::plain().await;
    let begun = Instant::now();
    let mut socket = TcpStream::connect(door.addr).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: box.t").await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    let elapsed = begun.elapsed();
    assert!((9..13).contains(&elapsed.as_secs()), "{elapsed:?}");
    assert_eq!(door.get("/api/v1/health").await.status, 200);
}

#[tokio::test]
async fn connections_of_one_address_are_counted() {
    let door = TestBox::plain().await;
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(TcpStream::connect(door.addr).await.unwrap());
    }
    let mut refused = TcpStream::connect(door.addr).await.unwrap();
    let mut nothing = Vec::new();
    // Closed without a word, perhaps with a reset.
    let _ = refused.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    drop(open);
    loop {
        let mut again = TcpStream::connect(door.addr).await.unwrap();
        let asked = again.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
        let mut reply = Vec::new();
        if asked.is_ok() && again.read_to_end(&mut reply).await.is_ok() && !reply.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_api_tells_of_streams_and_health() {
    let door = TestBox::plain().await;
    let footage = crate::footage::footage(1, 25, 300);
    door.go_live(&footage);
    door.publish(&footage, door.clock.boot(), 0, 500).await;
    let json = door.get("/api/v1/streams").await.json();
    let gate = &json["streams"][0];
    assert_eq!((&gate["name"], &gate["state"]), (&"gate".into(), &"live".into()));
    assert_eq!(gate["tracks"][0]["codec"], "H264");
    assert_eq!(gate["tracks"][0]["width"], 320);
    assert_eq!(gate["tracks"][1]["codec"], "PCMA");
    assert_eq!(gate["tracks"][1]["codecs"], serde_json::Value::Null);
    assert_eq!(gate["totals"]["units"], 38);
    assert_eq!(gate["urls"]["rtsp"], "rtsp://box.test:8554/gate");
    assert!(gate["last_frame_age_ms"].is_u64() && gate["recording"].is_null());
    // It answers before its ring is open, and reports that.
    let mut health = door.get("/api/v1/health").await;
    for _ in 0..2_000 {
        if !health.text().contains("being opened") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        health = door.get("/api/v1/health").await;
    }
    assert_eq!((health.status, &health.json()["status"]), (200, &"ok".into()), "{}", health.text());
    let reason = "the camera does not answer".to_owned();
    door.stream.set_state(StreamState::Offline { reason }, door.clock.wall());
    let health = door.get("/api/v1/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &"degraded".into()));
    assert!(health.text().contains("the camera does not answer"));
    // Who waits for a publisher has no fault, and is offline all the same.
    let reason = "Waiting for a publisher.".to_owned();
    door.stream.set_state(StreamState::Waiting { reason }, door.clock.wall());
    let health = door.get("/api/v1/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &"ok".into()), "{}", health.text());
    assert!(health.text().contains("Waiting for a publisher."));
    let gate = &door.get("/api/v1/streams").await.json()["streams"][0];
    assert_eq!(gate["state"], "offline");
    assert_eq!(gate["reason"], "Waiting for a publisher.");
    let playlist = door.get("/live/gate/index.m3u8").await;
    assert_eq!((playlist.status, playlist.code().as_str()), (503, "stream_offline"));
    assert_eq!(playlist.header("retry-after"), "2");
}

/// The answer to `path` once the board was checked and it says `wanted`.
async fn told_of_the_board(door: &TestBox, path: &str, wanted: &str) -> Reply {
    for _ in 0..2_000 {
        let reply = door.get(path).await;
        if reply.text().contains(wanted) {
            return reply;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{path} does not say {wanted}: {}", door.get(path).await.text());
}

#[tokio::test]
async fn the_board_is_told_with_its_heat_and_supply() {
    let door = TestBox::plain().await;
    let system = told_of_the_board(&door, "/api/v1/system", "cpu-thermal").await.json();
    assert_eq!(system["board"]["id"], "raspberry-pi/4");
    assert_eq!(system["board"]["model"], "Raspberry Pi 4 Model B Rev 1.4");
    assert_eq!(system["temperatures"][0]["celsius"], 52.095);
    assert_eq!(system["power"]["under_voltage"], false);
    assert_eq!(system["cpu"]["load"][2], 0.59);
    assert!(system["uptime_secs"].as_f64().unwrap() > 0.0 && system["age_ms"].is_u64());
    // What it does not tell is not invented.
    assert!(system["memory"]["total_bytes"].is_null() && system["disk"].is_null(), "{system}");
    let metrics = door.get("/metrics").await;
    let metrics = metrics.text();
    for line in [
        "holdfast_board_temperature_celsius{sensor=\"cpu-thermal\"} 52.095",
        "holdfast_board_under_voltage{since=\"now\"} 0",
        "holdfast_board_load{minutes=\"15\"} 0.59",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("\nholdfast_board_memory_bytes "), "{metrics}");
    // The supply becomes weak: that is seen at the next look.
    let bits = door.tree.path().join("sys/devices/platform/soc/soc:firmware/get_throttled");
    std::fs::write(bits, "50005\n").unwrap();
    let health = told_of_the_board(&door, "/api/v1/health", "voltage is too low").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &"degraded".into()));
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let door = TestBox::plain().await;
    let footage = crate::footage::footage(1, 25, 300);
    door.go_live(&footage);
    door.publish(&footage, door.clock.boot(), 0, 400).await;
    let reply = door.get("/metrics").await;
    assert!(reply.header("content-type").starts_with("application/openmetrics-text"));
    let text = reply.text();
    for line in [
        "holdfast_source_units_total{stream=\"gate\"} 30",
        "holdfast_stream_live{stream=\"gate\"} 1",
        "holdfast_readers{stream=\"gate\",door=\"mse\"} 0",
        "holdfast_task_restarts_total{task=\"http\"} 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_page_is_served_with_its_headers() {
    let door = TestBox::plain().await;
    let page = door.get("/").await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains('<'));
    assert!(page.header("content-security-policy").starts_with("default-src 'self';"));
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert!(page.header("access-control-allow-origin").is_empty());
    let head = "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let head = door.ask(head).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// The text between these two in `text`.
fn between<'a>(text: &'a str, before: &str, behind: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split(behind).next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_is_compressed_when_asked_and_media_is_not() {
    let door = TestBox::open(env!("CARGO_BIN_EXE_holdfast").into(), true).await;
    let footage = crate::footage::footage(12, 25, 300);
    door.go_live(&footage);
    door.publish(&footage, door.clock.boot().before(Duration::from_secs(12)), 0, 12_000).await;
    let page = door.get("/").await;
    let script = format!("/assets/{}", between(page.text(), "src=\"./assets/", "\""));
    let list = door.get("/live/gate/media.m3u8").await;
    let map = between(list.text(), "MAP:URI=\"", "\"");
    let segment = list.text().lines().rfind(|line| !line.starts_with('#')).expect("a segment");
    for (path, compressed) in [
        ("/", true),
        (&script, true),
        ("/api/v1/streams", true),
        ("/metrics", true),
        ("/live/gate/media.m3u8", true),
        (&format!("/live/gate/{map}"), false),
        (&format!("/live/gate/{segment}"), false),
        ("/snap/gate.jpg", false),
    ] {
        let asked = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        let reply = door.ask(&asked).await;
        assert_eq!(reply.status, 200, "{path}");
        let encoding = reply.header("content-encoding");
        assert_eq!(encoding, if compressed { "gzip" } else { "" }, "{path}");
        let plain = door.get(path).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}: nobody asked");
    }
    // Another reader makes the same of it.
    let url = format!("http://{}{script}", door.addr);
    let mut curl = tokio::process::Command::new("curl");
    let read = curl.args(["-sS", "--compressed", &url]).output().await;
    let read = read.expect("curl must be installed (Debian package curl)");
    assert_eq!(read.stdout, door.get(&script).await.body);
}

#[tokio::test]
async fn a_picture_says_when_it_was_taken() {
    let door = TestBox::open(env!("CARGO_BIN_EXE_holdfast").into(), false).await;
    let footage = crate::footage::footage(1, 25, 300);
    door.go_live(&footage);
    door.publish(&footage, door.clock.boot(), 0, 400).await;
    let reply = door.get("/snap/gate.jpg").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "image/jpeg"));
    assert!(reply.body.starts_with(&[0xff, 0xd8]));
    assert!(reply.header("last-modified").ends_with(" GMT"));
    let age: f64 = reply.header("x-frame-age").parse().unwrap();
    assert!((0.0..10.0).contains(&age));
    let again = format!(
        "GET /snap/gate.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: {}\r\n\r\n",
        reply.header("etag")
    );
    assert_eq!(door.ask(&again).await.status, 304);
}

#[tokio::test]
async fn the_door_closes_when_told() {
    let door = TestBox::plain().await;
    let mut idle = TcpStream::connect(door.addr).await.unwrap();
    idle.write_all(b"GET /api/v1/streams HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 16];
    idle.read_exact(&mut first).await.unwrap();
    door.supervisor.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(door.supervisor.report().is_empty());
}
