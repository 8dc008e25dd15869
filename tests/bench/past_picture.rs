//! How long a picture of a past moment takes, and a sheet of sprites.
//!
//! `cargo bench --bench past_picture`. A ring of 1 GiB holds 25 minutes of 1080p at 4 Mbit/s with
//! a key frame every two seconds. Random moments of it are asked for over HTTP, one after the
//! other, whole and 320 pixels wide; none is asked for twice, so that every one is read out of its
//! slot, decoded and written as JPEG. The slots are in the page cache: on a card its reading comes
//! on top, about half a megabyte for each picture.

#[path = "../support/clock/mod.rs"]
mod clock;
#[path = "../support/door/mod.rs"]
mod door;
#[path = "fan_out/film.rs"]
#[allow(dead_code, unreachable_pub)] // the stamps are for another bench
mod film;
#[path = "../support/footage/mod.rs"]
mod footage;
#[path = "../support/harness/mod.rs"]
mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::LongOn;
use door::{Setup, TestBox};
use fastrand::Rng;
use film::{Film, RATE};
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, MediaTime, WallTime};
use holdfast::dvr::Retention;
use holdfast::media::{AccessUnit, RunId, Tracks};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

const SECS: u32 = 1_500;
const PICTURES: usize = 400;
const NANOS: i64 = 1_000_000_000;

fn main() {
    // `cargo test --benches` runs this to see that it starts; a measurement takes a minute.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let setup = Setup::new(env!("CARGO_BIN_EXE_holdfast").into());
        let clock = Arc::new(LongOn);
        let door = TestBox::open_with(Setup { clock, ring_bytes: 1 << 30, ..setup }).await;
        let begin = LongOn.wall().offset_nanos(-i64::from(SECS + 60) * NANOS);
        record(&door, begin).await;
        let mut random = Rng::with_seed(1);
        for (what, query) in [("whole", ""), ("320 wide", "&width=320")] {
            let mut took = Vec::new();
            for _ in 0..PICTURES {
                let at = begin.offset_nanos(random.i64(0..i64::from(SECS) * NANOS));
                let path = format!("/snap/gate.jpg?t={}{query}", at.to_rfc3339());
                let begun = Instant::now();
                let reply = door.get(&path).await;
                took.push(begun.elapsed());
                assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
            }
            took.sort();
            let of = |percent: usize| took[(PICTURES - 1) * percent / 100].as_secs_f64() * 1_000.0;
            println!("{what}: p50 {:.1} ms, p99 {:.1} ms of {PICTURES}", of(50), of(99));
        }
        sheets(&door, begin).await;
    });
}

/// Whole sheets that were never requested before.
async fn sheets(door: &TestBox, begin: WallTime) {
    let first = (begin.as_unix_nanos() / NANOS / 600 + 1) * 600;
    for start in [first, first + 600] {
        let begun = Instant::now();
        let reply = door.get(&format!("/sprites/gate/{start}.jpg")).await;
        assert_eq!(reply.status, 200);
        let (secs, bytes) = (begun.elapsed().as_secs_f64(), reply.body.len());
        println!("a sheet of 60 sprites: {secs:.2} s, {bytes} bytes");
    }
}

/// Fills the ring with the film, a fragment for each second.
async fn record(door: &TestBox, begin: WallTime) {
    let film = Film::load();
    let writer = door.dvr.writer(&StreamName::parse("gate").unwrap(), Retention::default());
    let init = init_segment(&Tracks::new(RunId(1), [Arc::clone(&film.params)]));
    let now = (LongOn.boot(), LongOn.wall());
    let unit = |number: u32| {
        let since = i64::from(number) * NANOS / i64::from(RATE);
        let wall = begin.offset_nanos(since);
        let ago = u64::try_from(now.1.as_unix_nanos() - wall.as_unix_nanos()).unwrap();
        let arrived = now.0.before(Duration::from_nanos(ago));
        let unit = film.unit(number, RunId(1));
        let nanos = i64::try_from(arrived.as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(nanos, film.params.clock_rate);
        let captured = holdfast::media::Captured { wall, ..unit.captured };
        AccessUnit { decode, present: decode, arrived, captured, ..unit }
    };
    for sec in 0..SECS {
        let mut builder = FragmentBuilder::new(sec + 1);
        for number in sec * RATE..(sec + 1) * RATE {
            builder.push(Arc::new(unit(number)));
        }
        let fragment = builder.build(Some(&unit((sec + 1) * RATE)));
        writer.append(&init, fragment, sec == 0, false).unwrap();
        if sec % 60 == 59 {
            let mut durable = writer.durable();
            let all = durable.wait_for(|now| now.is_some_and(|now| now.fragments > sec.into()));
            tokio::time::timeout(Duration::from_secs(60), all).await.unwrap().unwrap();
        }
    }
}
