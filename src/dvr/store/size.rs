//! How large a ring is made, and when one that is there is to have another size.
//!
//! Owns: the way from a size or a share of the volume to slots. Pure: what is known of the
//! volume comes in, and it may be wrong.
//!
//! A ring grows by itself and never shrinks by itself. A size in bytes counts as written, as far as
//! there is room: both kinds leave some of the volume to others. A share
//! follows the volume only upwards, from 1 % of the ring on, so that small changes of statfs
//! between starts do not move it; a share that is smaller by as much, which needs a smaller
//! percentage or volume, is proposed as a shrink (see `shrink`). Other files on the volume never
//! make it smaller.

use crate::base::limits::{SLOT_BYTES_MAX, SLOT_BYTES_MIN, SLOTS_MAX, SLOTS_MIN};
use crate::dvr::disk::Volume;
use crate::dvr::error::DvrError;

/// Slots are chosen so that a ring has about this many, within the two sizes below.
const SLOTS_AIM: u64 = 256;
const SLOT_BYTES_SMALL: u64 = 4 << 20;
const SLOT_BYTES_LARGE: u64 = 64 << 20;
/// Slot sizes are whole multiples of this, as file systems and cards like it.
const SLOT_BYTES_STEP: u64 = 4 << 10;
/// Of a volume at least these are left to others.
const LEFT_BYTES_MIN: u64 = 64 << 20;
/// A share moves a ring from this part of its slots on: less than one percentage point.
const SHARE_STEP: u32 = 100;

/// How large the ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingSizing {
    /// So many bytes, as far as there is room.
    Bytes(u64),
    /// A share of the volume, 1 to 100; never more than is free, and 2 % of the volume (at
    /// least 64 MiB) are left to others.
    Percent(u8),
}

/// A ring that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    pub(crate) slot_bytes: u64,
    pub(crate) slots: u32,
    /// Slots whose space is taken.
    pub(crate) files: u32,
}

impl RingSizing {
    /// Bytes of a ring that is made on `volume` now.
    pub(crate) fn made_bytes(self, volume: &Volume) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => share(volume, percent).min(room(volume)),
        }
    }

    /// Why there is no room for a ring of this size with slots of `slot_bytes`: free space belongs to
    /// others too.
    pub(crate) fn no_room(self, volume: &Volume, slot_bytes: u64) -> Option<DvrError> {
        let (free_bytes, left_bytes) = (volume.free_bytes, self.left_bytes(volume));
        let room = free_bytes.saturating_sub(left_bytes);
        let is_wanted = match self {
            Self::Bytes(bytes) => bytes >= u64::from(SLOTS_MIN) * slot_bytes,
            Self::Percent(percent) => share(volume, percent) > room,
        };
        (is_wanted && room < u64::from(SLOTS_MIN) * slot_bytes)
            .then_some(DvrError::NoRoom { free_bytes, left_bytes })
    }

    /// Bytes of `volume` that a ring of this size leaves to others. A minute of recording counts as
    /// well, once that is known (see `Ring::leaving_at_least`). A ring that is small against its volume
    /// leaves no more than it has itself, down to the least.
    pub(crate) fn left_bytes(self, volume: &Volume) -> u64 {
        let bytes = match self {
            Self::Bytes(bytes) => bytes.max(LEFT_BYTES_MIN),
            Self::Percent(_) => u64::MAX,
        };
        left_bytes(volume).min(bytes)
    }

    /// Slots that a ring that is there should have: as many as it has unless it is to change.
    pub(crate) fn wanted_slots(self, volume: &Volume, ring: Present) -> u32 {
        let slots_in = |bytes: u64| {
            u32::try_from(bytes / ring.slot_bytes).unwrap_or(u32::MAX).clamp(SLOTS_MIN, SLOTS_MAX)
        };
        let percent = match self {
            Self::Bytes(bytes) => return slots_in(bytes),
            Self::Percent(percent) => percent,
        };
        let own = ring.slot_bytes * u64::from(ring.files);
        if volume.total_bytes < own || volume.total_bytes < volume.free_bytes {
            // No volume is smaller than what is on it.
            return ring.slots;
        }
        let step = (ring.slots / SHARE_STEP).max(1);
        let share = share(volume, percent);
        let (most, least) = (slots_in(share.min(own + room(volume))), slots_in(share));
        if most >= ring.slots.saturating_add(step) {
            most
        } else if least.saturating_add(step) <= ring.slots {
            least
        } else {
            ring.slots
        }
    }
}

fn share(volume: &Volume, percent: u8) -> u64 {
    volume.total_bytes / 100 * u64::from(percent.min(100))
}

/// What can still be taken: what others hold cannot be ours.
fn room(volume: &Volume) -> u64 {
    volume.free_bytes.saturating_sub(left_bytes(volume))
}

fn left_bytes(volume: &Volume) -> u64 {
    (volume.total_bytes / 50).max(LEFT_BYTES_MIN)
}

/// 4 to 64 MiB for rings as they are used; smaller only where the ring could not turn else.
pub(crate) fn slot_bytes_for(ring_bytes: u64) -> u64 {
    let aim = ring_bytes / SLOTS_AIM;
    let small = SLOT_BYTES_SMALL.min(ring_bytes / u64::from(2 * SLOTS_MIN));
    let large = SLOT_BYTES_LARGE.max(ring_bytes / u64::from(SLOTS_MAX) + SLOT_BYTES_STEP);
    (aim.clamp(small, large) / SLOT_BYTES_STEP * SLOT_BYTES_STEP).max(SLOT_BYTES_MIN)
}

