//! TLS towards a camera, over RTSP and HTTP alike.
//!
//! Owns: which certificate is believed. Cameras make their own, which no authority vouches for; so
//! one is believed because the configuration names it, because an authority that the configuration
//! names vouches for it, or because it is the first that this camera showed, and no other after it
//! ([`CameraCertificates`]).

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::camera_error::CameraError;
use super::certificates::CameraCertificates;
use super::fingerprint::Fingerprint;
use crate::base::sync::lock;
use crate::stream::Stream;

/// Which certificate of a camera is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The first that it shows.
    #[default]
    First,
    /// This one.
    Pinned(Fingerprint),
    /// One that an authority of this PEM file vouches for.
    Authority(PathBuf),
}

/// What is read and written: TCP, or TLS over it.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}
/// A connection to a camera.
pub(super) type Socket = Box<dyn Duplex>;

/// A camera that is spoken to over TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Camera<'a> {
    /// Its name or address.
    pub(super) host: &'a str,
    /// Host and port.
    pub(super) address: &'a str,
    /// Which certificate is believed.
    pub(super) trust: &'a Trust,
    /// What cameras showed before.
    pub(super) known: &'a CameraCertificates,
}

/// Why there is no TLS connection.
#[derive(Debug)]
enum Refused {
    /// It shows this certificate, and another is believed.
    Certificate(Fingerprint),
    /// The authority's file cannot be used.
    Authority,
    /// It speaks no TLS, or none that we know.
    Handshake,
}

/// Speaks TLS over `socket` for the pictures of `stream`, which is told whose certificate it is.
/// `plain`: the scheme of the same without TLS.
pub(super) async fn secured(
    socket: TcpStream,
    camera: Camera<'_>,
    stream: &Stream,
    plain: &'static str,
    most: Duration,
) -> Result<Socket, CameraError> {
    let name = stream.name().to_string();
    match timeout(most, connect(socket, camera)).await {
        Ok(Ok((socket, shown))) => {
            stream.set_certificate(shown.to_string());
            Ok(Box::new(socket))
        }
        Ok(Err(Refused::Certificate(shown))) => {
            Err(CameraError::Certificate { shown: shown.to_string(), stream: name })
        }
        Ok(Err(Refused::Authority)) => Err(CameraError::Authority { stream: name }),
        Ok(Err(Refused::Handshake)) | Err(_) => {
            let address = camera.address.to_owned();
            Err(CameraError::NoTls { address, plain, stream: name })
        }
    }
}

/// Speaks TLS over `socket`; the certificate of the camera comes along.
async fn connect(
    socket: TcpStream,
    camera: Camera<'_>,
) -> Result<(TlsStream<TcpStream>, Fingerprint), Refused> {
    let Camera { host, address, trust, known } = camera;
    let provider = Arc::new(ring::default_provider());
    let authority = match trust {
        Trust::Authority(path) => Some(authority(path, &provider).ok_or(Refused::Authority)?),
        Trust::First | Trust::Pinned(_) => None,
    };
    let wanted = match trust {
        Trust::Pinned(fingerprint) => Some(*fingerprint),
        Trust::First => known.of(address),
        Trust::Authority(_) => None,
    };
    let shown = Arc::<Mutex<Option<Fingerprint>>>::default();
    let provider_of = Arc::clone(&provider);
    let verifier = Verifier { provider: provider_of, authority, wanted, shown: Arc::clone(&shown) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Refused::Handshake)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Refused::Handshake)?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let shown = *lock(&shown);
    match (connected, shown) {
        (Ok(stream), Some(shown)) => {
            if *trust == Trust::First {
                known.learn(address, shown).await;
            }
            Ok((stream, shown))
        }
        (Err(error), Some(shown)) if is_about_certificate(&error) => {
            Err(Refused::Certificate(shown))
        }
        _ => Err(Refused::Handshake),
    }
}

fn is_about_certificate(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_)))
}

fn authority(
    path: &std::path::Path,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).ok()? {
        roots.add(certificate.ok()?).ok()?;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    verifier.build().ok()
}

/// Believes what [`Trust`] says.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
    wanted: Option<Fingerprint>,
    shown: Arc<Mutex<Option<Fingerprint>>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(certificate);
        *lock(&self.shown) = Some(shown);
        if let Some(authority) = &self.authority {
            return authority.verify_server_cert(certificate, between, name, ocsp, now);
        }
        if self.wanted.is_some_and(|wanted| wanted != shown) {
            let other = CertificateError::ApplicationVerificationFailure;
            return Err(Error::InvalidCertificate(other));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
