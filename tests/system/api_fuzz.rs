//! The API against its own document: schemathesis sends what the document allows and what it forbids,
//! as nobody and as each role, to a daemon that records.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::access::claimed_box;
use crate::harness::daemon::Daemon;
use crate::harness::{run, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
/// Fewer cases in all have not shown what is promised.
const CASES_MIN: u64 = 20_000;
/// What each answer is held to.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      negative_data_rejection,unsupported_method,allow_header_conformance";
/// Pictures without an end, and an address that sends the box to others.
const LEFT_OUT: &str = "(mjpeg|/streams/try)$";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What `GET path` answers to whoever shows `key`.
fn get(daemon: &Daemon, path: &str, key: &str) -> Value {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-H", &format!("Authorization: Bearer {key}"), &daemon.http(path)]);
    serde_json::from_slice(&run(&mut curl, PATIENCE).stdout).unwrap_or(Value::Null)
}

/// A token of `role`, which the daemon knows once this returns.
fn token(daemon: &Daemon, role: &str) -> String {
    let config = daemon.config();
    let config = config.to_str().unwrap();
    let made = Daemon::holdfast(&[
        "account", "token", "--config", config, "--label", "fuzz", "--role", role,
    ]);
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    wait_for("the token is known", PATIENCE, || {
        (get(daemon, "/api/v1/session", &token)["role"] == role).then_some(())
    });
    token
}

/// The document, with the names of what is there: guessed ones would be refused before anything is done.
fn document(daemon: &Daemon, key: &str) -> Value {
    let mut document = get(daemon, "/api/v1/openapi.json", key);
    let known = |parameter: &Value| match parameter["name"].as_str()? {
        "stream" => Some(json!(["gate", "yard"])),
        "file" => Some(json!([
            "gate.jpg",
            "yard.jpg",
            "gate.mp4",
            "yard.mp4",
            "index.vtt",
            "init-0.mp4",
            "0.m4s"
        ])),
        "If-Match" => Some(json!(["*"])),
        "start" | "end" | "at" => {
            Some(json!(["1795356300", "2026-11-22T14:05:00Z", "4102444800", "0"]))
        }
        _ => None,
    };
    for operation in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in operation.as_object_mut().unwrap().values_mut() {
            for parameter in operation["parameters"].as_array_mut().unwrap() {
                if let Some(known) = known(parameter) {
                    let any = parameter["schema"].take();
                    parameter["schema"] = json!({ "anyOf": [{ "enum": known }, any] });
                }
            }
        }
    }
    document
}

/// Sends about `each` cases of every operation as whoever shows `key`; how many were sent.
fn sent(daemon: &Daemon, document: &Path, key: Option<&str>, each: u32, most: Duration) -> u64 {
    let program = root("target/schemathesis/bin/schemathesis");
    assert!(program.exists(), "schemathesis is missing: .ci/schemathesis");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(root("tests/support/schemathesis/schemathesis.toml"));
    command.arg("run").arg(document).args(["--url", &daemon.http("")]);
    command.args(["--phases", "coverage,fuzzing", "--checks", CHECKS, "--workers", "1"]);
    command.args(["--exclude-path-regex", LEFT_OUT, "--request-timeout", "20"]);
    command.args(["--continue-on-failure", "--no-color", "--warnings", "off"]);
    command.args(["--max-examples", &each.to_string()]);
    if let Some(key) = key {
        command.args(["--header", &format!("Authorization: Bearer {key}")]);
    }
    // Its example database would be left in the directory.
    let scratch = tempfile::tempdir().unwrap();
    let output = run(command.current_dir(scratch.path()), most);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}:\n{said}",
        if key.is_some() { "with a key" } else { "as nobody" }
    );
    let told = said.lines().find_map(|line| line.trim().split_once(" generated"));
    told.and_then(|(count, _)| count.parse().ok()).expect("how many cases there were")
}

/// About `each` cases of every operation, as nobody and as every role; how many in all.
fn every_role(each: u32, most: Duration) -> u64 {
    let daemon = claimed_box();
    // The key of the command line has every right, and no request can take it away.
    let local = std::fs::read_to_string(daemon.data_dir().join("state/local-key")).unwrap();
    let local = local.trim();
    wait_for("footage", PATIENCE, || {
        let listing = get(&daemon, "/api/v1/recordings/gate", local);
        (listing["runs"][0]["fragments"].as_u64()? >= 2).then_some(())
    });
    let tokens = ["viewer", "operator"].map(|role| token(&daemon, role));
    let path = daemon.data_dir().join("document.json");
    std::fs::write(&path, document(&daemon, local).to_string()).unwrap();
    let keys = [None, Some(tokens[0].as_str()), Some(tokens[1].as_str()), Some(local)];
    // All at once: while one thinks out a request, another one is answered.
    let cases = std::thread::scope(|scope| {
        let (daemon, path) = (&daemon, &path);
        let all = keys.map(|key| scope.spawn(move || sent(daemon, path, key, each, most)));
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    let health = get(&daemon, "/api/v1/health", local);
    assert_eq!(health["tasks"].as_array().map(Vec::is_empty), Some(false), "{health}");
    assert!(!daemon.logs().contains("panicked"), "{}", daemon.logs());
    cases
}

#[test]
fn no_request_gets_an_answer_that_the_document_does_not_have() {
    // About 21,200 cases, in two minutes of two processors.
    let cases = every_role(41, Duration::from_secs(480));
    println!("{cases} cases");
    assert!(cases >= CASES_MIN, "only {cases} cases");
}

/// `make soak`: CASES of every operation and role.
#[test]
#[ignore = "long; `make soak` runs it"]
fn soak() {
    let each = std::env::var("CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let cases = every_role(each, Duration::from_secs(3_600));
    println!("soak: {cases} cases of the API");
}
