//! One attempt: a POST to the receiver, and the status of its answer.
//!
//! Owns: where the connection may go. Speaks HTTP/1.1 with a body of known length: one request per
//! connection, no redirect, no proxy, and nothing of the answer but its status.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::base::limits::{WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_TIME_MAX};
use crate::base::network::{is_door_of_others, may_be_reached};

/// Where Linux distributions keep the authorities they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why an attempt failed, in words for a person.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// Its name.
    #[error("The receiver's name is not known in this network.")]
    Unknown,
    /// Its address.
    #[error(
        "The receiver's address is one that a webhook may not have: this computer, the link or a port of another service."
    )]
    Forbidden,
    /// No connection.
    #[error("The receiver cannot be reached.")]
    Unreachable,
    /// Its certificate is not trusted.
    #[error("The receiver's certificate is not believed. Set `ca`, and look at the box's clock.")]
    Certificate,
    /// This system trusts no authority.
    #[error("No authority for https is known here. Set `ca` to a PEM file.")]
    NoAuthority,
    /// It does not speak HTTP.
    #[error("The receiver does not answer in HTTP.")]
    NotHttp,
    /// It took too long.
    #[error("The receiver did not answer within {} s.", WEBHOOK_TIME_MAX.as_secs())]
    Slow,
    /// Its answer.
    #[error("The receiver answers with status {0}.")]
    Status(u16),
}

/// The authorities of `ca`, or of the system.
pub(super) fn authorities(ca: Option<&Path>) -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let system = SYSTEM_ROOTS.iter().map(Path::new);
    let files: Vec<&Path> = ca.map_or_else(|| system.collect(), |ca| vec![ca]);
    let file = files.into_iter().find(|path| path.is_file())?;
    for certificate in CertificateDer::pem_file_iter(file).ok()?.flatten() {
        // An unreadable answer does not prove that the event arrived.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return None;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?;
    Some(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Posts `body` with `headers` to `url`, which may be on this computer only if `open`.
pub(super) async fn post(
    url: &Url,
    tls: Option<Arc<ClientConfig>>,
    open: bool,
    headers: &[(&str, String)],
    body: &str,
) -> Result<(), SendError> {
    let attempt = async {
        let (host, address) = find(url, open).await?;
        let socket = TcpStream::connect(address).await.map_err(|_| SendError::Unreachable)?;
        let request = request(url, headers, body);
        if url.scheme() != "https" {
            return exchange(socket, &request).await;
        }
        let tls = tls.ok_or(SendError::NoAuthority)?;
        let name = ServerName::try_from(host).map_err(|_| SendError::Unknown)?;
        let socket = TlsConnector::from(tls).connect(name, socket).await;
        exchange(socket.map_err(|error| not_secured(&error))?, &request).await
    };
    let status = timeout(WEBHOOK_TIME_MAX, attempt).await.map_err(|_| SendError::Slow)??;
    if (200..300).contains(&status) { Ok(()) } else { Err(SendError::Status(status)) }
}

/// The host, and the address the connection goes to.
async fn find(url: &Url, open: bool) -> Result<(String, SocketAddr), SendError> {
    let host = url.host_str().ok_or(SendError::Unknown)?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().ok_or(SendError::Unknown)?;
    let found = lookup_host((host.as_str(), port)).await.map_err(|_| SendError::Unknown)?;
    let found: Vec<_> = found.collect();
    let allowed = |at: &&SocketAddr| may_be_reached(at.ip().to_canonical(), open);
    match found.iter().find(allowed).filter(|_| !is_door_of_others(port)) {
        Some(address) => Ok((host, *address)),
        None if found.is_empty() => Err(SendError::Unknown),
        None => Err(SendError::Forbidden),
    }
}

fn request(url: &Url, headers: &[(&str, String)], body: &str) -> Vec<u8> {
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    let authority = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let mut text = format!(
        "POST {}{query} HTTP/1.1\r\nHost: {authority}{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        url.path(),
        body.len()
    );
    for (name, value) in headers {
        text.extend([*name, ": ", value.as_str(), "\r\n"]);
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

async fn exchange<S>(mut socket: S, request: &[u8]) -> Result<u16, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A receiver may answer before it has read everything.
    let sent = socket.write_all(request).await;
    let flushed = socket.flush().await;
    let mut answer = Vec::new();
    let mut rest = socket.take(WEBHOOK_ANSWER_BYTES_MAX as u64);
    let mut buffer = [0; 512];
    loop {
        match rest.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
        }
        if let Some(status) = status(&answer) {
            return Ok(status);
        }
    }
    match (sent, flushed) {
        (Ok(()), Ok(())) => Err(SendError::NotHttp),
        _ => Err(SendError::Unreachable),
    }
}

/// The status of the final answer in `text` (RFC 9112 §4), once its status line is complete.
fn status(text: &[u8]) -> Option<u16> {
    let line = text.split(|byte| *byte == b'\n').next().filter(|line| line.len() < text.len())?;
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let code = rest.get(..3)?.parse().ok()?;
    (version.starts_with("HTTP/1.") && (200..600).contains(&code)).then_some(code)
}

fn not_secured(error: &io::Error) -> SendError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => SendError::Certificate,
        _ => SendError::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_once_its_line_is_there() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 500\n"), Some(500));
        for none in ["", "HTTP/1.1 204", "SSH-2.0-x\r\n", "HTTP/1.1 abc\r\n", "HTTP/2 200\r\n"] {
            assert_eq!(status(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn the_request_has_its_path_query_and_headers() {
        let url = Url::parse("http://[fd00::1]:8123/a/b?token=1").unwrap();
        let text = request(&url, &[("webhook-id", "7".to_owned())], "{}");
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("POST /a/b?token=1 HTTP/1.1\r\nHost: [fd00::1]:8123\r\n"));
        assert!(
            text.contains("\r\nContent-Length: 2\r\n") && text.ends_with("webhook-id: 7\r\n\r\n{}")
        );
    }

    #[tokio::test]
    async fn no_name_leads_to_this_computer_or_the_link() {
        for url in [
            "http://127.0.0.1:9/",
            "http://[::1]:9/",
            "http://[::ffff:127.0.0.1]:9/",
            "http://0x7f000001:9/",
            "http://localhost:9/",
            "http://169.254.169.254/latest",
            "http://224.0.0.1/",
            "http://0.0.0.0:9/",
            "http://192.0.2.1:25/",
        ] {
            let url = Url::parse(url).unwrap();
            let found = find(&url, false).await;
            assert!(matches!(found, Err(SendError::Forbidden)), "{url}: {found:?}");
        }
        let open = Url::parse("http://127.0.0.1:9/").unwrap();
        assert!(find(&open, true).await.is_ok());
    }
}
