//! Cameras with one oddity each, all at once on one box: every picture that they film is recorded,
//! and the API says what was odd where a person should know it.
//!
//! docs/reference/cameras.md names these oddities.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, assert_slots_decode};
use crate::harness::{frames, wait_for};
use crate::odd_camera::{self, Clip};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a camera does, and what has to be seen of it besides.
type Oddity = (&'static str, fn(&Value) -> bool);

const ODDITIES: [Oddity; 18] = [
    ("is as it should be", is_plain),
    ("tells no parameter sets", is_plain),
    ("describes metadata first, two videos and sound that is not carried", |told| {
        told["not_carried"]
            == json!(["application VND.ONVIF.METADATA", "video H264", "audio G726-32"])
    }),
    ("sets the marker bit on every packet", is_plain),
    ("sets the marker bit on every slice", is_plain),
    ("never sets the marker bit", is_plain),
    ("sends all time stamps as zero", is_plain),
    ("has time stamps that stand still", is_plain),
    ("leaps in time, forwards and back", is_plain),
    ("changes its SSRC with each group of pictures", is_plain),
    ("changes its SSRC with each packet", is_plain),
    ("sends packets twice", is_plain),
    ("sends packets out of order", is_plain),
    ("pads its packets, extends their headers and names contributors", is_plain),
    ("changes a parameter set within a group of pictures", is_plain),
    ("sends sound that it does not describe", is_foreign),
    ("sends slices of another payload type", is_foreign),
    ("has a clock that is a day off", |told| told["clock"] == "arrival"),
];

fn is_plain(told: &Value) -> bool {
    told["foreign_packets"] == 0 && told["not_carried"] == json!([])
}

/// One packet with each picture belongs to no track.
fn is_foreign(told: &Value) -> bool {
    let units = told["totals"]["units"].as_u64().unwrap();
    let foreign = told["foreign_packets"].as_u64().unwrap();
    // Counters are read one after the other.
    foreign.abs_diff(units) <= 30 && foreign > 100
}

#[test]
fn every_picture_of_an_odd_camera_is_recorded() {
    let clip = Arc::new(Clip::make());
    let streams: Vec<String> = ODDITIES
        .iter()
        .enumerate()
        .map(|(n, (odd, _))| {
            let port = odd_camera::start(Arc::clone(&clip), odd);
            format!(
                "[stream.cam{n}]\nsource = {{ kind = \"rtsp_pull\", \
                 url = \"rtsp://127.0.0.1:{port}/main\" }}\n"
            )
        })
        .collect();
    let mut daemon = Daemon::start_new("1GiB", &streams.concat());
    wait_for("8 s of each", PATIENCE, || {
        let all = daemon.get("/api/v1/streams");
        let has = |stream: &Value| stream["totals"]["units"].as_u64() >= Some(200);
        all["streams"].as_array()?.iter().all(has).then_some(())
    });
    for (n, (odd, is_right)) in ODDITIES.iter().enumerate() {
        let told = daemon.stream(&format!("cam{n}"));
        let totals = &told["totals"];
        assert_eq!(told["state"], "live", "a camera that {odd}: {told}");
        assert_eq!((&totals["restarts"], &totals["lost"]), (&json!(0), &json!(0)), "{odd}: {told}");
        assert!(is_right(&told), "a camera that {odd}: {told}");
    }
    assert_eq!(daemon.get("/api/v1/health")["status"], "ok");
    let logs = daemon.logs();
    let off = |line: &&str| line.contains("sender's clock is off") && line.contains("stream=cam17");
    let told = logs.lines().filter(off).count();
    assert_eq!(told, 1, "a wrong clock is reported once:\n{logs}");
    assert!(daemon.stop().success());
    let slots = daemon.slots();
    assert!(slots.len() >= ODDITIES.len(), "{} slots", slots.len());
    assert_slots_decode(&slots);
    for slot in slots {
        let seen = frames::of_file(&slot);
        let begin = frames::assert_unbroken(&slot.display().to_string(), &seen, &clip.sums);
        assert!(begin == 0 && seen.len() >= 195, "{} pictures from {begin} on", seen.len());
    }
}

#[test]
fn a_camera_that_breaks_off_again_and_again_is_degraded_with_the_cause() {
    let port = odd_camera::start(Arc::new(Clip::make()), "hangs up after a second");
    let daemon = Daemon::start_new(
        "64MiB",
        &format!(
            "[stream.gate]\nsource = {{ kind = \"rtsp_pull\", \
             url = \"rtsp://127.0.0.1:{port}/main\" }}\n"
        ),
    );
    wait_for("it is live and degraded", PATIENCE, || {
        let health = daemon.get("/api/v1/health");
        let check = health["checks"].as_array()?.iter().find(|one| one["name"] == "stream/gate")?;
        let message = check["message"].as_str()?;
        let is_told = message.starts_with("Live, but broken off ")
            && message.contains(" minutes. The camera closed the connection. ");
        (is_told && check["status"] == "degraded").then_some(())
    });
    let told = daemon.stream("gate");
    assert!(told["interrupted"]["times"].as_u64() > Some(3), "{told}");
    let cause = told["interrupted"]["cause"].as_str().unwrap();
    assert!(cause.starts_with("The camera closed the connection. Restart it"), "{told}");
}

/// Sends one request of an encoder and reads the head of its reply.
fn say(socket: &mut TcpStream, method: &str, url: &str, more: &str, body: &str) -> String {
    let length = body.len();
    let text = format!(
        "{method} {url} RTSP/1.0\r\nCSeq: 1\r\n{more}Content-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(text.as_bytes()).unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        reply.push(byte[0]);
    }
    String::from_utf8(reply).unwrap()
}

#[test]
fn an_encoder_hears_at_setup_what_is_left_out_and_the_api_says_it() {
    let daemon = Daemon::start_new(
        "64MiB",
        "[stream.door]\nsource = { kind = \"rtsp_push\" }\nrecord = false\n",
    );
    let url = daemon.rtsp("door");
    let mut socket = TcpStream::connect(("127.0.0.1", daemon.rtsp_port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
               a=rtpmap:96 H264/90000\r\na=control:0\r\nm=audio 0 RTP/AVP 97\r\n\
               a=rtpmap:97 G726-32/8000\r\na=control:1\r\n";
    let announced = say(&mut socket, "ANNOUNCE", &url, "Content-Type: application/sdp\r\n", sdp);
    assert!(announced.starts_with("RTSP/1.0 200 "), "{announced}");
    let mut session = String::new();
    for (track, left_out) in [(0, None), (1, Some("X-Not-Carried: audio G726-32\r\n"))] {
        let channels = format!("{}-{}", track * 2, track * 2 + 1);
        let more = format!(
            "{session}Transport: RTP/AVP/TCP;unicast;interleaved={channels};mode=record\r\n"
        );
        let reply = say(&mut socket, "SETUP", &format!("{url}/{track}"), &more, "");
        assert!(reply.starts_with("RTSP/1.0 200 "), "{reply}");
        let told = reply.lines().find(|line| line.starts_with("X-Not-Carried"));
        assert_eq!(told.map(str::to_owned), left_out.map(|line: &str| line.trim_end().to_owned()));
        let named = reply.lines().find(|line| line.starts_with("Session: ")).unwrap();
        session = format!("{}\r\n", named.split(';').next().unwrap());
    }
    let recorded = say(&mut socket, "RECORD", &url, &session, "");
    assert!(recorded.starts_with("RTSP/1.0 200 "), "{recorded}");
    assert_eq!(daemon.stream("door")["not_carried"], json!(["audio G726-32"]));
    // Of the sound that is let go nothing is an error, and it belongs to no track.
    socket.write_all(b"$\x02\0\x10\x80\x61\0\x01\0\0\0\0\0\0\0\x07\xd5\xd5\xd5\xd5").unwrap();
    socket.write_all(b"$\0\0\x10\x80\x08\0\x01\0\0\0\0\0\0\0\x07\xd5\xd5\xd5\xd5").unwrap();
    wait_for("a foreign packet is counted", PATIENCE, || {
        (daemon.stream("door")["foreign_packets"].as_u64() >= Some(1)).then_some(())
    });
}
