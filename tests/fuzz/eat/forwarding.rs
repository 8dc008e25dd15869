//! Host names and paths that headers of a proxy, or of somebody who plays one, name.

use holdfast::serve::http::{Settings, prefix_base};

use super::input::line;

/// Feeds one input: once as the path below which the box is, once as its name.
pub fn eat(bytes: &[u8]) {
    let text = String::from_utf8_lossy(line(bytes));
    if let Some(base) = prefix_base(&text) {
        assert!(base.starts_with('/') && base.ends_with('/') && !base.contains("//"), "{base}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_~.-".contains(&byte);
        assert!(base.bytes().all(plain), "{base}");
        assert!(!base.split('/').any(|part| part.starts_with('.')), "{base}");
    }
    // Nobody outside of a local network can register what is answered to unasked.
    if Settings::default().answers_to(&text) {
        let name = text.to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:[]-_".contains(&byte);
        assert!(name.bytes().all(plain), "{name}");
        let host = name.rsplit_once(':').map_or(&*name, |(host, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { &name }
        });
        let host = host.trim_end_matches('.');
        let zones = ["local", "localhost", "home.arpa", "internal"];
        let local = zones.iter().any(|zone| host == *zone || host.ends_with(&format!(".{zone}")));
        let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        assert!(local || is_address || !host.contains('.'), "{name}");
    }
}
