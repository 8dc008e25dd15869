//! Who may do what once accounts are asked for.

use super::*;

/// A Basic header of `name` with the password `x`, to a session that lets passwords be said.
fn as_user(name: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{name}:x"));
    format!("Authorization: Basic {text}\r\n")
}

fn authorized_by() -> Bench {
    use crate::base::name_pattern::NamePattern;
    use crate::base::secret::Secret;
    use crate::wire::rtsp::auth::{Account, Algorithm, Authorizer, REALM, Rules, Scope};
    let account = |name: &str, read| {
        let ha1 = Algorithm::Md5.ha1(name, REALM, &Secret::new("x"));
        (name.to_owned(), Account::new(ha1, read, Scope::none()))
    };
    let gate = Scope::Only([NamePattern::parse("gate").unwrap()].into());
    let all = [account("anna", Scope::All), account("bert", Scope::All), account("carl", gate)];
    let rules = Rules::new(all.into(), false);
    let mut bench = Bench::new();
    bench.session =
        bench.session.authorized_by(Arc::new(Authorizer::new(&[7; 32], rules))).secured(true);
    bench
}

#[test]
fn a_request_without_proof_gets_a_challenge_and_changes_nothing() {
    let mut bench = authorized_by();
    assert_eq!(status(&bench.ask("OPTIONS", "rtsp://h/gate", "")), 200);
    for method in ["DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "RECORD", "GET_PARAMETER", "X"] {
        let reply = bench.ask(method, "rtsp://h/gate", TCP);
        assert_eq!(status(&reply), 401, "{method}");
        let lines: Vec<_> = reply.lines().filter(|line| line.starts_with("WWW-")).collect();
        assert!(lines[0].starts_with("WWW-Authenticate: Digest realm=\"holdfast\", "), "{reply}");
        assert_eq!(lines[1..], ["WWW-Authenticate: Basic realm=\"holdfast\""]);
        assert!(reply.ends_with("\r\n\r\n"), "{reply}");
        assert_eq!(header(&reply, "CSeq"), "7");
    }
    assert!(bench.events.is_empty() && bench.session.user().is_none());
}

#[test]
fn a_channel_may_be_read_by_those_who_may_read_its_stream() {
    let mut bench = authorized_by();
    let carl = as_user("carl");
    for (url, wanted) in [
        ("rtsp://h/gate", 200),
        ("rtsp://h/Streaming/Channels/101", 200),
        ("rtsp://h/cam/realmonitor?channel=1&subtype=0", 200),
        ("rtsp://h/Streaming/Channels/201", 403),
        ("rtsp://h/Streaming/Channels/102", 403),
        ("rtsp://h/Streaming/Channels/901", 403),
    ] {
        assert_eq!(status(&bench.ask("DESCRIBE", url, &carl)), wanted, "{url}");
    }
    let url = "rtsp://h/cam/realmonitor?channel=1&subtype=0/trackID=0";
    assert_eq!(status(&bench.ask("SETUP", url, &format!("{TCP}{carl}"))), 200);
    assert_eq!(bench.session.view().unwrap().stream, "gate");
}

#[test]
fn a_session_belongs_to_the_account_that_began_it() {
    let mut bench = authorized_by();
    let (anna, bert) = (as_user("anna"), as_user("bert"));
    let setup = bench.ask("SETUP", "rtsp://h/gate/trackID=0", &format!("{TCP}{anna}"));
    let id = header(&setup, "Session").split(';').next().unwrap().to_owned();
    let session = format!("Session: {id}\r\n");
    for (method, who, wanted) in [
        ("PLAY", "", 401),
        ("PLAY", &bert[..], 454),
        ("DESCRIBE", &bert, 454),
        ("TEARDOWN", &bert, 454),
        ("PLAY", &anna, 200),
        ("TEARDOWN", "", 401),
        ("OPTIONS", "", 200),
        ("TEARDOWN", &anna, 200),
    ] {
        let reply = bench.ask(method, "rtsp://h/gate", &format!("{session}{who}"));
        assert_eq!(status(&reply), wanted, "{method} {who}");
    }
    assert_eq!(bench.session.user().map(|user| &**user), Some("anna"));
    assert_eq!(status(&bench.ask("DESCRIBE", "rtsp://h/gate", &bert)), 200, "no session any more");
}
