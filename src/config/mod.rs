//! The TOML text and its meaning.
//!
//! A text is one file, or that file and those of `conf.d` joined, see `drop_in`.
//!
//! Owns: the keys, their units and every check; [`read`] reports all faults at once, each with
//! its key path, what is wrong and what would be right. Each part owns its own `Config` struct;
//! no part imports this module. `example.toml` beside this file documents every key with its
//! default, and a test holds it to that.

mod account;
mod camera;
pub mod credential;
pub mod drop_in;
pub mod edit;
mod encode;
pub mod file;
mod gpio;
pub mod publish;
mod reader;
pub mod resource;
mod secret;
mod stream;
mod unit;
mod webhook;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::limits::{
    CONFIG_BYTES_MAX, CONFIG_DROP_INS_MAX, RTSP_SESSION_TIMEOUT, STREAMS_MAX,
};
use crate::base::name::StreamName;
use crate::dvr;
use crate::encode::still;
use crate::serve::http;
use crate::serve::rtsp::multicast::{self, PORTS_PER_STREAM};
use crate::serve::tls;
use crate::wire::rtsp::auth::Accounts;

pub use publish::{PublishConfig, PublishPatterns};
pub use reader::KeyFault;
pub use stream::StreamConfig;

use reader::Section;

/// The file that documents every key, as shipped.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where everything that lasts is kept.
    pub data_dir: PathBuf,
    /// Where accounts and keys are kept, if not below that.
    pub state_dir: Option<PathBuf>,
    /// How large the ring is.
    pub ring_size: dvr::RingSizing,
    /// Where the RTSP door listens.
    pub rtsp_listen: Vec<SocketAddr>,
    /// Where the RTSP door listens for TLS.
    pub rtsps_listen: Vec<SocketAddr>,
    /// The groups of readers by multicast, if there are any.
    pub multicast: Option<multicast::MulticastGroups>,
    /// The certificate that it shows; without one the box makes its own.
    pub tls: Option<tls::CertificateFiles>,
    /// Where the HTTP door listens.
    pub http_listen: Vec<SocketAddr>,
    /// Where the HTTP door listens for TLS.
    pub https_listen: Vec<SocketAddr>,
    /// Origins whose pages may read media; `*`: all of them.
    pub http_cors: Vec<String>,
    /// Host names, proxies and frames.
    pub http: http::HttpSettings,
    /// Whether the box is announced on the local network.
    pub announce: bool,
    /// Whether live HLS tells parts.
    pub hls_low_latency: bool,
    /// How pictures are made.
    pub pictures: still::StillConfig,
    /// The stream accounts by name.
    pub accounts: Accounts,
    /// Whether a password may be said over plain RTSP.
    pub rtsp_basic: bool,
    /// How long the peer of an RTSP session may be silent.
    pub rtsp_session_timeout: Duration,
    /// What hangs on the board's lines.
    pub panel: crate::gpio::Config,
    /// Where events are sent.
    pub webhooks: crate::webhook::Config,
    /// The streams by name.
    pub streams: BTreeMap<StreamName, StreamConfig>,
    /// The streams that publishers may begin.
    pub publish: PublishPatterns,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/data"),
            state_dir: None,
            ring_size: dvr::RingSizing::Percent(80),
            rtsp_listen: vec![SocketAddr::from(([127, 0, 0, 1], 8554))],
            rtsps_listen: vec![SocketAddr::from(([127, 0, 0, 1], 8322))],
            multicast: None,
            tls: None,
            http_listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            https_listen: vec![SocketAddr::from(([127, 0, 0, 1], 8443))],
            http_cors: Vec::new(),
            http: http::HttpSettings { https_port: Some(8443), ..http::HttpSettings::default() },
            announce: true,
            hls_low_latency: false,
            pictures: still::StillConfig::default(),
            accounts: Accounts::new(),
            rtsp_basic: false,
            rtsp_session_timeout: RTSP_SESSION_TIMEOUT,
            panel: crate::gpio::Config::default(),
            webhooks: crate::webhook::Config::new(),
            streams: BTreeMap::new(),
            publish: PublishPatterns::new(),
        }
    }
}

