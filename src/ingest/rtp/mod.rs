//! What pulled and pushed RTP have in common: from frames with RTP times to published units.
//!
//! Owns: one run of a stream ([`Run`]), its place on the timeline, its decoding times, the rate
//! it may bring, and frames out of packets where retina does not hold the connection
//! ([`Depacketizer`]). Does not own: connections.
//!
//! ```text
//! frame ─► clock (where on the timeline, which date)
//!       ─► decode_time (picture_order: how deep) ─► AccessUnit ─► Stream::publish
//! ```

mod clock;
mod decode_time;
mod depacketize;
mod entry_policy;
mod flood;
mod frame;
mod h26x;
mod picture_order;
mod run;

pub(crate) use clock::{Now, Stamp};
pub(crate) use depacketize::Depacketizer;
pub(crate) use flood::FloodGate;
pub(crate) use frame::{Frame, Unpacked, from_audio, from_video};
pub(crate) use run::{LaneSpec, Progress, Run, TimelineEnd};
