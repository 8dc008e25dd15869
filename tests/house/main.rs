//! The source text itself: who may name whom, and that the proofs which documents name exist. It names no crate, so `rustc --test` alone builds it in a second.

mod circles;
mod floors;
mod promises;

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the sources.
fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Adds the Rust files below `dir` to `found`, without those of npm.
fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}
