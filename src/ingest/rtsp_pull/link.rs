//! What carries a session with a camera: TCP, TLS, or HTTP around either.
//!
//! Owns: the sockets, and how they are opened. Does not own: what is said over them (see
//! [`wire::rtsp::client`](crate::wire::rtsp::client)).

use std::io;
use std::net::IpAddr;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{PullError, PullStep, Whom};
use super::{PullConfig, PullTransport};
use crate::base::limits::{PULL_READ_BYTES, RTSP_HEAD_BYTES_MAX};
use crate::ingest::camera_error::CameraError;
use crate::ingest::tls::{self, Socket};
use crate::stream::Stream;
use crate::wire::rtsp::client::{HttpTunnel, TunnelAnswer};

/// Opens connections to one camera.
#[derive(Clone, Copy)]
pub(super) struct Dialer<'a> {
    pub(super) config: &'a PullConfig,
    pub(super) whom: &'a Whom,
    pub(super) stream: &'a Stream,
}

/// The addresses of a connection: the camera's, and ours towards it.
pub(super) type Ends = Option<(IpAddr, IpAddr)>;

impl<'a> Dialer<'a> {
    /// Opens what the session is spoken over, to the camera's host at `port`.
    pub(super) async fn open(self, port: u16) -> Result<(Link<'a>, Ends), PullError> {
        if self.config.transport != PullTransport::Http {
            let (socket, ends) = self.connect(port).await?;
            return Ok((Link::Plain(socket), ends));
        }
        let step = PullStep::Tunnel;
        let waited = self.config.bounds.describe;
        let (address, stream) = (self.whom.address.clone(), self.whom.stream.clone());
        let silent = |_| PullError::Silent { address, stream, step, waited };
        let (link, ends) = timeout(waited, self.tunnel(port)).await.map_err(silent)??;
        Ok((Link::Tunnel(Box::new(link)), ends))
    }

    /// TCP, or TLS over it if the address asks for it.
    async fn connect(self, port: u16) -> Result<(Socket, Ends), PullError> {
        let host = self.host();
        let connecting = TcpStream::connect((host, port));
        let detail = match timeout(self.config.bounds.connect, connecting).await {
            Ok(Ok(socket)) => {
                let _ = socket.set_nodelay(true); // small requests; an error would show at once
                let peer = socket.peer_addr().ok().map(|at| at.ip().to_canonical());
                let own = socket.local_addr().ok().map(|at| at.ip().to_canonical());
                return Ok((self.secured(socket).await?, peer.zip(own)));
            }
            Ok(Err(error)) => CameraError::why_unreachable(&error),
            Err(_) => "it does not answer",
        };
        let (address, stream) = (self.whom.address.clone(), self.whom.stream.clone());
        Err(CameraError::Unreachable { address, detail, stream }.into())
    }

    async fn secured(self, socket: TcpStream) -> Result<Socket, PullError> {
        let Self { config, whom, stream } = self;
        if config.url.scheme() != "rtsps" {
            return Ok(Box::new(socket));
        }
        let camera = tls::Camera {
            host: self.host(),
            address: &whom.address,
            trust: &config.trust,
            known: &config.known,
        };
        Ok(tls::secured(socket, camera, stream, "rtsp", config.bounds.connect).await?)
    }

    fn host(self) -> &'a str {
        let host = self.config.url.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Opens the half that brings media; the other one follows with the first request.
    async fn tunnel(self, port: u16) -> Result<(TunnelLink<'a>, Ends), PullError> {
        let mut http =
            HttpTunnel::new(&self.config.url, self.config.credentials(), fastrand::u64(..));
        loop {
            let (mut down, ends) = self.connect(port).await?;
            down.write_all(&http.get()).await.map_err(|error| PullError::from_socket(&error))?;
            if let Some(unread) = self.answer(&mut down, &mut http).await? {
                let link = TunnelLink { dialer: self, port, http, down, up: None, unread, said: 0 };
                return Ok((link, ends));
            }
        }
    }

    /// What came behind the answer to the GET; `None`: it is to be asked again.
    async fn answer(
        self,
        down: &mut Socket,
        http: &mut HttpTunnel,
    ) -> Result<Option<Bytes>, PullError> {
        let mut buffer = vec![0; PULL_READ_BYTES];
        loop {
            let read = down.read(&mut buffer).await;
            let length = read.map_err(|error| PullError::from_socket(&error))?;
            if length == 0 {
                return Err(PullError::Closed);
            }
            match http.receive(&buffer[..length]) {
                Ok(TunnelAnswer::Unclear) => {}
                Ok(TunnelAnswer::Open(unread)) => return Ok(Some(unread)),
                Ok(TunnelAnswer::AskAgain) => return Ok(None),
                Err(why) => return Err(PullError::from_refusal(why, self.whom)),
            }
        }
    }
}

/// What a session is spoken over.
pub(super) enum Link<'a> {
    /// One connection.
    Plain(Socket),
    /// Two of them, and HTTP.
    Tunnel(Box<TunnelLink<'a>>),
}

/// RTSP inside HTTP.
pub(super) struct TunnelLink<'a> {
    dialer: Dialer<'a>,
    port: u16,
    http: HttpTunnel,
    down: Socket,
    /// The half that carries what we say, while the camera keeps it open.
    up: Option<Socket>,
    /// What came with the answer to the GET.
    unread: Bytes,
    /// Bytes that the camera sent on `up`, where nothing belongs but an answer of HTTP.
    said: usize,
}

impl Link<'_> {
    /// Reads what the camera says. Cancel safe.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer).await,
            Self::Tunnel(tunnel) => tunnel.read(buffer).await,
        }
    }

    /// Says `bytes`.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes).await,
            Self::Tunnel(tunnel) => tunnel.write(bytes).await,
        }
    }

    /// Says that nothing more follows.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.shutdown().await,
            Self::Tunnel(tunnel) => {
                if let Some(up) = &mut tunnel.up {
                    up.shutdown().await?;
                }
                tunnel.down.shutdown().await
            }
        }
    }
}

impl TunnelLink<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.unread.is_empty() {
            let length = self.unread.len().min(buffer.len());
            self.unread.copy_to_slice(&mut buffer[..length]);
            return Ok(length);
        }
        let mut aside = [0; 512];
        loop {
            tokio::select! {
                biased;
                read = self.down.read(buffer) => return read,
                read = read_aside(&mut self.up, &mut aside) => {
                    self.said += read;
                    if read == 0 || self.said > RTSP_HEAD_BYTES_MAX {
                        (self.up, self.said) = (None, 0);
                    }
                }
            }
        }
    }

    /// A POST that the camera closed is followed by another one.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = HttpTunnel::encode(bytes);
        // Taken out: one that was written to in part only is of no more use.
        if let Some(mut up) = self.up.take()
            && up.write_all(&text).await.is_ok()
        {
            self.up = Some(up);
            return Ok(());
        }
        let connected = self.dialer.connect(self.port).await;
        let (mut up, _) = connected.map_err(|_| io::ErrorKind::NotConnected)?;
        up.write_all(&self.http.post()).await?;
        up.write_all(&text).await?;
        (self.up, self.said) = (Some(up), 0);
        Ok(())
    }
}

/// Reads what the camera answers to a POST; 0 once it has closed it.
async fn read_aside(up: &mut Option<Socket>, buffer: &mut [u8]) -> usize {
    match up {
        Some(socket) => socket.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}
