//! Marks places to begin that H.264 does not mark, in copies for browsers: Chromium begins nowhere else.
//!
//! Owns: where the recovery point goes. It says that the picture is whole, which a browser has to believe
//! to show any; ring, RTSP and exports stay as the camera sent them.

use bytes::Bytes;

use crate::media::{CodecParams, Entry, OpenMarking, nal};

/// A recovery point SEI (ITU-T H.264 §D.1.8): zero frames, not exact, no broken link.
pub(super) const RECOVERY_POINT: &[u8] = &[6, 6, 1, 0b1000_0100, 0x80];

/// Follows the pictures of one track, in decoding order.
#[derive(Debug, Default)]
pub(super) struct EntryMark {
    /// A weak place to begin came and is not marked yet.
    due: bool,
}

impl EntryMark {
    /// The picture `sample` with a recovery point in front, where a decoder can begin with it; `None` where
    /// it stays as it is. `entry` is what it is itself.
    ///
    /// Where a predicted picture has nothing to refer to, the next one is marked: Chromium's decoder ends at
    /// such a picture when it begins there.
    pub(super) fn marked(
        &mut self,
        params: &CodecParams,
        marking: &OpenMarking,
        entry: Option<Entry>,
        sample: &[u8],
    ) -> Option<Bytes> {
        if let Some(entry) = entry {
            self.due = !entry.is_strong();
        }
        if !self.due || entry != Some(Entry::Bare) && marking.lacks_references(sample) {
            return None;
        }
        self.due = false;
        let (front, rest) = sample.split_at(params.delimiter_bytes(sample));
        let mark = nal::length_prefixed([RECOVERY_POINT]);
        Some([front, &mark, rest].concat().into())
    }
}
