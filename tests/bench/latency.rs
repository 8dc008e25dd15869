//! How old the live picture is on the page: from the camera's clock to Chromium's screen.
//!
//! `cargo bench --bench latency`; `SECS=60` measures longer. The test picture carries the moment
//! at which it was drawn in a row of blocks at its bottom. Chromium opens the page by a host name
//! (no secure context, as on a LAN) and reads the row of every picture that it presents, through
//! a canvas, in the callback that names the picture (`e2e/latency.mjs`). Encoding, the bus, the
//! socket, MediaSource, decoding and the page's own control of the live edge are all in it.
//! Decoding is in software, and the browser shares the processors with the daemon.

#![allow(unreachable_pub)] // modules of one program

#[path = "../support/harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::daemon::Daemon;
use harness::{need, run};

/// What 95 of 100 pictures are to keep, in milliseconds.
const AIM_P95_MS: f64 = 250.0;

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    need("chromium", "chromium");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/page");
    assert!(page.join("node_modules/playwright-core").exists(), "use `make bench`");
    println!("MSE over WebSocket, glass to page, in Chromium on loopback");
    for (width, height) in [(640, 360), (1_280, 720)] {
        let source = format!("kind = \"pattern\", width = {width}, height = {height}, fps = 25");
        let daemon =
            Daemon::start_new("256MiB", &format!("[stream.demo]\nsource = {{ {source} }}"));
        daemon.wait_state("demo", "live", Duration::from_secs(20));
        let mut command = Command::new("node");
        command.arg("e2e/latency.mjs").current_dir(&page).env("HOLDFAST_URL", daemon.http(""));
        let output = run(&mut command, Duration::from_secs(300));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}\n{}", daemon.logs());
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let ms = |name: &str| told[name].as_f64().expect("a number");
        let (first, p50, p95, max) = (ms("first_ms"), ms("p50_ms"), ms("p95_ms"), ms("max_ms"));
        let held = if p95 <= AIM_P95_MS { "held" } else { "MISSED" };
        println!(
            "{width}x{height}@25: first picture {first:.0} ms, p50 {p50:.0} ms, p95 {p95:.0} ms, \
             max {max:.0} ms of {} pictures, {} left out (aim: p95 <= {AIM_P95_MS:.0} ms, {held})",
            told["pictures"], told["left_out"],
        );
    }
}
