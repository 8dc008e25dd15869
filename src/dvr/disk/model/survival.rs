//! What of un-synced writes and names outlives a power cut.
//!
//! Owns: the ways in which disks keep and lose what they were not asked to keep.

use fastrand::Rng;

use super::{PAGE_BYTES, SECTOR_BYTES};

/// A write that was not synced.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) stamp: u64,
    pub(crate) at: usize,
    pub(crate) bytes: Vec<u8>,
}

/// What of the un-synced survives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survives {
    Nothing,
    Everything,
    /// What came before a moment, and that moment's write in part.
    Before {
        stamp: u64,
        unit: usize,
    },
    /// What came before a moment, and of that moment's write the first sectors, or all but these.
    Torn {
        stamp: u64,
        sectors: usize,
        is_front: bool,
    },
    /// Any of its parts.
    Some {
        odds: f32,
        unit: usize,
    },
}

impl Survives {
    pub(crate) fn draw(random: &mut Rng, first: u64, last: u64) -> Self {
        let unit = if random.bool() { SECTOR_BYTES } else { PAGE_BYTES };
        match random.u8(0..8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2..5 => Self::Before { stamp: random.u64(first..=last), unit },
            _ => Self::Some { odds: 0.1 + 0.8 * random.f32(), unit },
        }
    }

    pub(crate) fn spares(self, random: &mut Rng, stamp: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Before { stamp: until, .. } | Self::Torn { stamp: until, .. } => stamp < until,
            Self::Some { odds, .. } => random.f32() < odds,
        }
    }

    /// Puts onto the medium what survives of `write`, in parts that begin and end at whole units.
    pub(crate) fn put(self, random: &mut Rng, write: &Write, medium: &mut [u8]) {
        let (unit, torn) = match self {
            Self::Before { stamp, unit } => (unit, stamp == write.stamp),
            Self::Torn { stamp, .. } => (SECTOR_BYTES, stamp == write.stamp),
            Self::Some { unit, .. } => (unit, true),
            Self::Nothing | Self::Everything => (usize::MAX / 2, false),
        };
        // Torn from the front, from the back, or anyhow.
        let (end, units) = (write.at + write.bytes.len(), write.bytes.len() / SECTOR_BYTES + 2);
        let (shape, point) = (random.u8(0..3), random.usize(0..=units));
        let mut at = write.at;
        let mut count = 0;
        while at < end.min(medium.len()) {
            let until = ((at / unit + 1).saturating_mul(unit)).min(end).min(medium.len());
            let put = match (self, torn, shape) {
                (Self::Before { .. }, true, 0) => count < point,
                (Self::Before { .. }, true, 1) => count >= point,
                (Self::Before { .. }, true, _) => random.bool(),
                (Self::Torn { sectors, is_front, .. }, true, _) => (count < sectors) == is_front,
                _ => self.spares(random, write.stamp),
            };
            if put {
                medium[at..until].copy_from_slice(&write.bytes[at - write.at..until - write.at]);
            }
            (at, count) = (until, count + 1);
        }
    }
}
