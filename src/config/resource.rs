//! The configuration as the API shows it and takes it.
//!
//! Owns: which keys may be changed over the network, and that secrets go in and never come out:
//! they are shown as `{"set": true}`, stay when a change does not name them, and go with null. What
//! names a program, a file or whom the box believes is changed in the file alone. Pure.

use serde_json::{Map, Value as Json, json};
use toml::{Table, Value};
use url::Url;

use super::reader::KeyFault;
use crate::base::name::StreamName;

/// Keys whose values are never shown.
const SECRETS: [&str; 6] = ["password", "ha1", "ha1_sha256", "command", "secret", "former_secret"];
/// Sections that the API changes as a whole.
const SETTINGS: [&str; 10] =
    ["ring", "rtsp", "http", "mdns", "hls", "pictures", "led", "button", "input", "webhook"];
/// Keys in them that it does not.
const FILE_ONLY: [&[&str]; 1] = [&["http", "trusted_proxies"]];

/// The section of the stream `name`, without secrets.
#[must_use]
pub fn stream(table: &Table, name: &StreamName) -> Option<Json> {
    Some(shown(table.get("stream")?.get(name.as_str())?))
}

/// The sections that are not streams, without secrets.
#[must_use]
pub fn settings(table: &Table) -> Json {
    let sections = SETTINGS.iter().filter_map(|key| Some((*key, table.get(*key)?)));
    Json::Object(sections.map(|(key, value)| (key.to_owned(), shown(value))).collect())
}

fn shown(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(flag) => json!(flag),
        Value::Datetime(date) => json!(date.to_string()),
        Value::Array(list) => Json::Array(list.iter().map(shown).collect()),
        Value::Table(table) => {
            let of_key = |(key, value): (&String, &Value)| {
                let told = match (key.as_str(), value) {
                    (key, _) if SECRETS.contains(&key) => json!({"set": true}),
                    ("url", Value::String(url)) => json!(shown_url(url)),
                    _ => shown(value),
                };
                (key.clone(), told)
            };
            Json::Object(table.iter().map(of_key).collect())
        }
    }
}

/// The address of a camera without any password in it: many take one in the query, and some people
/// write one before the host. The dots show that there is more.
fn shown_url(url: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, ""), |(address, _)| (address, "?…"));
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://…{}{query}", &rest[at..]),
        None => format!("{address}{query}"),
    }
}

/// The merge patch that makes the stream `name` what `section` says, as a whole; secrets that it
/// does not name stay.
pub fn put_stream(table: &Table, name: &StreamName, section: Json) -> Result<Json, Vec<KeyFault>> {
    let Json::Object(mut section) = section else { return Err(vec![no_object(name)]) };
    let current = current_stream(table, name).map(shown).unwrap_or_default();
    if let Json::Object(current) = &current {
        remove_what_is_missing(current, &mut section);
    }
    patch_stream(table, name, Json::Object(section))
}

/// The merge patch of the stream `name` that `patch` is, without what it only repeats.
pub fn patch_stream(
    table: &Table,
    name: &StreamName,
    mut patch: Json,
) -> Result<Json, Vec<KeyFault>> {
    if !patch.is_object() {
        return Err(vec![no_object(name)]);
    }
    keep_secrets(&mut patch);
    keep_url(table, name, &mut patch);
    let source = patch.get("source").filter(|source| source.as_object().is_none_or(has_entries));
    let is_command = |kind: Option<&str>| kind == Some("command");
    let runs_program = is_command(kind_of(table, name));
    let names_program = source.is_some_and(|source| {
        source.get("command").is_some() || is_command(source.get("kind").and_then(Json::as_str))
    });
    if names_program || (runs_program && source.is_some()) {
        let key = if names_program { "source.command" } else { "source" };
        return Err(vec![file_only(&format!("stream.{name}.{key}"))]);
    }
    if let Some(path) = secret_by_place(&patch) {
        return Err(vec![file_only(&format!("stream.{name}.{path}"))]);
    }
    if let Some(fault) = foreign_password(table, name, &patch) {
        return Err(vec![fault]);
    }
    Ok(json!({"stream": {(name.as_str()): patch}}))
}

