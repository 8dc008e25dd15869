//! The HTTP door: page, API, HLS, fMP4 over WebSocket, pictures, metrics.
//!
//! Owns: routes, what each answers in which words, and the bounds of a connection. Media comes
//! from the outlets; a group of routes is a file.
//!
//! Invariants:
//! 1. Every answer that is no success is JSON, `{"error": {"code", "message"}}`, except where
//!    hyper itself refuses bytes that are no HTTP request (400 or 431, empty).
//! 2. A client costs at most its connection: headers have a deadline, bodies and heads a
//!    largest size, a client that takes nothing is cut, connections are counted.
//! 3. Nothing here can stop another door: a panic in a handler is one 500.

mod api;
mod audience;
mod cors;
mod error;
mod export;
mod layer;
mod listener;
mod live;
mod metrics;
mod mjpeg;
mod page;
mod past;
mod play;
mod range;
mod route;
mod snapshot;
mod span;
mod sprite;
mod stall;
mod ws;

use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use audience::Audience;
pub use cors::Cors;
pub use listener::{HttpError, run};

use super::rtsp::SessionRegistry;
use crate::base::Stop;
use crate::base::time::{BootTime, SharedClock};
use crate::board::Machine;
use crate::dvr::Dvr;
use crate::gpio::Panel;
use crate::live::Outlet;
use crate::playback::Playback;
use crate::playback::export::Exports;
use crate::playback::export_jobs::ExportJobs;
use crate::playback::hls::FragmentCache;
use crate::playback::pictures::PastPictures;
use crate::playback::sprite::Sprites;
use crate::stream::Directory;
use crate::supervise::Supervisor;

/// What the door opens on.
#[derive(Debug)]
pub struct HttpDoor {
    /// The streams and their ways out.
    pub streams: Arc<Directory<Outlet>>,
    /// Whose tasks the health page tells.
    pub supervisor: Supervisor,
    /// The clock.
    pub clock: SharedClock,
    /// When the daemon began.
    pub begun: BootTime,
    /// Port of the RTSP door, for the URLs that the API tells; a reload may change it.
    pub rtsp_port: Arc<AtomicU16>,
    /// Who is at the RTSP doors.
    pub rtsp: SessionRegistry,
    /// Whose pages may read media.
    pub cors: Cors,
    /// The ring.
    pub dvr: Dvr,
    /// Pictures out of it.
    pub past: PastPictures,
    /// Sheets of small ones.
    pub sprites: Sprites,
    /// The export jobs.
    pub export_jobs: ExportJobs,
    /// The machine this runs on.
    pub machine: Machine,
    /// What hangs on its lines.
    pub panel: Panel,
}

/// What every handler is given.
#[derive(Debug)]
struct Door {
    open: Arc<HttpDoor>,
    /// The recordings, for those who watch them in a browser.
    archive: Playback,
    /// Where tasks live that outlast a request: WebSocket viewers.
    connections: Supervisor,
    /// Tells connections to finish.
    closing: Stop,
    /// FragmentCache of the ring that players ask for.
    fragments: FragmentCache,
    /// Who has the past.
    audience: Audience,
    /// Recordings as files.
    exports: Exports,
    /// The files of the last downloads.
    kept: export::Kept,
    /// Who may ask video drivers now.
    turn: api::devices::Turn,
}

impl std::ops::Deref for Door {
    type Target = HttpDoor;

    fn deref(&self) -> &HttpDoor {
        &self.open
    }
}
