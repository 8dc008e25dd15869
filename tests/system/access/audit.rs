//! The audit log of what players and strangers do: who signed in over RTSP and HTTP, what was refused, and
//! that nobody fills the log by being refused.

use std::process::Command;

use serde_json::{Value, json};

use super::{PASSWORD, PATIENCE, STREAMS, add_account, ask, get, new_box, send, sign_in};
use crate::harness::daemon::Daemon;
use crate::harness::{ffmpeg, run, wait_for};

/// A claimed box with the stream account `nvr`, and its password.
fn box_with_player() -> (Daemon, String) {
    let made = Daemon::holdfast(&["account", "new", "--name", "nvr", "--read", "gate"]);
    let section = String::from_utf8(made.stdout).unwrap();
    let told = String::from_utf8(made.stderr).unwrap();
    let password = told.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let mut daemon = new_box();
    daemon.configure("64MiB", &format!("{STREAMS}{section}"));
    add_account(&daemon, &["--name", "anna", "--role", "admin"]);
    add_account(&daemon, &["--name", "vera", "--role", "viewer", "--streams", "gate"]);
    daemon.start();
    (daemon, password)
}

/// The entries of the log, the oldest first.
fn entries(daemon: &Daemon, cookie: &str) -> Vec<Value> {
    let told = get(daemon, "/api/v1/audit?limit=1000", cookie).json();
    assert_eq!(told["whole"], true, "{told}");
    let mut entries = told["entries"].as_array().unwrap().clone();
    entries.reverse();
    entries
}

/// Waits for a line `who proof scheme act result`; how often it was done.
fn wait_line(daemon: &Daemon, cookie: &str, wanted: &str) -> u64 {
    wait_for(wanted, PATIENCE, || {
        let line = |entry: &Value| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let words = ["who", "proof", "scheme", "act"].map(text).join(" ");
            format!("{words} {}", entry["result"]) == wanted
        };
        let entries = entries(daemon, cookie);
        let found = entries.iter().find(|entry| line(entry))?;
        Some(found["times"].as_u64().unwrap_or(1))
    })
}

fn plays(daemon: &Daemon, password: &str, stream: &str) -> bool {
    let url = format!("rtsp://nvr:{password}@127.0.0.1:{}/{stream}", daemon.rtsp_port);
    let mut command = ffmpeg();
    command.args(["-rtsp_transport", "tcp", "-i", &url, "-frames:v", "1", "-f", "null", "-"]);
    run(&mut command, PATIENCE).status.success()
}

fn shows(daemon: &Daemon, user: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-s", "--digest", "-u", user, "-o", "/dev/null", "-w", "%{http_code}"]);
    let told = run(curl.arg(daemon.http("/snap/gate.jpg")), PATIENCE);
    String::from_utf8_lossy(&told.stdout).into_owned()
}

fn with_key(daemon: &Daemon, path: &str, key: &str) -> u16 {
    send(daemon, "GET", path, &format!("Authorization: Bearer {key}\r\n"), "").status
}

#[test]
fn players_refusals_and_reloads_are_noted() {
    let (daemon, password) = box_with_player();
    let anna = sign_in(&daemon, "anna", PASSWORD).cookie();
    wait_for("gate is live", PATIENCE, || {
        let told = get(&daemon, "/api/v1/streams", &anna).json();
        (told["streams"][0]["state"] == "live").then_some(())
    });
    assert!(plays(&daemon, &password, "gate"));
    assert!(!plays(&daemon, "wrong-wrong-wrong", "gate"));
    assert!(!plays(&daemon, &password, "yard"));
    assert_eq!(shows(&daemon, &format!("nvr:{password}")), "200");
    assert_eq!(shows(&daemon, "nobody-has-this-name:x"), "401");
    let vera = sign_in(&daemon, "vera", PASSWORD).cookie();
    assert_eq!(get(&daemon, "/api/v1/accounts", &vera).status, 403);
    assert_eq!(with_key(&daemon, "/api/v1/accounts", "hft_00"), 401);
    for wanted in [
        "nvr stream account rtsp sign-in 200",
        "nvr none rtsp sign-in 401",
        "nvr stream account rtsp what its rights forbid 403",
        "nvr stream account http sign-in 200",
        "unknown none http sign-in 401",
        "vera session http GET /api/v1/accounts 403",
        "unknown none http GET /api/v1/accounts 401",
    ] {
        wait_line(&daemon, &anna, wanted);
    }
    daemon.reload();
    wait_line(&daemon, &anna, "this computer local local reload of the configuration (SIGHUP) 200");
    std::fs::write(daemon.config(), "this is not TOML").unwrap();
    daemon.reload();
    wait_line(&daemon, &anna, "this computer local local reload of the configuration (SIGHUP) 422");
    let told = ask(&daemon, "GET", "/api/v1/audit", &anna, &Value::Null).body;
    assert!(!told.contains(&password) && !told.contains("nobody-has") && !told.contains("hft_"));
}

#[test]
fn a_flood_of_refusals_is_counted_and_pushes_nothing_out() {
    let (daemon, _) = box_with_player();
    let anna = sign_in(&daemon, "anna", PASSWORD).cookie();
    let (same, others) = (200, 300);
    for _ in 0..same {
        assert_eq!(with_key(&daemon, "/api/v1/streams", "hft_00"), 401);
    }
    for n in 0..others {
        assert_eq!(with_key(&daemon, &format!("/api/v1/recordings/x{n}"), "hft_00"), 401);
    }
    // A session is none of those.
    let vera = sign_in(&daemon, "vera", PASSWORD).cookie();
    assert_eq!(ask(&daemon, "DELETE", "/api/v1/session", &vera, &json!(null)).status, 204);
    let entries = entries(&daemon, &anna);
    let refused = entries.iter().filter(|entry| entry["result"] == 401).count();
    assert!((2..=62).contains(&refused), "{refused} lines");
    assert_eq!(entries.last().unwrap()["act"], "DELETE /api/v1/session");
}
