//! The page in Debian's Chromium, on the real daemon with the test picture.
//!
//! The page's own end-to-end tests do the looking (`src/serve/page/e2e`); this starts what they
//! look at. `make` has built the page and installed the test tools.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::daemon::Daemon;
use crate::harness::{need, run, run_well};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The SHA-256 of the public key of a certificate, in the form of Chromium's switch for trusting
/// it.
pub(super) fn public_key(certificate: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        run_well(command.args(arguments), Duration::from_secs(10))
    };
    let pem = dir.path().join("key.pem");
    let pem = pem.to_str().unwrap();
    openssl(&["x509", "-in", certificate.to_str().unwrap(), "-pubkey", "-noout", "-out", pem]);
    let key = std::fs::read_to_string(pem).unwrap();
    let der: String = key.lines().filter(|line| !line.starts_with("---")).collect();
    let der = STANDARD.decode(der).unwrap();
    STANDARD.encode(Sha256::digest(der))
}

#[test]
fn the_page_plays_the_demo_stream_in_chromium() {
    need("chromium", "chromium");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/page");
    assert!(
        page.join("node_modules/.bin/vitest").exists(),
        "the page's tools are not installed; use `make test`"
    );
    let mut daemon = Daemon::new(
        "256MiB",
        "[stream.demo]\nsource = { kind = \"pattern\", width = 1280, height = 720, fps = 25 }",
    );
    // The name under which the browser opens the page, see e2e/browser.ts.
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    let text = text.replace("[http]\n", "[http]\nhosts = [\"box.test\"]\n");
    std::fs::write(daemon.config(), text).unwrap();
    daemon.start();
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    // Footage, a gap, and enough footage behind it to step through.
    let recorded = |daemon: &Daemon, run: usize, secs: u64| {
        let begun = Instant::now();
        let fragments = |daemon: &Daemon| {
            let list = daemon.get("/api/v1/recordings/demo");
            list["runs"][run]["fragments"].as_u64().unwrap_or(0)
        };
        while fragments(daemon) < secs {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", daemon.logs());
            std::thread::sleep(Duration::from_millis(250));
        }
    };
    recorded(&daemon, 0, 5);
    daemon.stop();
    std::thread::sleep(Duration::from_secs(3));
    daemon.start();
    daemon.wait_state("demo", "live", Duration::from_secs(20));
    recorded(&daemon, 1, 20);
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "e2e"]).current_dir(page);
    command.env("HOLDFAST_URL", daemon.http(""));
    command.env("HOLDFAST_HTTPS_PORT", daemon.https_port.to_string());
    command.env("HOLDFAST_SPKI", public_key(&daemon.data_dir().join("state/tls/box.pem")));
    let output = run(&mut command, Duration::from_secs(480));
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}\n{}", daemon.logs());
    println!("{told}");
}
