//! Damage beside a power cut: to `ring.toml`, and to the front of a slot.

use std::path::Path;

use fastrand::Rng;

use super::found::Found;

/// What else may be wrong when the power comes back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Harm {
    /// `ring.toml` is gone.
    NoRingFile,
    /// A bit of `ring.toml` is wrong.
    RingFile,
    /// A bit in the front of a slot is wrong.
    Front(u32),
}

impl Harm {
    /// Harms what is there in half of all cases, if there is footage.
    pub(super) fn draw(data: &Path, random: &mut Rng) -> Option<Self> {
        let path = data.join("ring/ring.toml");
        let found = Found::read(data).ok()??;
        let slots: Vec<u32> = found.fragments.values().map(|known| known.slot).collect();
        if slots.is_empty() || random.bool() {
            return None;
        }
        Some(match random.u8(0..3) {
            0 => {
                std::fs::remove_file(&path).unwrap();
                Self::NoRingFile
            }
            1 => {
                // In the digits of the identity.
                let at = std::fs::read_to_string(&path).unwrap().find("ring = \"").unwrap() + 12;
                flip(&path, at as u64, 1);
                Self::RingFile
            }
            _ => {
                let slot = slots[random.usize(..slots.len())];
                let path = data.join(format!("ring/{slot:06}.mp4"));
                flip(&path, random.u64(..400), random.u8(0..8));
                Self::Front(slot)
            }
        })
    }

    /// What `verify` counts of it once the recorder has started.
    pub(super) fn faults(self) -> u64 {
        u64::from(matches!(self, Self::Front(_)))
    }

    /// What is told of it.
    pub(super) fn words(self) -> String {
        match self {
            Self::NoRingFile => "ring.toml was missing".to_owned(),
            Self::RingFile => "ring.toml was damaged".to_owned(),
            Self::Front(slot) => format!("The front of slot {slot:06} is damaged"),
        }
    }
}

pub(super) fn flip(path: &Path, at: u64, bit: u8) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
}
