//! The connection that a request came on.
//!
//! Owns: what holds its place, for as long as anything runs on it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::access::{Identity, Proof, Role};
use crate::base::Stop;
use crate::serve::places::{Holder, Place};
use crate::supervise::Supervisor;

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
    pub(super) place: Place,
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

    /// Notes who has signed in on the connection; `false` when there is no place for them.
    pub(super) fn prove(&self, identity: &Identity) -> bool {
        // Nobody has an account where everything is open, and the box's own programs need none.
        let named = !matches!(identity.proof, Proof::Open | Proof::Local);
        let account = named.then(|| Arc::clone(&identity.name));
        self.held.place.prove(&Holder { account, admin: identity.role == Role::Admin })
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
