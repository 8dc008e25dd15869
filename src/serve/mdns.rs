//! Announces this box on the local network by multicast DNS (RFC 6762, RFC 6763), as `NAME.local`.
//!
//! Owns: what is announced. The crate `mdns-sd` owns the sockets and a thread of its own: it answers, follows
//! addresses that come and go, and takes another name where somebody has this one.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mdns_sd::{DaemonEvent, IfKind, Receiver, ServiceDaemon, ServiceInfo};
use tracing::{info, warn};

use super::tls::{Tls, host_name};
use crate::supervise::Supervisor;

/// Where the name is written when it is another than the machine's, for the image's console.
const NAME_PATH: &str = "/run/holdfast/mdns-name";

/// How long the end of the daemon waits for the goodbye to be on the network.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// One service of the box, as others find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its type, such as `_http._tcp.local.`.
    pub kind: &'static str,
    /// Its port.
    pub port: u16,
}

/// What is announced now.
#[derive(Debug)]
pub struct Announcer {
    supervisor: Supervisor,
    tls: Tls,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    /// Started by the first announcement.
    daemon: Option<ServiceDaemon>,
    offers: Vec<Offer>,
    /// The full names under which they are registered.
    names: Vec<String>,
}

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Now").field("offers", &self.offers).finish_non_exhaustive()
    }
}

/// What to announce of the addresses that the daemon listens on: the first port of each kind that
/// other machines can reach.
#[must_use]
pub fn offers(http: &[SocketAddr], https: &[SocketAddr], rtsp: &[SocketAddr]) -> Vec<Offer> {
    let kinds =
        [("_http._tcp.local.", http), ("_https._tcp.local.", https), ("_rtsp._tcp.local.", rtsp)];
    let reachable = |at: &&SocketAddr| !at.ip().to_canonical().is_loopback();
    let first = |(kind, addresses): (&'static str, &[SocketAddr])| {
        addresses.iter().find(reachable).map(|at| Offer { kind, port: at.port() })
    };
    kinds.into_iter().filter_map(first).collect()
}

impl Announcer {
    /// One that announces nothing yet; its task runs in `supervisor`, and `tls` learns of a name
    /// that the box has to take.
    #[must_use]
    pub fn new(supervisor: &Supervisor, tls: Tls) -> Self {
        Self { supervisor: supervisor.clone(), tls, now: Mutex::default() }
    }

    /// Announces `offers`, and nothing else from now on. A failure is logged, and tried again at
    /// the next reload: nothing else depends on it.
    pub fn announce(&self, offers: Vec<Offer>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.offers == offers {
            return;
        }
        match self.register(&mut now, &offers) {
            Ok(()) => now.offers = offers,
            Err(error) => warn!(part = "mdns", error = %error, "the box is not announced"),
        }
    }

    fn register(&self, now: &mut Now, offers: &[Offer]) -> Result<(), mdns_sd::Error> {
        let Some(name) = host_name() else { return Ok(()) };
        let daemon = if let Some(daemon) = &now.daemon {
            daemon.clone()
        } else {
            let daemon = ServiceDaemon::new()?;
            // What is announced there would be heard on other interfaces of this machine as well.
            daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
            self.supervisor.spawn("mdns", watch(daemon.monitor()?, self.tls.clone()));
            now.daemon.insert(daemon).clone()
        };
        for gone in now.names.drain(..) {
            daemon.unregister(&gone)?;
        }
        for Offer { kind, port } in offers {
            let host = format!("{name}.local.");
            let path: &[(&str, &str)] =
                if kind.starts_with("_http") { &[("path", "/")] } else { &[] };
            let service =
                ServiceInfo::new(kind, &format!("Holdfast {name}"), &host, "", *port, path)?;
            let service = service.enable_addr_auto();
            now.names.push(service.get_fullname().to_owned());
            daemon.register(service)?;
        }
        Ok(())
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let now = self.now.get_mut().unwrap_or_else(PoisonError::into_inner);
        // With a goodbye, so that nobody looks for a box that is gone.
        if let Some(ended) = now.daemon.take().and_then(|daemon| daemon.shutdown().ok()) {
            let _ = ended.recv_timeout(GOODBYE_MAX);
        }
    }
}

/// Notes when the box is announced under another name.
async fn watch(events: Receiver<DaemonEvent>, tls: Tls) {
    while let Ok(event) = events.recv_async().await {
        match event {
            DaemonEvent::NameChange(change) if !change.new_name.contains("._") => {
                let name = change.new_name.trim_end_matches('.');
                info!(part = "mdns", taken = change.original, name, "announced under another name");
                tls.announced_as(&name.to_ascii_lowercase());
                let path = Path::new(NAME_PATH);
                if path.parent().is_some_and(Path::is_dir) {
                    // Only the console of an image reads it.
                    let _ = fs::write(path, name);
                }
            }
            DaemonEvent::Error(error) => warn!(part = "mdns", error = %error, "not announced"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_can_reach_is_announced() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let http = [at("127.0.0.1:8080"), at("0.0.0.0:80"), at("10.0.0.7:81")];
        let found = offers(&http, &[at("[::1]:8443")], &[at("[::]:8554")]);
        let announced: Vec<_> = found.iter().map(|offer| (offer.kind, offer.port)).collect();
        assert_eq!(announced, [("_http._tcp.local.", 80), ("_rtsp._tcp.local.", 8554)]);
    }
}
