//! The arithmetic of Digest: RFC 2069, RFC 2617 (MD5) and RFC 7616 (SHA-256).
//!
//! Owns: HA1 and the response, and their comparison in constant time.

use md5::Digest as _;
use subtle::ConstantTimeEq;

use crate::base::secret::Secret;

/// Which hash a Digest is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 2617: what every player knows.
    Md5,
    /// RFC 7616.
    Sha256,
}

impl Algorithm {
    /// By the name in a header, whatever its case; `MD5-sess` and others are not offered.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// The name in a header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Hexadecimal digits of its hashes.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 => 64,
        }
    }

    /// The hash of `parts` with a colon between each two, in lower-case hexadecimal.
    pub(super) fn hash(self, parts: &[&str]) -> String {
        let joined = parts.join(":");
        match self {
            Self::Md5 => hex(&md5::Md5::digest(joined.as_bytes())),
            Self::Sha256 => hex(&sha2::Sha256::digest(joined.as_bytes())),
        }
    }

    /// HA1 of an account (RFC 2617 §3.2.2.2): all that is kept of a password.
    #[must_use]
    pub fn ha1(self, username: &str, realm: &str, password: &Secret) -> Secret {
        Secret::new(self.hash(&[username, realm, password.reveal()]))
    }

    /// An HA1 from its hexadecimal digits, in either case; `None` for anything else.
    #[must_use]
    pub fn ha1_from_hex(self, text: &str) -> Option<Secret> {
        let plausible =
            text.len() == self.digits() && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        plausible.then(|| Secret::new(text.to_ascii_lowercase()))
    }
}

/// What a client hashed, as written in its Authorization header.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) nonce: String,
    pub(super) uri: String,
    /// Without: the form of RFC 2069.
    pub(super) qop: Option<Qop>,
}

/// `qop=auth` (RFC 2617 §3.2.2).
#[derive(Clone, Debug)]
pub(super) struct Qop {
    /// As written: these letters were hashed.
    pub(super) nc: String,
    pub(super) cnonce: String,
}

impl Proof {
    /// The `response` to `method` from a client that knows `ha1`.
    pub(super) fn response(&self, algorithm: Algorithm, ha1: &Secret, method: &str) -> String {
        let ha2 = algorithm.hash(&[method, &self.uri]);
        let ha1 = ha1.reveal();
        match &self.qop {
            None => algorithm.hash(&[ha1, &self.nonce, &ha2]),
            Some(Qop { nc, cnonce }) => {
                algorithm.hash(&[ha1, &self.nonce, nc, cnonce, "auth", &ha2])
            }
        }
    }
}

/// Whether `told` is the hash `wanted`, in a time that does not reveal how much of it matches.
pub(super) fn same(told: &str, wanted: &str) -> bool {
    told.to_ascii_lowercase().as_bytes().ct_eq(wanted.as_bytes()).into()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(value: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(value & 15)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(nonce: &str, qop: Option<&str>) -> Proof {
        let qop = qop.map(|cnonce| Qop { nc: "00000001".to_owned(), cnonce: cnonce.to_owned() });
        Proof { nonce: nonce.to_owned(), uri: "/dir/index.html".to_owned(), qop }
    }

    fn response(algorithm: Algorithm, realm: &str, password: &str, proof: &Proof) -> String {
        let ha1 = algorithm.ha1("Mufasa", realm, &Secret::new(password));
        proof.response(algorithm, &ha1, "GET")
    }

    #[test]
    fn rfc_2069_erratum_749() {
        let proof = proof("dcd98b7102dd2f0e8b11d0f600bfb0c093", None);
        let told = response(Algorithm::Md5, "testrealm@host.com", "CircleOfLife", &proof);
        assert_eq!(told, "1949323746fe6a43ef61f9606e7febea");
    }

    #[test]
    fn rfc_2617_section_3_5() {
        let proof = proof("dcd98b7102dd2f0e8b11d0f600bfb0c093", Some("0a4f113b"));
        let told = response(Algorithm::Md5, "testrealm@host.com", "Circle Of Life", &proof);
        assert_eq!(told, "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn rfc_7616_section_3_9_1() {
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let proof = proof("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", Some(cnonce));
        for (algorithm, wanted) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let told = response(algorithm, "http-auth@example.org", "Circle of Life", &proof);
            assert_eq!(told, wanted);
        }
    }

    #[test]
    fn hashes_are_compared_whatever_their_case_and_length() {
        assert!(same("6629FAE4", "6629fae4"));
        assert!(
            !same("6629fae5", "6629fae4") && !same("", "6629fae4") && !same("6629", "6629fae4")
        );
    }

    #[test]
    fn only_hashes_become_ha1() {
        let ha1 = Algorithm::Md5.ha1_from_hex("939E7578ED9E3C518A452ACEE763BCE9").unwrap();
        assert_eq!(ha1.reveal(), "939e7578ed9e3c518a452acee763bce9");
        assert_eq!(Algorithm::Sha256.ha1_from_hex("939e7578ed9e3c518a452acee763bce9"), None);
        assert_eq!(Algorithm::Md5.ha1_from_hex(&"g".repeat(32)), None);
    }
}
