//! What the encoder spent on the pictures of one fragment, in two octets of its seal.
//!
//! Owns: the scale, ten steps to the doubling, so that a step is 7 %. Zero says that nothing is known:
//! seals of before have that, and fragments without such pictures.

/// Steps to the doubling.
const STEPS: f64 = 10.0;

/// What was spent on the pictures of a fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Bytes of one predicted picture on average, at a quantiser of 26, on the scale; 0: there is
    /// none.
    pub predicted: u8,
    /// Bytes of the entry point, on the scale; 0: there is none.
    pub entry: u8,
}

impl Effort {
    /// Of so many bytes for one predicted picture, and for the entry point.
    #[must_use]
    pub fn of(predicted_bytes: u64, entry_bytes: u64) -> Self {
        Self { predicted: step(predicted_bytes), entry: step(entry_bytes) }
    }

    pub(crate) fn to_bits(self) -> u16 {
        u16::from_be_bytes([self.predicted, self.entry])
    }

    pub(crate) fn from_bits(bits: u16) -> Self {
        let [predicted, entry] = bits.to_be_bytes();
        Self { predicted, entry }
    }
}

/// From 1 for one byte to 255 for 44 MiB and more.
fn step(bytes: u64) -> u8 {
    if bytes == 0 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // clamped, and a few bytes in petabytes do not matter
    let step = ((bytes as f64).log2() * STEPS + 1.0).round().clamp(1.0, 255.0) as u8;
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_seven_percent_and_every_size_has_one() {
        let steps = [0, 1, 2, 1_000, 1_072, 2_000, 8 << 20, u64::MAX].map(step);
        assert_eq!(steps, [0, 1, 11, 101, 102, 111, 231, 255]);
        let effort = Effort::of(700, 9_000);
        assert_eq!(Effort::from_bits(effort.to_bits()), effort);
    }
}
