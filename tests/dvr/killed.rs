//! A process that records is killed at random moments, and every time what it reported durable is
//! there, every slot plays, and the next one continues.

use std::io::{BufRead, BufReader};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast::base::name::StreamName;
use holdfast::base::time::{BootTime, Clock, MediaTime, SystemClock, WallTime};
use holdfast::dvr::{Dvr, Retention, RingConfig, RingReader, RingSizing, RingState, tool};
use holdfast::media::codec::Law;
use holdfast::media::{AccessUnit, Captured, ClockSource, CodecParams, Entry, RunId, Tracks};
use holdfast::wire::mp4::{FragmentBuilder, init_segment};

const KILLS: u64 = 20;
const CHILD: &str = "HOLDFAST_TEST_RING_DIR";
const SLOT_BYTES: u64 = 128 << 10;

fn gate() -> StreamName {
    StreamName::parse("gate").unwrap()
}

/// The child: records sound of 20 ms a unit, ten units a fragment, as fast as a clock of five
/// times the speed, and prints every "durable until" in Unix milliseconds.
fn record_for_ever(dir: &Path) -> ! {
    let config = RingConfig {
        data_dir: dir.to_owned(),
        size: RingSizing::Bytes(SLOT_BYTES * 16),
        slot_bytes: Some(SLOT_BYTES),
    };
    let clock = Arc::new(SystemClock);
    let dvr = Dvr::open(config, clock.clone(), None).unwrap();
    while dvr.status().ring != RingState::Ready {
        std::thread::sleep(Duration::from_millis(1));
    }
    let writer = dvr.writer(&gate(), Retention::default());
    let params = Arc::new(CodecParams::g711(Law::A, NonZeroU32::new(8_000).unwrap(), 1));
    let init = init_segment(&Tracks::new(RunId(1), [Arc::clone(&params)]));
    let mut durable = writer.durable();
    for sequence in 1u32.. {
        let mut builder = FragmentBuilder::new(sequence);
        let (now, wall) = (clock.boot(), clock.wall());
        for at in 0..10i64 {
            builder.push(Arc::new(unit(&params, now, wall, at * 20_000_000)));
        }
        let _ = writer.append(&init, builder.build(None), sequence == 1, false);
        if durable.has_changed().unwrap()
            && let Some(news) = *durable.borrow_and_update()
        {
            println!("durable {}", news.until.as_unix_millis());
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    unreachable!("the parent kills us")
}

fn unit(params: &Arc<CodecParams>, now: BootTime, wall: WallTime, nanos: i64) -> AccessUnit {
    let begun = i64::try_from(now.as_nanos()).unwrap();
    let decode = MediaTime::from_nanos(begun + nanos, params.clock_rate);
    AccessUnit {
        arrived: now,
        captured: Captured { wall: wall.offset_nanos(nanos), source: ClockSource::Arrival },
        entry: Entry::key_frame(true),
        ..AccessUnit::new(Arc::clone(params), decode, vec![0x55; 1_000].into())
    }
}

/// Kills a recording child after `life`; returns the last "durable until" that it reported.
fn live_and_die(dir: &Path, life: Duration) -> Option<i64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::killed_at_any_moment_nothing_durable_is_lost", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        // The line before the kill may be cut short: only whole ones end with a newline.
        let mut last = None;
        for line in out.lines().map_while(Result::ok) {
            let number = line.rsplit_once("durable ").and_then(|(_, n)| n.parse::<i64>().ok());
            last = number.filter(|&n| n > 1_000_000_000_000).or(last);
        }
        last
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn killed_at_any_moment_nothing_durable_is_lost() {
    if let Some(dir) = std::env::var_os(CHILD) {
        record_for_ever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = seed;
    let mut told_ever = 0;
    for kill in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let life = Duration::from_millis(100 + (random >> 33) % 1_900);
        let told = live_and_die(dir.path(), life);
        told_ever += u32::from(told.is_some());
        if !dir.path().join("ring/ring.toml").exists() {
            continue;
        }
        check(dir.path(), told, kill);
    }
    assert!(told_ever > 2, "the children lived too short to say anything");
    // And a last one starts, mends, records, and ends in order.
    live_and_die(dir.path(), Duration::from_millis(1_500));
    let begun = Instant::now();
    let verdict = tool::verify(dir.path(), &mut Vec::new()).unwrap();
    assert!(verdict.is_sound() && verdict.torn_tails <= 1, "{verdict:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn check(dir: &Path, told: Option<i64>, kill: u64) {
    let mut said = Vec::new();
    let verdict = tool::verify(dir, &mut said).unwrap();
    assert!(verdict.is_sound(), "kill {kill}: {}", String::from_utf8_lossy(&said));
    let reader = RingReader::open(dir).unwrap();
    let listings = tool::listings(&reader).unwrap();
    let end = listings.get(&gate()).and_then(|listing| listing.runs.last()).map(|run| run.end);
    let end = end.map_or(0, WallTime::as_unix_millis);
    assert!(end >= told.unwrap_or(0), "kill {kill}: {told:?} was durable, {end} is there");
    // The newest slot plays to its end even before anybody mends it, or has one torn write.
    if let Some(lap) = reader.laps().last().filter(|_| verdict.torn_tails == 0) {
        let path = dir.join(format!("ring/{:06}.mp4", lap.slot));
        let (_, contents) = reader.contents(*lap).unwrap().unwrap();
        if !contents.entries.is_empty() {
            crate::footage::decodes(&path).unwrap_or_else(|said| panic!("kill {kill}: {said}"));
        }
    }
}
