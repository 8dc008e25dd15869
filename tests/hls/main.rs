//! HLS, live and recorded, by its rules and in players that other people wrote.

#[path = "../support/barcode/mod.rs"]
mod barcode;
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
#[path = "../support/players/mod.rs"]
mod players;
#[path = "../support/playlist/mod.rs"]
mod playlist;

mod foreign_players;
mod low_latency;
mod past;
mod recorded;
mod rules;
mod situations;
mod variants;
