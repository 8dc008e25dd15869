//! Bits of a parameter set or slice header, whose emulation prevention octets were taken out, read and
//! written by their position (ITU-T H.264 §7.2, §7.4.1; the same in H.265).

use super::bits::exp_golomb;

/// A NAL unit with emulation prevention, §7.4.1.
pub(crate) fn escaped(header: u8, rbsp: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rbsp.len() + rbsp.len() / 64 + 1);
    out.push(header);
    let mut zeros = 0;
    for &octet in rbsp {
        if zeros == 2 && octet <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(octet);
        zeros = if octet == 0 { zeros + 1 } else { 0 };
    }
    out
}

/// Reads the bits of a parameter set or slice header.
pub(crate) struct RbspReader<'a> {
    pub(crate) octets: &'a [u8],
    /// In bits.
    pub(crate) at: usize,
}

impl RbspReader<'_> {
    pub(crate) fn bit(&mut self) -> Option<bool> {
        let octet = *self.octets.get(self.at / 8)?;
        let bit = octet >> (7 - self.at % 8) & 1 == 1;
        self.at += 1;
        Some(bit)
    }

    pub(crate) fn skip(&mut self, bits: u32) -> Option<()> {
        (0..bits).try_for_each(|_| self.bit().map(|_| ()))
    }

    /// So many bits as a number, at most 32.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |sum, _| Some(sum << 1 | u32::from(self.bit()?)))
    }

    pub(crate) fn ue(&mut self) -> Option<u32> {
        exp_golomb(|| self.bit())
    }

    /// Position of the stop bit, §7.3.2.11.
    pub(crate) fn end(&self) -> Option<usize> {
        let last = self.octets.iter().rposition(|&octet| octet != 0)?;
        let zeros = self.octets[last].trailing_zeros() as usize;
        Some(last * 8 + 7 - zeros)
    }
}

/// Writes such bits.
#[derive(Default)]
pub(crate) struct RbspWriter {
    pub(crate) octets: Vec<u8>,
    used: u8,
}

impl RbspWriter {
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.octets.push(0);
            self.used = 8;
        }
        self.used -= 1;
        if let Some(last) = self.octets.last_mut() {
            *last |= u8::from(bit) << self.used;
        }
    }

    pub(crate) fn bits(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            self.bit(value >> at & 1 == 1);
        }
    }

    pub(crate) fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let length = 64 - code.leading_zeros();
        for _ in 1..length {
            self.bit(false);
        }
        for at in (0..length).rev() {
            self.bit(code >> at & 1 == 1);
        }
    }

    pub(crate) fn align(&mut self, with: bool) {
        while self.used > 0 {
            self.bit(with);
        }
    }
}
