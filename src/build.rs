//! Makes the folder of the built page, so that the crate compiles where no Node.js is, and notes the
//! day of the build.

use std::path::Path;

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Holdfast</title>\
    <p>The page was not built into this binary. Run <code>make</code>.\n";

/// When this is built, in seconds since 1970, down to the day; a build that shall be reproducible
/// says it (reproducible-builds.org, `SOURCE_DATE_EPOCH`).
fn build_secs() -> u64 {
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|secs| secs.parse::<u64>().ok());
    let now = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
    told.unwrap_or_else(now) / 86_400 * 86_400
}

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rustc-env=HOLDFAST_BUILD_SECS={}", build_secs());
    println!("cargo:rerun-if-changed=src/serve/page/dist");
    let dist = Path::new("src/serve/page/dist");
    let index = dist.join("index.html");
    if !index.exists() {
        std::fs::create_dir_all(dist).expect("the source tree can be written to");
        std::fs::write(&index, NOT_BUILT).expect("the source tree can be written to");
    }
}