fn has_entries(table: &Map<String, Json>) -> bool {
    !table.is_empty()
}

/// The merge patch of the settings that `patch` is.
pub fn patch_settings(mut patch: Json) -> Result<Json, Vec<KeyFault>> {
    keep_secrets(&mut patch);
    let Json::Object(sections) = &patch else {
        let right = "an object with the sections to change".to_owned();
        let wrong = "this is none".to_owned();
        return Err(vec![KeyFault { path: "the body".to_owned(), wrong, right }]);
    };
    let mut faults: Vec<KeyFault> = Vec::new();
    for (key, section) in sections {
        if !SETTINGS.contains(&key.as_str()) {
            faults.push(file_only(key));
        } else if !section.is_object() && !section.is_null() {
            let (wrong, right) = ("no object".to_owned(), "an object, or null".to_owned());
            faults.push(KeyFault { path: key.clone(), wrong, right });
        }
    }
    for path in FILE_ONLY {
        if path.iter().try_fold(&patch, |value, key| value.get(key)).is_some() {
            faults.push(file_only(&path.join(".")));
        }
    }
    if let Some(Json::Object(webhooks)) = patch.get("webhook") {
        let named = webhooks.iter().filter(|(_, webhook)| webhook.get("ca").is_some());
        faults.extend(named.map(|(name, _)| file_only(&format!("webhook.{name}.ca"))));
    }
    if faults.is_empty() { Ok(patch) } else { Err(faults) }
}

/// Nulls for what `current` has and `wanted` does not, tables in it included.
fn remove_what_is_missing(current: &Map<String, Json>, wanted: &mut Map<String, Json>) {
    let kind = |table: &Map<String, Json>| table.get("kind").cloned();
    let same_kind = kind(current) == kind(wanted);
    for (key, value) in current {
        match (value, wanted.get_mut(key)) {
            (Json::Object(current), Some(Json::Object(wanted))) => {
                remove_what_is_missing(current, wanted);
            }
            (_, Some(_)) => {}
            // A camera's password does not apply to another kind of source.
            (_, None) if same_kind && SECRETS.contains(&key.as_str()) => {}
            (_, None) => drop(wanted.insert(key.clone(), Json::Null)),
        }
    }
}

/// Takes placeholders of existing secrets out of `patch`.
fn keep_secrets(patch: &mut Json) {
    let Json::Object(keys) = patch else { return };
    keys.retain(|key, value| !(SECRETS.contains(&key.as_str()) && value.get("set").is_some()));
    keys.values_mut().for_each(keep_secrets);
}

/// Takes an address out of `patch` that equals the current one as displayed.
fn keep_url(table: &Table, name: &StreamName, patch: &mut Json) {
    let current = current_stream(table, name).and_then(|stream| stream.get("source")?.get("url"));
    let shown = current.and_then(Value::as_str).map(shown_url);
    if let Some(Json::Object(source)) = patch.get_mut("source")
        && shown.is_some()
        && source.get("url").and_then(Json::as_str) == shown.as_deref()
    {
        source.remove("url");
    }
}

/// `patch` for display to a reader who does not know its secrets.
#[must_use]
pub fn without_secrets(patch: &Json) -> Json {
    match patch {
        Json::Object(keys) => {
            let of_key = |(key, value): (&String, &Json)| {
                let told = match (key.as_str(), value) {
                    (key, value) if SECRETS.contains(&key) && !value.is_null() => json!("…"),
                    ("url", Json::String(url)) => json!(shown_url(url)),
                    (_, value) => without_secrets(value),
                };
                (key.clone(), told)
            };
            Json::Object(keys.iter().map(of_key).collect())
        }
        other => other.clone(),
    }
}

fn current_stream<'a>(table: &'a Table, name: &StreamName) -> Option<&'a Value> {
    table.get("stream")?.get(name.as_str())
}

fn kind_of<'a>(table: &'a Table, name: &StreamName) -> Option<&'a str> {
    current_stream(table, name)?.get("source")?.get("kind")?.as_str()
}