pub(crate) fn check_slot_bytes(bytes: u64) -> Result<(), DvrError> {
    if (SLOT_BYTES_MIN..=SLOT_BYTES_MAX).contains(&bytes) {
        Ok(())
    } else {
        Err(DvrError::SlotSize { bytes, min: SLOT_BYTES_MIN, max: SLOT_BYTES_MAX })
    }
}

/// Slots of a ring that is made with `bytes`.
pub(crate) fn slots_for(bytes: u64, slot_bytes: u64) -> Result<u32, DvrError> {
    let slots = u32::try_from(bytes / slot_bytes).unwrap_or(u32::MAX).min(SLOTS_MAX);
    if slots < SLOTS_MIN {
        return Err(DvrError::TooSmall { bytes, slot_bytes, slots_min: SLOTS_MIN });
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn slot_sizes_follow_the_ring() {
        assert_eq!(slot_bytes_for(200 << 30), 64 << 20);
        assert_eq!(slot_bytes_for(8 << 30), 32 << 20);
        assert_eq!(slot_bytes_for(512 << 20), 4 << 20);
        assert_eq!(slot_bytes_for(16 << 20), 1 << 20);
        assert!(slots_for(1 << 44, slot_bytes_for(1 << 44)).unwrap() <= SLOTS_MAX);
        assert!(slots_for(1 << 20, 1 << 20).is_err());
    }

    /// Slots of 1 MiB that a ring of `slots`, all of them taken, should have as `percent` of a
    /// volume.
    fn wanted(percent: u8, slots: u32, total_mib: u64, free_mib: u64) -> u32 {
        let volume =
            Volume { identity: 1, total_bytes: total_mib * MIB, free_bytes: free_mib * MIB };
        let ring = Present { slot_bytes: MIB, slots, files: slots };
        RingSizing::Percent(percent).wanted_slots(&volume, ring)
    }

    #[test]
    fn a_share_follows_its_volume_upwards() {
        assert_eq!(wanted(80, 8_000, 10_000, 1_900), 8_000);
        // The volume became larger, or the percentage was raised.
        assert_eq!(wanted(80, 8_000, 20_000, 11_900), 16_000);
        assert_eq!(wanted(81, 8_000, 10_000, 1_900), 8_100);
        // A ring of few slots goes by whole ones.
        assert_eq!(wanted(80, 8, 100_000, 90_000), 80_000);
    }

    #[test]
    fn a_share_takes_only_what_is_free_and_leaves_some() {
        // 2 % of 20,000 stay free.
        assert_eq!(wanted(80, 8_000, 20_000, 1_400), 9_000);
        assert_eq!(wanted(95, 8_000, 10_000, 100), 8_000);
    }

    #[test]
    fn a_volume_without_room_beside_the_floor_is_told_with_it() {
        let volume = Volume { identity: 1, total_bytes: 64 * MIB, free_bytes: 60 * MIB };
        for size in [RingSizing::Percent(80), RingSizing::Bytes(48 * MIB)] {
            let why = size.no_room(&volume, MIB).unwrap().to_string();
            assert!(why.contains("62914560 bytes free") && why.contains("67108864"), "{why}");
            assert!(why.contains("2 %") && why.contains("64 MiB"), "{why}");
        }
        // Another reason: see `slots_for`.
        assert!(RingSizing::Bytes(1).no_room(&volume, MIB).is_none());
        let volume = Volume { free_bytes: 900 * MIB, total_bytes: 1_000 * MIB, ..volume };
        for size in [RingSizing::Percent(80), RingSizing::Bytes(2_000 * MIB)] {
            assert!(size.no_room(&volume, MIB).is_none());
        }
        // A small ring on a large disk that is nearly full.
        let volume = Volume { free_bytes: 300 * MIB, total_bytes: 100_000 * MIB, ..volume };
        assert!(RingSizing::Bytes(128 * MIB).no_room(&volume, MIB).is_none());
        assert!(RingSizing::Bytes(5_000 * MIB).no_room(&volume, MIB).is_some());
    }

    #[test]
    fn what_others_take_and_small_moves_change_nothing() {
        assert_eq!(wanted(80, 8_000, 10_000, 0), 8_000);
        for total in 9_930..=10_090 {
            assert_eq!(wanted(80, 8_000, total, 1_900), 8_000, "of {total}");
        }
    }

    #[test]
    fn a_volume_that_cannot_be_changes_nothing() {
        for (total, free) in [(0, 0), (100, 50), (7_999, 10), (10_000, 90_000), (0, 90_000)] {
            assert_eq!(wanted(80, 8_000, total, free), 8_000, "of {total}, {free} free");
        }
    }

    #[test]
    fn a_smaller_percentage_asks_for_fewer() {
        assert_eq!(wanted(40, 8_000, 10_000, 1_900), 4_000);
        assert_eq!(wanted(79, 8_000, 10_000, 1_900), 7_900);
        // A ring never has fewer than it needs to turn.
        assert_eq!(RingSizing::Bytes(1).wanted_slots(&Volume::default(), present(32)), SLOTS_MIN);
        assert_eq!(RingSizing::Bytes(40 * MIB).wanted_slots(&Volume::default(), present(32)), 40);
    }

    fn present(slots: u32) -> Present {
        Present { slot_bytes: MIB, slots, files: slots }
    }
}
