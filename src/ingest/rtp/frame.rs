//! One frame as it came out of packets, whichever codec it is of.

use bytes::Bytes;

use super::clock::RtpStamp;
use crate::base::limits::ACCESS_UNIT_BYTES_MAX;
use crate::media::{CodecParams, Kind, nal};

/// One picture or frame of audio with its RTP time.
#[derive(Clone, Debug)]
pub(crate) struct RtpFrame {
    pub(crate) stamp: RtpStamp,
    /// Frames lost directly before this one, as far as anybody knows.
    pub(crate) loss: u16,
    pub(crate) data: Bytes,
}

/// A frame, and the parameters when it has new ones.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) frame: RtpFrame,
    pub(crate) params: Option<CodecParams>,
}

impl Unpacked {
    /// A frame of sound that is `data`; what was lost before it is counted elsewhere.
    pub(super) fn sound(data: Bytes, ticks: i64) -> Self {
        let stamp = RtpStamp { ticks, elapsed: 0 };
        Self { frame: RtpFrame { stamp, loss: 0, data }, params: None }
    }
}

impl RtpFrame {
    /// Whether it is whole and no larger than any frame may be.
    pub(super) fn is_usable(&self, kind: Kind) -> bool {
        let fits = !self.data.is_empty() && self.data.len() <= ACCESS_UNIT_BYTES_MAX;
        fits && (kind == Kind::Audio || nal::is_whole(&self.data))
    }
}
