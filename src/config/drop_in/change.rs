//! Changes a text of several files.
//!
//! Owns: which file a key is changed in: the one that has it; a new one goes where its neighbours are.

use serde_json::{Map, Value as Json};
use toml::Table;

use super::{Part, join, parts, table};
use crate::config::edit::{self, EditError};

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// One of its files cannot be changed so.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// More than one file would have to change: a power cut between them would leave half of it.
    #[error("the change concerns several files: {}", files.join(", "))]
    SeveralFiles {
        /// Which.
        files: Vec<String>,
    },
}

/// Applies the merge patch `patch` (RFC 7396) to `text`, in the file that has what it changes.
///
/// # Errors
///
/// The text cannot be changed so; nothing was.
pub fn apply(text: &str, patch: &Json) -> Result<String, ChangeError> {
    let mut parts: Vec<Part<'_>> = parts(text).collect();
    if parts.len() == 1 {
        return Ok(edit::apply(text, patch)?);
    }
    let not_toml = |_| EditError::NotToml;
    let wanted = edit::merged(table(text).map_err(not_toml)?, patch)?;
    let tables: Result<Vec<Table>, _> = parts.iter().map(|part| part.text.parse()).collect();
    let tables = tables.map_err(|_| EditError::NotToml)?;
    let mut patches = vec![Json::Object(Map::new()); parts.len()];
    distribute(&tables, &mut Vec::new(), patch, &mut patches);
    let mut changed: Option<(usize, String)> = None;
    let mut files = Vec::new();
    for (at, (part, patch)) in parts.iter().zip(&patches).enumerate() {
        let text = edit::apply(part.text, patch)?;
        if text != part.text {
            files.push(part.called().to_owned());
            changed = Some((at, text));
        }
    }
    if files.len() > 1 {
        return Err(ChangeError::SeveralFiles { files });
    }
    let Some((at, text)) = &changed else { return Ok(join(parts)) };
    parts[*at].text = text;
    let text = join(parts);
    let after = table(&text).map_err(|_| EditError::Mismatch)?;
    if edit::is_same(after, wanted) { Ok(text) } else { Err(EditError::Mismatch.into()) }
}

/// Gives what `patch` says of `path` to the patches of the files that it concerns.
fn distribute(tables: &[Table], path: &mut Vec<String>, patch: &Json, patches: &mut [Json]) {
    let having: Vec<usize> = (0..tables.len()).filter(|at| has(&tables[*at], path)).collect();
    match (having.as_slice(), patch) {
        // It is in several, or is the root, which is in all: each key by itself.
        ([_, _, ..], Json::Object(keys)) => {
            for (key, value) in keys {
                path.push(key.clone());
                distribute(tables, path, value, patches);
                path.pop();
            }
        }
        ([first, rest @ ..], _) => {
            put(&mut patches[*first], path, patch.clone());
            for at in rest {
                put(&mut patches[*at], path, Json::Null);
            }
        }
        ([], _) => put(&mut patches[home(tables, path)], path, patch.clone()),
    }
}

/// The file of a key that is new: the first one that has the most of its path.
fn home(tables: &[Table], path: &[String]) -> usize {
    let known = |depth: usize| tables.iter().position(|table| has(table, &path[..depth]));
    (0..path.len()).rev().find_map(known).unwrap_or(0)
}

fn has(table: &Table, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else { return true };
    let inner = table.get(key);
    inner.is_some_and(|inner| rest.is_empty() || inner.as_table().is_some_and(|it| has(it, rest)))
}

fn put(patch: &mut Json, path: &[String], value: Json) {
    let mut at = patch;
    for key in path {
        if !at.is_object() {
            *at = Json::Object(Map::new());
        }
        at = &mut at[key.as_str()];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MAIN: &str = "data_dir = \"/data\"\n# Doors.\n[http]\nhosts = []   # none\n";
    const CAMERAS: &str = "# The gate.\n[stream.gate]   # north\nsource = { kind = \"pattern\" }\n";
    const YARD: &str = "[stream.yard]\nsource = { kind = \"pattern\" }\n[http]\ncors = []\n";

    fn whole(main: &str, cameras: &str, yard: &str) -> String {
        join([
            Part { name: None, text: main },
            Part { name: Some("conf.d/1.toml"), text: cameras },
            Part { name: Some("conf.d/2.toml"), text: yard },
        ])
    }

    fn changed(patch: &Json) -> [String; 3] {
        let text = apply(&whole(MAIN, CAMERAS, YARD), patch).unwrap();
        let texts: Vec<_> = parts(&text).map(|part| part.text.to_owned()).collect();
        texts.try_into().unwrap()
    }

    #[test]
    fn a_key_changes_in_the_file_that_has_it() {
        let told = changed(&json!({"stream": {"gate": {"title": "Gate"}}}));
        assert_eq!(told, [MAIN, &format!("{CAMERAS}title = \"Gate\"\n"), YARD]);
        let told = changed(&json!({"http": {"hosts": ["a.local"]}}));
        assert_eq!(told, [&MAIN.replace("[]", "[\"a.local\"]"), CAMERAS, YARD]);
        let told = changed(&json!({"stream": {"yard": null}}));
        assert_eq!(told, [MAIN, CAMERAS, "[http]\ncors = []\n"]);
    }

    #[test]
    fn what_is_new_goes_where_its_neighbours_are() {
        let [main, cameras, yard] =
            changed(&json!({"stream": {"shed": {"source": {"kind": "pattern"}}}}));
        assert_eq!((main.as_str(), yard.as_str()), (MAIN, YARD));
        assert!(cameras.starts_with(CAMERAS) && cameras.contains("[stream.shed]"), "{cameras}");
        let [main, cameras, yard] = changed(&json!({"ring": {"size": "60%"}}));
        assert_eq!((cameras.as_str(), yard.as_str()), (CAMERAS, YARD));
        assert!(main.ends_with("[ring]\nsize = \"60%\"\n"), "{main}");
        let [main, ..] = changed(&json!({"http": {"https_required": true}}));
        assert!(main.contains("https_required = true"), "{main}");
    }

    #[test]
    fn a_change_of_several_files_is_refused_and_names_them() {
        let patch = json!({"stream": {"gate": {"title": "Gate"}, "yard": {"title": "Yard"}}});
        let told = apply(&whole(MAIN, CAMERAS, YARD), &patch);
        let files = vec!["conf.d/1.toml".to_owned(), "conf.d/2.toml".to_owned()];
        assert_eq!(told, Err(ChangeError::SeveralFiles { files }));
    }

    #[test]
    fn a_change_that_says_what_is_there_changes_nothing() {
        assert_eq!(changed(&json!({"http": {"hosts": []}})), [MAIN, CAMERAS, YARD]);
        assert_eq!(changed(&json!({"stream": {"none": null}})), [MAIN, CAMERAS, YARD]);
    }
}
