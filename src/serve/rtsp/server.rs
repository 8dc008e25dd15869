//! Accepts RTSP connections.
//!
//! Owns: the accept loop, which is vital and beats when idle too.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::super::places::{PlaceLimits, Places};
use super::super::tls::Tls;
use super::connection::RtspServices;
use super::handshake::IncomingConnection;
use super::multicast::Multicast;
use super::registry::SessionRegistry;
use super::tunnels::TunnelRegistry;
use crate::base::fault::{Class, Fault};
use crate::base::limits::HEARTBEAT_AGE_MAX;
use crate::ingest::Ingest;
use crate::live::StreamOutputs;
use crate::playback::Playback;
use crate::serve::http::settings::Settings;
use crate::serve::publish_desk::PublishDesk;
use crate::stream::Directory;
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// Pause after an accept that failed, which mostly means that descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The RTSP server. Clones share everything, limits on connections included: build one and
/// clone it for each listening address.
#[derive(Clone, Debug)]
pub struct RtspServer {
    streams: Arc<Directory<StreamOutputs>>,
    supervisor: Supervisor,
    places: Places,
    archive: Option<Playback>,
    ingests: Arc<Directory<Ingest>>,
    tls: Option<Tls>,
    registry: SessionRegistry,
    tunnels: TunnelRegistry,
    multicast: Multicast,
    hosts: Settings,
    publish_desk: Option<PublishDesk>,
}

/// Why an accept loop ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The daemon stops, or the address is no longer configured.
    #[error("stopped")]
    Stopped,
}

impl Fault for ServerError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

impl RtspServer {
    /// Serves `streams` to everyone; its connections live in `supervisor`.
    #[must_use]
    pub fn new(streams: Arc<Directory<StreamOutputs>>, supervisor: Supervisor) -> Self {
        Self {
            streams,
            supervisor,
            places: Places::new(PlaceLimits::of_this_process()),
            ingests: Arc::default(),
            tls: None,
            archive: None,
            registry: SessionRegistry::default(),
            tunnels: TunnelRegistry::default(),
            multicast: Multicast::default(),
            hosts: Settings::default(),
            publish_desk: None,
        }
    }

    /// Asks `desk` for streams that begin with their publisher.
    #[must_use]
    pub fn with_publish_desk(self, desk: PublishDesk) -> Self {
        Self { publish_desk: Some(desk), ..self }
    }

    /// Authorizes and lists sessions in `registry`.
    #[must_use]
    pub fn with_registry(self, registry: SessionRegistry) -> Self {
        Self { registry, ..self }
    }

    /// Knows streams that may be published, or that another host serves.
    #[must_use]
    pub fn with_entrances(self, ingests: Arc<Directory<Ingest>>) -> Self {
        Self { ingests, ..self }
    }

    /// Plays what is recorded too. Doors with clones of `archive` share its places.
    #[must_use]
    pub fn with_archive(self, archive: Playback) -> Self {
        Self { archive: Some(archive), ..self }
    }

    /// Counts its connections in `places`, which other servers may share.
    #[must_use]
    pub fn with_places(self, places: Places) -> Self {
        Self { places, ..self }
    }

    /// Offers multicast groups, which all servers share.
    #[must_use]
    pub fn with_multicast(self, multicast: Multicast) -> Self {
        Self { multicast, ..self }
    }

    /// The same server with the names of `settings`, for RTSP inside HTTP.
    #[must_use]
    pub fn with_hosts(self, settings: Settings) -> Self {
        Self { hosts: settings, ..self }
    }

    /// The same server with its connections in `supervisor`.
    #[must_use]
    pub fn within(self, supervisor: Supervisor) -> Self {
        Self { supervisor, ..self }
    }

    /// Speaks TLS (RTSPS) with the certificate of `tls`.
    #[must_use]
    pub fn secured(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Accepts on `listener` for as long as the supervisor lives, as a vital task called
    /// `rtsp/<address>`.
    pub fn keep(&self, listener: TcpListener) {
        let address = listener.local_addr().map_or_else(|_| "?".to_owned(), |at| at.to_string());
        let spec = TaskSpec::vital(format!("rtsp/{address}"), HEARTBEAT_AGE_MAX);
        let (door, listener) = (self.clone(), Arc::new(listener));
        self.supervisor.keep(spec, move |context| door.clone().run(Arc::clone(&listener), context));
    }

    /// One life of the accept loop; ends only when it is stopped.
    pub async fn run(
        self,
        listener: Arc<TcpListener>,
        context: TaskContext,
    ) -> Result<Infallible, ServerError> {
        let mut beat = tokio::time::interval(HEARTBEAT_AGE_MAX / 5);
        let mut failures = 0u64;
        loop {
            tokio::select! {
                biased;
                () = context.stop.cancelled() => return Err(ServerError::Stopped),
                _ = beat.tick() => context.heartbeat.beat(),
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => self.welcome(socket, peer, &context),
                    Err(error) => {
                        failures += 1;
                        if failures.is_power_of_two() {
                            warn!(part = "rtsp", error = %error, lost = failures, "accept failed");
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn welcome(&self, socket: TcpStream, peer: SocketAddr, context: &TaskContext) {
        let ip = peer.ip().to_canonical();
        let proven = !self.registry.authorizer().needs_account(ip);
        let Some(place) = self.places.enter(ip, proven) else {
            debug!(part = "rtsp", peer = %peer, "too many connections, closed");
            return;
        };
        let services = RtspServices {
            streams: Arc::clone(&self.streams),
            ingests: Arc::clone(&self.ingests),
            multicast: self.multicast.clone(),
            supervisor: self.supervisor.clone(),
            registry: self.registry.clone(),
            archive: self.archive.clone(),
            publish_desk: self.publish_desk.clone(),
            clock: Arc::clone(&context.clock),
        };
        let arrival = IncomingConnection {
            socket,
            peer,
            tls: self.tls.clone(),
            services,
            tunnels: self.tunnels.clone(),
            hosts: self.hosts.clone(),
            place,
        };
        // Boxed, because each layer around a future holds it twice.
        let serving = Box::pin(async move {
            if let Err(error) = arrival.serve().await {
                debug!(part = "rtsp", peer = %peer, error = %error, "not served");
            }
        });
        self.supervisor.spawn("rtsp", serving);
    }
}
