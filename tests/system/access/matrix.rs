//! Every route with every role on every kind of object. A route without a row fails the test.

use serde_json::{Value, json};

use super::{PASSWORD, add_account, ask, claimed_box, daemon_is_live, sign_in};
use crate::harness::daemon::Daemon;
use crate::harness::wait_for;

/// Who must be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Also a caller without credentials.
    All,
    /// Every account.
    Accounts,
    /// Anyone who may watch the object live.
    Live,
    /// Anyone who may watch recordings of the object.
    Past,
    /// Operators of the object.
    Keep,
    /// Administrators.
    Admins,
}
use Who::{Accounts, Admins, All, Keep, Live, Past};

/// Method, path, and who must be let in; `{…}` is filled with an object.
const ROWS: &[(&str, &str, Who)] = &[
    ("GET", "/", All),
    ("GET", "/timeline", All),
    ("GET", "/metrics", Admins),
    ("GET", "/ca.pem", All),
    ("POST", "/api/v1/streams/try", Admins),
    ("GET", "/api/v1/config", Admins),
    ("GET", "/api/v1/config/settings", Admins),
    ("PATCH", "/api/v1/config/settings", Admins),
    ("GET", "/api/v1/config/streams/{name}", Admins),
    ("PUT", "/api/v1/config/streams/{name}", Admins),
    ("PATCH", "/api/v1/config/streams/{name}", Admins),
    ("DELETE", "/api/v1/config/streams/{name}", Admins),
    ("POST", "/api/v1/config/check", Admins),
    ("GET", "/api/v1/config/history", Admins),
    ("POST", "/api/v1/config/restore", Admins),
    ("POST", "/api/v1/config/confirm", Admins),
    ("GET", "/api/v1/claim", All),
    ("POST", "/api/v1/claim", All),
    ("GET", "/api/v1/preview", All),
    ("GET", "/api/v1/preview/{file}", All),
    ("POST", "/api/v1/session", All),
    ("GET", "/api/v1/session", Accounts),
    ("PUT", "/api/v1/session/password", Accounts),
    ("DELETE", "/api/v1/session", Accounts),
    ("GET", "/api/v1/accounts", Admins),
    ("POST", "/api/v1/accounts", Admins),
    ("GET", "/api/v1/accounts/{name}", Admins),
    ("PATCH", "/api/v1/accounts/{name}", Admins),
    ("DELETE", "/api/v1/accounts/{name}", Admins),
    ("GET", "/api/v1/credentials", Admins),
    ("POST", "/api/v1/credentials", Admins),
    ("GET", "/api/v1/credentials/{name}", Admins),
    ("PATCH", "/api/v1/credentials/{name}", Admins),
    ("DELETE", "/api/v1/credentials/{name}", Admins),
    ("GET", "/api/v1/audit", Admins),
    ("GET", "/api/v1/tokens", Admins),
    ("POST", "/api/v1/tokens", Admins),
    ("DELETE", "/api/v1/tokens/{id}", Admins),
    ("GET", "/api/v1/health", All),
    ("GET", "/api/v1/routes", Admins),
    ("GET", "/api/v1/openapi.json", Admins),
    ("GET", "/api/v1/storage", Admins),
    ("POST", "/api/v1/storage/shrink", Admins),
    ("GET", "/api/v1/system", Admins),
    ("POST", "/api/v1/system/factory-reset", Admins),
    ("GET", "/api/v1/inputs", Admins),
    ("GET", "/api/v1/rtsp/sessions", Admins),
    ("DELETE", "/api/v1/rtsp/sessions/{id}", Admins),
    ("GET", "/api/v1/rtsp/failures", Admins),
    ("GET", "/api/v1/rtsp/failures/{id}", Admins),
    ("GET", "/api/v1/devices", Admins),
    ("PUT", "/api/v1/devices/{id}/controls", Admins),
    ("GET", "/api/v1/webhooks", Admins),
    ("GET", "/api/v1/webhooks/{name}/dead", Admins),
    ("DELETE", "/api/v1/webhooks/{name}/dead", Admins),
    ("POST", "/api/v1/webhooks/{name}/resend", Admins),
    ("POST", "/api/v1/webhooks/{name}/test", Admins),
    ("GET", "/api/v1/recovery", Admins),
    ("POST", "/api/v1/recovery/resume", Admins),
    ("GET", "/api/v1/update", Admins),
    ("POST", "/api/v1/update", Admins),
    ("DELETE", "/api/v1/update", Admins),
    ("POST", "/api/v1/update/install", Admins),
    ("GET", "/api/v1/streams", Accounts),
    ("GET", "/api/v1/recordings/{stream}", Past),
    ("GET", "/api/v1/recordings/{stream}/activity", Past),
    ("GET", "/api/v1/recordings/{stream}/days", Past),
    ("POST", "/api/v1/pins", Keep),
    ("DELETE", "/api/v1/pins/{id}", Keep),
    ("POST", "/api/v1/marks", Keep),
    ("GET", "/api/v1/events", Accounts),
    ("GET", "/api/v1/events/ws", Accounts),
    ("POST", "/api/v1/events", Keep),
    ("POST", "/api/v1/exports", Keep),
    ("GET", "/api/v1/exports/{id}", Keep),
    ("GET", "/api/v1/exports/{id}/file", Keep),
    ("DELETE", "/api/v1/exports/{id}", Keep),
    ("GET", "/live/{stream}/index.m3u8", Live),
    ("GET", "/live/{stream}/media.m3u8", Live),
    ("GET", "/live/{stream}/iframes.m3u8", Live),
    ("GET", "/live/{stream}/dvr.m3u8", Past),
    ("GET", "/vod/{stream}/index.m3u8", Past),
    ("GET", "/live/{stream}/mjpeg", Live),
    ("GET", "/live/{stream}/ws", Live),
    ("GET", "/live/{stream}/{file}", Live),
    ("GET", "/export/{file}", Keep),
    ("GET", "/clip/{file}", Keep),
    ("GET", "/play/{stream}/ws", Past),
    ("GET", "/snap/{file}", Live),
    ("GET", "/sprites/{stream}/{file}", Past),
];
/// Lists that operators have, and viewers not.
const KEPT_LISTS: [(&str, &str); 2] = [("GET", "/api/v1/pins"), ("GET", "/api/v1/exports")];

