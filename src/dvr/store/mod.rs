//! The threads that write the ring, its index and its journal, and what they share.

pub(crate) mod capacity;
mod copies;
pub(crate) mod index;
pub(crate) mod indexer;
pub(crate) mod journal;
pub(crate) mod messages;
pub(crate) mod open_slot;
pub(crate) mod ring;
pub(crate) mod ring_file;
pub(crate) mod ring_writer;
pub(crate) mod shrink;
pub(crate) mod size;
pub(crate) mod state;
