//! The signature of a delivery, as Standard Webhooks defines it.
//!
//! Owns: what is signed, and the two forms of a secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::base::secret::Secret;

/// Prefix of a secret in Base64.
const PREFIX: &str = "whsec_";

/// The value of `webhook-signature`: one signature for each secret.
pub(super) fn signatures<'a>(
    secrets: impl Iterator<Item = &'a Secret>,
    id: &str,
    timestamp: &str,
    body: &str,
) -> String {
    let all: Vec<_> = secrets.map(|secret| sign(secret, id, timestamp, body)).collect();
    all.join(" ")
}

fn sign(secret: &Secret, id: &str, timestamp: &str, body: &str) -> String {
    let text = secret.reveal();
    let decoded = text.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
    let key = decoded.unwrap_or_else(|| text.as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = "{\"test\": 2432232314}";
        let made = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs() {
        let secrets = [Secret::new("new and long enough"), Secret::new("old and long enough")];
        let made = signatures(secrets.iter(), "a", "1", "{}");
        assert_eq!(made.split(' ').filter(|one| one.starts_with("v1,")).count(), 2);
        assert!(!made.contains("enough"));
    }
}
