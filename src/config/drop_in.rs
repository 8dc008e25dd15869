//! The configuration as one file and what is dropped in beside it: `conf.d/*.toml`, in the order of
//! their names.
//!
//! Owns: how several files are one text, so that whatever compares, keeps or restores a text covers
//! all of them; how their keys join, each set in one of them alone; and which file and line a fault
//! is in.

mod change;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use toml_edit::{Document, Item, Key};

use super::ConfigError;
use super::reader::KeyFault;
use crate::base::limits::{CONFIG_BYTES_MAX, CONFIG_DROP_INS_MAX};

pub use change::{ChangeError, apply};

/// The directory beside the file.
const DIRECTORY: &str = "conf.d";
/// What begins a further file in a text of several. TOML forbids this character everywhere.
const MARK: char = '\u{1e}';

/// One file of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its path from the directory of the first file, such as `conf.d/10-cameras.toml`; the first
    /// file has none.
    pub name: Option<&'a str>,
    /// What it says.
    pub text: &'a str,
}

impl Part<'_> {
    /// The file in words.
    fn called(&self) -> &str {
        self.name.unwrap_or("the main file")
    }
}

/// The files that `text` is made of, the first one first.
pub fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    text.split(MARK).enumerate().map(|(at, part)| {
        if at == 0 {
            return Part { name: None, text: part };
        }
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        Part { name: Some(name), text }
    })
}

/// The files of `text` by their paths, where the first one is at `path`.
pub fn files<'a>(path: &Path, text: &'a str) -> impl Iterator<Item = (PathBuf, &'a str)> {
    parts(text).map(move |part| match part.name {
        None => (path.to_owned(), part.text),
        Some(name) => (path.with_file_name("").join(name), part.text),
    })
}

/// One text of several files.
pub fn join<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> String {
    let mut text = String::new();
    for part in parts {
        if let Some(name) = part.name {
            text.extend([MARK.to_string().as_str(), name, "\n"]);
        }
        text.push_str(part.text);
    }
    text
}

/// `text` with `section` behind its first file.
#[must_use]
pub fn appended(text: &str, section: &str) -> String {
    let first = text.find(MARK).unwrap_or(text.len());
    format!("{}{section}{}", &text[..first], &text[first..])
}

/// Reads the file at `path` and those beside it.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let mut text = one(path)?;
    let names = names(path)?;
    if names.len() > CONFIG_DROP_INS_MAX {
        return Err(ConfigError::TooMany { path: path.with_file_name(DIRECTORY) });
    }
    for name in names {
        let name = format!("{DIRECTORY}/{name}");
        let dropped = one(&path.with_file_name("").join(&name))?;
        text.push_str(&join([Part { name: Some(&name), text: &dropped }]));
        if text.len() as u64 > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned() });
        }
    }
    Ok(text)
}

/// What one file says.
fn one(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    // It would be taken for the beginning of another file.
    if text.contains(MARK) {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it has a control character");
        return Err(failed(source));
    }
    Ok(text)
}

/// The names of the files beside the one at `path`, sorted. Hidden ones are an editor's.
fn names(path: &Path) -> Result<Vec<String>, ConfigError> {
    let directory = path.with_file_name(DIRECTORY);
    let failed = |source| ConfigError::Read { path: directory.clone(), source };
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.into_string().ok().filter(|name| {
            let is_toml = Path::new(name).extension().is_some_and(|extension| extension == "toml");
            is_toml && !name.starts_with('.') && !name.contains(char::is_control)
        }));
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a file of `text` ends within a line, as one does that was cut off.
#[must_use]
pub fn ends_within_a_line(text: &str) -> bool {
    parts(text).any(|part| !part.text.is_empty() && !part.text.ends_with('\n'))
}

/// What all files of `text` say together.
pub fn table(text: &str) -> Result<Table, Vec<KeyFault>> {
    let (mut whole, mut faults, mut twice) = (Table::new(), Vec::new(), Vec::new());
    for part in parts(text) {
        match part.text.parse::<Table>() {
            Ok(table) => merge(&mut whole, table, &mut Vec::new(), &mut twice),
            Err(error) => faults.push(KeyFault::syntax(&error, part.text, part.name)),
        }
    }
    faults.extend(twice.iter().map(|path| set_twice(text, path)));
    if faults.is_empty() { Ok(whole) } else { Err(faults) }
}

/// Puts the keys of `from` into `whole`; those that are there already are in `twice` then.
fn merge(whole: &mut Table, from: Table, path: &mut Vec<String>, twice: &mut Vec<Vec<String>>) {
    for (key, value) in from {
        path.push(key.clone());
        match (whole.get_mut(&key), value) {
            (None, value) => drop(whole.insert(key, value)),
            (Some(Value::Table(inner)), Value::Table(from)) => merge(inner, from, path, twice),
            (Some(_), _) => twice.push(path.clone()),
        }
        path.pop();
    }
}

fn set_twice(text: &str, path: &[String]) -> KeyFault {
    let places = parts(text).filter_map(|part| {
        let found = locate(part.text, path).filter(|found| found.depth == path.len());
        found.map(|found| format!("line {} of {}", found.line, part.called()))
    });
    KeyFault {
        path: path.join("."),
        wrong: format!("is set in {}", places.collect::<Vec<_>>().join(" and in ")),
        right: "it in one of them alone".to_owned(),
    }
}

