//! The box's certificate and TLS settings, for every door that speaks TLS.
//!
//! Owns: which certificate is shown. That is the one the configuration names, or one of our own,
//! made at the first start. Does not own: sockets.
//!
//! Invariants:
//! 1. A certificate that cannot be loaded changes nothing: the one in use goes on.
//! 2. A private key that was made here is readable by its owner only.

mod own;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tracing::info;

use crate::base::fault::{Class, Fault};
use crate::base::sync::lock;

/// Where the certificate of the configuration lies, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The certificate, and those between it and its authority behind it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// Certificate and key are read, and unusable.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
    /// One of our own cannot be made.
    #[error("no certificate can be made")]
    Make(#[from] rcgen::Error),
}

impl Fault for TlsError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } | Self::Pem { .. } | Self::Unusable(_) => Class::Config,
            Self::Make(_) => Class::Bug,
        }
    }
}

/// What identifies a certificate: its SHA-256, as `AB:CD:…`, the form that openssl prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// The TLS settings in use; clones share them.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Where our own certificate is kept.
    own_dir: PathBuf,
    wanted: Mutex<Option<Config>>,
    current: ArcSwapOption<Current>,
}

#[derive(Debug)]
struct Current {
    settings: Arc<ServerConfig>,
    fingerprint: Fingerprint,
}

/// A certificate with those behind it, and its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Settings that are not loaded yet; our own certificate is kept in `own_dir`.
    #[must_use]
    pub fn new(own_dir: PathBuf) -> Self {
        let (wanted, current) = (Mutex::default(), ArcSwapOption::empty());
        Self(Arc::new(Shared { own_dir, wanted, current }))
    }

    /// Chooses the certificate of the next [`load`](Self::load): that of the configuration, or
    /// our own.
    pub fn want(&self, config: Option<Config>) {
        *lock(&self.0.wanted) = config;
    }

    /// Reads the certificate anew, making our own if there is none. For connections to come;
    /// an error leaves the one in use.
    pub fn load(&self) -> Result<Fingerprint, TlsError> {
        let wanted = lock(&self.0.wanted).clone();
        let identity = match wanted {
            Some(config) => read(&config)?,
            None => own::find(&self.0.own_dir)?,
        };
        let leaf = identity.chain.first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let fingerprint = Fingerprint(Sha256::digest(leaf).into());
        let settings = Arc::new(settings(identity)?);
        let before = self.0.current.swap(Some(Arc::new(Current { settings, fingerprint })));
        if before.is_none_or(|before| before.fingerprint != fingerprint) {
            info!(part = "tls", sha256 = %fingerprint, "certificate in use");
        }
        Ok(fingerprint)
    }

    /// The settings for a connection that begins now; loaded if that has not been done.
    pub fn settings(&self) -> Result<Arc<ServerConfig>, TlsError> {
        if self.0.current.load().is_none() {
            self.load()?;
        }
        let current = self.0.current.load();
        let settings = current.as_ref().map(|current| Arc::clone(&current.settings));
        Ok(settings.ok_or(rustls::Error::NoCertificatesPresented)?)
    }

    /// The certificate in use; `None` while none is loaded.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.current.load().as_ref().map(|current| current.fingerprint)
    }
}

/// TLS 1.2 and 1.3 without client certificates. The provider is named here, so that it does not
/// matter which others are linked.
fn settings(identity: Identity) -> Result<ServerConfig, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
}

fn read(config: &Config) -> Result<Identity, TlsError> {
    let bytes = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
    };
    let missing = |path: &PathBuf, what| TlsError::Pem { path: path.clone(), what };
    let chain = chain(&bytes(&config.cert)?);
    let key = PrivateKeyDer::from_pem_slice(&bytes(&config.key)?);
    Ok(Identity {
        chain: chain.ok_or_else(|| missing(&config.cert, "certificate"))?,
        key: key.map_err(|_| missing(&config.key, "private key"))?,
    })
}

/// The certificates of a PEM text; `None` when there is none, or one is damaged.
fn chain(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}

#[cfg(test)]
mod tests;
