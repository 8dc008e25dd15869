//! Who is connected: one place per connection, counted for the box and per address.
//!
//! Owns: the counts. All listening addresses share them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::Stop;
use crate::base::limits::{HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_PER_PEER_MAX};
use crate::base::sync::lock;
use crate::supervise::Supervisor;

/// The limits on HTTP connections of all listeners. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimits {
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    limits: ConnectionLimits,
    ip: IpAddr,
    _permit: OwnedSemaphorePermit,
}

/// The connection that a request came on. Handlers that outlast their request keep a clone, which
/// keeps the place.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where the client is.
    pub(super) address: SocketAddr,
    /// Whether the transport is encrypted.
    pub(super) secure: bool,
    /// Asks whatever runs on the connection to finish.
    pub(super) closing: Stop,
    /// Where tasks live that outlast their request, such as WebSockets.
    pub(super) tasks: Supervisor,
    pub(super) held: Arc<Held>,
    /// Given when the client loses the right to what it has; then whatever runs for it ends.
    pub(super) revoked: Option<Stop>,
}

/// What a connection holds until the last of its requests and sockets is over.
#[derive(Debug)]
pub(super) struct Held {
    /// For as long as the server waits for the connection to end.
    pub(super) _open: tokio::sync::mpsc::Sender<()>,
    pub(super) _place: ConnectionPlace,
}

impl Peer {
    /// The same connection, for a request whose caller may lose the right to it.
    pub(super) fn until(&self, revoked: Stop) -> Self {
        Self {
            address: self.address,
            secure: self.secure,
            closing: self.closing.clone(),
            tasks: self.tasks.clone(),
            held: Arc::clone(&self.held),
            revoked: Some(revoked),
        }
    }

    /// Waits until whatever runs on the connection has to finish. Cancel safe.
    pub(super) async fn closed(&self) {
        match &self.revoked {
            Some(revoked) => tokio::select! {
                () = self.closing.cancelled() => {}
                () = revoked.cancelled() => {}
            },
            None => self.closing.cancelled().await,
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
        Self { places, by_address: Arc::default() }
    }
}

impl ConnectionLimits {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        lock(&self.by_address)
    }

    /// Waits until one more connection may be accepted. Cancel safe.
    pub(super) async fn free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// A place for a connection from `address`, unless that address has all that it may have.
    pub(super) fn enter(
        &self,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) -> Option<ConnectionPlace> {
        let ip = address.ip().to_canonical();
        let mut counts = self.lock();
        let count = counts.entry(ip).or_default();
        if *count >= HTTP_CONNECTIONS_PER_PEER_MAX {
            return None;
        }
        *count += 1;
        Some(ConnectionPlace { limits: self.clone(), ip, _permit: permit })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut counts = self.limits.lock();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_cannot_take_all_places_and_leaving_frees_them() {
        let limits = ConnectionLimits::default();
        let address = SocketAddr::from(([10, 0, 0, 1], 7));
        let mut places = Vec::new();
        while let Some(place) = limits.enter(address, limits.free().await.unwrap()) {
            places.push(place);
        }
        assert_eq!(places.len(), HTTP_CONNECTIONS_PER_PEER_MAX);
        let mapped = "[::ffff:10.0.0.1]:7".parse().unwrap();
        assert!(limits.enter(mapped, limits.free().await.unwrap()).is_none(), "the same host");
        let other = SocketAddr::from(([10, 0, 0, 2], 7));
        assert!(limits.enter(other, limits.free().await.unwrap()).is_some());
        places.pop();
        assert!(limits.enter(address, limits.free().await.unwrap()).is_some());
    }
}
