//! A ring that is to be smaller: the daemon announces what that deletes and waits for an answer,
//! and so does the command line.

use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{need, run, wait_for};
use bytes::Bytes;
use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{self, Dvr, NewPin, Retention, RingReader, RingSizing, RingState};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};
use serde_json::{Value, json};

const RATE: NonZeroU32 = NonZeroU32::new(8_000).unwrap();
/// Seconds of sound of 200 kB each, more than 16 slots of 1 MiB hold.
const SECONDS: u32 = 90;
const MIB: u64 = 1 << 20;
const LONG: Duration = Duration::from_secs(30);

/// The beginning of the footage.
fn begins() -> WallTime {
    SystemClock.wall().offset_nanos(-i64::from(SECONDS) * 1_000_000_000)
}

fn unit(begins: WallTime, second: u32, bytes: usize) -> Arc<AccessUnit> {
    let nanos = i64::from(second) * 1_000_000_000;
    Arc::new(AccessUnit {
        arrived: BootTime::from_nanos(nanos.unsigned_abs()),
        captured: Captured { wall: begins.offset_nanos(nanos), source: ClockSource::Arrival },
        entry: Entry::key_frame(true),
        ..AccessUnit::new(
            Arc::new(CodecParams::g711(Law::A, RATE, 1)),
            MediaTime::from_nanos(nanos, RATE),
            Bytes::from(vec![0x55; bytes]),
        )
    })
}

/// Fills a ring of 16 MiB and protects the oldest lap that is left in it; returns that lap.
fn fill(data_dir: &Path) -> u64 {
    let config = dvr::RingConfig {
        data_dir: data_dir.to_owned(),
        size: RingSizing::Bytes(16 * MIB),
        slot_bytes: None,
    };
    let dvr = Dvr::open(config, Arc::new(SystemClock), None).unwrap();
    wait_for("the ring", LONG, || (dvr.status().ring == RingState::Ready).then_some(()));
    let gate = StreamName::parse("gate").unwrap();
    let writer = dvr.writer(&gate, Retention::default());
    let begins = begins();
    let params = Arc::new(CodecParams::g711(Law::A, RATE, 1));
    let init = init_segment(&Tracks::new(RunId(1), [params]));
    for second in 0..SECONDS {
        let mut builder = FragmentBuilder::new(second + 1);
        builder.push(unit(begins, second, 200_000));
        let fragment = builder.build(Some(&unit(begins, second + 1, 0)));
        writer.append(&init, fragment, second == 0, false).unwrap();
    }
    let count = || writer.durable().borrow().map_or(0, |durable| durable.fragments);
    wait_for("the commit", LONG, || (count() == u64::from(SECONDS)).then_some(()));
    let oldest = dvr.listing(&gate).runs[0].start;
    let wish = NewPin {
        stream: gate,
        from: oldest,
        until: oldest.offset_nanos(500_000_000),
        reason: "burglary".to_owned(),
        owner: "ada".to_owned(),
        expires: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(dvr.pin(wish)).unwrap();
    drop(writer);
    assert!(dvr.close(LONG));
    laps(data_dir)[0]
}

/// The laps that the files hold, oldest first.
fn laps(data_dir: &Path) -> Vec<u64> {
    let reader = RingReader::open(data_dir).unwrap();
    reader.laps().iter().map(|lap| lap.generation).collect()
}

fn files(data_dir: &Path) -> usize {
    let entries = std::fs::read_dir(data_dir.join("ring")).unwrap();
    entries.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "mp4")).count()
}

fn post(daemon: &Daemon, body: &Value) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(LONG))
        .http_status_as_error(false)
        .build()
        .into();
    let request = agent.post(&daemon.http("/api/v1/storage/shrink"));
    let request = request.header("Content-Type", "application/json");
    let mut answer = request.send(body.to_string()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
}

fn ring_check(daemon: &Daemon) -> Value {
    let health = daemon.get("/api/v1/health");
    let checks = health["checks"].as_array().unwrap().clone();
    checks.into_iter().find(|check| check["name"] == "ring").unwrap()
}

