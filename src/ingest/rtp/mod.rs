//! What pulled and pushed RTP have in common: from frames with RTP times to published units.
//!
//! Owns: one run of a stream ([`RunBuilder`]), its place on the timeline, its decoding times, the rate
//! it may bring, and frames out of packets
//! ([`Depacketizer`]). Does not own: connections.
//!
//! ```text
//! frame ─► clock (where on the timeline, which date)
//!       ─► decode_time (picture_order: how deep) ─► AccessUnit ─► Stream::publish
//! ```

mod aac;
mod clock;
mod decode_time;
mod depacketize;
mod entry_policy;
mod flood;
mod frame;
mod h26x;
mod input;
mod jpeg;
mod latm;
mod picture_order;
mod run;
#[cfg(test)]
mod sound_packets;
mod sources;
mod stamps;
mod units;

pub(crate) use clock::{Now, RtpStamp};
pub(crate) use flood::FloodGate;
pub(crate) use frame::RtpFrame;
pub(crate) use input::MissingFrame;
pub(crate) use input::{Overdue, RunInput, TrackInput, choose, not_carried};
pub(crate) use run::{FrameProgress, RunBuilder, TimelineEnd, TrackSpec};

/// The longest that a slow camera may take between two pictures.
const SLOW_CAMERA_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(70);
