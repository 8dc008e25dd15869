//! Reads bits, the highest of each octet first: those of a NAL unit (ITU-T H.264 §7.2, §9.1; the
//! same in H.265) and those of audio configurations (ISO/IEC 14496-3), which know no emulation
//! prevention.

/// Reads bits of a NAL unit's payload, past its emulation prevention octets.
#[derive(Clone, Debug)]
pub(crate) struct Bits<'a> {
    octets: &'a [u8],
    zeros: u8,
    current: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    /// Reads `octets`, which begin behind the NAL unit's header.
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { octets, zeros: 0, current: 0, left: 0 }
    }

    /// The next bit.
    pub(crate) fn bit(&mut self) -> Option<bool> {
        if self.left == 0 {
            let (mut octet, mut rest) = self.octets.split_first()?;
            if self.zeros >= 2 && *octet == 3 {
                (octet, rest) = rest.split_first()?;
                self.zeros = 0;
            }
            self.zeros = if *octet == 0 { self.zeros + 1 } else { 0 };
            (self.current, self.octets, self.left) = (*octet, rest, 8);
        }
        self.left -= 1;
        Some(self.current >> self.left & 1 == 1)
    }

    /// Skips `count` bits.
    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.bit().map(|_| ()))
    }

    /// So many bits as a number, at most 32.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |sum, _| Some(sum << 1 | u32::from(self.bit()?)))
    }

    /// A signed Exp-Golomb code, §9.1.1.
    pub(crate) fn se(&mut self) -> Option<i32> {
        let code = self.ue()?;
        let half = i32::try_from(code.div_ceil(2)).ok()?;
        Some(if code % 2 == 1 { half } else { -half })
    }

    /// An Exp-Golomb code, ITU-T H.264 §9.1; `None` past 31 leading zeros.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        exp_golomb(|| self.bit())
    }
}

/// The Exp-Golomb code of the bits that `bit` returns, ITU-T H.264 §9.1; `None` past 31 leading
/// zeros.
pub(crate) fn exp_golomb(mut bit: impl FnMut() -> Option<bool>) -> Option<u32> {
    let mut zeros = 0u32;
    while !bit()? {
        zeros += 1;
        if zeros > 31 {
            return None;
        }
    }
    let mut value = 1u64;
    for _ in 0..zeros {
        value = value << 1 | u64::from(bit()?);
    }
    u32::try_from(value - 1).ok()
}

/// Reads the bits of octets as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainBits<'a> {
    octets: &'a [u8],
    position: usize,
}

impl<'a> PlainBits<'a> {
    /// Reads `octets` from their first bit on.
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { octets, position: 0 }
    }

    /// How many bits were read.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The number of `count` bits, at most 32.
    pub(crate) fn number(&mut self, count: usize) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let octet = *self.octets.get(self.position / 8)?;
            number = number << 1 | u32::from(octet >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Some(number)
    }

    /// Passes over `count` bits; past the end nothing can be read any more.
    pub(crate) fn skip(&mut self, count: usize) {
        self.position = self.position.saturating_add(count);
    }

    /// Passes over what is left of the current octet.
    pub(crate) fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// `count` bits as octets, the last one filled up with zeros.
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        if self.position.checked_add(count)? > self.octets.len() * 8 {
            return None;
        }
        let mut octets = Vec::with_capacity(count.div_ceil(8));
        let mut left = count;
        while left > 0 {
            let some = left.min(8);
            let octet = self.number(some)? << (8 - some);
            octets.push(u8::try_from(octet).ok()?);
            left -= some;
        }
        Some(octets)
    }

    /// All that is left, without reading it.
    pub(crate) fn rest(&self) -> Vec<u8> {
        let left = (self.octets.len() * 8).saturating_sub(self.position);
        { *self }.take(left).unwrap_or_default()
    }
}