#[test]
fn the_daemon_says_what_a_smaller_ring_deletes_and_waits_for_an_answer() {
    let mut daemon = Daemon::new("8MiB", "");
    let data = daemon.data_dir();
    let protected = fill(&data);
    let before = laps(&data);
    daemon.start();
    let told = wait_for("a proposal", LONG, || {
        let told = daemon.get("/api/v1/storage")["shrink"].clone();
        told["token"].is_string().then_some(told)
    });
    assert_eq!(
        (told["size_bytes"].as_u64(), told["left_bytes"].as_u64()),
        (Some(16 * MIB), Some(8 * MIB))
    );
    let gate = &told["streams"]["gate"];
    assert!(gate["from"].is_string() && gate["until"].is_string(), "{told}");
    assert_eq!(gate["slots"], 8);
    let check = ring_check(&daemon);
    assert_eq!(check["status"], "degraded");
    let message = check["message"].as_str().unwrap();
    assert!(message.contains("deletes 6.") && message.contains("gate from 20"), "{message}");
    assert!(message.contains("Protected ranges keep 1.0 MB"), "{message}");
    // Reported once all of the ring was read, the proposal as soon as what goes was.
    wait_for("the log says so", LONG, || {
        daemon.logs().contains("larger than configured").then_some(())
    });
    for (body, status, code) in [
        (json!({ "token": "0123456789abcdef" }), 409, "proposal_changed"),
        (json!({ "token": "" }), 409, "proposal_changed"),
        (json!({ "size": 1 }), 400, "bad_request"),
    ] {
        let (answered, answer) = post(&daemon, &body);
        assert_eq!((answered, answer["error"]["code"].as_str()), (status, Some(code)), "{body}");
    }
    assert_eq!((laps(&data), files(&data)), (before.clone(), 16), "nobody has agreed");

    let (status, done) = post(&daemon, &json!({ "token": told["token"] }));
    assert_eq!((status, done["size_bytes"].as_u64()), (200, Some(8 * MIB)), "{done}");
    assert_eq!(done["footage_bytes"], told["footage_bytes"]);
    wait_for("the files go", LONG, || (files(&data) == 8).then_some(()));
    wait_for("the proposal goes", LONG, || {
        (daemon.get("/api/v1/storage")["shrink"].is_null()).then_some(())
    });
    assert_eq!(ring_check(&daemon)["status"], "ok");
    let left = laps(&data);
    assert_eq!(left[0], protected);
    assert_eq!(left[1..], before[before.len() - 7..]);
    assert_eq!(post(&daemon, &json!({ "token": told["token"] })).0, 409, "it is done");
    assert!(daemon.stop().success());

    // It grows again, into the numbers that are free.
    daemon.configure("16MiB", "");
    daemon.start();
    wait_for("the ring grows", LONG, || (files(&data) == 16).then_some(()));
    assert!(daemon.stop().success());
    assert_eq!(laps(&data), left);
    let verdict = Daemon::holdfast(&["ring", "verify", "--data-dir", data.to_str().unwrap()]);
    assert!(verdict.status.success(), "{verdict:?}");
    let notes = std::fs::read(data.join("journal.log")).unwrap();
    let notes = String::from_utf8_lossy(&notes);
    assert_eq!(notes.matches(r#""kind":"resized""#).count(), 2, "{notes}");
}

#[test]
fn the_command_line_says_what_goes_and_asks() {
    need("script", "bsdutils");
    let mut daemon = Daemon::new("16MiB", "");
    let data = daemon.data_dir();
    let protected = fill(&data);
    let before = laps(&data);
    let dir = data.to_str().unwrap();
    let shrink = |more: &[&str]| {
        let arguments = [&["ring", "shrink", "--data-dir", dir, "--size"][..], more].concat();
        let output = Daemon::holdfast(&arguments);
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    };
    let (done, told) = shrink(&["many"]);
    assert!(!done && told.contains("200GiB"), "{told}");
    daemon.start();
    wait_for("the ring", LONG, || {
        (daemon.get("/api/v1/storage")["ring"]["state"] == "ready").then_some(())
    });
    let (done, told) = shrink(&["8MiB", "--yes"]);
    assert!(!done && told.contains("a daemon is using"), "{told}");
    assert!(told.contains("Stop it first") && told.contains("/api/v1/storage/shrink"), "{told}");
    assert!(daemon.stop().success());
    let (done, told) = shrink(&["8MiB"]);
    assert!(!done && told.contains("no terminal"), "{told}");
    assert!(told.contains("gate from 20") && told.contains("Nothing was deleted"), "{told}");
    assert_eq!((laps(&data), files(&data)), (before.clone(), 16));

    // At a terminal anything but yes is no.
    let at_terminal = |answer: &str| {
        let line =
            format!("{} ring shrink --data-dir {dir} --size 12MiB", env!("CARGO_BIN_EXE_holdfast"));
        let whole = format!("(sleep 1; echo {answer}; sleep 1) | script -qec '{line}' /dev/null");
        let output = run(Command::new("sh").args(["-c", &whole]), LONG);
        String::from_utf8(output.stdout).unwrap()
    };
    let told = at_terminal("no");
    assert!(told.contains("Type yes") && told.contains("Nothing was deleted"), "{told}");
    assert_eq!(files(&data), 16);
    let told = at_terminal("yes");
    assert!(told.contains("The ring has 12.5 MB now"), "{told}");
    assert_eq!(files(&data), 12);

    let (done, told) = shrink(&["8MiB", "--yes"]);
    assert!(done && told.contains("The ring has 8.3 MB now"), "{told}");
    let left = laps(&data);
    assert_eq!((files(&data), left[0]), (8, protected));
    assert_eq!(left[1..], before[before.len() - 7..]);
    let (done, told) = shrink(&["8MiB", "--yes"]);
    assert!(done && told.contains("not more than"), "{told}");
}
