//! The box's certificate and TLS settings, for every server that speaks TLS.
//!
//! Owns: which certificate is shown. That is the one the configuration names, or one of our own,
//! signed by the box's own authority, which is made at the first start. Does not own: sockets.
//!
//! Invariants:
//! 1. A certificate that cannot be loaded changes nothing: the one in use stays.
//! 2. A private key that was made here is readable by its owner only, and not on the recording
//!    disk unless that is where `state_dir` is.
//! 3. Connections that are open keep the certificate that they began with.

mod accept;
mod authority;
mod leaf;
mod names;
mod pem_file;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tracing::{error, info};

use accept::Turns;
pub use accept::is_http2;
use authority::Authority;
use leaf::{Leaf, Today};
pub(super) use names::host_name;

use crate::base::Stop;
use crate::base::fault::{Class, Fault, chain as causes};
use crate::base::limits::TLS_RENEWAL_PAUSE;
use crate::base::sync::lock;
use crate::base::time::SharedClock;

/// What HTTP servers offer, best first (RFC 7301, RFC 9113 §3.2).
const HTTP_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The configured certificate, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
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
    /// The kernel gives no random bytes.
    #[error("no random bytes")]
    Random(#[source] io::Error),
}

impl Fault for TlsError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } | Self::Pem { .. } | Self::Unusable(_) => Class::Config,
            Self::Make(_) | Self::Random(_) => Class::Bug,
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

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

/// The TLS settings in use; clones share them.
#[derive(Clone, Debug)]
pub struct Tls(Arc<TlsState>);

#[derive(Debug)]
struct TlsState {
    /// Where our own authority and certificate are kept.
    dir: PathBuf,
    clock: SharedClock,
    wanted: Mutex<TlsSettings>,
    /// The name that the box took because another machine has its own.
    announced: Mutex<Option<String>>,
    current: ArcSwapOption<Current>,
    turns: Turns,
}

#[derive(Clone, Debug, Default)]
struct TlsSettings {
    config: Option<CertificateFiles>,
    hosts: Vec<String>,
}

#[derive(Debug)]
struct Current {
    rtsp: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    fingerprint: Fingerprint,
    /// Who signed it, unless it is a certificate of the configuration.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    authority: Authority,
    leaf: Leaf,
}

/// A certificate with those behind it, and its key.
struct CertificateAndKey {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for CertificateAndKey {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for CertificateAndKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate and key, {} in the chain", self.chain.len())
    }
}

/// The certificate of the box's own authority, for devices that shall trust the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityCertificate {
    /// The certificate.
    pub pem: String,
    /// What identifies it.
    pub fingerprint: Fingerprint,
}

