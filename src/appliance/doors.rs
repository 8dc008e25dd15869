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
use crate::board::Machine;
use crate::dvr::Dvr;
use crate::gpio::Panel;
use crate::ingest::Entrance;
use crate::live::Outlet;
use crate::playback::Playback;
use crate::playback::export_jobs::ExportJobs;
use crate::playback::pictures::PastPictures;
use crate::playback::sprite::Sprites;
use crate::serve::http::{self, Cors, HttpDoor, HttpError};
use crate::serve::places::Places;
use crate::serve::rtsp::multicast::Multicast;
use crate::serve::rtsp::{self, RtspServer, SessionRegistry};
use crate::serve::tls::{Tls, TlsError};
use crate::stream::Directory;
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// Which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    Rtsp,
    Rtsps,
    Http,
}

impl Door {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Rtsps => "rtsps",
            Self::Http => "http",
        }
    }

    /// The key of the configuration that says where it listens.
    fn key(self) -> &'static str {
        match self {
            Self::Rtsp => "`listen` in [rtsp]",
            Self::Rtsps => "`listen_tls` in [rtsp]",
            Self::Http => "`listen` in [http]",
        }
    }
}

/// What the doors open on.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) outlets: Arc<Directory<Outlet>>,
    pub(super) entrances: Arc<Directory<Entrance>>,
    pub(super) dvr: Dvr,
    pub(super) export_jobs: ExportJobs,
    pub(super) machine: Machine,
    pub(super) panel: Panel,
    pub(super) archive: Playback,
    pub(super) past: PastPictures,
    pub(super) sprites: Sprites,
    pub(super) supervisor: Supervisor,
    pub(super) clock: SharedClock,
    pub(super) begun: BootTime,
    pub(super) rtsp_port: Arc<AtomicU16>,
    pub(super) tls: Tls,
    pub(super) registry: SessionRegistry,
    pub(super) cors: Cors,
    pub(super) multicast: Multicast,
    pub(super) places: Places,
}

#[derive(Debug, thiserror::Error)]
enum DoorError {
    #[error(
        "{} cannot listen on {address}; stop what listens there, or change {}",
        door.as_str(),
        door.key()
    )]
    Listen { door: Door, address: SocketAddr, source: io::Error },
    #[error("rtsps has no certificate")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Rtsp(#[from] rtsp::ServerError),
}

impl Fault for DoorError {
    fn class(&self) -> Class {
        match self {
            Self::Listen { .. } => Class::Config,
            Self::Tls(error) => error.class(),
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
            let rtsp = RtspServer::new(view.outlets, scope.clone())
                .with_multicast(view.multicast)
                .with_places(view.places)
                .with_entrances(view.entrances)
                .with_archive(view.archive)
                .with_registry(view.registry);
            scope.keep(spec, move |context| serve_rtsp(door, address, rtsp.clone(), context));
        }
        Door::Rtsps => {
            let rtsp = RtspServer::new(view.outlets, scope.clone())
                .with_entrances(view.entrances)
                .with_archive(view.archive)
                .secured(view.tls.clone())
                .with_places(view.places)
                .with_registry(view.registry);
            scope.keep(spec, move |context| {
                serve_rtsps(address, rtsp.clone(), view.tls.clone(), context)
            });
        }
        Door::Http => {
            let http = Arc::new(HttpDoor {
                streams: view.outlets,
                supervisor: view.supervisor,
                clock: view.clock,
                begun: view.begun,
                rtsp_port: view.rtsp_port,
                rtsp: view.registry,
                cors: view.cors,
                dvr: view.dvr,
                past: view.past,
                sprites: view.sprites,
                export_jobs: view.export_jobs,
                machine: view.machine,
                panel: view.panel,
            });
            scope.keep(spec, move |context| serve_http(address, Arc::clone(&http), context));
        }
    }
}

async fn listen(door: Door, address: SocketAddr) -> Result<Arc<TcpListener>, DoorError> {
    let listener = TcpListener::bind(address).await;
    listener.map(Arc::new).map_err(|source| DoorError::Listen { door, address, source })
}

async fn serve_rtsp(
    door: Door,
    address: SocketAddr,
    rtsp: RtspServer,
    context: TaskContext,
) -> Result<Infallible, DoorError> {
    let listener = listen(door, address).await?;
    Ok(rtsp.run(listener, context).await?)
}

async fn serve_rtsps(
    address: SocketAddr,
    rtsp: RtspServer,
    tls: Tls,
    context: TaskContext,
) -> Result<Infallible, DoorError> {
    tls.settings()?;
    serve_rtsp(Door::Rtsps, address, rtsp, context).await
}

async fn serve_http(
    address: SocketAddr,
    door: Arc<HttpDoor>,
    context: TaskContext,
) -> Result<Infallible, DoorError> {
    let listener = listen(Door::Http, address).await?;
    Ok(http::run(listener, door, context).await?)
}
