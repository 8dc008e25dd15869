//! Nonces that need no memory: a time and its HMAC.
//!
//! Owns: their form and age. A nonce is good on the connection that it was made for, so a copied
//! Authorization header opens nothing elsewhere.

use std::net::IpAddr;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::digest::{hex, same};
use crate::base::limits::RTSP_NONCE_TIME_MAX;
use crate::base::time::BootTime;

/// Digits of the time in a nonce.
const TIME_DIGITS: usize = 16;
/// Bytes of the HMAC in a nonce.
const MAC_BYTES: usize = 16;

/// Makes nonces and knows its own.
#[derive(Clone)]
pub(super) struct Nonces(Hmac<Sha256>);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

/// For whom a nonce is good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) peer: IpAddr,
    /// Differs between connections.
    pub(super) connection: u64,
}

impl Nonces {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("an HMAC takes keys of any length"))
    }

    /// A new nonce.
    pub(super) fn make(&self, now: BootTime, holder: Holder) -> String {
        self.write(now.as_nanos(), holder)
    }

    fn write(&self, nanos: u64, holder: Holder) -> String {
        let mut mac = self.0.clone();
        mac.update(&nanos.to_be_bytes());
        mac.update(&holder.connection.to_be_bytes());
        mac.update(holder.peer.to_string().as_bytes());
        let mac = mac.finalize().into_bytes();
        format!("{nanos:0digits$x}{}", hex(&mac[..MAC_BYTES]), digits = TIME_DIGITS)
    }

    /// A signature of `text`, in hexadecimal. It is never that of a nonce, which begins with a time.
    pub(super) fn sign(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(b"signature:");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes()[..MAC_BYTES])
    }

    /// Whether `nonce` was made here for `holder` within [`RTSP_NONCE_TIME_MAX`].
    pub(super) fn is_fresh(&self, now: BootTime, holder: Holder, nonce: &str) -> bool {
        let time = nonce.get(..TIME_DIGITS).and_then(|time| u64::from_str_radix(time, 16).ok());
        time.is_some_and(|nanos| {
            let made = BootTime::from_nanos(nanos);
            same(nonce, &self.write(nanos, holder))
                && made <= now
                && now.since(made) <= RTSP_NONCE_TIME_MAX
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn holder(last: u8, connection: u64) -> Holder {
        Holder { peer: IpAddr::from([10, 0, 0, last]), connection }
    }

    #[test]
    fn a_nonce_is_good_for_its_connection_and_a_minute() {
        let nonces = Nonces::new(&[7; 32]);
        let (now, own) = (BootTime::from_millis(5_000), holder(2, 1));
        let nonce = nonces.make(now, own);
        assert!(nonces.is_fresh(now, own, &nonce));
        assert!(nonces.is_fresh(now.after(RTSP_NONCE_TIME_MAX), own, &nonce));
        let late = now.after(RTSP_NONCE_TIME_MAX + Duration::from_nanos(1));
        assert!(!nonces.is_fresh(late, own, &nonce), "too old");
        assert!(!nonces.is_fresh(now.before(Duration::from_secs(1)), own, &nonce), "of the future");
        assert!(!nonces.is_fresh(now, holder(3, 1), &nonce), "of another peer");
        assert!(!nonces.is_fresh(now, holder(2, 2), &nonce), "of another connection");
        assert!(!Nonces::new(&[8; 32]).is_fresh(now, own, &nonce), "of another start");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_nonce(text: String) {
            let nonces = Nonces::new(&[7; 32]);
            assert!(!nonces.is_fresh(BootTime::from_millis(5_000), holder(2, 1), &text));
        }

        #[test]
        fn no_changed_nonce_is_good(at in 0..48_usize, to in "[0-9a-f]") {
            let (nonces, own) = (Nonces::new(&[7; 32]), holder(2, 1));
            let now = BootTime::from_millis(5_000);
            let nonce = nonces.make(now, own);
            let mut other = nonce.clone();
            other.replace_range(at..=at, &to);
            assert_eq!(nonces.is_fresh(now, own, &other), other == nonce);
        }
    }
}
