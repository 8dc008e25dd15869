//! The reference of the API and of the metrics, against a running daemon.
//!
//! Every route of the source has a section, every example answer has the fields of the answer that the
//! daemon gives, and the list of metrics is the list that it exports.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::daemon::Daemon;
use crate::harness::{run, run_well, wait_for};

/// The pages, at the time of this build.
const API: &str = include_str!("../../docs/reference/api.md");
const METRICS: &str = include_str!("../../docs/reference/metrics.md");

/// What the reference calls `{stream}`.
const STREAM: &str = "demo";
/// More than any preparation takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// One section of the page: its path, and the example answer if it has one.
fn sections() -> Vec<(&'static str, &'static str, Option<Value>)> {
    let of_a_section = |section: &'static str| {
        let (heading, text) = section.split_once("`\n").expect("a heading ends its line");
        let (method, path) = heading.split_once(' ').expect("a method and a path");
        let example = text.split_once("```json\n").map(|(_, rest)| {
            let (example, _) = rest.split_once("\n```").expect("the block ends");
            serde_json::from_str(example).unwrap_or_else(|error| panic!("{heading}: {error}"))
        });
        (method, path, example)
    };
    API.split("\n## `").skip(1).map(of_a_section).collect()
}

/// The paths below `/api/v1` that the source has routes for.
fn routes(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let literals = text.match_indices("\"/api/v1/").map(|(at, _)| &text[at + 1..]);
            let paths = literals.filter_map(|rest| rest.split_once('"')).map(|(path, _)| path);
            let is_route = |path: &&str| {
                let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/{}_-".contains(c));
                plain && !path.contains("{}")
            };
            found.extend(paths.filter(is_route).map(str::to_owned));
        }
    }
}

/// Where `answer` has other fields than `example`. Null says nothing of what could be there, and an
/// empty list nothing of its elements.
fn differences(at: &str, example: &Value, answer: &Value, found: &mut Vec<String>) {
    match (example, answer) {
        (Value::Object(example), Value::Object(answer)) => {
            for key in example.keys().filter(|key| !answer.contains_key(*key)) {
                found.push(format!("{at}.{key} is in the example alone"));
            }
            for key in answer.keys().filter(|key| !example.contains_key(*key)) {
                found.push(format!("{at}.{key} is in the answer alone"));
            }
            for (key, value) in example {
                if let Some(other) = answer.get(key) {
                    differences(&format!("{at}.{key}"), value, other, found);
                }
            }
        }
        (Value::Array(example), Value::Array(answer)) => {
            if let (Some(example), Some(answer)) = (example.first(), answer.first()) {
                differences(&format!("{at}[0]"), example, answer, found);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (example, answer) => {
            if std::mem::discriminant(example) != std::mem::discriminant(answer) {
                found.push(format!("{at}: {example} in the example, {answer} in the answer"));
            }
        }
    }
}

/// Something to answer with: a mark, a protected range, an export, an RTSP client that failed.
fn prepare(daemon: &Daemon) {
    wait_for("footage", PATIENCE, || {
        let listing = daemon.get("/api/v1/recordings/demo");
        (listing["runs"][0]["fragments"].as_u64()? >= 3).then_some(())
    });
    let start = daemon.get("/api/v1/recordings/demo")["runs"][0]["start"].clone();
    let end = daemon.get("/api/v1/recordings/demo")["runs"][0]["end"].clone();
    for (path, body) in [
        ("/api/v1/marks", json!({ "text": "somebody rang", "stream": STREAM })),
        ("/api/v1/pins", json!({ "stream": STREAM, "from": start, "to": end, "reason": "a look" })),
        ("/api/v1/exports", json!({ "streams": [STREAM], "start": start })),
    ] {
        let url = format!("http://127.0.0.1:{}{path}", daemon.http_port);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "-H", "Content-Type: application/json"]);
        curl.args(["-H", "X-Holdfast-CSRF: 1", "-d", &body.to_string(), &url]);
        let output = run(&mut curl, PATIENCE);
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let unknown = format!("rtsp://127.0.0.1:{}/nosuch", daemon.rtsp_port);
    run(Command::new("ffprobe").args(["-v", "quiet", &unknown]), PATIENCE);
}

#[test]
fn the_reference_says_what_the_daemon_answers() {
    let daemon = Daemon::start_new(
        "256MiB",
        "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 180, fps = 10 }",
    );
    prepare(&daemon);
    let mut found = Vec::new();
    let mut compared = 0;
    for (method, path, example) in sections() {
        if let ("GET", Some(example)) = (method, example) {
            let answer = daemon.get(&path.replace("{stream}", STREAM));
            differences(path, &example, &answer, &mut found);
            compared += 1;
        }
    }
    assert!(compared >= 12, "only {compared} examples were found");
    let metrics = daemon.http("/metrics");
    let text = run_well(Command::new("curl").args(["-sS", "--fail", &metrics]), PATIENCE);
    let text = String::from_utf8(text).expect("metrics are text");
    let exported: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split_once(' ').expect("a name and a type"))
        .map(|(name, kind)| format!("{name}{}", if kind == "counter" { "_total" } else { "" }))
        .collect();
    let listed: BTreeSet<_> = METRICS
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    found.extend(exported.difference(&listed).map(|name| format!("{name} is not in metrics.md")));
    found.extend(listed.difference(&exported).map(|name| format!("{name} is in metrics.md alone")));
    assert!(found.is_empty(), "the reference differs:\n{}", found.join("\n"));
}

/// The same without its words.
fn without_descriptions(value: Value) -> Value {
    match value {
        Value::Object(keys) => {
            let kept = keys.into_iter().filter(|(key, value)| {
                !(matches!(key.as_str(), "description" | "summary") && value.is_string())
            });
            Value::Object(kept.map(|(key, value)| (key, without_descriptions(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_descriptions).collect()),
        other => other,
    }
}

/// The document of the API, at the time of this build. `UPDATE_GOLDEN=1` writes it anew.
const DOCUMENT: &str = "docs/reference/openapi.json";

#[test]
fn the_document_of_the_api_is_the_one_that_is_kept() {
    let daemon = Daemon::start_new(
        "64MiB",
        "[stream.demo]\nsource = { kind = \"pattern\", width = 320, height = 180, fps = 10 }",
    );
    let document = daemon.get("/api/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&kept, &text).unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(kept).unwrap()).unwrap();
    // Descriptions are comments of the source, which may be put better without being another API.
    let (kept, document) = (without_descriptions(kept), without_descriptions(document));
    let mut found = Vec::new();
    differences("", &kept, &document, &mut found);
    assert!(
        kept == document,
        "{DOCUMENT} differs; UPDATE_GOLDEN=1 writes it:\n{}",
        found.join("\n")
    );
}

#[test]
fn every_route_has_a_section() {
    let mut routed = BTreeSet::new();
    routes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/http"), &mut routed);
    assert!(routed.len() > 15, "the routes are not found any more: {routed:?}");
    let described: BTreeSet<_> =
        sections().into_iter().map(|(_, path, _)| path.to_owned()).collect();
    let missing: Vec<_> = routed.difference(&described).collect();
    assert!(missing.is_empty(), "docs/reference/api.md has no section for {missing:?}");
}
