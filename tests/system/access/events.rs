//! Who hears of what: the event stream by the rights of accounts.

use std::time::Instant;

use serde_json::json;

use super::{PASSWORD, PATIENCE, add_account, ask, claimed_box, own_page, sign_in};
use crate::events::Follower;
use crate::harness::wait_for;

#[test]
fn an_account_hears_of_its_streams_until_it_signs_out() {
    let daemon = claimed_box();
    add_account(&daemon, &["--name", "olga", "--role", "operator", "--streams", "gate"]);
    add_account(
        &daemon,
        &["--name", "vera", "--role", "viewer", "--streams", "gate", "--live-only"],
    );
    let cookie = |name: &str| {
        wait_for("the account", PATIENCE, || {
            let answer = sign_in(&daemon, name, PASSWORD);
            (answer.status == 200).then(|| answer.cookie())
        })
    };
    let cookies = ["anna", "olga", "vera"].map(cookie);
    let follow = |cookie: &str| {
        let proof = format!("Cookie: {cookie}\r\n{}", own_page(&daemon));
        Follower::open(daemon.http_port, "after=other-1", &proof)
    };
    let mut followers = cookies.each_ref().map(|cookie| follow(cookie));
    super::daemon_is_live(&daemon, &cookies[0]);
    for stream in ["yard", "gate"] {
        wait_for("its recording", PATIENCE, || {
            let told = ask(&daemon, "GET", "/api/v1/streams", &cookies[0], &json!(null)).json();
            let streams = told["streams"].as_array()?.clone();
            let is_recorded = |one: &serde_json::Value| one["recording"]["state"] == "recording";
            streams.iter().all(is_recorded).then_some(())
        });
        let event = json!({ "stream": stream, "text": "the end", "kind": "bell" });
        let made = ask(&daemon, "POST", "/api/v1/events", &cookies[0], &event);
        assert_eq!(made.status, 201, "{made:?}");
    }
    let [anna, olga, vera] = &mut followers;
    // Events that a caller gets until all of `wanted` came.
    let told = |follower: &mut Follower, wanted: &[&str]| -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        while !wanted.iter().all(|line| told.iter().any(|known| known == line)) {
            let event = follower.event();
            let (kind, stream) = (event["kind"].as_str().unwrap(), event["stream"].as_str());
            told.push(format!("{} {kind}", stream.unwrap_or("-")));
        }
        told
    };
    let (_, yard) = super::STREAMS.split_once("[stream.yard]").unwrap();
    daemon.configure("64MiB", &format!("[stream.yard]{yard}"));
    daemon.reload();
    told(anna, &["- box.started", "yard mark.bell", "- config.changed"]);
    let by_olga = told(olga, &["gate mark.bell", "gate stream.removed"]);
    let by_vera = told(vera, &["gate stream.removed"]);
    assert!(by_olga.iter().all(|line| line.starts_with("gate ")), "{by_olga:?}");
    assert!(by_vera.iter().all(|line| line.starts_with("gate stream.")), "{by_vera:?}");

    let left = ask(&daemon, "DELETE", "/api/v1/session", &cookies[1], &serde_json::Value::Null);
    assert_eq!(left.status, 204);
    let since = Instant::now();
    while olga.message().is_some() {
        assert!(since.elapsed() < PATIENCE, "the socket goes on");
    }
    let listed = |cookie: &str| ask(&daemon, "GET", "/api/v1/events", cookie, &json!(null)).body;
    let (all, none) = (listed(&cookies[0]), listed(&cookies[2]));
    assert!(all.contains("yard") && all.contains("gate"), "{all}");
    assert!(!none.contains("bell"), "{none}");
    let foreign = Follower::refused(daemon.http_port, "streams=yard", &cookies[2]);
    assert_eq!(foreign, 403, "whose stream it is is not told");
}
