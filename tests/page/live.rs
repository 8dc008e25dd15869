//! HLS and fMP4 over WebSocket, read by ffmpeg and by a WebSocket client that is not ours.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::door::TestBox;
use crate::footage::Footage;
use futures::{SinkExt, StreamExt};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, RunId, TrackId, Tracks};
use holdfast::stream::StreamState;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Seconds of footage that are there when a reader comes.
const HEAD_START_MS: u64 = 9_000;

/// Publishes the head start at once and the rest as it would come from a camera.
async fn feed(door: &Arc<TestBox>, footage: Footage) {
    door.go_live(&footage);
    let begin = Instant::now();
    let base = door.clock.boot().before(Duration::from_millis(HEAD_START_MS));
    door.publish(&footage, base, 0, HEAD_START_MS).await;
    let door = Arc::clone(door);
    tokio::spawn(async move {
        let end_ms = footage.frames as u64 * 40;
        let mut done_ms = HEAD_START_MS;
        while done_ms < end_ms {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now_ms = HEAD_START_MS + crate::door::millis(begin.elapsed());
            door.publish(&footage, base, done_ms, now_ms).await;
            done_ms = now_ms;
        }
    });
}

/// What each decoded picture of `input` hashes to, in order; `frames`: stop after so many.
async fn pictures(input: &str, frames: Option<usize>) -> Vec<String> {
    pictures_from(&[], input, frames).await
}

async fn pictures_from(options: &[&str], input: &str, frames: Option<usize>) -> Vec<String> {
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-xerror"]).args(options);
    command.args(["-i", input, "-map", "0:v"]);
    if let Some(frames) = frames {
        command.args(["-frames:v", &frames.to_string()]);
    }
    command.args(["-fps_mode", "passthrough", "-f", "framecrc", "-"]).stdin(Stdio::null());
    let out = command.output().await.expect("ffmpeg must be installed (Debian package ffmpeg)");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(out.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(", ").next().unwrap().to_owned()).collect()
}

/// What the pictures of `footage` hash to.
async fn originals(footage: &Footage) -> Vec<String> {
    use holdfast::wire::mp4::{FragmentBuilder, init_segment};
    let mut file = init_segment(&footage.tracks).to_vec();
    let mut fragment = FragmentBuilder::new(1);
    footage.units.iter().for_each(|unit| fragment.push(Arc::clone(unit)));
    file.extend_from_slice(&fragment.build(None).to_bytes());
    decoded(&file).await
}

async fn decoded(mp4: &[u8]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.mp4");
    std::fs::write(&path, mp4).unwrap();
    pictures(path.to_str().unwrap(), None).await
}

