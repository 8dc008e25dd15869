//! The stream accounts as the API shows and changes them.
//!
//! Owns: what of a section is shown, and what of a password is written. Pure.

use serde_json::{Map, Value as Json, json};
use toml::{Table, Value};

use crate::base::secret::Secret;
use crate::wire::rtsp::auth::Credential;

/// All of them, by name.
#[must_use]
pub fn list(table: &Table) -> Vec<Json> {
    sections(table).map(|(name, section)| shown(name, section)).collect()
}

/// The one of this name.
#[must_use]
pub fn one(table: &Table, name: &str) -> Option<Json> {
    sections(table).find(|(own, _)| *own == name).map(|(name, section)| shown(name, section))
}

/// The merge patch that gives the account `name` these keys, and this password if there is one.
#[must_use]
pub fn patch(table: &Table, name: &str, keys: Json, password: Option<Secret>) -> Json {
    let Json::Object(mut keys) = keys else { return json!({}) };
    if let Some(password) = password {
        let Credential { ha1, ha1_sha256, .. } = Credential::of(name, password);
        keys.insert("ha1".to_owned(), json!(ha1.reveal()));
        // All accounts have it, or none.
        let mut others = sections(table).peekable();
        if others.peek().is_some() && others.all(|(_, own)| own.contains_key("ha1_sha256")) {
            keys.insert("ha1_sha256".to_owned(), json!(ha1_sha256.reveal()));
        }
    }
    json!({"account": {name: keys}})
}

/// The merge patch that takes away what belongs to `person`.
#[must_use]
pub fn without_owned(table: &Table, person: &str) -> Json {
    let owned = sections(table)
        .filter(|(_, section)| section.get("owner").and_then(Value::as_str) == Some(person));
    let gone: Map<_, _> = owned.map(|(name, _)| (name.clone(), Json::Null)).collect();
    json!({"account": gone})
}

fn sections(table: &Table) -> impl Iterator<Item = (&String, &Table)> {
    let accounts = table.get("account").and_then(Value::as_table).into_iter().flatten();
    accounts.filter_map(|(name, section)| Some((name, section.as_table()?)))
}

fn shown(name: &str, section: &Table) -> Json {
    let key = |key, absent| section.get(key).map_or(absent, |value| json!(value));
    json!({
        "name": name,
        "read": key("read", json!("*")),
        "publish": key("publish", json!([])),
        "owner": key("owner", Json::Null),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[account.nvr]\nha1 = \"7\"\nowner = \"anna\"\n\
        [account.cam]\nha1 = \"8\"\nread = []\npublish = [\"gate\"]\n";

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_is_shown_without_its_hash_and_with_what_it_may() {
        let cam = json!({"name": "cam", "read": [], "publish": ["gate"], "owner": null});
        let nvr = json!({"name": "nvr", "read": "*", "publish": [], "owner": "anna"});
        assert_eq!(list(&table(FILE)), [cam.clone(), nvr]);
        assert_eq!((one(&table(FILE), "cam"), one(&table(FILE), "c")), (Some(cam), None));
        assert_eq!(without_owned(&table(FILE), "anna"), json!({"account": {"nvr": null}}));
    }

    #[test]
    fn a_password_is_written_as_the_hashes_that_the_others_have() {
        let told = |file: &str| {
            let keys = json!({"read": "*"});
            patch(&table(file), "new", keys, Some(Secret::new("open sesame")))["account"]["new"]
                .clone()
        };
        let with = "[account.nvr]\nha1 = \"7\"\nha1_sha256 = \"9\"\n";
        for (file, sha256) in [("", false), (FILE, false), (with, true)] {
            let told = told(file);
            assert_eq!(told["ha1"].as_str().unwrap().len(), 32);
            assert_eq!(told.get("ha1_sha256").is_some(), sha256, "{file}");
            assert!(!told.to_string().contains("sesame"));
        }
        let kept = patch(&table(FILE), "nvr", json!({"owner": null}), None);
        assert_eq!(kept, json!({"account": {"nvr": {"owner": null}}}));
    }
}
