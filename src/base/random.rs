//! Unpredictable random bytes.
//!
//! Owns: asking the kernel for them. Where guessing gains nothing (jitter, names of packets'
//! sources) `fastrand` does.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// `N` bytes of the kernel's generator (getrandom(2)); waits until it is seeded, which it is when
/// a daemon starts.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_are_alike() {
        assert_ne!(super::bytes::<32>().unwrap(), super::bytes::<32>().unwrap());
    }
}
