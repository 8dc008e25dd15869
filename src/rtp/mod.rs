//! One access unit as RTP packets, live or out of the archive.
//!
//! Owns: what a reader has to know besides the packets, and the pace at which they suit it. How a
//! codec is cut into packets is the business of [`wire::rtp`](crate::wire::rtp).

mod rate;
mod unit;

pub use rate::Rate;
pub use unit::{Format, RtpUnit};
