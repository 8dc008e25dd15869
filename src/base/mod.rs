//! Clocks, the stop signal, faults, meters, names and every numeric bound: the foundation of all
//! other modules.
//!
//! Owns: the vocabulary that no module may define twice. Must never know video.

pub mod boot;
pub mod cache;
pub mod device;
pub mod fault;
pub mod file;
pub mod held;
pub mod limits;
pub mod memory;
pub mod meter;
pub mod name;
pub mod name_pattern;
pub mod network;
pub mod random;
pub(crate) mod request_file;
pub mod secret;
pub mod sync;
pub mod time;
mod trust;
pub(crate) mod volume;

/// The signal that tells a task to end; cancelling a parent ends its children.
pub type Stop = tokio_util::sync::CancellationToken;
