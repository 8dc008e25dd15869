//! What the ring holds, as far as that is known: pure, no file is touched here.
//!
//! Owns: the table of slots, where footage continues and where it does not, gaps and their reasons,
//! the clock table, protected ranges, and which slot goes next.

pub(crate) mod activity;
pub(crate) mod clock;
pub(crate) mod continuity;
pub(crate) mod days;
pub(crate) mod eviction;
pub(crate) mod facts;
pub(crate) mod geometry;
pub(crate) mod lap;
pub(crate) mod listing;
pub(crate) mod pin;
pub(crate) mod recent;
pub(crate) mod segment;
pub(crate) mod shrink_plan;
pub(crate) mod table;
