//! SIGKILL of the daemon while it records four streams, at random microseconds.
//!
//! After every kill, from the files alone: what was reported durable is there, what was there after
//! the kill before still is, at most the fragment in the making is missing, and `ring verify` finds
//! no fault. `make soak` does the same until it is stopped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::daemon::{Daemon, assert_slots_decode};
use crate::harness::wait_for;
use fastrand::Rng;
use holdfast::base::name::StreamName;
use holdfast::base::time::{Clock, SystemClock, WallTime};
use holdfast::dvr::{Recording, RingReader, tool};

const KILLS: u32 = 60;
/// Slots are decoded after so many kills, and at the end.
const DECODED_EVERY: u32 = 20;
/// The fragment in the making (1 s), and what waits for the bus and the disk.
const LOSS_MS_MAX: i64 = 2_000;
/// Between the look at the clock and the kill.
const SLACK_MS: i64 = 300;
const PATIENCE: Duration = Duration::from_secs(20);
const STREAMS: [&str; 4] = ["gate", "yard", "door", "lift"];

/// What was seen over all kills.
#[derive(Debug, Default)]
struct Seen {
    kills: u32,
    /// Kills before which the killed process had reported something durable, over all streams.
    acknowledged: u32,
    /// Losses of these, in milliseconds.
    lost_ms: Vec<i64>,
}

struct House {
    daemon: Daemon,
    random: Rng,
    /// What was there after the last kill.
    runs: BTreeMap<String, Vec<Recording>>,
    seen: Seen,
}

impl House {
    fn new(ring_size: &str, seed: u64) -> Self {
        let stream = |name: &&str| {
            format!(
                "[stream.{name}]\n\
                 source = {{ kind = \"pattern\", width = 320, height = 180, fps = 10 }}\n"
            )
        };
        let streams: String = STREAMS.iter().map(stream).collect();
        println!("SEED={seed}");
        Self {
            daemon: Daemon::new(ring_size, &streams),
            random: Rng::with_seed(seed),
            runs: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// Starts, kills, and reads what is there.
    fn kill(&mut self) {
        self.seen.kills += 1;
        let started_ms = SystemClock.wall().as_unix_millis();
        self.daemon.start();
        // It answers before its disk does; at the first start there is no ring until then.
        let ring = self.daemon.data_dir().join("ring/ring.toml");
        wait_for("the ring is made", PATIENCE, || ring.exists().then_some(()));
        std::thread::sleep(Duration::from_micros(self.random.u64(200_000..2_800_000)));
        let durable = self.durable();
        let killed_ms = SystemClock.wall().as_unix_millis();
        self.daemon.kill();

        let kill = self.seen.kills;
        let data = self.daemon.data_dir();
        let verified = Daemon::holdfast(&["ring", "verify", "--data-dir", data.to_str().unwrap()]);
        assert!(verified.status.success(), "kill {kill}: {verified:?}");
        let runs = self.read();
        for (stream, before) in &self.runs {
            still_there(before, &runs[stream])
                .unwrap_or_else(|run| panic!("kill {kill}: {stream} lost {run:?}"));
        }
        for (stream, until_ms) in durable {
            if until_ms <= started_ms {
                continue;
            }
            let end_ms = runs[&stream].last().map_or(0, |run| run.end.as_unix_millis());
            let lost_ms = killed_ms - end_ms;
            assert!(end_ms >= until_ms, "kill {kill}: {stream} told {until_ms}, ends at {end_ms}");
            let fits = (-SLACK_MS..=LOSS_MS_MAX).contains(&lost_ms);
            assert!(fits, "kill {kill}: {stream} lacks {lost_ms} ms");
            self.seen.acknowledged += 1;
            self.seen.lost_ms.push(lost_ms);
        }
        self.runs = runs;
        if kill.is_multiple_of(DECODED_EVERY) {
            assert_slots_decode(&self.daemon.slots());
        }
    }

    /// Until when each stream is durable, in Unix milliseconds, as the API tells.
    fn durable(&self) -> Vec<(String, i64)> {
        let all = self.daemon.get("/api/v1/streams");
        let list = all["streams"].as_array().unwrap_or_else(|| panic!("no streams in {all}"));
        let told = list.iter().filter_map(|stream| {
            let until: jiff::Timestamp =
                stream["recording"]["durable_until"].as_str()?.parse().ok()?;
            Some((stream["name"].as_str()?.to_owned(), until.as_millisecond()))
        });
        told.collect()
    }

    /// The runs of every stream, from the slots alone.
    fn read(&self) -> BTreeMap<String, Vec<Recording>> {
        let data = self.daemon.data_dir();
        let mut found = match RingReader::open(&data) {
            Ok(reader) => tool::listings(&reader).unwrap(),
            // It was killed before it had made its ring.
            Err(error) => {
                assert!(self.runs.values().all(Vec::is_empty), "the ring is gone: {error}");
                BTreeMap::new()
            }
        };
        let runs = |name: &&str| {
            let stream = StreamName::parse(name).unwrap();
            let runs = found.remove(&stream).map(|listing| listing.runs).unwrap_or_default();
            ((*name).to_owned(), runs)
        };
        STREAMS.iter().map(runs).collect()
    }
}

/// Whether every run of `before` is in `after`, but for what was at the front and made room.
fn still_there<'a>(before: &'a [Recording], after: &[Recording]) -> Result<(), &'a Recording> {
    let oldest = after.first().map_or(WallTime::from_unix_nanos(i64::MAX), |run| run.start);
    let same = |run: &&Recording| {
        after.iter().any(|found| found.end == run.end && found.start >= run.start)
    };
    match before.iter().filter(|run| run.end > oldest || after.is_empty()).find(|run| !same(run)) {
        None => Ok(()),
        Some(run) => Err(run),
    }
}

