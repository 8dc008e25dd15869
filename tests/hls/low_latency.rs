//! Low-latency HLS over HTTP: blocking reloads, hinted parts, delta updates, and a player (ffmpeg)
//! that knows nothing of it.

use std::sync::Arc;
use std::time::Duration;

use crate::door::TestBox;
use crate::footage::Footage;
use crate::playlist::Media;
use holdfast::base::time::WallTime;
use holdfast::media::AccessUnit;
use tokio::time::Instant;

/// Seconds of footage that are there when a reader comes.
const HEAD_START_MS: u64 = 9_000;

async fn begin(recorded: bool, footage: Footage) -> Arc<TestBox> {
    let door = Arc::new(if recorded { TestBox::recording().await } else { TestBox::plain().await });
    door.outputs.hls.set_low_latency(true);
    door.go_live(&footage);
    let footage = dated(footage, door.clock.wall());
    let begin = Instant::now();
    let base = door.clock.boot().before(Duration::from_millis(HEAD_START_MS));
    door.publish(&footage, base, 0, HEAD_START_MS).await;
    let feeder = Arc::clone(&door);
    tokio::spawn(async move {
        let (end_ms, mut done_ms) = (footage.frames as u64 * 40, HEAD_START_MS);
        while done_ms < end_ms {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now_ms = HEAD_START_MS + crate::door::millis(begin.elapsed());
            feeder.publish(&footage, base, done_ms, now_ms).await;
            done_ms = now_ms;
        }
    });
    door
}

/// Footage of which the first [`HEAD_START_MS`] were captured before `now`, as the ring knows them.
fn dated(mut footage: Footage, now: WallTime) -> Footage {
    let first =
        footage.units[0].captured.wall.offset_nanos(HEAD_START_MS.cast_signed() * 1_000_000);
    let by_nanos = now.as_unix_nanos() - first.as_unix_nanos();
    for unit in &mut footage.units {
        let mut moved = AccessUnit::clone(unit);
        moved.captured.wall = moved.captured.wall.offset_nanos(by_nanos);
        *unit = Arc::new(moved);
    }
    footage
}