/// Where `patch` names a file, or a credential, in the place of a secret: over the network nobody
/// chooses what the daemon reads.
fn secret_by_place(patch: &Json) -> Option<String> {
    patch.as_object()?.iter().find_map(|(key, value)| {
        if SECRETS.contains(&key.as_str()) && value.is_object() {
            return Some(key.clone());
        }
        secret_by_place(value).map(|path| format!("{key}.{path}"))
    })
}

/// A password that would go to another host than the one for which it was given.
fn foreign_password(table: &Table, name: &StreamName, patch: &Json) -> Option<KeyFault> {
    let source = current_stream(table, name)?.get("source")?;
    let wanted = patch.get("source")?;
    source.get("password")?;
    if wanted.get("password").is_some() {
        return None;
    }
    let host = |url: &str| Url::parse(url).ok()?.host_str().map(str::to_ascii_lowercase);
    let before = source.get("url").and_then(Value::as_str).and_then(host);
    let after = wanted.get("url")?.as_str().and_then(host);
    (before != after).then(|| KeyFault {
        path: format!("stream.{name}.source.password"),
        wrong: "the one that is kept belongs to another host".to_owned(),
        right: "the password of the new one, or null".to_owned(),
    })
}

fn no_object(name: &StreamName) -> KeyFault {
    let right = "an object with the keys of a stream".to_owned();
    KeyFault { path: format!("stream.{name}"), wrong: "no object".to_owned(), right }
}

