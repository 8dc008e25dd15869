//! Makes the folder of the built page, so that the crate compiles where no Node.js is.

use std::path::Path;

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Holdfast</title>\
    <p>The page was not built into this binary. Run <code>make</code>.\n";

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    println!("cargo:rerun-if-changed=src/serve/page/dist");
    let dist = Path::new("src/serve/page/dist");
    let index = dist.join("index.html");
    if !index.exists() {
        std::fs::create_dir_all(dist).expect("the source tree can be written to");
        std::fs::write(&index, NOT_BUILT).expect("the source tree can be written to");
    }
}
