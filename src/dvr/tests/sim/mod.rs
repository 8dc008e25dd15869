//! The recorder, eviction, index and recovery on the model disk, in virtual time, from a seed.
//!
//! What runs is what runs in the daemon: [`RingWriter::turn`](crate::dvr::store::ring_writer) and the
//! indexer, without their threads. After every cut the disk is read with nothing but the slots,
//! and every promise of the README is checked. A failure prints the seed; `SEED=` replays it:
//!
//! ```text
//! SEED=17 cargo test --lib dvr::tests::sim::crashes -- --nocapture
//! ```

mod exhaustive;
mod house;
mod ledger;
mod shelf;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use self::house::{House, Tally};
use crate::dvr::disk::model::DiskTrouble;

/// Ends that one seed's disk goes through.
const CUTS_PER_SEED: u32 = 40;
/// Simulated crashes of a test run.
const CRASHES: u64 = 20_000;
/// The first seed of a test run: always the same, so that it says the same everywhere.
const FIRST_SEED: u64 = 1;

/// Runs seeds from `first` on two threads while `goes_on`; returns what they saw.
fn run_seeds(first: u64, goes_on: impl Fn(&Tally) -> bool + Sync) -> Tally {
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let total = Mutex::new(Tally::default());
    let work = || {
        while !failed.load(Relaxed) && goes_on(&total.lock().unwrap()) {
            let seed = next.fetch_add(1, Relaxed);
            let lived = catch_unwind(AssertUnwindSafe(|| House::new(seed).live(CUTS_PER_SEED)));
            if let Ok(tally) = lived {
                total.lock().unwrap().add(&tally);
            } else {
                failed.store(true, Relaxed);
                eprintln!("replay: SEED={seed} cargo test --lib dvr::tests::sim::crashes");
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    assert!(!failed.load(Relaxed), "a promise was broken, see the seed above");
    total.into_inner().unwrap()
}

fn seed_of_the_environment() -> Option<u64> {
    std::env::var("SEED").ok()?.parse().ok()
}

#[test]
fn crashes_break_no_promise() {
    if let Some(seed) = seed_of_the_environment() {
        println!("{:?}", House::new(seed).live(CUTS_PER_SEED));
        return;
    }
    let begun = Instant::now();
    let mut tally = run_seeds(FIRST_SEED, |tally| tally.crashes() < CRASHES);
    let (median, most) = tally.lost_ms();
    println!("{tally} in {:.1} s", begun.elapsed().as_secs_f32());
    println!("a power cut cost {median} ms of a camera's footage (median), {most} ms (most)");
    println!("{:?}; went on after {:?}", tally.done, tally.resumed);
    assert!(median <= 1_000, "the median loss is {median} ms");
    assert!(tally.done.least() >= 100, "something hardly happened: {:?}", tally.done);
    let least = tally.resumed.values().min().copied().unwrap_or(0);
    assert!(
        tally.resumed.len() == DiskTrouble::ALL.len() && least >= 10,
        "after {:?} only",
        tally.resumed
    );
    assert!(tally.acknowledged > CRASHES && tally.evicted > CRASHES, "too little was recorded");
}

/// Until stopped, or for `MINUTES`, from a fresh seed or `SEED`: what `make soak` runs.
#[test]
#[ignore = "runs until stopped; make soak"]
fn soak() {
    let first = seed_of_the_environment().unwrap_or_else(|| fastrand::u64(..1 << 48));
    let minutes = std::env::var("MINUTES").ok().and_then(|text| text.parse::<f32>().ok());
    println!("first SEED={first}");
    let (begun, told) = (Instant::now(), Mutex::new(0));
    let tally = run_seeds(first, |tally| {
        let elapsed = begun.elapsed();
        let mut told = told.lock().unwrap();
        if elapsed.as_secs() / 60 > *told {
            *told = elapsed.as_secs() / 60;
            println!("{} min: {tally}", *told);
        }
        minutes.is_none_or(|minutes| elapsed < Duration::from_secs_f32(minutes * 60.0))
    });
    println!("{tally} in {:.0} s", begun.elapsed().as_secs_f32());
    println!("{:?}; went on after {:?}", tally.done, tally.resumed);
}
