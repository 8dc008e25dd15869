//! Asks the daemon that runs on this machine, over its own HTTP API.
//!
//! Owns: one request a connection, bounded in time and bytes. No TLS: it stays on this machine.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::access::{LocalKey, Store};
use crate::base::limits::API_ANSWER_BYTES_MAX;
use crate::config::Config;

/// Longest wait for each step of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The configuration has no HTTP address.
    #[error("the daemon serves no HTTP to ask: `listen` in [http] is empty")]
    NoDoor,
    /// The connection.
    #[error("no answer from http://{address}{path}")]
    Io { address: SocketAddr, path: String, source: io::Error },
    /// It is not an answer, or a refusal.
    #[error("http://{address}{path} answered {status}")]
    Refused { address: SocketAddr, path: String, status: String },
}

/// The API of the daemon on this machine.
#[derive(Clone, Debug)]
pub(super) struct Api {
    address: SocketAddr,
    /// The key that the daemon made for users who can read its files.
    key: Option<LocalKey>,
}

impl Api {
    /// Where the daemon of `config` listens.
    pub(super) fn of(config: &Config) -> Result<Self, AskError> {
        let mut address = *config.http_listen.first().ok_or(AskError::NoDoor)?;
        address.set_ip(match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        });
        Ok(Self { address, key: Store::local_key(&config.state_dir()) })
    }

    /// What `GET path` answers with 200.
    pub(super) fn get(&self, path: &str) -> Result<Value, AskError> {
        self.ask("GET", path, &["200"])
    }

    /// The health report, of a box that failed too.
    pub(super) fn health(&self) -> Result<Value, AskError> {
        self.ask("GET", "/api/v1/health", &["200", "503"])
    }

    /// What `POST path` without a body answers with 200.
    pub(super) fn post(&self, path: &str) -> Result<Value, AskError> {
        self.ask("POST", path, &["200"])
    }

    fn ask(&self, method: &str, path: &str, well: &[&str]) -> Result<Value, AskError> {
        let address = self.address;
        let path = || path.to_owned();
        let text = self.exchange(method, &path()).map_err(|source| AskError::Io {
            address,
            path: path(),
            source,
        })?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.lines().next().unwrap_or_default();
        let status = status.split_once(' ').map_or(status, |(_, rest)| rest);
        let refused = || AskError::Refused { address, path: path(), status: status.to_owned() };
        if !well.iter().any(|code| status.starts_with(code)) {
            return Err(refused());
        }
        serde_json::from_str(body).map_err(|_| refused())
    }

    /// HTTP/1.0, so that the answer ends with the connection (RFC 1945 §7.2.2).
    fn exchange(&self, method: &str, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (host, key) = (self.address, self.key.as_ref());
        let key = key.map(|key| format!("Authorization: Bearer {}\r\n", key.reveal()));
        let key = key.unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\n{key}Content-Length: 0\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.take(API_ANSWER_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    }
}
