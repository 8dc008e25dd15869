//! `[webhook.<name>]` sections: where events are sent.
//!
//! Owns: their keys. No fault repeats a secret, nor an address, which may hold one.

use std::path::PathBuf;

use url::Url;

use super::reader::{KeyFault, Section};
use crate::base::limits::{EVENT_FILTER_LEN_MAX, WEBHOOK_SECRET_BYTES, WEBHOOKS_MAX};
use crate::base::name::StreamName;
use crate::base::secret::Secret;
use crate::event::Filter;
use crate::webhook::{Config, WebhookConfig};

const URL: &str = "\"https://host/path\" or \"http://host/path\", without user name and password";
const SECRET: &str = "16 to 256 characters, such as `openssl rand -hex 32` prints";

/// Reads them all.
pub(super) fn check(mut section: Section, faults: &mut Vec<KeyFault>) -> Config {
    let keys = section.keys();
    if keys.len() > WEBHOOKS_MAX {
        let wrong = format!("{} webhooks", keys.len());
        faults.push(section.fault(None, wrong, format!("at most {WEBHOOKS_MAX}")));
    }
    let mut webhooks = Config::new();
    for key in keys {
        let Some(section) = section.section(&key, faults) else { continue };
        if let Err(error) = StreamName::parse(&key) {
            let right = "a name such as \"house\" or \"alarm-2\"".to_owned();
            let wrong = error.to_string().replace("stream name", "name");
            faults.push(section.fault(None, wrong, right));
        } else if let Some(webhook) = check_one(section, faults) {
            webhooks.insert(key, webhook);
        }
    }
    webhooks
}

fn check_one(mut section: Section, faults: &mut Vec<KeyFault>) -> Option<WebhookConfig> {
    let before = faults.len();
    let address = section.parsed("url", url, faults);
    let signs = section.parsed("secret", secret, faults);
    for (key, missing, right) in
        [("url", address.is_none(), URL), ("secret", signs.is_none(), SECRET)]
    {
        if missing && !faults[before..].iter().any(|fault| fault.path.ends_with(&format!(".{key}")))
        {
            faults.push(section.fault(Some(key), "missing".to_owned(), right.to_owned()));
        }
    }
    let former_secret = section.parsed("former_secret", secret, faults);
    let kinds = section.parsed_list("kinds", kind, faults).unwrap_or_default();
    let streams = section.parsed_list("streams", stream, faults).unwrap_or_default();
    let ca = section.text("ca", faults).map(PathBuf::from);
    if kinds.len() > EVENT_FILTER_LEN_MAX || streams.len() > EVENT_FILTER_LEN_MAX {
        let wrong = "too many kinds or streams".to_owned();
        faults.push(section.fault(None, wrong, format!("at most {EVENT_FILTER_LEN_MAX} of each")));
    }
    let filter = Filter::new(kinds.iter().map(String::as_str), streams).ok();
    section.finish(faults);
    Some(WebhookConfig { url: address?, secret: signs?, former_secret, filter: filter?, ca })
}

fn url(text: &str) -> Result<Url, (String, &'static str)> {
    let wrong = || ("not such an address".to_owned(), URL);
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        // What the API shows in place of a query is none.
        && !text.contains('…');
    if plain { Ok(url) } else { Err(wrong()) }
}

fn secret(text: &str) -> Result<Secret, (String, &'static str)> {
    if WEBHOOK_SECRET_BYTES.contains(&text.len()) {
        return Ok(Secret::new(text));
    }
    Err((format!("{} bytes", text.len()), SECRET))
}

fn kind(text: &str) -> Result<String, (String, &'static str)> {
    let known = Filter::new([text].into_iter(), Vec::new());
    known.map(|_| text.to_owned()).map_err(|error| (error.to_string(), Filter::EXPECTED))
}

fn stream(text: &str) -> Result<StreamName, (String, &'static str)> {
    StreamName::parse(text).map_err(|error| (error.to_string(), "the name of a stream"))
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, parse};

    fn faults(keys: &str) -> Vec<String> {
        match parse(&format!("[webhook.house]\n{keys}")) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Faults { faults }) => faults.iter().map(ToString::to_string).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_webhook_has_an_address_a_secret_and_known_kinds() {
        let good = "url = \"https://a.example/x?t=1\"\nsecret = \"0123456789abcdef\"\n";
        assert_eq!(faults(good), [] as [String; 0]);
        assert_eq!(faults(&format!("{good}kinds = [\"mark.*\", \"stream.live\"]")).len(), 0);
        for (keys, told) in [
            ("kinds = [\"stream.gone\"]", "webhook.house.kinds[0]"),
            ("streams = [\"No\"]", "webhook.house.streams[0]"),
            ("speed = 1", "webhook.house.speed"),
            ("former_secret = \"short\"", "webhook.house.former_secret"),
        ] {
            let all = faults(&format!("{good}{keys}"));
            assert!(all.len() == 1 && all[0].starts_with(told), "{all:?}");
        }
        for url in ["ftp://a/", "https://u:hunter22@a/", "nonsense", "https://a/x?…"] {
            let all = faults(&format!("url = {url:?}\nsecret = \"0123456789abcdef\""));
            assert!(all.len() == 1 && all[0].starts_with("webhook.house.url"), "{all:?}");
            assert!(!all[0].contains("hunter22"), "{all:?}");
        }
        assert_eq!(faults("").len(), 2, "both are missing");
    }
}
