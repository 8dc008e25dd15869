//! What a connection is before it is known what it carries.
//!
//! Owns: the handshake of a TLS listener, and its deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::link::{Link, Socket};
use super::reception::Reception;
use crate::base::time::SharedClock;
use crate::bus::Directory;
use crate::sink::Outlet;
use crate::sink::replay::Archive;
use crate::source::Entrance;

/// A connection that was accepted just now.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    /// The settings of a listener that speaks TLS.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) outlets: Arc<Directory<Outlet>>,
    pub(super) entrances: Arc<Directory<Entrance>>,
    pub(super) clock: SharedClock,
    /// What is recorded, if it is played.
    pub(super) archive: Option<Archive>,
    pub(super) reception: Reception,
}

impl Arrival {
    /// Serves the peer until one of both sides ends it. An error means that it never got so far.
    pub(super) async fn serve(self) -> io::Result<()> {
        let mut socket = Socket::plain(self.socket)?;
        if let Some(config) = self.tls {
            socket = socket.secured(config).await?;
        }
        let link = Link::Direct(socket);
        let (outlets, entrances) = (self.outlets, self.entrances);
        Connection::new(link, self.peer, outlets, entrances, self.clock, &self.reception)?
            .with_archive(self.archive)
            .run()
            .await;
        Ok(())
    }
}
