//! What the page builds on: live and recorded playback in the browser, and pictures.

#[path = "../support/barcode/mod.rs"]
mod barcode;
#[path = "../support/clock/mod.rs"]
mod clock;
#[path = "../support/door/mod.rs"]
mod door;
#[path = "../support/footage/mod.rs"]
mod footage;
#[path = "../support/harness/mod.rs"]
mod harness;
#[path = "../support/playlist/mod.rs"]
mod playlist;

mod browser;
mod decoder_child;
mod geometry;
mod installer;
mod live;
mod pictures;
mod play_past;
mod sprites;
mod way_in;
