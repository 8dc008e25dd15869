//! How large a ring is, and how large it should be.

use crate::dvr::format::seal::Identity;

/// A ring as far as its size matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingSize {
    pub(crate) ring: Identity,
    pub(crate) slots: u32,
    pub(crate) wanted_slots: u32,
    pub(crate) slot_bytes: u64,
}

/// What does not change while a ring is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Geometry {
    pub(crate) extent: RingSize,
    pub(crate) foreign: u64,
}

impl Geometry {
    /// Bytes of the ring.
    pub(crate) fn bytes(&self) -> u64 {
        self.extent.slot_bytes * u64::from(self.extent.slots)
    }
}
