//! The box's own certificate authority: made once, kept beside the accounts.
//!
//! Owns: its file, key and certificate in one so that they cannot part. A person who installs the
//! certificate trusts this box for names of the local network and nothing else: the certificate
//! itself says so (RFC 5280 §4.2.1.10), and that no further authority may follow (pathlen 0).

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SerialNumber,
    date_time_ymd,
};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::pem_file::{self, PemFile};
use super::{Fingerprint, TlsError, names};
use crate::base::random;

/// Private key and certificate.
const FILE: &str = "authority.pem";

/// The facts of the file, so that the certificate need not be parsed for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    /// Its common name.
    name: String,
    /// A name without a dot for which it may vouch.
    own_name: Option<String>,
}

/// The authority.
#[derive(Debug)]
pub(super) struct Authority {
    about: About,
    issuer: Issuer<'static, KeyPair>,
    /// The certificate.
    pub(super) pem: String,
    pub(super) fingerprint: Fingerprint,
}

impl Authority {
    /// The authority in `dir`, or a new one that is kept there.
    pub(super) fn find(dir: &Path) -> Result<Self, TlsError> {
        let path = dir.join(FILE);
        if let Some(file) = pem_file::read::<About>(&path)?
            && let Some(authority) = Self::parse(&file)
        {
            return Ok(authority);
        }
        if path.exists() {
            warn!(part = "tls", "own authority is damaged, making another one");
        }
        let file = make()?;
        if let Err(error) = pem_file::write(&path, &file) {
            warn!(
                part = "tls",
                error = %error,
                "own authority cannot be kept, the next start has another"
            );
        }
        Self::parse(&file).ok_or(TlsError::Pem { path, what: "certificate" })
    }

    fn parse(file: &PemFile<About>) -> Option<Self> {
        let key = KeyPair::from_pem(&file.key).ok()?;
        let leaf = file.chain()?.into_iter().next()?;
        Some(Self {
            issuer: Issuer::new(params(&file.about), key),
            about: file.about.clone(),
            pem: file.certificate.clone(),
            fingerprint: Fingerprint::of(&leaf),
        })
    }

    /// The name without a dot for which it may vouch.
    pub(super) fn own_name(&self) -> Option<&str> {
        self.about.own_name.as_deref()
    }

    /// Signs what `params` say of `key`; the certificate as PEM.
    pub(super) fn sign(
        &self,
        mut params: CertificateParams,
        key: &KeyPair,
    ) -> Result<String, TlsError> {
        params.serial_number = Some(serial()?);
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }
}

/// A serial number that no certificate had before: browsers refuse a second one with the same.
fn serial() -> Result<SerialNumber, TlsError> {
    let mut bytes = random::bytes::<16>().map_err(TlsError::Random)?;
    // Positive, and not shorter than the others (RFC 5280 §4.1.2.2).
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn make() -> Result<PemFile<About>, TlsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // Distinguishes several boxes in a list of authorities.
    let which = random::bytes::<4>().map_err(TlsError::Random)?;
    let name = format!("Holdfast box {:08x}", u32::from_be_bytes(which));
    let about = About { name, own_name: names::own_name() };
    let mut params = params(&about);
    params.serial_number = Some(serial()?);
    let certificate = params.self_signed(&key)?.pem();
    Ok(PemFile { about, key: key.serialize_pem(), certificate })
}

/// It begins long ago and ends far away (RFC 5280 §4.1.2.5): many boards have no date when they
/// boot, and it is taken back by taking it out of the devices that trust it.
fn params(about: &About) -> CertificateParams {
    let zones = names::ZONES.iter().map(|zone| (*zone).to_owned()).chain(about.own_name.clone());
    let networks = names::NETWORKS.iter();
    let networks = networks.map(|&(ip, bits)| CidrSubnet::from_addr_prefix(ip, bits));
    let permitted =
        zones.map(GeneralSubtree::DnsName).chain(networks.map(GeneralSubtree::IpAddress)).collect();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, about.name.as_str());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints =
        Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
    params
}