fn number(variable: &str) -> Option<f64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seed() -> u64 {
    let told = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    told.unwrap_or_else(|| fastrand::u64(..))
}

#[test]
fn sixty_kills_cost_at_most_one_fragment_each() {
    let begun = Instant::now();
    let mut house = House::new("64MiB", seed());
    for _ in 0..KILLS {
        house.kill();
    }
    assert_slots_decode(&house.daemon.slots());
    let Seen { kills, acknowledged, lost_ms } = &mut house.seen;
    lost_ms.sort_unstable();
    let (median, most) = (lost_ms[lost_ms.len() / 2], lost_ms[lost_ms.len() - 1]);
    let secs = begun.elapsed().as_secs();
    println!(
        "{kills} kills in {secs} s; {acknowledged} times a stream was durable, and lacked {median} ms (median), {most} ms (most)"
    );
    assert!(*acknowledged > KILLS, "the daemon was killed too early to tell anything");
    println!("{}", house.daemon.ring_ls());
}

/// In a ring small enough to turn, until stopped, for `MINUTES`, or until `KILLS` were made.
#[test]
#[ignore = "runs until stopped; make soak"]
fn soak() {
    let (begun, limit) = (Instant::now(), number("MINUTES").map(|m| m * 60.0));
    let mut house = House::new("8MiB", seed());
    let mut told = 0;
    let most = number("KILLS");
    while limit.is_none_or(|limit| begun.elapsed().as_secs_f64() < limit)
        && most.is_none_or(|most| f64::from(house.seen.kills) < most)
    {
        house.kill();
        let minutes = begun.elapsed().as_secs() / 60;
        if minutes > told {
            told = minutes;
            let Seen { kills, acknowledged, lost_ms } = &house.seen;
            let most = lost_ms.iter().max().copied().unwrap_or(0);
            println!(
                "{minutes} min: {kills} kills, {acknowledged} streams durable at theirs, at most {most} ms lost"
            );
        }
    }
    assert_slots_decode(&house.daemon.slots());
    println!("{} kills in {:.0} s", house.seen.kills, begun.elapsed().as_secs_f32());
}
