//! Opens the doors: binds an address and keeps what serves it.
//!
//! Owns: what is said when an address cannot be listened on.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use tokio::net::TcpListener;

use crate::base::fault::{Class, Fault};
use crate::base::limits::HEARTBEAT_AGE_MAX;
use crate::base::time::{BootTime, SharedClock};
use crate::bus::Directory;
use crate::dvr::Dvr;
use crate::serve::http::{self, HttpDoor, HttpError};
use crate::serve::rtsp::{self, RtspDoor};
use crate::sink::Outlet;
use crate::sink::replay::Archive;
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// Which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    Rtsp,
    Http,
}

impl Door {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Http => "http",
        }
    }
}

/// What the doors open on.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) outlets: Arc<Directory<Outlet>>,
    pub(super) dvr: Dvr,
    pub(super) archive: Archive,
    pub(super) supervisor: Supervisor,
    pub(super) clock: SharedClock,
    pub(super) begun: BootTime,
    pub(super) rtsp_port: Arc<AtomicU16>,
}

#[derive(Debug, thiserror::Error)]
enum DoorError {
    #[error(
        "{door} cannot listen on {address}; stop what listens there, or change `listen` in [{door}]"
    )]
    Listen { door: &'static str, address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Rtsp(#[from] rtsp::DoorError),
}

impl Fault for DoorError {
    fn class(&self) -> Class {
        match self {
            Self::Listen { .. } => Class::Config,
            Self::Http(error) => error.class(),
            Self::Rtsp(error) => error.class(),
        }
    }
}

/// Keeps `door` open on `address`; an address that cannot be had is tried again for ever, so
/// that one that comes later (an interface that is not up yet) is used when it comes.
pub(super) fn open(door: Door, address: SocketAddr, view: View, scope: &Supervisor) {
    let spec = TaskSpec::vital(format!("{}/{address}", door.as_str()), HEARTBEAT_AGE_MAX);
    match door {
        Door::Rtsp => {
            let rtsp = RtspDoor::new(view.outlets, scope.clone()).with_archive(view.archive);
            scope.keep(spec, move |context| serve_rtsp(address, rtsp.clone(), context));
        }
        Door::Http => {
            let http = Arc::new(HttpDoor {
                streams: view.outlets,
                supervisor: view.supervisor,
                clock: view.clock,
                begun: view.begun,
                rtsp_port: view.rtsp_port,
                dvr: view.dvr,
            });
            scope.keep(spec, move |context| serve_http(address, Arc::clone(&http), context));
        }
    }
}

async fn listen(door: Door, address: SocketAddr) -> Result<Arc<TcpListener>, DoorError> {
    let listener = TcpListener::bind(address).await;
    listener.map(Arc::new).map_err(|source| DoorError::Listen {
        door: door.as_str(),
        address,
        source,
    })
}

async fn serve_rtsp(
    address: SocketAddr,
    door: RtspDoor,
    context: TaskContext,
) -> Result<Infallible, DoorError> {
    let listener = listen(Door::Rtsp, address).await?;
    Ok(door.run(listener, context).await?)
}

async fn serve_http(
    address: SocketAddr,
    door: Arc<HttpDoor>,
    context: TaskContext,
) -> Result<Infallible, DoorError> {
    let listener = listen(Door::Http, address).await?;
    Ok(http::run(listener, door, context).await?)
}