/// An account: name, role, whether recordings are seen. All but the administrator are limited to
/// `gate`.
const PEOPLE: [(&str, &str, bool); 4] = [
    ("anna", "admin", true),
    ("vera", "viewer", false),
    ("paul", "viewer", true),
    ("olga", "operator", true),
];

/// What is kept of a stream: the id of a protected range, and of an export.
struct Kept {
    stream: &'static str,
    pin: String,
    export: String,
}

/// `path` and its body for what is kept of a stream, as a client on the network may send it.
fn filled(method: &str, path: &str, kept: &Kept) -> (String, Value) {
    let Kept { stream, pin, export } = kept;
    let id = if path.contains("/exports/") { export } else { pin };
    let file = match path {
        "/clip/{file}" => format!("{pin}.mp4"),
        "/export/{file}" => format!("{stream}.mp4"),
        "/snap/{file}" => format!("{stream}.jpg"),
        "/sprites/{stream}/{file}" => "index.vtt".to_owned(),
        _ => "init-0.mp4".to_owned(),
    };
    let body = match (method, path) {
        ("POST", "/api/v1/pins") => {
            json!({ "stream": stream, "start": "1", "end": "2", "reason": "" })
        }
        ("POST", "/api/v1/marks") => json!({ "stream": stream, "text": "" }),
        ("POST", "/api/v1/events") => json!({ "stream": stream, "text": "", "pre": "5s" }),
        ("POST", "/api/v1/exports") => json!({ "streams": [stream], "start": "never" }),
        ("POST" | "PUT" | "PATCH", _) => json!({ "unknown": 1 }),
        _ => Value::Null,
    };
    let path = path.replace("{stream}", stream).replace("{file}", &file);
    (path.replace("{id}", id).replace("{name}", "nobody"), body)
}

/// Method and path of every operation of the document.
fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().expect("a document of the API");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

fn is_let_in(who: Who, role: Option<&str>, past: bool, stream: &str) -> bool {
    let own = role == Some("admin") || stream == "gate";
    match who {
        All => true,
        Accounts => role.is_some(),
        Live => role.is_some() && own,
        Past => role.is_some() && own && past,
        Keep => matches!(role, Some("admin" | "operator")) && own && past,
        Admins => role == Some("admin"),
    }
}

