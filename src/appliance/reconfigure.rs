//! The settings that services take over without a restart.
//!
//! Owns: the list of them. Start and reload walk the same list, so a key that is live is one line
//! here, its check in `config`, and the service that obeys it.

use std::net::SocketAddr;

use tracing::error;

use crate::base::fault::chain;
use crate::config::Config;
use crate::serve::rtsp::multicast::Multicast;
use crate::serve::tls::Tls;
use crate::serve::{Services, mdns};
use crate::wire::rtsp::auth::Rules;

/// What can take over settings.
pub(super) struct Reconfigurable<'a> {
    pub(super) services: &'a Services,
    pub(super) tls: &'a Tls,
    pub(super) multicast: &'a Multicast,
}

/// Hands one setting to the service that obeys it.
type Apply = fn(&Reconfigurable<'_>, &Config);

/// In this order.
const SETTINGS: [Apply; 9] = [
    |live, config| {
        let port = config.rtsp_listen.first().map_or(0, SocketAddr::port);
        live.services.rtsp.serve_at(port);
    },
    |live, config| {
        let subs = config.streams.iter();
        let subs = subs.filter_map(|(name, stream)| Some((name.clone(), stream.sub.clone()?)));
        let people = live.services.access.accounts();
        live.services.rtsp.configure(rules(config), subs.collect(), &people);
    },
    |live, config| live.services.rtsp.wait_for_peers(config.rtsp_session_timeout),
    |live, config| live.multicast.configure(config.multicast),
    |live, config| live.services.cors.allow(config.http_cors.clone()),
    |live, config| live.services.http.change(config.http.clone()),
    |live, config| {
        let streams = config.streams.iter();
        let labels = streams.map(|(name, stream)| (name.clone(), stream.label.clone()));
        live.services.labels.replace(labels.collect());
    },
    certificate,
    |live, config| {
        let Config { http_listen, https_listen, rtsp_listen, .. } = config;
        let offers = mdns::offers(http_listen, https_listen, rtsp_listen);
        live.services.announcer.announce(if config.announce { offers } else { Vec::new() });
    },
];

/// Applies every live setting of `config`.
pub(super) fn reconfigure(live: &Reconfigurable<'_>, config: &Config) {
    for apply in SETTINGS {
        apply(live, config);
    }
}

/// Whom RTSP lets in: the stream accounts; without any, this computer if the box is open to it.
fn rules(config: &Config) -> Rules {
    let rules = Rules::new(config.accounts.clone(), config.rtsp_basic);
    if config.is_open() { rules.or_this_computer() } else { rules }
}

/// Reads the certificate where one is needed or in use: its files may have changed under the same
/// names.
fn certificate(live: &Reconfigurable<'_>, config: &Config) {
    // An address that a server listens on by name is one that people use, though the interfaces
    // need not list it: 127.0.0.2 is on none.
    let listening = config.https_listen.iter().chain(&config.rtsps_listen).map(SocketAddr::ip);
    let named = listening.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    let names = config.http.hosts.iter().cloned().chain(named).collect();
    live.tls.want(config.tls.clone(), names);
    let in_use = live.tls.fingerprint().is_some();
    if !in_use && config.rtsps_listen.is_empty() && config.https_listen.is_empty() {
        return;
    }
    // A server that has none yet tries again, and says why.
    if let Err(error) = live.tls.load()
        && in_use
    {
        error!(
            part = "tls",
            error = chain(&error),
            "cannot load the certificate, keeping the old one"
        );
    }
}
