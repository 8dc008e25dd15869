//! Firefox without a window.

use std::path::Path;
use std::process::Command;

use super::need;

/// Firefox with its profile in `dir`; an address is to be added.
pub fn firefox(dir: &Path) -> Command {
    need("firefox-esr", "firefox-esr");
    std::fs::write(dir.join("user.js"), PREFERENCES).unwrap();
    let mut command = Command::new("firefox-esr");
    command.args(["--headless", "--no-remote", "--profile"]).arg(dir);
    command.env("HOME", dir);
    command
}

/// What a Firefox of the tests must not do: ask before it plays, or talk to its makers.
const PREFERENCES: &str = r#"
user_pref("media.autoplay.default", 0);
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
"#;