impl Config {
    /// Where accounts and keys are kept. One rule for the daemon and its command line, whatever
    /// environment either has.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| self.data_dir.join("state"))
    }

    /// Whether everything is open to this computer.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.http.access == http::Access::OpenOnLoopback
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file, with `conf.d`, is larger than any real configuration.
    #[error("{} with conf.d beside it is larger than {CONFIG_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// `conf.d` has more files than any real configuration.
    #[error("{} has more than {CONFIG_DROP_INS_MAX} files", path.display())]
    TooMany {
        /// Which directory.
        path: PathBuf,
    },
    /// The file is read, and wrong.
    #[error("{}", list(faults))]
    Faults {
        /// Every fault, in the order of the file's keys.
        faults: Vec<KeyFault>,
    },
}

fn list(faults: &[KeyFault]) -> String {
    let count = faults.len();
    let told: Vec<_> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} fault{plural} in the configuration:{}", told.concat())
}

/// Reads and checks the file at `path`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    parse_file(&text(path)?)
}

/// As [`parse`], of the whole text of a file. One that says neither where footage is kept nor what
/// to record is what a power cut or a full disk leaves of a file: a fault, not a wish.
pub fn parse_file(text: &str) -> Result<Config, ConfigError> {
    let config = parse(text)?;
    let says = |key| drop_in::table(text).is_ok_and(|table| table.contains_key(key));
    if says("data_dir") || says("stream") {
        return Ok(config);
    }
    let empty = text.trim_matches(|c: char| c.is_whitespace() || c == '\0').is_empty();
    let wrong =
        if empty { "the file is empty" } else { "neither `data_dir` nor a stream is there" };
    let fault = KeyFault {
        path: "the file".to_owned(),
        wrong: wrong.to_owned(),
        right: "`data_dir`, and a [stream.<name>] section for each stream".to_owned(),
    };
    Err(ConfigError::Faults { faults: vec![fault] })
}

/// Reads the file at `path`, and those of `conf.d` beside it, without looking at what they say.
pub fn text(path: &Path) -> Result<String, ConfigError> {
    drop_in::read(path)
}

/// Reads a ring's size as `ring.size` is written; a fault's path is that of the key.
pub fn ring_size(text: &str) -> Result<dvr::RingSizing, KeyFault> {
    let fault = |(wrong, right): (String, &str)| KeyFault {
        path: "ring.size".to_owned(),
        wrong,
        right: right.to_owned(),
    };
    unit::ring_size(text).map_err(fault)
}

/// Reads a duration as the configuration writes it; the error is what would be right.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    unit::duration(text).map_err(|(_, right)| right)
}

/// Checks a configuration text.
pub fn parse(text: &str) -> Result<Config, ConfigError> {
    let mut faults = Vec::new();
    let config = match drop_in::table(text) {
        Ok(table) => {
            let config = check(Section::root(table), &mut faults);
            drop_in::say_places(text, &mut faults);
            config
        }
        Err(told) => {
            faults = told;
            Config::default()
        }
    };
    if faults.is_empty() { Ok(config) } else { Err(ConfigError::Faults { faults }) }
}

