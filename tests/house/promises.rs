//! What the documents name as proof exists: every test, test module and file in backticks.
//!
//! Understood are `tests/rtsp/push.rs`, with `: a_test` behind it if wanted; `rtsp/push`, a module of a
//! test program; and `dvr::tests::damage` or `…::a_test`, in `src`. A name may be cut short by `…`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{rust_files, src};

/// The programs whose modules the documents name.
const PROGRAMS: [&str; 6] = ["dvr", "export", "hls", "page", "rtsp", "system"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The documents: those at the top, in `docs`, and beside the sources.
fn documents() -> Vec<PathBuf> {
    fn add(dir: &Path, deep: bool, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && deep && !path.ends_with("node_modules") {
                add(&path, deep, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    add(&root(), false, &mut found);
    add(&root().join("docs"), true, &mut found);
    add(&src(), true, &mut found);
    found
}

/// What stands in backticks in `text`, outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        if !in_block && !is_fence {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// All Rust code, and the names of its files and directories without ending.
struct Code {
    text: String,
    files: BTreeSet<String>,
}

impl Code {
    fn read() -> Self {
        let mut paths = Vec::new();
        rust_files(&src(), &mut paths);
        rust_files(&root().join("tests"), &mut paths);
        let text = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let names = paths.iter().flat_map(|path| path.iter());
        let files = names.map(|name| name.to_str().unwrap().trim_end_matches(".rs").to_owned());
        Self { text, files: files.collect() }
    }

    /// Whether there is a function of this name, of which `…` may stand for the beginning or the end.
    fn has_function(&self, name: &str) -> bool {
        let part = name.trim_matches('…');
        self.text.match_indices("fn ").any(|(at, _)| {
            let rest = &self.text[at + 3..];
            let found = &rest[..rest.find(['(', '<']).unwrap_or(0)];
            match (name.starts_with('…'), name.ends_with('…')) {
                (false, false) => found == part,
                (false, true) => found.starts_with(part),
                (true, false) => found.ends_with(part),
                (true, true) => found.contains(part),
            }
        })
    }

    /// Whether what `name` means exists; `None` when it does not look like a proof.
    fn holds(&self, name: &str) -> Option<bool> {
        let is_word = |text: &str| {
            let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            !text.is_empty() && text.chars().all(|c| is_letter(c) || c == '…')
        };
        if name.starts_with("tests/") && name.contains(".rs") {
            let (file, function) = name.split_once(": ").unwrap_or((name, ""));
            let function = function.is_empty() || self.has_function(function);
            return Some(root().join(file).is_file() && function);
        }
        if let Some((program, module)) = name.split_once('/') {
            let of_tests = PROGRAMS.contains(&program) && is_word(module);
            let at = root().join("tests").join(program).join(module);
            return of_tests.then(|| at.with_extension("rs").is_file() || at.is_dir());
        }
        let (path, last) = name.rsplit_once("::")?;
        let is_ours = path.split("::").all(|part| self.files.contains(part));
        (is_ours && is_word(last)).then(|| self.files.contains(last) || self.has_function(last))
    }
}

#[test]
fn what_the_documents_name_as_proof_exists() {
    let code = Code::read();
    let (mut checked, mut missing) = (0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for name in quoted(&text) {
            match code.holds(name) {
                Some(true) => checked += 1,
                Some(false) => missing.push(format!("{}: {name}", document.display())),
                None => {}
            }
        }
    }
    assert!(missing.is_empty(), "these do not exist:\n{}", missing.join("\n"));
    assert!(checked > 100, "only {checked} names were found");
}

#[test]
fn the_reader_of_names_finds_what_is_missing() {
    let code = Code::read();
    let holds = |name| code.holds(name);
    assert_eq!(holds("tests/rtsp/push.rs"), Some(true));
    assert_eq!(holds("tests/rtsp/push.rs: no_such_…"), Some(false));
    assert_eq!(holds("rtsp/push"), Some(true));
    assert_eq!(holds("rtsp/nothing_of_the_kind"), Some(false));
    assert_eq!(holds("house::promises::the_reader_of_…"), Some(true));
    assert_eq!(holds("house::promises::the_reader_is_…"), Some(false));
    assert_eq!(holds("house::promises::…_of_names_…"), Some(true));
    assert_eq!(holds("rtsp/1.0"), None);
    assert_eq!(holds("tokio::select"), None);
    assert_eq!(quoted("a `b` c\n```sh\n`d`\n```\n`e`"), ["b", "e"]);
}
