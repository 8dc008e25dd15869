//! The page's way in, on a real, unclaimed daemon: `src/serve/page/e2e/unclaimed`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{need, run};

#[test]
fn the_page_lets_people_in_and_nobody_else() {
    need("chromium", "chromium");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/page");
    let stream =
        "[stream.demo]\nsource = { kind = \"pattern\", width = 640, height = 360, fps = 25 }";
    let mut daemon = Daemon::new("256MiB", stream);
    daemon.claimable = true;
    daemon.configure("256MiB", stream);
    // The name under which the browser opens the page, see e2e/browser.ts.
    let text = std::fs::read_to_string(daemon.config()).unwrap();
    let text = text.replace("[http]\n", "[http]\nhosts = [\"box.test\"]\n");
    std::fs::write(daemon.config(), text).unwrap();
    daemon.start();
    let config = daemon.config().display().to_string();
    let binary = env!("CARGO_BIN_EXE_holdfast");
    let mut command = Command::new(binary);
    let code = run(command.args(["claim-code", "--config", &config]), Duration::from_secs(10));
    let code = String::from_utf8(code.stdout).unwrap();
    let password = [binary, "account", "password", "--name", "bob", "--password-stdin", "--config"];
    let mut command = Command::new("npm");
    command.env("HOLDFAST_CLAIM_CODE", code.trim());
    command.env("HOLDFAST_PASSWORD_COMMAND", format!("{} {config}", password.join(" ")));
    command.args(["run", "--silent", "e2e"]).current_dir(page);
    command.env("HOLDFAST_URL", daemon.http(""));
    let output = run(&mut command, Duration::from_secs(180));
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}\n{}", daemon.logs());
}