fn check(mut root: Section, faults: &mut Vec<KeyFault>) -> Config {
    let mut config = Config::default();
    if let Some(dir) = root.text("data_dir", faults) {
        config.data_dir = PathBuf::from(dir);
    }
    config.state_dir = root.text("state_dir", faults).map(PathBuf::from);
    if root.parsed("claim", unit::claim, faults).is_some() {
        config.http.access = http::Access::OpenOnLoopback;
    }
    if let Some(mut ring) = root.section("ring", faults) {
        if let Some(size) = ring.parsed("size", unit::ring_size, faults) {
            config.ring_size = size;
        }
        ring.finish(faults);
    }
    if let Some(rtsp) = root.section("rtsp", faults) {
        check_rtsp(rtsp, &mut config, faults);
    }
    if let Some(http) = root.section("http", faults) {
        check_http(http, &mut config, faults);
    }
    config.http.https_port = config.https_listen.first().map(SocketAddr::port);
    if let Some(mut mdns) = root.section("mdns", faults) {
        config.announce = mdns.flag("announce", faults).unwrap_or(true);
        mdns.finish(faults);
    }
    if let Some(mut hls) = root.section("hls", faults) {
        config.hls_low_latency = hls.flag("low_latency", faults).unwrap_or_default();
        hls.finish(faults);
    }
    if let Some(mut pictures) = root.section("pictures", faults) {
        if let Some(source) = pictures.parsed("h265", unit::h265_source, faults) {
            config.pictures.h265 = source;
        }
        pictures.finish(faults);
    }
    if let Some(tls) = root.section("tls", faults) {
        config.tls = check_tls(tls, faults);
    }
    if let Some(streams) = root.section("stream", faults) {
        config.streams = check_streams(streams, faults);
        stream::check_subs(&config.streams, faults);
    }
    if let Some(webhooks) = root.section("webhook", faults) {
        config.webhooks = webhook::check(webhooks, faults);
    }
    if let Some(patterns) = root.section("publish", faults) {
        config.publish = publish::check(patterns, config.streams.len(), faults);
    }
    config.panel = gpio::check(&mut root, &config.streams, faults);
    let before = faults.len();
    if let Some(accounts) = root.section("account", faults) {
        config.accounts = account::check(accounts, faults);
    }
    let trusted = faults.len() == before;
    account::check_whole(&config, trusted, faults);
    if config.http.access == http::Access::OpenOnLoopback {
        check_loopback(&config, faults);
    }
    root.finish(faults);
    config
}

/// Whether every server listens on this computer alone.
fn check_loopback(config: &Config, faults: &mut Vec<KeyFault>) {
    for (path, addresses) in [
        ("rtsp.listen", &config.rtsp_listen),
        ("rtsp.listen_tls", &config.rtsps_listen),
        ("http.listen", &config.http_listen),
        ("http.listen_tls", &config.https_listen),
    ] {
        let wide = addresses.iter().filter(|at| !at.ip().to_canonical().is_loopback());
        faults.extend(wide.map(|at| KeyFault {
            path: path.to_owned(),
            wrong: format!(
                "{at} is beyond this computer, and claim = \"loopback\" opens everything"
            ),
            right: "addresses of loopback, such as \"127.0.0.1:8080\", or no `claim`".to_owned(),
        }));
    }
}

fn check_listen(
    door: &mut Section,
    key: &str,
    listen: &mut Vec<SocketAddr>,
    faults: &mut Vec<KeyFault>,
) {
    if let Some(addresses) = door.parsed_list(key, unit::address, faults) {
        *listen = addresses;
    }
}

fn check_rtsp(mut rtsp: Section, config: &mut Config, faults: &mut Vec<KeyFault>) {
    check_listen(&mut rtsp, "listen", &mut config.rtsp_listen, faults);
    check_listen(&mut rtsp, "listen_tls", &mut config.rtsps_listen, faults);
    config.rtsp_basic = rtsp.flag("basic", faults).unwrap_or_default();
    if let Some(timeout) = rtsp.parsed("session_timeout", unit::session_timeout, faults) {
        config.rtsp_session_timeout = timeout;
    }
    if let Some(groups) = rtsp.section("multicast", faults) {
        config.multicast = check_multicast(groups, faults);
    }
    rtsp.finish(faults);
}

fn check_http(mut http: Section, config: &mut Config, faults: &mut Vec<KeyFault>) {
    check_listen(&mut http, "listen", &mut config.http_listen, faults);
    check_listen(&mut http, "listen_tls", &mut config.https_listen, faults);
    if let Some(origins) = http.parsed_list("cors", unit::origin, faults) {
        config.http_cors = origins;
    }
    check_pages(&mut http, &mut config.http, faults);
    if config.http.https_required && config.https_listen.is_empty() {
        let right = "an address in `listen_tls`, or false".to_owned();
        let wrong = "HTTPS is not served".to_owned();
        faults.push(http.fault(Some("https_required"), wrong, right));
    }
    http.finish(faults);
}

