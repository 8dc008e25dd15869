//! A configuration document, as somebody writes it, and changes of it through the API.

use holdfast::config;
use holdfast::config::edit;

/// Feeds one input: a document and, behind a line `---`, a merge patch in JSON.
pub fn eat(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (document, patch) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
    let accepted = config::parse(document).is_ok();
    let Ok(patch) = serde_json::from_str::<serde_json::Value>(patch) else { return };
    let Ok(changed) = edit::apply(document, &patch) else { return };
    // What is written can be read, and says what the patch makes of it.
    let table: toml::Table = changed.parse().expect("a changed document is a document");
    let before: toml::Table = document.parse().expect("what was changed was a document");
    assert_eq!(Some(table), edit::merged(before, &patch).ok());
    if patch.as_object().is_some_and(serde_json::Map::is_empty) {
        assert_eq!(config::parse(&changed).is_ok(), accepted);
    }
}
