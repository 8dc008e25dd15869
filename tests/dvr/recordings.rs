//! Recordings, pins, marks and the storage's state over the HTTP door.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::door::TestBox;
use bytes::Bytes;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, MediaTime, WallTime};
use holdfast::dvr::{Retention, Writer};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};
use serde_json::json;

const RATE: NonZeroU32 = NonZeroU32::new(8_000).unwrap();

/// `count` seconds of sound that end now, one fragment each.
fn record(door: &TestBox, writer: &Writer, count: u32, bytes: usize) -> (WallTime, WallTime) {
    let params = Arc::new(CodecParams::g711(Law::A, RATE, 1));
    let init = init_segment(&Tracks::new(RunId(1), [Arc::clone(&params)]));
    let (boot, wall) = (door.clock.boot(), door.clock.wall());
    let span = i64::from(count) * 1_000_000_000;
    let begun = boot.before(Duration::from_secs(u64::from(count)));
    let unit = |second: u32| {
        let nanos = i64::from(second) * 1_000_000_000;
        let arrived = begun.after(Duration::from_secs(u64::from(second)));
        let decode = MediaTime::from_nanos(i64::try_from(arrived.as_nanos()).unwrap(), RATE);
        Arc::new(AccessUnit {
            arrived,
            captured: Captured {
                wall: wall.offset_nanos(nanos - span),
                source: ClockSource::Arrival,
            },
            entry: Entry::key_frame(true),
            ..AccessUnit::new(Arc::clone(&params), decode, Bytes::from(vec![0x55; bytes]))
        })
    };
    for second in 0..count {
        let mut builder = FragmentBuilder::new(second + 1);
        builder.push(unit(second));
        let fragment = builder.build(Some(&unit(second + 1)));
        writer.append(&init, fragment, second == 0, false).unwrap();
    }
    assert!(begun > BootTime::default());
    (wall.offset_nanos(-span), wall)
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn recorded(door: &TestBox, count: u32) -> (Writer, WallTime, WallTime) {
    let gate = StreamName::parse("gate").unwrap();
    until("the ring", async || {
        door.get("/api/v1/storage").await.json()["ring"]["state"] == "ready"
    })
    .await;
    let writer = door.dvr.writer(&gate, Retention::default());
    let (from, until_date) = record(door, &writer, count, 10_000);
    until("the commit", async || {
        writer.durable().borrow().is_some_and(|durable| durable.fragments == u64::from(count))
    })
    .await;
    (writer, from, until_date)
}

fn at(from: WallTime, secs: i64) -> String {
    from.offset_nanos(secs * 1_000_000_000).to_rfc3339()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_told_by_range_and_by_day() {
    let door = TestBox::plain().await;
    let (_writer, from, _) = recorded(&door, 30).await;
    let whole = door.get("/api/v1/recordings/gate").await.json();
    assert_eq!(whole["runs"].as_array().unwrap().len(), 1);
    assert_eq!(whole["runs"][0]["fragments"], 30);
    assert_eq!((&whole["gaps"], &whole["seams"]), (&json!([]), &json!([])));
    let range =
        |a: i64, b: i64| format!("/api/v1/recordings/gate?from={}&to={}", at(from, a), at(from, b));
    assert_eq!(door.get(&range(5, 6)).await.json()["runs"].as_array().unwrap().len(), 1);
    assert_eq!(door.get(&range(-50, -40)).await.json()["runs"], json!([]));
    for (path, code) in [
        (range(6, 5), "bad_request"),
        ("/api/v1/recordings/gate?from=yesterday".to_owned(), "bad_request"),
        ("/api/v1/recordings/gate?since=1".to_owned(), "bad_request"),
        ("/api/v1/recordings/gate/days?zone=Nowhere/Else".to_owned(), "bad_request"),
    ] {
        let reply = door.get(&path).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{path}");
    }
    let days = door.get("/api/v1/recordings/gate/days?zone=UTC").await.json();
    let seconds: u64 = days["days"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| day["recorded_secs"].as_u64().unwrap())
        .sum();
    // A run over midnight loses a fraction of a second to rounding on each side.
    assert!((29..=30).contains(&seconds), "{days}");
    assert_eq!(days["zone"], "UTC");
    let reply = door.get("/api/v1/recordings/nobody/days").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "stream_unknown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_and_marks_are_made_listed_and_removed() {
    let door = TestBox::plain().await;
    let (_writer, from, _) = recorded(&door, 10).await;
    let wish = json!({
        "stream": "gate", "from": at(from, 2), "to": at(from, 4),
        "reason": "burglary", "owner": "ada",
    });
    let made = door.post("/api/v1/pins", &wish).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let mark = json!({ "stream": "gate", "at": at(from, 3), "text": "the door opened" });
    assert_eq!(door.post("/api/v1/marks", &mark).await.status, 201);
    let listing = door.get("/api/v1/recordings/gate").await.json();
    assert_eq!(listing["pins"][0]["reason"], "burglary");
    assert_eq!(listing["marks"][0]["text"], "the door opened");
    let storage = door.get("/api/v1/storage").await.json();
    assert_eq!(storage["protected"]["ranges"], 1);
    assert!(storage["protected"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(door.get("/api/v1/pins").await.json()["pins"][0]["id"], id);
    assert_eq!(door.delete(&format!("/api/v1/pins/{id}")).await.status, 204);
    let again = door.delete(&format!("/api/v1/pins/{id}")).await;
    assert_eq!((again.status, again.code().as_str()), (404, "pin_unknown"));
    assert_eq!(door.get("/api/v1/pins").await.json()["pins"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_wishes_are_refused_in_words() {
    let door = TestBox::plain().await;
    let (_writer, from, _) = recorded(&door, 3).await;
    let wish = |stream: &str, a: i64, b: i64, reason: &str| json!({ "stream": stream, "from": at(from, a), "to": at(from, b), "reason": reason });
    for (body, status, code) in [
        (wish("nobody", 0, 2, "x"), 404, "stream_unknown"),
        (wish("../gate", 0, 2, "x"), 404, "stream_unknown"),
        (wish("gate", -90, -80, "x"), 404, "nothing_recorded"),
        (wish("gate", 2, 0, "x"), 400, "bad_request"),
        (wish("gate", 0, 2, ""), 400, "bad_request"),
        (wish("gate", 0, 2, &"x".repeat(9_000)), 400, "bad_request"),
        (wish("gate", 0, 999_999, "x"), 400, "bad_request"),
        (json!({ "stream": "gate" }), 400, "bad_request"),
        (json!([1, 2]), 400, "bad_request"),
    ] {
        let reply = door.post("/api/v1/pins", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{body}");
    }
    let close = "Host: box.test\r\nConnection: close";
    let plain = format!("POST /api/v1/marks HTTP/1.1\r\n{close}\r\nContent-Length: 2\r\n\r\n{{}}");
    let reply = door.ask(&plain).await;
    assert_eq!((reply.status, reply.code().as_str()), (415, "not_json"));
    let reply = door.delete("/api/v1/pins/zz").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "pin_unknown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_storage_tells_what_it_holds_and_for_how_long() {
    let door = TestBox::plain().await;
    let (_writer, ..) = recorded(&door, 30).await;
    let storage = door.get("/api/v1/storage").await.json();
    assert_eq!(storage["ring"]["state"], "ready");
    assert_eq!(storage["index"]["complete"], true);
    // 10,000 bytes of media a second, and the boxes around them.
    let bps = storage["forecast"]["bitrate_bps"].as_u64().unwrap();
    assert!((80_000..90_000).contains(&bps), "{bps}");
    assert!(storage["forecast"]["days"].as_f64().unwrap() > 0.0);
    assert_eq!(storage["holdings"]["gate"]["bitrate_bps"], bps);
    assert_eq!(storage["journal"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_a_disk_that_went_away_is_told_in_seconds_and_forgotten_when_it_is_back() {
    let door = TestBox::plain().await;
    let (_writer, ..) = recorded(&door, 3).await;
    let ring = async || {
        let health = door.get("/api/v1/health").await.json();
        let checks = health["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "ring").unwrap()
    };
    assert_eq!(ring().await["status"], "ok");
    let (here, away) = (door.disk.path().join("ring"), door.disk.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    let begun = Instant::now();
    until("the failure", async || ring().await["status"] == "failed").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let message = ring().await["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is the volume mounted?"), "{message}");
    assert!(!here.exists(), "nothing is written in its place");
    std::fs::rename(&away, &here).unwrap();
    until("the return", async || ring().await["status"] == "ok").await;
}
