//! SIGKILL of the daemon while it records, twenty times.
//!
//! What was told durable is there after every start, at most one fragment is missing, and
//! everything on disk decodes.

mod harness;

use std::time::Duration;

use harness::daemon::{Daemon, assert_slots_decode};
use harness::wait_for;
use jiff::{SignedDuration, Timestamp};

const KILLS: u32 = 20;
/// The fragment in the making (1 s) and what waits for the bus and the disk.
const LOSS_MAX: SignedDuration = SignedDuration::from_millis(2_000);

/// Between the look at the clock and the kill.
const SLACK: SignedDuration = SignedDuration::from_millis(300);

const STREAMS: &str = "[stream.demo]\n\
    source = { kind = \"pattern\", width = 320, height = 240, fps = 25 }\n\
    [stream.yard]\n\
    source = { kind = \"pattern\", width = 320, height = 240, fps = 10 }\n";

fn time(value: &serde_json::Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Until when everything of `stream` is durable.
fn durable_until(daemon: &Daemon, stream: &str) -> Option<Timestamp> {
    time(&daemon.stream(stream)["recording"]["durable_until"])
}

/// The ends of all runs of `stream`, oldest first.
fn run_ends(daemon: &Daemon, stream: &str) -> Vec<Timestamp> {
    let listing = daemon.get(&format!("/api/v1/recordings/{stream}"));
    let runs = listing["runs"].as_array().unwrap_or_else(|| panic!("no runs in {listing}"));
    runs.iter().map(|run| time(&run["end"]).unwrap()).collect()
}

#[test]
fn twenty_kills_cost_at_most_one_fragment_each() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut daemon = Daemon::new("256MiB", STREAMS);
    for kill in 1..=KILLS {
        daemon.start();
        let started = Timestamp::now();
        for stream in ["demo", "yard"] {
            wait_for("footage becomes durable", Duration::from_secs(20), || {
                durable_until(&daemon, stream).filter(|until| *until > started)
            });
        }
        // Anywhere between two commits.
        std::thread::sleep(Duration::from_millis(random.u64(0..1_500)));
        let durable = ["demo", "yard"].map(|stream| durable_until(&daemon, stream).unwrap());
        let killed = Timestamp::now();
        daemon.kill();

        let data = daemon.data_dir();
        let verify = ["ring", "verify", "--data-dir", data.to_str().unwrap()];
        let verified = Daemon::holdfast(&verify);
        let told = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(verified.status.success(), "kill {kill}: {told}");
        assert_slots_decode(&daemon.slots());

        daemon.start();
        for (stream, durable) in ["demo", "yard"].into_iter().zip(durable) {
            // What was being read at the start is listed soon after it.
            let what = format!("kill {kill} at {killed}: {stream} lacks at most a fragment");
            let end = wait_for(&what, Duration::from_secs(10), || {
                run_ends(&daemon, stream).into_iter().rfind(|end| {
                    let missing = killed.duration_since(*end);
                    (-SLACK..=LOSS_MAX).contains(&missing)
                })
            });
            assert!(end >= durable, "kill {kill}: {stream} told {durable}, ends at {end}");
        }
        daemon.kill();
    }
    println!("{}", daemon.ring_ls());
}
