//! Which boot of the machine this is.
//!
//! Owns: nothing; the kernel knows.

use std::fs;

/// Identity of this boot (random(4), `boot_id`); all zero where the kernel does not tell it.
#[must_use]
pub fn identity() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_an_identity() {
        assert_ne!(identity(), [0; 16]);
        assert_eq!(identity(), identity());
    }
}
