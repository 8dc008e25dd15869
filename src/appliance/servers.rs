//! Starts the servers: binds an address and keeps what serves it.
//!
//! Owns: the listening addresses, and the report when one cannot be opened. What the servers share,
//! their limits included, is in the services that they are built on.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::plan::Listening;
use crate::base::fault::{Class, Fault};
use crate::base::limits::HEARTBEAT_AGE_MAX;
use crate::serve::http::{self, HttpContext, HttpError};
use crate::serve::rtsp::{self, RtspServer};
use crate::serve::tls::{Tls, TlsError};
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// What is served at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Rtsp,
    Rtsps,
    Http,
    Https,
}

impl Protocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Rtsps => "rtsps",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The configuration key that says where it listens.
    fn key(self) -> &'static str {
        match self {
            Self::Rtsp => "`listen` in [rtsp]",
            Self::Rtsps => "`listen_tls` in [rtsp]",
            Self::Http => "`listen` in [http]",
            Self::Https => "`listen_tls` in [http]",
        }
    }
}

/// All servers of the box.
pub(super) struct Servers {
    rtsp: RtspServer,
    tls: Tls,
    http: Arc<HttpContext>,
    running: BTreeMap<(Protocol, SocketAddr), Supervisor>,
}

#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error(
        "{} cannot listen on {address}; stop what listens there, or change {}",
        protocol.as_str(),
        protocol.key()
    )]
    Listen { protocol: Protocol, address: SocketAddr, source: io::Error },
    #[error("there is no certificate")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Rtsp(#[from] rtsp::ServerError),
}

impl Fault for ListenError {
    fn class(&self) -> Class {
        match self {
            Self::Listen { .. } => Class::Config,
            Self::Tls(error) => error.class(),
            Self::Http(error) => error.class(),
            Self::Rtsp(error) => error.class(),
        }
    }
}

impl Servers {
    /// Servers that listen nowhere yet.
    pub(super) fn new(rtsp: RtspServer, tls: Tls, http: Arc<HttpContext>) -> Self {
        Self { rtsp, tls, http, running: BTreeMap::new() }
    }

    /// Stops and starts the servers of `protocol` as `listening` says; those started live in a
    /// child of `supervisor`.
    pub(super) async fn listen(
        &mut self,
        protocol: Protocol,
        listening: Listening,
        supervisor: &Supervisor,
    ) {
        for address in listening.close {
            if let Some(scope) = self.running.remove(&(protocol, address)) {
                scope.stop().await;
            }
        }
        for address in listening.open {
            let scope = supervisor.child();
            self.start(protocol, address, &scope);
            self.running.insert((protocol, address), scope);
        }
    }

    /// Keeps a server on `address`. An address that cannot be opened is tried again for ever, so
    /// that one that appears later (an interface that is not up yet) is used then.
    fn start(&self, protocol: Protocol, address: SocketAddr, scope: &Supervisor) {
        let spec = TaskSpec::vital(format!("{}/{address}", protocol.as_str()), HEARTBEAT_AGE_MAX);
        match protocol {
            Protocol::Rtsp => {
                let rtsp = self.rtsp.clone().within(scope.clone());
                scope.keep(spec, move |task| serve_rtsp(protocol, address, rtsp.clone(), task));
            }
            Protocol::Rtsps => {
                let rtsp = self.rtsp.clone().within(scope.clone()).secured(self.tls.clone());
                let tls = self.tls.clone();
                scope.keep(spec, move |task| serve_rtsps(address, rtsp.clone(), tls.clone(), task));
            }
            Protocol::Http => {
                let context = Arc::clone(&self.http);
                scope.keep(spec, move |task| serve_http(address, Arc::clone(&context), task));
            }
            Protocol::Https => {
                let (context, tls) = (Arc::clone(&self.http), self.tls.clone());
                scope.keep(spec, move |task| {
                    serve_https(address, Arc::clone(&context), tls.clone(), task)
                });
            }
        }
    }

    /// Stops all of them.
    pub(super) async fn stop(&self) {
        for scope in self.running.values() {
            scope.stop().await;
        }
    }
}

async fn listen(protocol: Protocol, address: SocketAddr) -> Result<Arc<TcpListener>, ListenError> {
    let listener = TcpListener::bind(address).await;
    listener.map(Arc::new).map_err(|source| ListenError::Listen { protocol, address, source })
}

async fn serve_rtsp(
    protocol: Protocol,
    address: SocketAddr,
    rtsp: RtspServer,
    task: TaskContext,
) -> Result<Infallible, ListenError> {
    let listener = listen(protocol, address).await?;
    Ok(rtsp.run(listener, task).await?)
}

async fn serve_rtsps(
    address: SocketAddr,
    rtsp: RtspServer,
    tls: Tls,
    task: TaskContext,
) -> Result<Infallible, ListenError> {
    tls.settings()?;
    serve_rtsp(Protocol::Rtsps, address, rtsp, task).await
}

async fn serve_http(
    address: SocketAddr,
    context: Arc<HttpContext>,
    task: TaskContext,
) -> Result<Infallible, ListenError> {
    let listener = listen(Protocol::Http, address).await?;
    Ok(http::run(listener, context, None, task).await?)
}

async fn serve_https(
    address: SocketAddr,
    context: Arc<HttpContext>,
    tls: Tls,
    task: TaskContext,
) -> Result<Infallible, ListenError> {
    tls.settings()?;
    let listener = listen(Protocol::Https, address).await?;
    Ok(http::run(listener, context, Some(tls), task).await?)
}