/// By which names, proxies and pages the HTTP server is used.
fn check_pages(section: &mut Section, config: &mut http::HttpSettings, faults: &mut Vec<KeyFault>) {
    config.https_required = section.flag("https_required", faults).unwrap_or_default();
    if let Some(hosts) = section.parsed_list("hosts", unit::host, faults) {
        config.hosts = hosts;
    }
    if let Some(networks) = section.parsed_list("trusted_proxies", unit::network, faults) {
        config.trusted_proxies = networks;
    }
    if let Some(networks) = section.parsed_list("metrics_allow", unit::network, faults) {
        config.metrics_allow = networks;
    }
    config.external_url = section.parsed("external_url", unit::external_url, faults);
    if let Some(origins) = section.parsed_list("frame_ancestors", unit::page_origin, faults) {
        config.frame_ancestors = origins;
    }
}

fn check_multicast(
    mut section: Section,
    faults: &mut Vec<KeyFault>,
) -> Option<multicast::MulticastGroups> {
    let before = faults.len();
    let groups = section.parsed("groups", unit::groups, faults);
    if groups.is_none() && faults.len() == before {
        let right = unit::GROUPS.to_owned();
        faults.push(section.fault(Some("groups"), "missing".to_owned(), right));
    }
    let (base, count) = groups.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
    // The last port of the last group is the last there is.
    let highest = i64::from(u16::MAX) + 1 - i64::from(count) * i64::from(PORTS_PER_STREAM);
    let port = section.number("port", 1_024..=highest, faults).unwrap_or(20_000);
    let ttl = section.number("ttl", 1..=255, faults).unwrap_or(1);
    if port % 2 != 0 {
        let right = "an even one, because RTCP has the odd one behind it".to_owned();
        faults.push(section.fault(Some("port"), format!("{port}"), right));
    }
    section.finish(faults);
    let (port, ttl) = (u16::try_from(port).ok()?, u8::try_from(ttl).ok()?);
    (faults.len() == before).then_some(multicast::MulticastGroups { base, count, port, ttl })
}

/// Certificate and key go together.
fn check_tls(mut section: Section, faults: &mut Vec<KeyFault>) -> Option<tls::CertificateFiles> {
    let [cert, key] = ["cert", "key"].map(|key| section.text(key, faults).map(PathBuf::from));
    let missing = match (&cert, &key) {
        (Some(_), None) => Some("key"),
        (None, Some(_)) => Some("cert"),
        _ => None,
    };
    if let Some(missing) = missing {
        let right = "`cert` and `key` together, or neither".to_owned();
        faults.push(section.fault(Some(missing), "missing".to_owned(), right));
    }
    section.finish(faults);
    Some(tls::CertificateFiles { cert: cert?, key: key? })
}

fn check_streams(
    mut streams: Section,
    faults: &mut Vec<KeyFault>,
) -> BTreeMap<StreamName, StreamConfig> {
    let keys = streams.keys();
    if keys.len() > STREAMS_MAX {
        let wrong = format!("{} streams", keys.len());
        faults.push(streams.fault(None, wrong, format!("at most {STREAMS_MAX}")));
    }
    let (mut checked, mut all_made) = (BTreeMap::new(), Vec::new());
    for key in keys {
        let Some(section) = streams.section(&key, faults) else { continue };
        match StreamName::parse(&key) {
            Ok(name) => {
                if let Some((stream, made)) = stream::check(&name, section, faults) {
                    checked.insert(name, stream);
                    all_made.extend(made);
                }
            }
            Err(error) => faults.push(section.fault(
                None,
                error.to_string(),
                "a name such as \"gate\" or \"yard-2\"".to_owned(),
            )),
        }
    }
    for (name, stream) in all_made {
        if checked.contains_key(&name) {
            let wrong = "is the name of a sub-stream that is made here".to_owned();
            let right = "another name, or no `substream` in the other stream".to_owned();
            faults.push(streams.fault(Some(name.as_str()), wrong, right));
        }
        checked.insert(name, stream);
    }
    checked
}

#[cfg(test)]
mod tests;
