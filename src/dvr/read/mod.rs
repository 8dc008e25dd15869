//! Everything that reads the ring: players and exports beside the daemon's threads, and tools that
//! have only the disk.

pub(crate) mod cursor;
pub(crate) mod footage;
pub(crate) mod key_frame_lookup;
pub(crate) mod lap_reader;
pub(crate) mod past;
pub mod tool;