/// A protected range and an export of `stream`.
fn keep(daemon: &Daemon, cookie: &str, stream: &'static str) -> Kept {
    let run = wait_for("footage", super::PATIENCE, || {
        let list =
            ask(daemon, "GET", &format!("/api/v1/recordings/{stream}"), cookie, &Value::Null);
        let run = list.json()["runs"][0].clone();
        (run["fragments"].as_u64()? >= 2).then_some(run)
    });
    let (start, end) = (&run["start"], &run["end"]);
    let body = json!({ "stream": stream, "start": start, "end": end, "reason": "a look" });
    let pin = ask(daemon, "POST", "/api/v1/pins", cookie, &body);
    assert_eq!(pin.status, 201, "{pin:?}");
    let body = json!({ "streams": [stream], "start": start, "end": end });
    let export = ask(daemon, "POST", "/api/v1/exports", cookie, &body);
    assert_eq!(export.status, 202, "{export:?}");
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    Kept { stream, pin: id(&pin.json()), export: id(&export.json()) }
}

/// Role, whether recordings are seen, and the session's cookie.
type SignedIn = (Option<&'static str>, bool, String);

/// Makes the accounts of [`PEOPLE`] and signs each in, the administrator first.
fn everyone_signed_in(daemon: &Daemon) -> Vec<SignedIn> {
    for (name, role, past) in &PEOPLE[1..] {
        let limits = ["--name", name, "--role", role, "--streams", "gate"];
        let live_only: &[&str] = if *past { &[] } else { &["--live-only"] };
        add_account(daemon, &[&limits[..], live_only].concat());
    }
    wait_for("all accounts", super::PATIENCE, || {
        let cookie = |name: &str| {
            let answer = sign_in(daemon, name, PASSWORD);
            (answer.status == 200).then(|| answer.cookie())
        };
        PEOPLE.iter().map(|(name, role, past)| Some((Some(*role), *past, cookie(name)?))).collect()
    })
}

fn assert_every_route_has_a_row(daemon: &Daemon, admin: &str) {
    let document = ask(daemon, "GET", "/api/v1/openapi.json", admin, &Value::Null).json();
    let mut routes = operations(&document);
    let rows = ROWS.iter().map(|(method, path, _)| (*method, *path)).chain(KEPT_LISTS);
    let mut rows: Vec<_> = rows.map(|(m, p)| (m.to_owned(), p.to_owned())).collect();
    routes.sort();
    rows.sort();
    assert_eq!(routes, rows, "every route has a row, and every row a route");
}

#[test]
fn every_route_lets_in_whom_its_row_names_and_nobody_else() {
    let daemon = claimed_box();
    let sessions = everyone_signed_in(&daemon);
    let admin = sessions[0].2.clone();
    daemon_is_live(&daemon, &admin);
    let objects = ["gate", "yard"].map(|stream| keep(&daemon, &admin, stream));
    let mut objects = Vec::from(objects);
    let absent = || "0123456789abcdef".to_owned();
    objects.push(Kept { stream: "cellar", pin: absent(), export: absent() });
    assert_every_route_has_a_row(&daemon, &admin);

    let mut wrong = Vec::new();
    for (method, path) in KEPT_LISTS {
        for (role, _, cookie) in &sessions {
            let answer = ask(&daemon, method, path, cookie, &Value::Null);
            let wanted = if *role == Some("viewer") { 403 } else { 200 };
            if answer.status != wanted || answer.body.contains("yard") != (*role == Some("admin")) {
                wrong.push(format!("{method} {path} as {role:?}: {answer:?}"));
            }
        }
    }
    let nobody = (None, false, String::new());
    // Whatever ends a session or deletes an object comes last, and the admin after all others.
    let (ends, others): (Vec<_>, Vec<_>) =
        ROWS.iter().copied().partition(|(method, ..)| *method == "DELETE");
    for (method, path, who) in others.into_iter().chain(ends) {
        for (role, past, cookie) in sessions[1..].iter().chain([&nobody, &sessions[0]]) {
            for kept in &objects {
                let (path, body) = filled(method, path, kept);
                if (method, path.as_str()) == ("DELETE", "/api/v1/session") && role.is_some() {
                    continue;
                }
                let answer = ask(&daemon, method, &path, cookie, &body);
                let wanted = match (is_let_in(who, *role, *past, kept.stream), role) {
                    (true, _) => !matches!(answer.code().as_str(), "forbidden" | "not_signed_in"),
                    (false, None) => {
                        (answer.status, answer.code().as_str()) == (401, "not_signed_in")
                    }
                    (false, _) => (answer.status, answer.code().as_str()) == (403, "forbidden"),
                };
                if !wanted || answer.status == 500 {
                    let (status, code) = (answer.status, answer.code());
                    wrong.push(format!("{method} {path} as {role:?} past {past}: {status} {code}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
