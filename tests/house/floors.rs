//! Holds the house to its floors: a module names only modules on lower floors, and modules of
//! one floor are blind to each other (see `src/lib.rs`).

use std::fs;

use crate::{rust_files, src};

/// The floors from the ground up, as `src/lib.rs` draws them.
const FLOORS: [&[&str]; 9] = [
    &["base"],
    &["supervise", "media", "v4l2", "usb", "board", "update", "access", "event"],
    &["wire", "stream"],
    &["rtp"],
    &["dvr", "encode"],
    &["ingest", "live", "playback", "gpio", "webhook"],
    &["serve"],
    &["config"],
    &["appliance"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The modules that a source text names as `crate::module`, singly or in braces.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let list = rest.strip_prefix('{').map_or(rest, |list| list);
            let ends = if rest.starts_with('{') { ',' } else { '\0' };
            for part in list.split(ends) {
                let name: String =
                    part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if floor(&name).is_some() {
                    names.push((number + 1, name));
                }
            }
        }
    }
    names
}

#[test]
fn no_module_looks_up_or_sideways() {
    let root = src();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut climbs = Vec::new();
    for file in &files {
        let inside = file.strip_prefix(&root).unwrap();
        let own = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(own_floor) = floor(own) else { continue };
        for (line, name) in named(&fs::read_to_string(file).unwrap()) {
            if name != own && floor(&name).unwrap() >= own_floor {
                climbs.push(format!("{}:{line} names {name}", inside.display()));
            }
        }
    }
    assert!(climbs.is_empty(), "these look up or sideways:\n{}", climbs.join("\n"));
    assert!(files.len() > 30, "only {} files were looked at", files.len());
}

#[test]
fn the_reader_of_paths_reads_them() {
    let text = "use crate::base::time;\nlet x = crate::{dvr, live::Outlet}; // crate::serve\n";
    let names: Vec<_> =
        named(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(names, ["1 base", "2 dvr", "2 live"]);
}

#[test]
fn every_module_of_the_crate_has_a_floor() {
    let root = src();
    let lib = fs::read_to_string(root.join("lib.rs")).unwrap();
    for line in lib.lines() {
        if let Some(name) = line.strip_prefix("pub mod ").and_then(|l| l.strip_suffix(';')) {
            assert!(floor(name).is_some(), "module {name} has no floor in this test");
        }
    }
}