/// Says of each of `faults` where it is, if `text` has several files.
pub(super) fn say_places(text: &str, faults: &mut [KeyFault]) {
    if !text.contains(MARK) {
        return;
    }
    for fault in faults {
        let key = fault.path.split('[').next().unwrap_or_default();
        let Ok(keys) = Key::parse(key) else { continue };
        let path: Vec<String> = keys.iter().map(|key| key.get().to_owned()).collect();
        let found = parts(text).filter_map(|part| Some((part, locate(part.text, &path)?)));
        // Of the files that have as much of the path, the first: there the missing rest belongs.
        let nearest = found.min_by_key(|(_, found)| std::cmp::Reverse(found.depth));
        if let Some((part, found)) = nearest {
            fault.wrong = format!("{} (line {} of {})", fault.wrong, found.line, part.called());
        }
    }
}

/// How much of a path a file has, and where.
struct Found {
    depth: usize,
    line: usize,
}

/// Looks for as much of `path` as `text` has; nothing if it has none of it.
fn locate(text: &str, path: &[String]) -> Option<Found> {
    let document = Document::parse(text).ok()?;
    let mut found = None;
    let mut item: &Item = document.as_item();
    let mut at = 0;
    for (depth, key) in path.iter().enumerate() {
        item = match item.as_table_like().and_then(|table| table.get(key)) {
            Some(inner) => inner,
            None => break,
        };
        at = item.span().map_or(at, |span| span.start);
        let line = text.get(..at)?.matches('\n').count() + 1;
        found = Some(Found { depth: depth + 1, line });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{parse, parse_file};

    const MAIN: &str = "data_dir = \"/data\"\n\n[http]\nhosts = [\"a.local\"]\n";
    const CAMERAS: &str = "# All of them.\n[stream.gate]\nsource = { kind = \"pattern\" }\n";

    fn two(main: &str, dropped: &str) -> String {
        let name = Some("conf.d/10-cameras.toml");
        join([Part { name: None, text: main }, Part { name, text: dropped }])
    }

    fn faults(text: &str) -> Vec<String> {
        match parse(text) {
            Err(ConfigError::Faults { faults }) => faults.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_are_read_by_name_and_their_tables_join() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box.toml");
        fs::write(&path, MAIN).unwrap();
        assert_eq!(read(&path).unwrap(), MAIN, "a directory is not needed");
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        for (name, text) in [
            ("20-b.toml", "[http]\ncors = [\"*\"]\n"),
            ("10-a.toml", CAMERAS),
            (".10-a.toml.swp.toml", "nonsense"),
            ("30-c.toml.new", "nonsense"),
        ] {
            fs::write(dir.path().join("conf.d").join(name), text).unwrap();
        }
        let text = read(&path).unwrap();
        let names: Vec<_> = parts(&text).map(|part| part.name).collect();
        assert_eq!(names, [None, Some("conf.d/10-a.toml"), Some("conf.d/20-b.toml")]);
        assert_eq!(join(parts(&text)), text);
        let config = parse_file(&text).unwrap();
        assert_eq!((config.streams.len(), config.http.hosts.len()), (1, 1));
        assert_eq!(config.http_cors, ["*"]);
        let last = files(&path, &text).last().unwrap();
        assert_eq!(last, (dir.path().join("conf.d/20-b.toml"), "[http]\ncors = [\"*\"]\n"));
        fs::write(&path, format!("{MAIN}# \u{1e}conf.d/x.toml\n")).unwrap();
        assert!(matches!(read(&path), Err(ConfigError::Read { .. })));
    }

    #[test]
    fn directories_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box.toml");
        fs::write(&path, MAIN).unwrap();
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        for at in 0..=CONFIG_DROP_INS_MAX {
            assert!(read(&path).is_ok());
            fs::write(dir.path().join(format!("conf.d/{at}.toml")), "").unwrap();
        }
        assert!(matches!(read(&path), Err(ConfigError::TooMany { .. })));
    }

    #[test]
    fn faults_name_the_file_and_the_line() {
        assert_eq!(
            faults(&two(MAIN, "[http]\nhosts = []\n")),
            ["http.hosts: is set in line 4 of the main file and in line 2 of \
              conf.d/10-cameras.toml; expected it in one of them alone"]
        );
        let zero = CAMERAS.replace("\" }", "\", fps = 0 }");
        assert_eq!(
            faults(&two(MAIN, &zero)),
            ["stream.gate.source.fps: 0 (line 3 of conf.d/10-cameras.toml); \
              expected a whole number from 1 to 60"]
        );
        let syntax = faults(&two(MAIN, "\n[stream\n"));
        assert!(syntax[0].starts_with("conf.d/10-cameras.toml, line 2: "), "{syntax:?}");
        let unknown = faults(&two(&MAIN.replace("hosts", "hots"), CAMERAS));
        assert!(unknown[0].starts_with("http.hots: unknown key (line 4 of the main file)"));
        let missing = faults(&two(MAIN, "[stream.gate]\ntitle = \"Gate\"\n"));
        assert!(missing[0].contains("line 1 of conf.d/10-cameras.toml"), "{missing:?}");
    }

    #[test]
    fn a_drop_in_that_was_cut_off_is_seen() {
        assert!(!ends_within_a_line(&two(MAIN, CAMERAS)) && !ends_within_a_line(&two(MAIN, "")));
        assert!(ends_within_a_line(&two(MAIN, CAMERAS.trim_end())));
        assert!(ends_within_a_line(&two(MAIN.trim_end(), CAMERAS)));
    }

    #[test]
    fn what_is_appended_goes_behind_the_first_file() {
        let section = "\n[account.nvr]\n";
        assert_eq!(appended(MAIN, section), format!("{MAIN}{section}"));
        assert_eq!(
            appended(&two(MAIN, CAMERAS), section),
            two(&format!("{MAIN}{section}"), CAMERAS)
        );
    }
}
