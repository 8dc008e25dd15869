//! The settings of HTTP that a reload may change.
//!
//! Owns: what they are. Each is obeyed where its requests pass.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::HeaderValue;

use super::content_policy::content_policy;

/// A network: an address, and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Where a reverse proxy serves the box: `https://nvr.example/cam/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUrl {
    /// Host and port, as a browser writes them into `Host`.
    pub authority: String,
    /// The path below which everything is, with a slash at both ends.
    pub base: String,
}

/// Whom HTTP lets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Any account; on a box without accounts no one.
    #[default]
    Accounts,
    /// This computer, on purpose: every server listens on loopback alone.
    OpenOnLoopback,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Whom HTTP lets in.
    pub access: Access,
    /// The port of HTTPS, if it is served.
    pub https_port: Option<u16>,
    /// Whether plain HTTP only leads there.
    pub https_required: bool,
    /// Names that the box answers to besides those of local networks, in lower case.
    pub hosts: Vec<String>,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Where a reverse proxy serves the box.
    pub external_url: Option<ExternalUrl>,
    /// Origins whose pages may show the page in a frame.
    pub frame_ancestors: Vec<String>,
    /// Who may read the metrics without an account.
    pub metrics_allow: Vec<Network>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            access: Access::default(),
            https_port: None,
            https_required: false,
            hosts: Vec::new(),
            trusted_proxies: Network::loopback().to_vec(),
            external_url: None,
            frame_ancestors: Vec::new(),
            metrics_allow: Vec::new(),
        }
    }
}

/// The settings in use. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Settings(Arc<ArcSwap<SettingsInUse>>);

/// The settings with what is made of them once for all requests.
#[derive(Debug)]
pub(in crate::serve) struct SettingsInUse {
    settings: HttpSettings,
    policy: HeaderValue,
}

impl SettingsInUse {
    fn new(settings: HttpSettings) -> Self {
        let policy = content_policy(&settings.frame_ancestors);
        Self { settings, policy }
    }

    /// The content security policy of every answer.
    pub(super) fn policy(&self) -> &HeaderValue {
        &self.policy
    }
}

impl Default for SettingsInUse {
    fn default() -> Self {
        Self::new(HttpSettings::default())
    }
}

impl std::ops::Deref for SettingsInUse {
    type Target = HttpSettings;

    fn deref(&self) -> &HttpSettings {
        &self.settings
    }
}

impl Settings {
    /// Replaces them, for requests to come.
    pub fn change(&self, config: HttpSettings) {
        self.0.store(Arc::new(SettingsInUse::new(config)));
    }

    /// Those in use now.
    pub(in crate::serve) fn now(&self) -> Arc<SettingsInUse> {
        self.0.load_full()
    }
}

impl Network {
    /// This machine.
    #[must_use]
    pub fn loopback() -> [Self; 2] {
        [
            Self { address: IpAddr::from([127, 0, 0, 0]), bits: 8 },
            Self { address: IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), bits: 128 },
        ]
    }

    /// Reads `10.0.0.0/8`, `fd00::/8`, or one address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            "" if !text.contains('/') => most,
            bits if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            _ => return None,
        };
        let network = Self { address, bits };
        (bits <= most && network.contains(address)).then_some(network)
    }

    /// Whether `ip` is one of its addresses.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let prefix = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(ip) => (true, u128::from(ip.to_bits()) << 96),
            IpAddr::V6(ip) => (false, ip.to_bits()),
        };
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        let ((is_v4, own), (same, other)) = (prefix(self.address), prefix(ip));
        is_v4 == same && own & mask == other & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "::2"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
        for wrong in ["", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "::/129", "host", "1.2.3"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
