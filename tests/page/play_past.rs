//! `/play/{stream}/ws`: the past for the page's timeline, read by a WebSocket client that is not
//! ours and decoded by ffmpeg.

mod viewer;

use std::sync::Arc;
use std::time::Duration;

use futures::SinkExt;
use holdfast::base::time::{MediaTime, WallTime};
use holdfast::media::{AccessUnit, RunId, Tracks};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::door::TestBox;
use crate::footage::Footage;
use viewer::{GAP, Got, Player, Recorded, assert_dates, sound, sums};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_picture_comes_with_its_date_over_a_gap_that_is_told() {
    let recorded = Recorded::new().await;
    let mut player = recorded.play(60, 1.0).await;
    player.read(true, |player| player.pictures().len() >= 200).await;
    let hello = player.all("hello");
    assert_eq!(hello.len(), 1, "the same init serves behind the gap");
    assert!(hello[0]["codecs"].as_str().unwrap().starts_with("avc1."), "{}", hello[0]);
    assert_eq!((&hello[0]["frames"], &hello[0]["serial"]), (&"all".into(), &0.into()));
    // G.711 travels as FLAC.
    assert!(hello[0]["codecs"].as_str().unwrap().ends_with(",fLaC"), "{}", hello[0]);
    assert_eq!((&hello[0]["audio"], &hello[0]["audio_dropped"]), (&true.into(), &Value::Null));
    assert_eq!(sound(&player.file()).await / 8_000, 8);
    // It begins at the key frame before.
    let which: Vec<_> = (50..GAP.0).chain(GAP.1..).take(player.pictures().len()).collect();
    assert_dates(&recorded, &player.pictures(), which.iter().copied());
    let wanted: Vec<_> = which.iter().map(|&at| recorded.sums[at].clone()).collect();
    let read = sums(&player.file()).await;
    assert_eq!(read[..], wanted[..read.len()]);
    assert!(read.len() >= 195, "{} {:?}", read.len(), player.told());
    let gaps = player.all("gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let end = WallTime::parse_rfc3339(gaps[0]["end"].as_str().unwrap()).unwrap();
    assert_eq!(end.as_unix_millis(), recorded.date(GAP.1).as_unix_millis());
    assert!(gaps[0]["reason"].is_string() && gaps[0]["message"].is_string(), "{}", gaps[0]);
    // Pictures follow each other without a hole, over the gap too.
    for pair in player.pictures().windows(2) {
        assert!((0.039..0.061).contains(&(pair[1].0 - pair[0].0)), "{pair:?}");
    }
    let parts = player.all("part").into_iter().filter(|part| part["pictures"] != json!([]));
    for pair in parts.collect::<Vec<_>>().windows(2) {
        let hole = pair[1]["media_secs"].as_f64().unwrap() - pair[0]["end_secs"].as_f64().unwrap();
        assert!(hole.abs() < 0.001, "{pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_gets_so_much_ahead_of_what_it_shows_and_no_more() {
    let recorded = Recorded::new().await;
    let mut player = recorded.play(0, 1.0).await;
    player.read(false, |player| player.pictures().len() >= 145).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    // Six seconds, to the end of the part that passes them.
    let silent = tokio::time::timeout(Duration::from_millis(500), player.read(false, |_| false));
    assert!(silent.await.is_err());
    let count = player.pictures().len();
    assert!((150..=175).contains(&count), "{count}");
    player.ask(json!({"at": player.pictures()[50].0})).await;
    player.read(false, |player| player.pictures().len() >= count + 25).await;
    // Paused it gets nothing, whatever it shows.
    player.ask(json!({"pause": true, "at": player.last})).await;
    let silent = tokio::time::timeout(Duration::from_secs(1), player.read(false, |_| false));
    assert!(silent.await.is_err());
    let count = player.pictures().len();
    player.ask(json!({"pause": false})).await;
    player.read(false, |player| player.pictures().len() >= count + 25).await;
    let which = (0..GAP.0).chain(GAP.1..);
    assert_dates(&recorded, &player.pictures(), which);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fast_and_backwards_are_key_frames_and_a_seek_goes_anywhere() {
    let recorded = Recorded::new().await;
    let mut player = recorded.play(10, 16.0).await;
    player.read(true, |player| player.pictures().len() >= 12).await;
    assert_eq!(player.all("hello")[0]["frames"], "keys");
    let keys = || (0..GAP.0).chain(GAP.1..500).filter(|at| at % 25 == 0);
    assert_dates(&recorded, &player.pictures(), keys());
    // In real time from one to the next, so that 16 seconds a second are 16 seconds a second.
    let pictures = player.pictures();
    assert!((pictures[4].0 - pictures[0].0 - 4.0).abs() < 0.01, "{pictures:?}");
    let read = sums(&player.file()).await;
    let wanted: Vec<_> = keys().map(|at| recorded.sums[at].clone()).collect();
    assert_eq!(read[..], wanted[..read.len()]);

    player.forget();
    let seek = recorded.inside(260);
    player.ask(json!({"seek": seek, "speed": -8, "serial": 7})).await;
    let last = |player: &Player| player.told().last().is_some_and(|told| told["over"] == true);
    player.read(true, last).await;
    let back: Vec<_> = player
        .got
        .iter()
        .skip_while(|got| !matches!(got, Got::Told(t) if t["hello"]["serial"] == 7))
        .collect();
    assert!(!back.is_empty());
    let told: Vec<_> = player.all("part").into_iter().filter(|part| part["serial"] == 7).collect();
    assert!(told.iter().all(|part| part["way"] == -1));
    let mut dates: Vec<_> = player.pictures();
    dates.drain(..dates.len() - told.len());
    // From the key frame at 250 back to the beginning, over the gap.
    let keys: Vec<_> = keys().filter(|&at| at <= 250).collect();
    assert_eq!(dates.len(), keys.len());
    assert_dates(&recorded, &dates, keys.iter().rev().copied());
    assert_eq!(player.all("gap").len(), 1);
    let wanted: Vec<_> = keys.iter().rev().map(|&at| recorded.sums[at].clone()).collect();
    assert_eq!(sums(&player.file()).await, wanted);

    // Slow motion from inside the gap: what is behind it.
    player.forget();
    let inside = recorded.date(GAP.0).offset_nanos(1_500_000_000).to_rfc3339();
    player.ask(json!({"seek": inside, "speed": 0.25, "serial": 8})).await;
    player.read(true, |player| player.pictures().len() >= 25).await;
    assert_eq!((player.all("hello").len(), player.all("gap").len()), (1, 1));
    assert_dates(&recorded, &player.pictures(), GAP.1..);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_who_catches_up_goes_on_live() {
    let recorded = Recorded::new().await;
    let mut player = recorded.play(300, 8.0).await;
    player.read(true, |player| !player.all("edge").is_empty()).await;
    let (door, footage) = (&recorded.door, &recorded.footage);
    // As a camera continues; it is read off the disk and, where that ends, as it comes.
    let publish = async {
        for at in 0..100u64 {
            door.publish(footage, recorded.base, 16_000 + at * 40, 16_040 + at * 40).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    let reads = async {
        player.read(true, |player| !player.all("speed").is_empty()).await;
        player.read(true, |player| player.pictures().len() >= 60).await;
    };
    tokio::join!(publish, reads);
    assert_eq!(player.all("speed")[0], &json!(1.0));
    assert!(!player.all("live").is_empty());
    let hello = player.all("hello");
    assert_eq!(hello.last().unwrap()["frames"], "all", "{hello:?}");
    let read = sums(&player.file()).await;
    let begin = recorded.sums.iter().position(|sum| *sum == read[0]).unwrap();
    assert_eq!(read[..], recorded.sums[begin..][..read.len()], "nothing is missing or twice");
    assert!(begin + read.len() >= 420, "{begin} {} {:?}", read.len(), player.told());
}

/// Footage with B-frames, as from a camera.
fn reordered(dir: &std::path::Path) -> (Footage, std::path::PathBuf) {
    let (mut footage, path) = crate::footage::reordered(dir);
    let hour = 3_600 * 90_000;
    let begins = i64::try_from(crate::footage::BEGINS.as_nanos()).unwrap();
    for unit in &mut footage.units {
        let rate = unit.decode.rate;
        let by = MediaTime::from_nanos(begins, rate).ticks - hour;
        let at = |at: MediaTime| MediaTime { ticks: at.ticks + by + 9_000, rate };
        let since = u64::try_from(at(unit.decode).as_nanos() - begins).unwrap();
        let arrived = crate::footage::BEGINS.after(Duration::from_nanos(since));
        let (decode, present) = (at(unit.decode), at(unit.present));
        *unit = Arc::new(AccessUnit { decode, present, arrived, ..AccessUnit::clone(unit) });
    }
    let params = footage.tracks.list.iter().map(|track| Arc::clone(&track.params));
    footage.tracks = Arc::new(Tracks::new(RunId(2), params));
    (footage, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_parameters_come_with_an_init_and_b_frames_with_their_times() {
    let dir = tempfile::tempdir().unwrap();
    let first = crate::footage::footage(4, 25, 300);
    let (second, path) = reordered(dir.path());
    let wanted = sums(&std::fs::read(path).unwrap()).await;
    let door = TestBox::recording().await;
    let base = door.clock.boot().before(Duration::from_secs(30));
    door.go_live(&first);
    door.publish(&first, base, 0, 4_000).await;
    door.go_live(&second);
    door.publish(&second, base.after(Duration::from_secs(4)), 0, 4_500).await;
    let runs = || door.dvr.listing(door.stream.name()).runs;
    let mut waited = 0;
    while runs().iter().map(|run| run.fragments).sum::<u64>() < 8 {
        waited += 1;
        assert!(waited < 300, "{:?}", runs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let start = runs()[0].start.to_rfc3339();
    let url = format!("ws://{}/play/gate/ws?start={start}", door.addr);
    let mut player = Player { socket: connect_async(url).await.unwrap().0, got: vec![], last: 0.0 };
    player.read(true, |player| player.pictures().len() >= 200).await;
    let hello = player.all("hello");
    assert_eq!(hello.len(), 2, "{hello:?}");
    assert_ne!(hello[0]["init_id"], hello[1]["init_id"]);
    assert_eq!(sums(&player.file()).await, wanted);
    // Each is reported when it is shown, not when it is decoded.
    for pair in player.pictures()[100..].windows(2) {
        assert!((pair[1].0 - pair[0].0 - 0.04).abs() < 0.001, "{pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn footage_that_is_written_over_under_its_viewer_is_said_to_be() {
    let mut footage = crate::footage::footage(24, 25, 300);
    for unit in &mut footage.units {
        let data = if unit.random_access() { vec![0; 2 << 20] } else { vec![0; 160 << 10] };
        *unit = Arc::new(AccessUnit { data: data.into(), ..AccessUnit::clone(unit) });
    }
    footage.units.retain(|unit| unit.track.0 == 0);
    let door = TestBox::recording().await;
    door.go_live(&footage);
    let base = door.clock.boot().before(Duration::from_secs(30));
    let runs = || door.dvr.listing(door.stream.name()).runs;
    // The ring has 64 MiB, of which six seconds take the half.
    let mut player = None;
    for at in 0..24 {
        door.publish(&footage, base, at * 1_000, at * 1_000 + 1_000).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        if at == 6 {
            let start = runs()[0].start.to_rfc3339();
            let url = format!("ws://{}/play/gate/ws?start={start}", door.addr);
            let socket = connect_async(url).await.unwrap().0;
            let mut viewer = Player { socket, got: vec![], last: 0.0 };
            viewer.read(false, |player| player.pictures().len() >= 25).await;
            player = Some(viewer);
        }
    }
    let mut player = player.unwrap();
    player.ask(json!({"at": player.last})).await;
    assert_eq!(player.farewell().await, ("overwritten".to_owned(), 4410));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_told_and_ends() {
    let recorded = Recorded::new().await;
    let url = |rest: &str| format!("ws://{}/play/{rest}", recorded.door.addr);
    for (path, status) in [
        ("gate/ws", 400),
        ("gate/ws?start=now", 400),
        ("gate/ws?start=2026-11-22T14:05:00Z&speed=17", 400),
        ("gate/ws?start=2026-11-22T14:05:00Z&speed=fast", 400),
        ("gate/ws?start=2026-11-22T14:05:00Z&stop=1", 400),
        ("nobody/ws?start=2026-11-22T14:05:00Z", 404),
    ] {
        let Err(Error::Http(reply)) = connect_async(url(path)).await else { panic!("{path}") };
        assert_eq!(reply.status(), status, "{path}");
    }
    let reply = recorded.door.get("/play/gate/ws?start=2026-11-22T14:05:00Z").await;
    assert_eq!((reply.status, reply.code()), (426, "websocket_only".to_owned()));

    let future = recorded.door.clock.wall().offset_nanos(3_600_000_000_000).to_rfc3339();
    let mut player = recorded.open(&future, 1.0).await;
    assert_eq!(player.farewell().await, ("nothing_there".to_owned(), 4404));
    let before = recorded.begins.offset_nanos(-3_600_000_000_000).to_rfc3339();
    let mut player = recorded.open(&before, -1.0).await;
    assert_eq!(player.farewell().await, ("nothing_there".to_owned(), 4404));
    for bad in ["", "{", "[]", "{\"seek\":\"then\"}", "{\"speed\":0}", "{\"jump\":1}"] {
        let mut player = recorded.play(0, 1.0).await;
        player.socket.send(Message::text(bad)).await.unwrap();
        assert_eq!(player.farewell().await, ("bad_message".to_owned(), 1008), "{bad}");
    }
    let mut player = recorded.play(0, 1.0).await;
    player.socket.send(Message::binary(vec![0])).await.unwrap();
    assert_eq!(player.farewell().await, ("bad_message".to_owned(), 1008));
    let mut player = recorded.play(0, 1.0).await;
    for _ in 0..600 {
        // The last ones may meet a closed socket.
        let _ = player.socket.feed(Message::text("{\"at\":0}")).await;
    }
    let _ = player.socket.flush().await;
    assert_eq!(player.farewell().await, ("too_many_messages".to_owned(), 4429));
    // Odd, and harmless.
    let mut player = recorded.play(0, 1.0).await;
    player.ask(json!({"at": -1.0e300, "serial": 4_294_967_295_u32})).await;
    player.ask(json!({"at": 1.0e300})).await;
    player.ask(json!({"seek": recorded.inside(0)})).await;
    player.read(false, |player| player.pictures().len() >= 25).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_viewers_and_a_stream_that_is_not_recorded_are_refused() {
    let recorded = Recorded::new().await;
    let mut players = Vec::new();
    for _ in 0..16 {
        let mut player = recorded.play(0, 1.0).await;
        player.read(false, |player| !player.pictures().is_empty()).await;
        players.push(player);
    }
    let mut player = recorded.play(0, 1.0).await;
    assert_eq!(player.farewell().await, ("viewers_full".to_owned(), 1013));
    // A viewer that leaves gives its place back.
    players.pop().unwrap().socket.close(None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut player = recorded.play(0, 1.0).await;
    player.read(false, |player| !player.pictures().is_empty()).await;

    let plain = TestBox::plain().await;
    plain.go_live(&crate::footage::footage(1, 25, 100));
    let reply =
        connect_async(format!("ws://{}/play/gate/ws?start=2026-11-22T14:05:00Z", plain.addr)).await;
    let Err(Error::Http(reply)) = reply else { panic!("must be refused") };
    assert_eq!(reply.status(), 404);
}
