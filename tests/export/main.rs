//! Recordings that leave the box as files.

#[path = "../support/atoms/mod.rs"]
mod atoms;
#[path = "../support/reel/mod.rs"]
mod capture;
#[path = "../support/clock/mod.rs"]
mod clock;
#[path = "../support/door/mod.rs"]
mod door;
#[path = "../support/footage/mod.rs"]
mod footage;
#[path = "../support/harness/mod.rs"]
mod harness;

mod breaks;
mod entries;
mod jobs;
mod mp4_reads;
mod ranges;
