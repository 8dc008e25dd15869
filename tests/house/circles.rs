//! No circle of files inside a module: files that name each other, directly or around a corner, can only be
//! read together. The usual cause is a plain data type in the file of the thread or service that needed it
//! first; a file of its own for the type dissolves the circle.
//!
//! A file may name its parents and they may name it. Test code does not count. `circles.txt` lists the files
//! that are in a circle still; it may only shrink.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use crate::{rust_files, src};

/// The path of a module, such as `["dvr", "disk"]`; the crate is empty.
type Module = Vec<String>;

/// The source without what only tests compile: text by file, relative to `src`.
fn sources() -> BTreeMap<String, String> {
    let src = src();
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut sources = BTreeMap::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let of_tests = name.split('/').any(|part| part == "tests" || part == "tests.rs");
        if !of_tests && name != "main.rs" && name != "build.rs" {
            let text = fs::read_to_string(&file).unwrap();
            sources.insert(name, code(without_tests(&text)));
        }
    }
    sources
}

/// The text up to its test module; `mod tests;` has no body and ends nothing.
fn without_tests(text: &str) -> &str {
    const TESTS: &str = "#[cfg(test)]\nmod ";
    let ends = |at: &usize| {
        text[at + TESTS.len()..].lines().next().is_some_and(|line| line.ends_with('{'))
    };
    let end = text.match_indices(TESTS).map(|(at, _)| at).find(ends);
    &text[..end.unwrap_or(text.len())]
}

/// The text without comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).fold(
        String::new(),
        |mut code, line| {
            code.push_str(line);
            code.push('\n');
            code
        },
    )
}

/// The module that a file holds.
fn module(file: &str) -> Module {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// The paths that a text names: those of its `use` lines, and others that begin at the crate or at a parent.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = String::new();
    let mut ahead = text;
    while let Some(at) = next_use(ahead) {
        rest.push_str(&ahead[..at]);
        let end = ahead[at..].find(';').map_or(ahead.len(), |end| at + end);
        branches(&ahead[at + "use ".len()..end], &[], &mut paths);
        ahead = &ahead[end..];
    }
    rest.push_str(ahead);
    for start in ["crate::", "super::"] {
        for (at, _) in rest.match_indices(start) {
            if !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                let path = rest[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                let path = path.take(1).flat_map(|path| path.split("::")).map(str::to_owned);
                paths.push(path.filter(|part| !part.is_empty()).collect());
            }
        }
    }
    paths
}

/// Where the next `use` begins a line, whatever precedes it there.
fn next_use(text: &str) -> Option<usize> {
    let mut starts = text.match_indices("use ").map(|(at, _)| at);
    starts.find(|at| {
        let line = text[..*at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || (line.starts_with("pub") && !line.contains(' '))
    })
}

/// Takes the tree of a `use` apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn branches(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let Some((stem, group)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default();
        let parts = name.split("::").map(str::trim).filter(|part| !part.is_empty());
        paths.push(before.iter().cloned().chain(parts.map(str::to_owned)).collect());
        return;
    };
    let parts = stem.split("::").map(str::trim).filter(|part| !part.is_empty());
    let before: Vec<String> = before.iter().cloned().chain(parts.map(str::to_owned)).collect();
    let group = group.trim_end().trim_end_matches('}');
    // The last brace closed this group; those within it belong to groups of their own.
    let inner = tree[stem.len() + 1..].rsplit_once('}').map_or(group, |(inner, _)| inner);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches(&inner[begin..at], &before, paths);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !inner[begin..].trim().is_empty() {
        branches(&inner[begin..], &before, paths);
    }
}

/// The deepest module that a path of `from` leads through.
fn leads_to(path: &[String], from: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let mut parts = path.iter().map(String::as_str).peekable();
    let mut at = if *parts.peek()? == "crate" { Module::new() } else { from.clone() };
    let mut moved = false;
    while let Some(part) = parts.next_if(|part| matches!(*part, "crate" | "self" | "super")) {
        if part == "super" {
            at.pop()?;
        }
        moved = true;
    }
    for part in parts {
        at.push(part.to_owned());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
        moved = true;
    }
    moved.then_some(at)
}

/// Which files each file names, within its top-level module and but for its parents.
fn named_files(sources: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeMap<Module, String> =
        sources.keys().map(|file| (module(file), file.clone())).collect();
    let mut named = BTreeMap::new();
    for (file, text) in sources {
        let from = module(file);
        let found = paths(text).into_iter().filter_map(|path| leads_to(&path, &from, &modules));
        let found = found.filter(|to| to.first() == from.first() && !from.starts_with(to));
        named.insert(file.clone(), found.map(|to| modules[&to].clone()).collect());
    }
    named
}

/// Everything that can be reached from a file.
fn reached(file: &str, named: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![file.to_owned()];
    while let Some(next) = ahead.pop() {
        for to in &named[&next] {
            if seen.insert(to.clone()) {
                ahead.push(to.clone());
            }
        }
    }
    seen
}

/// The circles, each with its files.
fn circles(sources: &BTreeMap<String, String>) -> BTreeSet<BTreeSet<String>> {
    let named = named_files(sources);
    let reach: BTreeMap<_, _> = named.keys().map(|file| (file, reached(file, &named))).collect();
    let of = |file: &String| {
        let both = reach[file].iter().filter(|other| reach[other].contains(file)).cloned();
        both.collect::<BTreeSet<String>>()
    };
    named.keys().map(of).filter(|circle| circle.len() > 1).collect()
}

#[test]
fn no_new_file_stands_in_a_circle() {
    let allowed: BTreeSet<String> =
        include_str!("circles.txt").lines().map(str::to_owned).collect();
    let sources = sources();
    assert!(sources.len() > 300, "only {} files were read", sources.len());
    let circles = circles(&sources);
    let found: BTreeSet<String> = circles.iter().flatten().cloned().collect();
    println!("{} of {} files are in {} circles", found.len(), sources.len(), circles.len());
    for circle in &circles {
        println!("{circle:?}");
    }
    let named = named_files(&sources);
    let mut new = String::new();
    for circle in circles.iter().filter(|circle| !circle.is_subset(&allowed)) {
        for file in circle {
            let within: Vec<_> = named[file].intersection(circle).map(String::as_str).collect();
            writeln!(new, "  {file} names {}", within.join(", ")).unwrap();
        }
    }
    assert!(new.is_empty(), "files that name each other in a circle:\n{new}");
    let done: Vec<_> = allowed.difference(&found).map(String::as_str).collect();
    assert!(
        done.is_empty(),
        "these stand in no circle any more; take their lines out of tests/house/circles.txt:\n{}",
        done.join("\n")
    );
}

#[test]
fn the_reader_of_uses_finds_circles() {
    let files = [
        ("lib.rs", "pub mod a;"),
        ("a/mod.rs", "mod b; mod c; mod d; mod e;\nuse b::B;\npub(crate) use e::E;"),
        ("a/b.rs", "use super::{c::{C, self}, E};\nuse std::fmt;"),
        ("a/c.rs", "fn f() -> crate::a::d::D {} // crate::a::b"),
        ("a/d.rs", "pub(super) use crate::{\n    a::b::B as Other,\n    base,\n};"),
        ("a/e.rs", "use super::b::B; // names a, its parent, which names it\nuse super::E;"),
    ];
    let sources = files.map(|(file, text)| (file.to_owned(), code(text))).into();
    let circle = ["a/b.rs", "a/c.rs", "a/d.rs"].map(str::to_owned);
    assert_eq!(circles(&sources), BTreeSet::from([BTreeSet::from(circle)]));
}
