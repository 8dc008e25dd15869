//! A certificate of our own: made once, kept beside the recordings.
//!
//! Owns: its file, key and certificate in one so that they cannot part, and what it says. Who
//! wants to be sure of the box compares the fingerprint.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tracing::warn;

use super::{Identity, TlsError, chain};
use crate::base::file;

/// Private key and certificate.
const FILE: &str = "own.pem";

/// The certificate in `dir`, or a new one that is kept there.
pub(super) fn find(dir: &Path) -> Result<Identity, TlsError> {
    let path = dir.join(FILE);
    let kept = match fs::read(&path) {
        Ok(pem) => parse(&pem),
        Err(error) if is_absent(error.kind()) => None,
        // It is there: another one would surprise whoever knows its fingerprint.
        Err(source) => return Err(TlsError::Read { path, source }),
    };
    if let Some(identity) = kept {
        return Ok(identity);
    }
    if path.exists() {
        warn!(part = "tls", "own certificate is damaged, making another one");
    }
    let pem = make(&names())?;
    if let Err(error) = keep(dir, pem.as_bytes()) {
        warn!(part = "tls", error = %error, "own certificate cannot be kept, the next start has another");
    }
    parse(pem.as_bytes()).ok_or(TlsError::Pem { path, what: "certificate" })
}

fn is_absent(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parse(pem: &[u8]) -> Option<Identity> {
    Some(Identity { chain: chain(pem)?, key: PrivateKeyDer::from_pem_slice(pem).ok()? })
}

fn keep(dir: &Path, pem: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    file::replace(&dir.join(FILE), pem)
}

/// A self-signed ECDSA P-256 certificate for `names`, as PEM behind its key.
///
/// It begins long ago and ends far away (RFC 5280 §4.1.2.5): many boards have no date when they
/// boot, and nobody renews what is trusted by its fingerprint.
fn make(names: &[String]) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.distinguished_name.push(DnType::CommonName, "Holdfast");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(key.serialize_pem() + &params.self_signed(&key)?.pem())
}

/// What this machine is called and where it can be reached now.
fn names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !host.is_empty() && host != "localhost" && host.chars().all(plain) {
        names.extend([host.to_owned(), format!("{host}.local")]);
    }
    let table = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    names.extend(addresses(&table).iter().map(ToString::to_string));
    names.push("::1".to_owned());
    names
}

/// This machine's own IPv4 addresses as the kernel's routing table lists them: a line with the
/// address, then one that says `host LOCAL`.
fn addresses(table: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for (address, kind) in table.lines().zip(table.lines().skip(1)) {
        let Some(address) = address.trim().strip_prefix("|-- ") else { continue };
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        if kind.ends_with("host LOCAL") && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_those_that_the_kernel_calls_local() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                     Local:\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n\
                     \x20       /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
                     \x20    |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(
            addresses(table).iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.7", "127.0.0.1"]
        );
        assert!(names().contains(&"127.0.0.1".to_owned()));
    }
}
