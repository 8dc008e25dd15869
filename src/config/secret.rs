//! A secret of the configuration: its text, or the file or systemd credential that holds it.
//!
//! Owns: what such a file may be. Its content is in no fault.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::base::limits::SECRET_BYTES_MAX;
use crate::base::secret::Secret;

/// What would be right.
pub(super) const RIGHT: &str =
    "a text, { file = \"/path\" } or { credential = \"name\" } (systemd's LoadCredential=)";

/// The secret that `value` is or leads to; else what is wrong.
pub(super) fn read(value: &Value) -> Result<Secret, String> {
    match value {
        Value::String(text) => Ok(Secret::new(text.as_str())),
        Value::Table(place) => from_file(&path_of(place)?).map(Secret::new),
        other => Err(format!("{} found", other.type_str())),
    }
}

fn path_of(place: &Table) -> Result<PathBuf, String> {
    let mut keys = place.iter();
    let (Some((key, Value::String(text))), None) = (keys.next(), keys.next()) else {
        return Err("a table with something else found".to_owned());
    };
    match key.as_str() {
        "file" if Path::new(text).is_absolute() => Ok(PathBuf::from(text)),
        "file" => Err("the path of the file is not absolute".to_owned()),
        "credential" if is_name(text) => std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|dir| Path::new(&dir).join(text))
            .ok_or_else(|| "systemd gave no credentials ($CREDENTIALS_DIRECTORY)".to_owned()),
        "credential" => Err("not the name of a credential".to_owned()),
        _ => Err(format!("unknown key {key:?}")),
    }
}

fn is_name(text: &str) -> bool {
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    letters && !text.is_empty() && !text.starts_with('.')
}

/// The first line of a file.
fn from_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unread = |error: std::io::Error| format!("{shown} cannot be read ({})", error.kind());
    // A pipe without a writer would be waited for.
    if !std::fs::metadata(path).map_err(unread)?.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(unread)?;
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(unread)?;
    if read as u64 > SECRET_BYTES_MAX {
        return Err(format!("{shown} has more than {SECRET_BYTES_MAX} bytes"));
    }
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(format!("{shown} is empty")) } else { Ok(line.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Secret, String> {
        let table: Table = format!("password = {text}").parse().unwrap();
        read(&table["password"])
    }

    #[test]
    fn a_secret_is_a_text_or_the_first_line_of_a_file() {
        assert_eq!(told("\"hunter2\"").unwrap().reveal(), "hunter2");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gate");
        let place = format!("{{ file = \"{}\" }}", path.display());
        assert!(told(&place).unwrap_err().contains("cannot be read"));
        for (text, wanted) in [("hunter2\n", "hunter2"), ("a b\r\nc", "a b")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(told(&place).unwrap().reveal(), wanted);
        }
        for (text, wanted) in [(String::new(), "is empty"), ("x".repeat(5_000), "more than")] {
            std::fs::write(&path, &text).unwrap();
            let wrong = told(&place).unwrap_err();
            assert!(wrong.contains(wanted) && !wrong.contains("xxx"), "{wrong}");
        }
        assert!(told(&format!("{{ file = \"{}\" }}", dir.path().display())).is_err());
        for wrong in [
            "5",
            "{ file = \"relative\" }",
            "{ credential = \"../x\" }",
            "{ credential = \"\" }",
            "{ file = \"/x\", credential = \"y\" }",
            "{ text = \"hunter2\" }",
            "{}",
        ] {
            assert!(!told(wrong).unwrap_err().contains("hunter2"), "{wrong}");
        }
    }
}