fn file_only(path: &str) -> KeyFault {
    KeyFault {
        path: path.to_owned(),
        wrong: "not changed over the network".to_owned(),
        right: "the key in the configuration file itself".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "data_dir = \"/data\"\n[http]\nhosts = [\"a.local\"]\n[account.nvr]\nha1 = \"77\"\n\
        [stream.gate]\ntitle = \"Gate\"\nsource = { kind = \"rtsp_pull\", url = \"rtsp://10.0.0.7/a\", \
        username = \"u\", password = \"hunter2\" }\n[stream.csi]\nsource = { kind = \"command\", \
        command = [\"cam\", \"hunter2\"] }\n";

    fn table() -> Table {
        FILE.parse().unwrap()
    }

    fn name(text: &str) -> StreamName {
        StreamName::parse(text).unwrap()
    }

    fn paths(told: Result<Json, Vec<KeyFault>>) -> Vec<String> {
        told.map_or_else(
            |faults| faults.into_iter().map(|fault| fault.path).collect(),
            |patch| panic!("accepted: {patch}"),
        )
    }

    #[test]
    fn secrets_are_never_shown() {
        let told = stream(&table(), &name("gate")).unwrap();
        assert_eq!(told["source"]["password"], json!({"set": true}));
        assert_eq!(told["source"]["username"], "u");
        let csi = stream(&table(), &name("csi")).unwrap();
        assert_eq!(csi["source"]["command"], json!({"set": true}));
        assert_eq!(settings(&table()), json!({"http": {"hosts": ["a.local"]}}));
        assert!(stream(&table(), &name("none")).is_none());
    }

    #[test]
    fn a_secret_that_is_not_named_stays_and_null_removes_it() {
        let told = put_stream(&table(), &name("gate"), stream(&table(), &name("gate")).unwrap());
        let source = &told.unwrap()["stream"]["gate"]["source"];
        assert!(source.get("password").is_none(), "{source}");
        let section = json!({"source": {"kind": "rtsp_pull", "url": "rtsp://10.0.0.7/b"}});
        let told = put_stream(&table(), &name("gate"), section).unwrap();
        let wanted = json!({"title": null, "source": {"kind": "rtsp_pull",
            "url": "rtsp://10.0.0.7/b", "username": null}});
        assert_eq!(told, json!({"stream": {"gate": wanted}}));
        let patch = json!({"source": {"password": null, "username": null}});
        let told = patch_stream(&table(), &name("gate"), patch.clone()).unwrap();
        assert_eq!(told["stream"]["gate"], patch);
        let other = json!({"source": {"kind": "rtsp_push"}});
        let told = put_stream(&table(), &name("gate"), other).unwrap();
        assert_eq!(told["stream"]["gate"]["source"]["password"], Json::Null);
    }

    #[test]
    fn a_password_in_an_address_is_not_shown_and_stays_where_the_address_is_repeated() {
        for (url, told) in [
            ("rtsp://10.0.0.7/a", "rtsp://10.0.0.7/a"),
            ("rtsp://10.0.0.7/a?user=u&password=hunter2", "rtsp://10.0.0.7/a?…"),
            ("rtsp://u:hunter2@10.0.0.7/a@b", "rtsp://…@10.0.0.7/a@b"),
            ("rtsp://10.0.0.7?p=hunter2@x/", "rtsp://10.0.0.7?…"),
            ("no url", "no url"),
        ] {
            assert_eq!(shown_url(url), told);
        }
        let file = FILE.replace("10.0.0.7/a", "10.0.0.7/a?p=hunter2");
        let table: Table = file.parse().unwrap();
        let section = stream(&table, &name("gate")).unwrap();
        assert!(!section.to_string().contains("hunter2"), "{section}");
        let told = put_stream(&table, &name("gate"), section).unwrap();
        assert!(told["stream"]["gate"]["source"].get("url").is_none(), "{told}");
        let other = json!({"source": {"url": "rtsp://10.0.0.7/b?p=hunter3"}});
        let told = patch_stream(&table, &name("gate"), other.clone()).unwrap();
        assert_eq!(told["stream"]["gate"], other);
        assert!(!without_secrets(&told).to_string().contains("hunter3"), "{told}");
    }

    #[test]
    fn a_kept_password_never_goes_to_another_host() {
        let moved = json!({"source": {"url": "rtsp://10.0.0.8/a"}});
        let gate = "stream.gate.source.password";
        assert_eq!(paths(patch_stream(&table(), &name("gate"), moved)), [gate]);
        let section = json!({"source": {"kind": "rtsp_pull", "url": "rtsp://10.0.0.8/a"}});
        assert_eq!(paths(put_stream(&table(), &name("gate"), section)), [gate]);
        for password in [json!("new"), Json::Null] {
            let moved = json!({"source": {"url": "rtsp://10.0.0.8/a", "password": password}});
            patch_stream(&table(), &name("gate"), moved).unwrap();
        }
        let same = json!({"source": {"url": "rtsp://10.0.0.7:5554/b"}});
        patch_stream(&table(), &name("gate"), same).unwrap();
    }

    #[test]
    fn programs_files_and_trust_are_changed_in_the_file_alone() {
        let program = json!({"source": {"kind": "command", "command": ["sh"]}});
        for stream in ["gate", "new", "csi"] {
            let told = paths(put_stream(&table(), &name(stream), program.clone()));
            assert_eq!(told, [format!("stream.{stream}.source.command")]);
        }
        let patch = json!({"source": {"command": ["sh"]}});
        assert_eq!(
            paths(patch_stream(&table(), &name("csi"), patch)),
            ["stream.csi.source.command"]
        );
        let patch = json!({"source": {"kind": "pattern"}});
        assert_eq!(paths(patch_stream(&table(), &name("csi"), patch)), ["stream.csi.source"]);
        let shown = stream(&table(), &name("csi")).unwrap();
        let title = json!({"title": "CSI", "source": shown["source"]});
        assert!(put_stream(&table(), &name("csi"), title).is_err(), "its kind cannot be said anew");
        patch_stream(&table(), &name("csi"), json!({"title": "CSI"})).unwrap();
        let place = json!({"source": {"password": {"file": "/etc/shadow"}}});
        let told = paths(patch_stream(&table(), &name("gate"), place));
        assert_eq!(told, ["stream.gate.source.password"]);
        for key in ["data_dir", "state_dir", "claim", "tls", "account", "stream", "nonsense"] {
            assert_eq!(paths(patch_settings(json!({(key): {}}))), [key]);
        }
        let proxies = json!({"http": {"trusted_proxies": ["0.0.0.0/0"]}});
        assert_eq!(paths(patch_settings(proxies)), ["http.trusted_proxies"]);
        assert!(patch_settings(json!([])).is_err() && patch_settings(json!({"http": 7})).is_err());
        let ca = json!({"webhook": {"ha": {"ca": "/etc/shadow"}}});
        assert_eq!(paths(patch_settings(ca)), ["webhook.ha.ca"]);
        patch_settings(json!({"http": {"hosts": []}, "led": null})).unwrap();
    }
}
