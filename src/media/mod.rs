//! The unit of data and what each codec says of itself.
//!
//! Owns: [`AccessUnit`], [`Entry`], [`Tracks`] and [`CodecParams`]. Does no I/O; knows no RTP or MP4 framing
//! beyond the sample entry, which is the codec's own description of itself.

pub(crate) mod bits;
pub mod codec;
mod cost;
pub mod duration;
mod entry_point;
pub(crate) mod hevc_sps;
mod interval;
pub mod nal;
mod open_marking;
mod open_start;
pub(crate) mod parameter_sets;
pub(crate) mod rbsp;
mod slice_qp;
mod unit;

pub use codec::{Codec, CodecParams, Kind, Shape};
pub use cost::{CostMeter, PictureCost};
pub use entry_point::{Entry, Leading};
pub use interval::Interval;
pub use open_marking::OpenMarking;
pub use open_start::{OpenRole, OpenStart};
pub use slice_qp::SliceQp;
pub use unit::{AccessUnit, Captured, ClockSource, RunId, Track, TrackId, Tracks};
