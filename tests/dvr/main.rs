//! The ring on the disk: kills, power cuts, damage, and what is found afterwards.

#[path = "../support/door/mod.rs"]
mod door;
#[path = "../support/footage/mod.rs"]
mod footage;
#[path = "../support/harness/mod.rs"]
mod harness;

mod activity;
mod decodes;
mod index_damage;
mod kill;
mod killed;
mod power_cut;
mod recordings;
mod shrink;