/// Whether `part` is in `whole` without a hole.
fn stands_in(part: &[String], whole: &[String]) -> bool {
    !part.is_empty() && whole.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_reads_hls_without_losing_or_damaging_a_picture() {
    let footage = crate::footage::footage(20, 25, 800);
    let originals = originals(&footage).await;
    let door = Arc::new(TestBox::recording().await);
    feed(&door, footage).await;
    let url = format!("http://{}/live/gate/index.m3u8", door.addr);
    let read = pictures(&url, Some(200)).await;
    assert_eq!(read.len(), 200);
    assert!(stands_in(&read, &originals));
    assert_eq!(door.outputs.readers().hls, 1);
    assert_eq!(door.outputs.hls.meter().totals().units, 0, "nothing was cut in memory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_recorded_is_cut_in_memory_while_somebody_watches() {
    let footage = crate::footage::footage(30, 25, 800);
    let originals = originals(&footage).await;
    let door = Arc::new(TestBox::plain().await);
    feed(&door, footage).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(door.outputs.hls.meter().totals().units, 0, "nobody watches");
    let url = format!("http://{}/live/gate/index.m3u8", door.addr);
    let read = pictures(&url, Some(150)).await;
    assert_eq!(read.len(), 150);
    assert!(stands_in(&read, &originals));
    assert!(door.outputs.hls.meter().totals().units > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_survives_a_reconnect() {
    let mut footage = crate::footage::footage(14, 25, 300);
    let originals = originals(&footage).await;
    let door = Arc::new(TestBox::recording().await);
    door.go_live(&footage);
    let base = door.clock.boot().before(Duration::from_secs(14));
    door.publish(&footage, base, 0, 6_500).await;
    let params = footage.tracks.list.iter().map(|track| Arc::clone(&track.params));
    footage.tracks = Arc::new(Tracks::new(RunId(2), params));
    door.go_live(&footage);
    // Three seconds away, and back in the middle of a GOP.
    door.publish(&footage, base.after(Duration::from_secs(3)), 6_600, 13_500).await;
    // Until all of it is on the disk, and what was open is listed for the silence.
    let mut media = door.get("/live/gate/media.m3u8").await;
    for _ in 0..300 {
        // Both runs end with half a second.
        if media.text().matches("#EXTINF:0.5").count() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        media = door.get("/live/gate/media.m3u8").await;
    }
    let text = media.text();
    let count = |tag: &str| text.matches(tag).count();
    crate::playlist::media(text);
    assert_eq!(
        (count("#EXTINF"), count("#EXT-X-MAP:"), count("#EXT-X-DISCONTINUITY\n")),
        (8, 2, 1),
        "{text}"
    );
    // What is listed, three target durations at least: to the break, and on from the next key frame,
    // but for the last pictures, which a decoder keeps back while it waits for more.
    let listed = [&originals[..163], &originals[175..325]].concat();
    let url = format!("http://{}/live/gate/media.m3u8", door.addr);
    let read = pictures_from(&["-live_start_index", "0"], &url, Some(listed.len())).await;
    assert!(read == listed, "{} of {}: {text}", read.len(), listed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_browsers_play_is_carried() {
    let footage = crate::door::sound::with_aac(crate::footage::footage(12, 25, 300));
    let door = Arc::new(TestBox::recording().await);
    feed(&door, footage).await;
    let url = format!("http://{}/live/gate/index.m3u8", door.addr);
    let index = door.get("/live/gate/index.m3u8").await;
    assert!(index.text().contains(",mp4a.40.2\""), "{}", index.text());
    assert_eq!(index.header("x-audio-dropped"), "");
    let mut socket = view(&door).await;
    let hello = json(&mut socket).await;
    assert_eq!(
        (&hello["hello"]["audio"], &hello["hello"]["audio_dropped"]),
        (&true.into(), &Value::Null)
    );
    let live = binary(&mut socket, 100).await;
    assert_eq!(sound(&url, 4).await, 4 * 48_000);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("live.mp4");
    std::fs::write(&path, &live).unwrap();
    assert!(sound(path.to_str().unwrap(), 1).await >= 47_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g711_is_carried_as_flac_sample_by_sample() {
    for recorded in [true, false] {
        let footage = crate::footage::footage(20, 25, 300);
        let octets: Vec<u8> = footage
            .units
            .iter()
            .filter(|unit| unit.track == TrackId(1))
            .flat_map(|unit| unit.data.to_vec())
            .collect();
        let originals = originals(&footage).await;
        let door =
            Arc::new(if recorded { TestBox::recording().await } else { TestBox::plain().await });
        feed(&door, footage).await;
        let url = format!("http://{}/live/gate/index.m3u8", door.addr);
        let index = door.get("/live/gate/index.m3u8").await;
        assert!(index.text().contains(",fLaC\""), "{}", index.text());
        let sound = sound_samples(&url, 4).await;
        let expected: Vec<i16> = octets.iter().map(|octet| Law::A.sample(*octet)).collect();
        assert_eq!(sound.len(), 4 * 8_000);
        assert!(expected.windows(sound.len()).any(|window| window == sound), "lossless");
        assert!(stands_in(&pictures(&url, Some(100)).await, &originals));
    }
}

/// Samples of sound in the first `secs` of `input`.
async fn sound(input: &str, secs: u32) -> usize {
    sound_samples(input, secs).await.len()
}

async fn sound_samples(input: &str, secs: u32) -> Vec<i16> {
    let out = tokio::process::Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-xerror", "-i", input, "-map", "0:a", "-t"])
        .args([&secs.to_string(), "-f", "s16le", "-"])
        .output()
        .await
        .expect("ffmpeg must be installed (Debian package ffmpeg)");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{said}");
    out.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[tokio::test]
async fn hls_answers_as_players_want_it() {
    let footage = crate::footage::footage(30, 25, 300);
    let door = Arc::new(TestBox::recording().await);
    door.go_live(&footage);
    let base = door.clock.boot().before(Duration::from_secs(12));
    // Asked before there is anything: the answer waits.
    let (index, ()) = tokio::join!(door.get("/live/gate/index.m3u8"), async {
        door.publish(&footage, base, 0, 12_000).await;
    });
    assert_eq!((index.status, index.header("cache-control")), (200, "max-age=1"));
    assert_eq!(index.header("content-type"), "application/vnd.apple.mpegurl");
    assert!(index.text().contains("CODECS=\"avc1.42C00D,fLaC\""), "{}", index.text());
    assert!(index.text().contains("RESOLUTION=320x240,FRAME-RATE=25.000"), "{}", index.text());
    let media = door.get("/live/gate/media.m3u8").await;
    let names: Vec<String> =
        media.text().lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect();
    let path = format!("/live/gate/{}", names[0]);
    let segment = door.get(&path).await;
    assert_eq!((segment.status, segment.header("content-type")), (200, "video/mp4"));
    assert_eq!(segment.header("content-length"), segment.body.len().to_string());
    assert!(segment.header("cache-control").contains("immutable"));
    let map = media.text().lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")).unwrap();
    let init = door.get(&format!("/live/gate/{}", map.trim_end_matches('"'))).await;
    assert_eq!((init.status, &init.body[4..8]), (200, &b"ftyp"[..]));
    assert!(!decoded(&[&init.body[..], &segment.body].concat()).await.is_empty());
    let ask = |method: &str, path: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        )
    };
    let head = door.ask(&ask("HEAD", &path)).await;
    assert_eq!(head.header("content-length"), segment.body.len().to_string());
    assert_eq!((head.status, head.body.len()), (200, 0));
    let zipped = door.ask(&ask("GET", "/live/gate/media.m3u8")).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    let plain = door.ask(&ask("GET", &path)).await;
    assert_eq!(plain.header("content-encoding"), "", "media is not worth it");
    assert_eq!(plain.body, segment.body);
    let part = |range: &str| {
        let head = format!("Host: x\r\nRange: bytes={range}\r\nConnection: close");
        format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n")
    };
    let middle = door.ask(&part("1000-150000")).await;
    let until = segment.body.len().min(150_001);
    assert_eq!((middle.status, &middle.body[..]), (206, &segment.body[1_000..until]));
    assert_eq!(middle.header("content-type"), "video/mp4");
    let behind = door.ask(&part("99999999-")).await;
    assert_eq!(behind.status, 416);
    assert_eq!(behind.header("content-range"), format!("bytes */{}", segment.body.len()));
}

#[tokio::test]
async fn only_whole_fragments_of_the_stream_are_given_out_of_the_ring() {
    let footage = crate::footage::footage(12, 25, 300);
    let door = Arc::new(TestBox::recording().await);
    door.go_live(&footage);
    let base = door.clock.boot().before(Duration::from_secs(12));
    door.publish(&footage, base, 0, 12_000).await;
    assert_eq!(door.get("/live/gate/index.m3u8").await.status, 200);
    let media = door.get("/live/gate/media.m3u8").await;
    let name = media.text().lines().find(|line| !line.starts_with('#')).unwrap();
    let numbers: Vec<u64> =
        name.trim_end_matches(".m4s").split('-').map(|n| n.parse().unwrap()).collect();
    let (lap, from, until) = (numbers[0], numbers[1], numbers[2]);
    let ask = async |name: String| {
        let reply = door.get(&format!("/live/gate/{name}")).await;
        (reply.status, reply.code())
    };
    let unknown = (404, "segment_unknown".to_owned());
    for (from, until) in
        [(0, until), (from + 1, until), (from, from + 50), (from, from + 1), (1, u64::MAX)]
    {
        assert_eq!(ask(format!("{lap}-{from}-{until}.m4s")).await, unknown, "{from} {until}");
    }
    assert_eq!(ask(format!("{}-{from}-{until}.m4s", lap + 100_000)).await, unknown);
    assert_eq!(ask(format!("{}.mp4", lap + 100_000)).await, unknown);
    let gone = (410, "segment_expired".to_owned());
    assert_eq!(ask(format!("{}-{from}-{until}.m4s", lap - 1)).await, gone);
    assert_eq!(ask(format!("{}.mp4", lap - 1)).await, gone);
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn view(door: &TestBox) -> Socket {
    let url = format!("ws://{}/live/gate/ws", door.addr);
    connect_async(url).await.unwrap().0
}

/// The next message that is not a ping.
async fn next(socket: &mut Socket) -> Message {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) => {}
            message => return message,
        }
    }
}

async fn json(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.to_text().unwrap()).unwrap()
}

/// Reads `count` binary messages into one file.
async fn binary(socket: &mut Socket, count: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for _ in 0..count {
        let message = next(socket).await;
        assert!(message.is_binary(), "{message:?}");
        file.extend_from_slice(&message.into_data());
    }
    file
}

#[tokio::test]
async fn a_viewer_gets_hello_init_the_gop_and_then_every_unit() {
    let footage = crate::footage::footage(6, 50, 800).silent();
    let originals = originals(&footage).await;
    let door = TestBox::plain().await;
    door.go_live(&footage);
    let base = door.clock.boot();
    door.publish(&footage, base, 0, 3_000).await;
    let mut socket = view(&door).await;
    let hello = &json(&mut socket).await["hello"];
    assert!(hello["mime"].as_str().unwrap().starts_with("video/mp4; codecs=\"avc1."), "{hello}");
    assert_eq!((&hello["width"], &hello["audio"]), (&320.into(), &false.into()));
    assert_eq!(hello["init_id"].as_str().unwrap().len(), 16);
    assert!(hello["clock"]["media_secs"].as_f64().unwrap() > 1.0);
    // Init, the half GOP from 2.0 s to 3.0 s, and what comes.
    let mut file = binary(&mut socket, 1 + 25).await;
    door.publish(&footage, base, 3_000, 5_000).await;
    file.extend(binary(&mut socket, 50).await);
    let read = decoded(&file).await;
    assert_eq!(read, originals[50..125]);
    assert_eq!(door.outputs.readers().mse, 1);
}

#[tokio::test]
async fn a_new_run_and_a_lost_camera_are_told() {
    let mut footage = crate::footage::footage(2, 25, 300).silent();
    let door = TestBox::plain().await;
    door.go_live(&footage);
    let base = door.clock.boot();
    door.publish(&footage, base, 0, 400).await;
    let mut socket = view(&door).await;
    assert!(json(&mut socket).await["hello"].is_object());
    binary(&mut socket, 1 + 10).await;
    let reason = "no answer".to_owned();
    door.stream.set_state(StreamState::Offline { reason }, door.clock.wall());
    let told = json(&mut socket).await;
    assert_eq!(told["state"]["state"], "offline");
    assert_eq!(told["state"]["reason"], "no answer");
    door.stream.set_state(StreamState::Live, door.clock.wall());
    assert_eq!(json(&mut socket).await["state"]["state"], "live");
    let params = footage.tracks.list.iter().map(|track| Arc::clone(&track.params));
    footage.tracks = Arc::new(Tracks::new(RunId(2), params));
    door.go_live(&footage);
    // The rest of a GOP is of no use; the next one comes with a hello and an init of its own.
    door.publish(&footage, base.after(Duration::from_secs(1)), 400, 1_400).await;
    assert!(json(&mut socket).await["hello"].is_object());
    let init = next(&mut socket).await.into_data();
    assert_eq!(&init[4..8], b"ftyp");
    binary(&mut socket, 10).await;
    socket.close(None).await.unwrap();
    until(|| door.outputs.readers().mse == 0).await;
}

#[tokio::test]
async fn a_viewer_that_stops_reading_is_passed_over_to_a_key_frame() {
    let mut footage = crate::footage::footage(4, 25, 300).silent();
    // 200 kB a picture: 5 MB a GOP, more than any socket buffer takes.
    for unit in &mut footage.units {
        if unit.track == TrackId(0) {
            let data = vec![0; 200_000].into();
            *unit = Arc::new(AccessUnit { data, ..AccessUnit::clone(unit) });
        }
    }
    let door = TestBox::plain().await;
    door.go_live(&footage);
    let base = door.clock.boot();
    door.publish(&footage, base, 0, 40).await;
    let mut socket = view(&door).await;
    assert!(json(&mut socket).await["hello"].is_object());
    binary(&mut socket, 2).await;
    door.publish(&footage, base, 40, 4_000).await;
    until(|| door.outputs.mse.meter().totals().units == 100).await;
    let mut parts = 1;
    let dropped = loop {
        match next(&mut socket).await {
            Message::Binary(_) => parts += 1,
            Message::Text(text) => {
                let told: Value = serde_json::from_str(&text).unwrap();
                break told["drop"].as_u64().unwrap();
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(dropped > 10 && parts + dropped == 75, "{parts} + {dropped}");
    assert_eq!(binary(&mut socket, 25).await.len() / 200_000, 25);
}

#[tokio::test]
async fn only_the_boxs_own_page_may_open_a_socket() {
    let door = TestBox::plain().await;
    let mut request = format!("ws://{}/live/gate/ws", door.addr).into_client_request().unwrap();
    request.headers_mut().insert("Origin", "http://evil.example".parse().unwrap());
    let Err(tungstenite::Error::Http(reply)) = connect_async(request.clone()).await else {
        panic!("must be refused")
    };
    assert_eq!(reply.status(), 403);
    let own = format!("http://{}", door.addr).parse().unwrap();
    request.headers_mut().insert("Origin", own);
    connect_async(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_vanished_is_let_go() {
    let door = TestBox::plain().await;
    let footage = crate::footage::footage(1, 25, 300);
    door.go_live(&footage);
    let begun = Instant::now();
    let socket = view(&door).await;
    until(|| door.outputs.readers().mse == 1).await;
    // Nothing reads, so nothing answers the pings.
    until(|| door.outputs.readers().mse == 0).await;
    assert!(begun.elapsed() <= Duration::from_secs(16), "{:?}", begun.elapsed());
    drop(socket);
}

#[tokio::test]
async fn what_a_viewer_sends_is_bounded() {
    let door = TestBox::plain().await;
    let mut socket = view(&door).await;
    // The answer may be a reset before all of it is sent.
    let _ = socket.send(Message::binary(vec![0; 1 << 20])).await;
    until(|| door.outputs.readers().mse == 0).await;
}

async fn until(holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came");
}