async fn media(door: &TestBox, query: &str) -> Media {
    let reply = door.get(&format!("/live/gate/media.m3u8{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    crate::playlist::media(reply.text())
}

/// Waits until parts are published.
async fn with_parts(door: &TestBox) -> Media {
    for _ in 0..200 {
        let told = media(door, "").await;
        if !told.open.parts.is_empty() {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no parts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_waits_for_the_part_it_names_and_a_hinted_part_comes() {
    for recorded in [true, false] {
        let door = begin(recorded, crate::footage::footage(45, 50, 300)).await;
        let index = door.get("/live/gate/index.m3u8").await;
        crate::playlist::multivariant(index.text()).covers(&media(&door, "").await);
        let mut told = with_parts(&door).await;
        for _ in 0..12 {
            let (segment, part) = told.next();
            let hint = told.hints[0]["URI"].clone();
            let query = format!("?token=x&_HLS_msn={segment}&_HLS_part={part}");
            let path = format!("/live/gate/{hint}");
            // Both are asked before the part is there.
            let (next, hinted) = tokio::join!(media(&door, &query), door.get(&path));
            assert!(next.next() > (segment, part), "{:?} behind {segment}.{part}", next.next());
            assert_eq!((hinted.status, &hinted.body[4..8]), (200, &b"moof"[..]), "{path}");
            let parts = next.segments.iter().chain([&next.open]).flat_map(|it| &it.parts);
            assert!(parts.into_iter().any(|part| part.uri == hint), "{hint}");
            next.follows(&told);
            told = next;
        }
        let ended = told.segments.iter().rfind(|it| !it.parts.is_empty()).unwrap();
        let whole = door.get(&format!("/live/gate/{}", ended.uri)).await.body;
        let mut pieces = Vec::new();
        for part in &ended.parts {
            pieces.extend(door.get(&format!("/live/gate/{}", part.uri)).await.body);
        }
        assert!(whole == pieces, "a segment is its parts");
        let delta = media(&door, "?_HLS_skip=YES").await;
        assert!(delta.skipped > 0 || delta.secs() <= 18.0 + 3.0, "{delta:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_goes_on_from_the_ring_to_memory_and_back_without_a_hole() {
    // Also with key frames so seldom that the newest is far behind what was listed of the ring.
    tokio::join!(there_and_back(25), there_and_back(75));
}

async fn there_and_back(gop: u32) {
    let door = begin(true, crate::footage::footage(60, gop, 300)).await;
    let mut told = with_parts(&door).await;
    let first = told.clone();
    for low_latency in [true, false, true] {
        door.outputs.hls.set_low_latency(low_latency);
        let until = told.next().0 + 3;
        while told.next().0 < until {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let next = media(&door, "").await;
            // What a player sees of the change; its parts are those of the same segment.
            if next.part_target_secs != told.part_target_secs {
                (told.version, told.part_target_secs) = (next.version, next.part_target_secs);
                told.open.parts.clear();
            }
            next.follows(&told);
            told = next;
            assert_eq!(told.discontinuities(), 0, "{told:?}");
            let ends = told.segments.iter().map(|it| it.date.unwrap() + nanos(it.secs));
            for (end, next) in ends.zip(&told.segments[1..]) {
                assert!((next.date.unwrap() - end).abs() < 2_000_000, "a hole: {next:?}");
            }
        }
        assert_eq!(!told.hints.is_empty(), low_latency, "{told:?}");
    }
    assert_eq!(told.discontinuity_sequence, first.discontinuity_sequence);
}

#[allow(clippy::cast_possible_truncation)] // seconds of a test
fn nanos(secs: f64) -> i128 {
    (secs * 1e9) as i128
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directives_that_make_no_sense_are_refused_and_silence_is_503() {
    let door = begin(false, crate::footage::footage(16, 50, 300)).await;
    let told = with_parts(&door).await;
    let (segment, _) = told.next();
    let ask = async |query: &str| {
        let reply = door.get(&format!("/live/gate/media.m3u8?{query}")).await;
        (reply.status, reply.code())
    };
    assert_eq!(ask("_HLS_part=1").await, (400, "msn_missing".to_owned()));
    let far = format!("_HLS_msn={}", segment + 50);
    assert_eq!(ask(&far).await, (400, "msn_far_ahead".to_owned()));
    for odd in ["_HLS_msn=-1", "_HLS_msn=x", "_HLS_msn=1&_HLS_part=99999999999999999999"] {
        assert_eq!(ask(odd).await, (400, "directive_wrong".to_owned()), "{odd}");
    }
    let unknown = door.get(&format!("/live/gate/{}.0.m4s", segment + 50)).await;
    assert_eq!(unknown.status, 404);
    // The footage ends, and nothing comes any more.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (segment, _) = media(&door, "").await.next();
    let silent = ask(&format!("_HLS_msn={}", segment + 1)).await;
    assert_eq!(silent, (503, "stream_silent".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_low_latency_directives_change_nothing() {
    let footage = crate::footage::footage(12, 50, 300);
    let door = Arc::new(TestBox::recording().await);
    door.go_live(&footage);
    let base = door.clock.boot().before(Duration::from_secs(12));
    door.publish(&footage, base, 0, 12_000).await;
    assert_eq!(door.get("/live/gate/index.m3u8").await.status, 200);
    let told = media(&door, "?_HLS_msn=99999999999&_HLS_part=3&_HLS_skip=YES").await;
    assert_eq!((told.version, told.skipped, told.hints.len()), (7, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_that_knows_no_parts_plays_as_ever() {
    let door = begin(true, crate::footage::footage(40, 50, 300)).await;
    let url = format!("http://{}/live/gate/index.m3u8", door.addr);
    let out = tokio::process::Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-xerror", "-i", &url, "-map", "0:v"])
        .args(["-frames:v", "150", "-f", "null", "-"])
        .output()
        .await
        .expect("ffmpeg must be installed (Debian package ffmpeg)");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
