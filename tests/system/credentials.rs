//! Accounts of players and recorders through the API: made, used, changed and deleted while they run, within
//! the rights of the person whose they are.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::daemon::Daemon;
use crate::harness::{Running, ffmpeg, run, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
/// From the loss of a right to the end of what runs by it, with some room for a busy machine.
const END: Duration = Duration::from_secs(5);
const STREAMS: &str = "\n# The gate, as somebody wrote it.\n\
    [stream.gate]   # towards the street\n\
    source = { kind = \"pattern\", width = 320, height = 180, fps = 10, bitrate_bps = 50000 }\n\
    [stream.yard]\n\
    source = { kind = \"pattern\", width = 320, height = 180, fps = 10, bitrate_bps = 50000 }\n\
    [stream.roof]\nsource = { kind = \"rtsp_push\" }\n\
    # The recorder's.\n[account.old]\nha1 = \"939e7578ed9e3c518a452acee763bce9\"\n# The end.\n";

/// A claimed box and a key of its administrator.
struct Claimed {
    daemon: Daemon,
    key: String,
}

struct Answer {
    status: u16,
    tag: String,
    body: Value,
}

fn holdfast(daemon: &Daemon, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("account").args(arguments).arg("--config").arg(daemon.config());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse battery\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl Claimed {
    fn start() -> Self {
        let mut daemon = Daemon::new("64MiB", STREAMS);
        daemon.claimable = true;
        daemon.configure("64MiB", STREAMS);
        holdfast(&daemon, &["add", "--name", "anna", "--role", "admin", "--password-stdin"]);
        let key = holdfast(&daemon, &["token", "--label", "test", "--role", "admin"]);
        daemon.start();
        let claimed = Self { daemon, key: key.trim().to_owned() };
        wait_for("pictures", PATIENCE, || {
            let streams = claimed.get("streams");
            let streams = streams["streams"].as_array().unwrap();
            let live = streams.iter().filter(|stream| stream["state"] == "live").count();
            (live == 2).then_some(())
        });
        claimed
    }

    fn ask(&self, method: &str, path: &str, tag: Option<&str>, body: &Value) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let url = self.daemon.http(&format!("/api/v1/{path}"));
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        request = request.header("Authorization", format!("Bearer {}", self.key));
        if let Some(tag) = tag {
            request = request.header("If-Match", tag);
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_null() {
            request = request.header("Content-Type", "application/json");
        }
        let mut answer = agent.run(request.body(text).unwrap()).unwrap();
        let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let tag = tag.unwrap_or_default().to_owned();
        let text = answer.body_mut().read_to_string().unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: answer.status().as_u16(), tag, body }
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Makes one, and gives its password back.
    fn make(&self, body: &Value) -> String {
        let made = self.ask("POST", "credentials", None, body);
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["password"].as_str().unwrap().to_owned()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.daemon.config()).unwrap()
    }

    fn url(&self, user: &str, password: &str, stream: &str) -> String {
        format!("rtsp://{user}:{password}@127.0.0.1:{}/{stream}", self.daemon.rtsp_port)
    }

    /// A player of `url` that never stops by itself, once it plays.
    fn player(&self, url: &str) -> Running {
        let user = url.split(['/', ':']).nth(3).unwrap().to_owned();
        let mut player = ffmpeg();
        player.args(["-rtsp_transport", "tcp", "-i", url, "-f", "null", "-"]);
        let player = Running::start(player.stdin(Stdio::null()).stderr(Stdio::null()));
        wait_for("the player plays", PATIENCE, || {
            let sessions = self.get("rtsp/sessions");
            let mut sessions = sessions["sessions"].as_array().unwrap().iter();
            sessions.any(|own| own["user"] == *user && own["state"] == "playing").then_some(())
        });
        player
    }
}

/// Whether a player gets pictures of `url`.
fn plays(url: &str) -> bool {
    let mut player = ffmpeg();
    player.args(["-rtsp_transport", "tcp", "-analyzeduration", "200000", "-i", url]);
    player.args(["-c", "copy", "-frames:v", "1", "-f", "null", "-"]);
    run(&mut player, PATIENCE).status.success()
}

/// Waits for the end of a player whose right is gone.
fn ends(mut player: Running, why: &str) {
    let since = Instant::now();
    while player.runs() {
        assert!(since.elapsed() < END, "still plays: {why}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn one_is_made_used_rotated_and_deleted_while_it_plays() {
    let claimed = Claimed::start();
    let (daemon, before) = (&claimed.daemon, claimed.text());
    let made = claimed.ask("POST", "credentials", None, &json!({"name": "nvr", "read": ["gate"]}));
    assert_eq!(made.status, 201, "{}", made.body);
    let address = format!("rtsp://nvr@127.0.0.1:{}/gate", daemon.rtsp_port);
    assert_eq!((&made.body["url"], &made.body["publish"]), (&json!(address), &json!([])));
    let password = made.body["password"].as_str().unwrap().to_owned();
    let text = claimed.text();
    assert!(text.starts_with(before.trim_end_matches("# The end.\n\n")), "{text}");
    assert!(text.contains("# The end.\n"), "{text}");
    assert!(text.contains("\n[account.nvr]\n") && !text.contains(&password), "{text}");
    let history = claimed.get("config/history");
    assert_eq!(history["texts"].as_array().unwrap().len(), 1, "{history}");

    // Where it is listed, and where it may not be.
    let listed = claimed.get("credentials");
    let names: Vec<_> =
        listed["credentials"].as_array().unwrap().iter().map(|own| &own["name"]).collect();
    assert_eq!(names, ["nvr", "old"]);
    assert!(!listed.to_string().contains("ha1") && !listed.to_string().contains(&password));
    assert_eq!(claimed.get("credentials/nvr")["last_used"], Value::Null);
    assert!(!plays(&claimed.url("nvr", &password, "yard")), "not its stream");
    let player = claimed.player(&claimed.url("nvr", &password, "gate"));
    wait_for("the last use", PATIENCE, || {
        claimed.get("credentials/nvr")["last_used"].is_string().then_some(())
    });

    refuses_what_is_wrong(&claimed);

    // More rights disturb nobody; another password ends what runs by the old one.
    let tag = claimed.ask("GET", "credentials/nvr", None, &Value::Null).tag;
    let more = claimed.ask("PATCH", "credentials/nvr", Some(&tag), &json!({"read": "*"}));
    assert_eq!((more.status, &more.body["read"]), (200, &json!("*")), "{}", more.body);
    assert!(plays(&claimed.url("nvr", &password, "yard")));
    assert_eq!(claimed.get("rtsp/sessions")["sessions"].as_array().unwrap().len(), 1);
    let rotated = claimed.ask("PATCH", "credentials/nvr", None, &json!({"rotate": true}));
    let fresh = rotated.body["password"].as_str().unwrap().to_owned();
    ends(player, "its password is another one");
    assert!(!plays(&claimed.url("nvr", &password, "gate")), "the old password");
    let player = claimed.player(&claimed.url("nvr", &fresh, "gate"));

    let gone = claimed.ask("DELETE", "credentials/nvr", None, &Value::Null);
    assert_eq!(gone.status, 204, "{}", gone.body);
    ends(player, "it was deleted");
    assert_eq!(claimed.text(), before, "every comment is where it was");
    assert_eq!(claimed.ask("DELETE", "credentials/nvr", None, &Value::Null).status, 404);
    let (logs, audit) = (daemon.logs(), claimed.get("audit").to_string());
    for secret in [&password, &fresh] {
        assert!(!logs.contains(secret) && !audit.contains(secret));
    }
    assert!(
        audit.contains("POST /api/v1/credentials")
            && audit.contains("DELETE /api/v1/credentials/nvr")
    );
}

/// One of the same name as `nvr`, a change that comes too late, keys that nobody knows.
fn refuses_what_is_wrong(claimed: &Claimed) {
    let twice = claimed.ask("POST", "credentials", None, &json!({"name": "nvr"}));
    assert_eq!((twice.status, &twice.body["error"]["code"]), (409, &json!("exists")));
    let stale = Some("\"0\"");
    let late = claimed.ask("PATCH", "credentials/nvr", stale, &json!({"read": "*"}));
    assert_eq!(late.status, 412, "{}", late.body);
    for (body, path) in [
        (json!({"name": "a b"}), "name"),
        (json!({"name": "x", "read": ["nosuch"]}), "account.x.read"),
        (json!({"name": "x", "owner": "nobody"}), "account.x.owner"),
    ] {
        let refused = claimed.ask("POST", "credentials", None, &body);
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert_eq!(refused.body["error"]["faults"][0]["path"], path, "{}", refused.body);
    }
    let weak = json!({"name": "x", "password": "aaaaaaaaaaaa"});
    assert_eq!(claimed.ask("POST", "credentials", None, &weak).status, 422);
}

#[test]
fn one_of_a_person_may_what_they_may_and_ends_with_them() {
    let claimed = Claimed::start();
    let daemon = &claimed.daemon;
    let vera = json!({"name": "vera", "password": "correct horse battery", "role": "viewer",
        "streams": ["gate"], "past": false});
    assert_eq!(claimed.ask("POST", "accounts", None, &vera).status, 201);
    let sends = json!({"name": "wall", "publish": ["roof"], "owner": "vera"});
    let refused = claimed.ask("POST", "credentials", None, &sends);
    assert_eq!(
        refused.body["error"]["faults"][0]["path"], "account.wall.publish",
        "{}",
        refused.body
    );
    let password = claimed.make(&json!({"name": "wall", "owner": "vera"}));
    let url = |stream: &str| claimed.url("wall", &password, stream);
    assert!(plays(&url("gate")) && !plays(&url("yard")), "vera's streams alone");
    // She sees no recordings, over RTSP and HTTP alike.
    let user = format!("wall:{password}");
    let status = |path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--digest", "--user", &user, "--output", "/dev/null"]);
        curl.args(["--max-time", "10", "--noproxy", "*", "--write-out", "%{http_code}"]);
        String::from_utf8(run_well(curl.arg(daemon.http(path)), PATIENCE)).unwrap()
    };
    assert_eq!(status("/live/gate/index.m3u8"), "200");
    assert_eq!(status("/vod/gate/index.m3u8?start=1"), "403");
    assert!(!plays(&url("gate?start=20200101T000000Z")));
    let failures = claimed.get("rtsp/failures").to_string();
    assert!(failures.contains("may not watch recordings"), "{failures}");

    let player = claimed.player(&url("gate"));
    let less = claimed.ask("PATCH", "accounts/vera", None, &json!({"streams": ["yard"]}));
    assert_eq!(less.status, 200);
    ends(player, "its owner may not watch the stream");
    assert!(plays(&url("yard")) && !plays(&url("gate")));

    // The command line takes her account away: nothing is left, and nobody inherits it.
    let player = claimed.player(&url("yard"));
    holdfast(daemon, &["remove", "--name", "vera"]);
    ends(player, "its owner is gone");
    assert!(!plays(&url("yard")));
    assert_eq!(claimed.get("credentials/wall")["active"], false);
    let heir = claimed.ask("POST", "accounts", None, &vera);
    assert_eq!((heir.status, &heir.body["error"]["code"]), (409, &json!("credentials_remain")));
    let released = claimed.ask("PATCH", "credentials/wall", None, &json!({"owner": null}));
    assert_eq!(
        (released.status, &released.body["active"]),
        (200, &json!(true)),
        "{}",
        released.body
    );
    assert!(plays(&url("yard")), "it is the box's own now");

    // Through the API the sections go as well.
    assert_eq!(claimed.ask("POST", "accounts", None, &vera).status, 201);
    claimed.make(&json!({"name": "tv", "owner": "vera"}));
    assert_eq!(claimed.ask("DELETE", "accounts/vera", None, &Value::Null).status, 204);
    assert!(!claimed.text().contains("account.tv") && claimed.text().contains("account.wall"));
}