impl Tls {
    /// Settings that are not loaded yet; our own authority and certificate are kept in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf, clock: SharedClock) -> Self {
        let (wanted, announced) = (Mutex::default(), Mutex::default());
        let (current, turns) = (ArcSwapOption::empty(), Turns::default());
        Self(Arc::new(TlsState { dir, clock, wanted, announced, current, turns }))
    }

    /// Chooses the certificate of the next [`load`](Self::load): that of the configuration, or
    /// our own, which is good for `hosts` too.
    pub fn want(&self, config: Option<CertificateFiles>, hosts: Vec<String>) {
        *lock(&self.0.wanted) = TlsSettings { config, hosts };
    }

    /// Notes that the box is announced as `name`, for which our own certificate is good with its
    /// next renewal, a check away.
    pub fn announced_as(&self, name: &str) {
        *lock(&self.0.announced) = Some(name.to_owned());
    }

    fn wanted(&self) -> TlsSettings {
        let mut wanted = lock(&self.0.wanted).clone();
        wanted.hosts.extend(lock(&self.0.announced).clone());
        wanted
    }

    fn today(&self) -> Today {
        Today::new(self.0.clock.wall(), self.0.clock.quality().trust)
    }

    /// Reads the certificate anew, making our own if there is none or it is due. For connections
    /// to come; an error leaves the one in use.
    pub fn load(&self) -> Result<Fingerprint, TlsError> {
        let wanted = self.wanted();
        let (identity, own) = if let Some(config) = wanted.config {
            (read(&config)?, None)
        } else {
            let authority = Authority::find(&self.0.dir)?;
            let leaf = Leaf::find(&self.0.dir, &authority, &wanted.hosts, self.today())?;
            (leaf.identity.clone(), Some(Own { authority, leaf }))
        };
        let leaf = identity.chain.first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let fingerprint = Fingerprint::of(leaf);
        let rtsp = settings(identity)?;
        let mut http = rtsp.clone();
        http.alpn_protocols = HTTP_PROTOCOLS.map(<[u8]>::to_vec).into();
        let (rtsp, http) = (Arc::new(rtsp), Arc::new(http));
        let current = Current { rtsp, http, fingerprint, own };
        let before = self.0.current.swap(Some(Arc::new(current)));
        if before.is_none_or(|before| before.fingerprint != fingerprint) {
            info!(part = "tls", sha256 = %fingerprint, "certificate in use");
        }
        Ok(fingerprint)
    }

    fn current(&self) -> Result<Arc<Current>, TlsError> {
        if self.0.current.load().is_none() {
            self.load()?;
        }
        let current = self.0.current.load_full();
        Ok(current.ok_or(rustls::Error::NoCertificatesPresented)?)
    }

    /// The settings for an RTSP connection that begins now; loaded if that has not been done.
    pub fn settings(&self) -> Result<Arc<ServerConfig>, TlsError> {
        self.current().map(|current| Arc::clone(&current.rtsp))
    }

    /// The same for an HTTP connection, which may speak HTTP/2.
    pub fn http_settings(&self) -> Result<Arc<ServerConfig>, TlsError> {
        self.current().map(|current| Arc::clone(&current.http))
    }

    /// The certificate in use; `None` while none is loaded.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.current.load().as_ref().map(|current| current.fingerprint)
    }

    /// The authority behind the certificate in use, if that is the box's own.
    #[must_use]
    pub fn authority(&self) -> Option<AuthorityCertificate> {
        let current = self.0.current.load();
        let authority = &current.as_ref()?.own.as_ref()?.authority;
        let (pem, fingerprint) = (authority.pem.clone(), authority.fingerprint);
        Some(AuthorityCertificate { pem, fingerprint })
    }

    /// Renews our own certificate whenever it is due: its time passes, or the box has another
    /// address. Runs until `stop`.
    pub async fn keep_renewed(self, stop: Stop) {
        let mut due = tokio::time::interval(TLS_RENEWAL_PAUSE);
        let mut failed = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = due.tick() => {}
            }
            let renewed = if self.is_due() { self.load().map(|_| ()) } else { Ok(()) };
            match renewed {
                Ok(()) => failed = false,
                Err(cause) if !failed => {
                    failed = true;
                    error!(part = "tls", error = causes(&cause), "cannot renew the certificate");
                }
                Err(_) => {}
            }
        }
    }

    fn is_due(&self) -> bool {
        let (wanted, current) = (self.wanted(), self.0.current.load());
        let own = current.as_ref().and_then(|current| current.own.as_ref());
        wanted.config.is_none()
            && own.is_some_and(|own| own.leaf.is_due(&own.authority, &wanted.hosts, self.today()))
    }
}

/// TLS 1.2 and 1.3 without client certificates. The provider is named here, so that it does not
/// matter which others are linked.
fn settings(identity: CertificateAndKey) -> Result<ServerConfig, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
}

fn read(config: &CertificateFiles) -> Result<CertificateAndKey, TlsError> {
    let bytes = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
    };
    let missing = |path: &PathBuf, what| TlsError::Pem { path: path.clone(), what };
    let chain = chain(&bytes(&config.cert)?);
    let key = PrivateKeyDer::from_pem_slice(&bytes(&config.key)?);
    Ok(CertificateAndKey {
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
