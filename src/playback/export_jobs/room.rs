//! How much exports may take of a volume on which footage is recorded.
//!
//! Owns: the decision. Pure: what is known of the volume comes in.

use crate::base::limits::{
    EXPORT_JOBS_LEFT_BYTES_MIN, EXPORT_JOBS_LEFT_PERCENT_MIN, EXPORT_JOBS_SHARE_PERCENT_MAX,
};
use crate::dvr::Volume;

/// What is on the volume, and who is going to take more of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) volume: Volume,
    /// The ring has still to take these.
    pub(super) ring_bytes: u64,
    /// Finished exports have these.
    pub(super) held_bytes: u64,
    /// Accepted jobs will still write these.
    pub(super) promised_bytes: u64,
}

impl Room {
    /// Bytes that a further export may take.
    pub(super) fn bytes(&self) -> u64 {
        let of_share = (self.volume.total_bytes / 100 * EXPORT_JOBS_SHARE_PERCENT_MAX)
            .saturating_sub(self.held_bytes)
            .saturating_sub(self.promised_bytes);
        let of_free = self.volume.free_bytes.saturating_sub(self.left_bytes());
        of_share.min(of_free.saturating_sub(self.promised_bytes))
    }

    /// Bytes that stay free whatever is exported.
    pub(super) fn left_bytes(&self) -> u64 {
        let percent = self.volume.total_bytes / 100 * EXPORT_JOBS_LEFT_PERCENT_MIN;
        percent.max(EXPORT_JOBS_LEFT_BYTES_MIN).saturating_add(self.ring_bytes)
    }

    /// Whether an export that is being written, of which `bytes` are still to come, must end
    /// because less would be free than may be.
    pub(super) fn is_short(&self, bytes: u64) -> bool {
        self.volume.free_bytes < self.left_bytes().saturating_add(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(free_mib: u64, ring_mib: u64, held_mib: u64, promised_mib: u64) -> u64 {
        let volume = Volume { identity: 1, total_bytes: 10_000 * MIB, free_bytes: free_mib * MIB };
        let [ring_bytes, held_bytes, promised_bytes] =
            [ring_mib, held_mib, promised_mib].map(|mib| mib * MIB);
        Room { volume, ring_bytes, held_bytes, promised_bytes }.bytes() / MIB
    }

    #[test]
    fn exports_have_a_tenth_of_the_volume_together() {
        assert_eq!(room(9_000, 0, 0, 0), 1_000);
        assert_eq!(room(9_000, 0, 300, 100), 600);
        assert_eq!(room(9_000, 0, 1_000, 0), 0);
    }

    #[test]
    fn what_the_ring_needs_is_never_promised_to_an_export() {
        // 2 % stay free, and what the ring has still to take.
        assert_eq!(room(700, 0, 0, 0), 500);
        assert_eq!(room(700, 400, 0, 0), 100);
        assert_eq!(room(700, 400, 0, 100), 0);
        assert_eq!(room(100, 0, 0, 0), 0);
    }

    #[test]
    fn an_export_ends_before_it_takes_what_the_ring_needs() {
        let volume = Volume { identity: 1, total_bytes: 1_000 * MIB, free_bytes: 100 * MIB };
        let room = Room { volume, ring_bytes: 0, held_bytes: 0, promised_bytes: 0 };
        assert!(!room.is_short(36 * MIB) && room.is_short(37 * MIB));
        assert!(Room { ring_bytes: 40 * MIB, ..room }.is_short(0));
    }
}
