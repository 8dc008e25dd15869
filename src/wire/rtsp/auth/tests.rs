//! A gate and the clients before it, in virtual time.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use rtsp_types::{Method, Url};

use super::digest::{Proof, Qop};
use super::*;
use crate::base::limits::{AUTH_FAILURE_TIME, AUTH_FAILURES_MAX, RTSP_NONCE_TIME_MAX};
use crate::base::name_pattern::NamePattern;
use crate::base::secret::Secret;
use crate::base::time::{BootTime, WallTime};
use crate::wire::rtsp::channel::NoChannels;
use crate::wire::rtsp::target::Target;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const URL: &str = "rtsp://h/gate";

fn account(username: &str, read: Scope, publish: Scope) -> (String, Account) {
    let secret = Secret::new(format!("{username}'s"));
    let ha1 = |algorithm: Algorithm| algorithm.ha1(username, REALM, &secret);
    let (ha1, ha1_sha256) = (ha1(Algorithm::Md5), Some(ha1(Algorithm::Sha256)));
    (username.to_owned(), Account { ha1_sha256, ..Account::new(ha1, read, publish) })
}

/// `nvr` watches everything, `cam` watches and sends `gate`.
fn accounts() -> Accounts {
    let gate = || Scope::Only([NamePattern::parse("gate").unwrap()].into());
    [account("nvr", Scope::All, Scope::none()), account("cam", gate(), gate())].into()
}

fn authorizer(access: Access) -> Arc<Authorizer> {
    Arc::new(Authorizer::new(&[7; 32], Rules { access, basic: false }))
}

/// A connection and its client.
struct AuthBench {
    auth: AuthState,
    secure: bool,
    now: BootTime,
    nonce: String,
    count: u32,
}

impl AuthBench {
    fn new(authorizer: &Arc<Authorizer>, connection: u64) -> Self {
        let now = BootTime::from_millis(100_000);
        let auth = AuthState::new(Arc::clone(authorizer), PEER, connection);
        let mut bench = Self { auth, secure: false, now, nonce: String::new(), count: 0 };
        bench.nonce = bench.new_nonce();
        bench
    }

    fn ask(&mut self, method: &Method, url: &str, shown: Option<&str>) -> String {
        let target = Target::of(&Url::parse(url).unwrap(), &NoChannels);
        let asking = Asking {
            method,
            target: Some(&target),
            session: None,
            session_only: false,
            authorization: shown,
            channels: &NoChannels,
            secure: self.secure,
        };
        match self.auth.admit(self.now, asking) {
            Ok(Admitted::Anyone) => "anyone".to_owned(),
            Ok(Admitted::As(user)) => format!("as {}", user.as_deref().unwrap_or("nobody")),
            Err(reply) => {
                let bytes = reply.write(Some("1"), WallTime::default());
                String::from_utf8(bytes.to_vec()).unwrap()
            }
        }
    }

    fn new_nonce(&mut self) -> String {
        let reply = self.ask(&Method::Describe, URL, None);
        assert!(reply.starts_with("RTSP/1.0 401 Unauthorized\r\n"), "{reply}");
        nonce_of(&reply)
    }

    /// The Authorization header of a client that knows `password` and speaks as `form` says.
    fn proof(&mut self, username: &str, password: &str, form: &Form) -> String {
        self.count += 1;
        let qop = form.qop.then(|| Qop { nc: format!("{:08x}", self.count), cnonce: "c0".into() });
        let tail = qop.as_ref().map(|qop| format!(", qop=auth, nc={}, cnonce=\"c0\"", qop.nc));
        let proof = Proof { nonce: self.nonce.clone(), uri: form.uri.to_owned(), qop };
        let ha1 = form.algorithm.ha1(username, REALM, &Secret::new(password));
        let response = proof.response(form.algorithm, &ha1, (&form.method).into());
        format!(
            "Digest username=\"{username}\", realm=\"{REALM}\", nonce=\"{}\", uri=\"{}\", \
             response=\"{response}\", algorithm={}{}",
            self.nonce,
            form.uri,
            form.algorithm.name(),
            tail.unwrap_or_default(),
        )
    }

    fn try_with(&mut self, username: &str, password: &str, form: &Form) -> String {
        let shown = self.proof(username, password, form);
        self.ask(&form.method, URL, Some(&shown))
    }

    fn right(&mut self) -> String {
        self.try_with("nvr", "nvr's", &Form::default())
    }

    fn wrong(&mut self) -> String {
        self.try_with("nvr", "guess", &Form::default())
    }
}

/// How a client speaks.
#[derive(Clone, Debug)]
struct Form {
    method: Method,
    algorithm: Algorithm,
    uri: &'static str,
    qop: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self { method: Method::Describe, algorithm: Algorithm::Md5, uri: URL, qop: true }
    }
}

fn nonce_of(reply: &str) -> String {
    reply.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn is_challenge(reply: &str) -> bool {
    reply.starts_with("RTSP/1.0 401 ") && !reply.contains("stale")
}

fn is_stale(reply: &str) -> bool {
    reply.starts_with("RTSP/1.0 401 ") && reply.matches("stale=true").count() == 2
}

#[test]
fn every_form_of_digest_opens_the_gate() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        for qop in [true, false] {
            for uri in [
                URL,
                "rtsp://h:554/gate/",
                "/gate",
                "gate",
                "rtsp://other/gate/trackID=1",
                "/gate/main",
            ] {
                let mut bench = AuthBench::new(&authorizer(Access::Accounts(accounts())), 1);
                let form = Form { algorithm, uri, qop, ..Form::default() };
                assert_eq!(bench.try_with("nvr", "nvr's", &form), "as nvr", "{form:?}");
                assert!(is_challenge(&bench.try_with("nvr", "guess", &form)), "{form:?}");
                assert!(is_challenge(&bench.try_with("nobody", "guess", &form)), "{form:?}");
            }
        }
    }
}

#[test]
fn the_challenge_is_one_line_each_the_best_first() {
    let authorizer = authorizer(Access::Accounts(accounts()));
    let mut bench = AuthBench::new(&authorizer, 1);
    bench.secure = true;
    let reply = bench.ask(&Method::Describe, URL, None);
    let nonce = nonce_of(&reply);
    let lines: Vec<_> = reply.lines().filter(|line| line.starts_with("WWW-")).collect();
    assert_eq!(
        lines,
        [
            &format!(
                "WWW-Authenticate: Digest realm=\"holdfast\", nonce=\"{nonce}\", qop=\"auth\", \
                 algorithm=SHA-256"
            )[..],
            &format!(
                "WWW-Authenticate: Digest realm=\"holdfast\", nonce=\"{nonce}\", qop=\"auth\""
            ),
            "WWW-Authenticate: Basic realm=\"holdfast\"",
        ]
    );
    assert!(reply.ends_with("\r\n\r\n") && reply.contains("\r\nCSeq: 1\r\n"), "{reply}");
}

#[test]
fn sha_256_is_offered_when_every_account_has_it() {
    let mut accounts = accounts();
    accounts.get_mut("cam").unwrap().ha1_sha256 = None;
    let mut bench = AuthBench::new(&authorizer(Access::Accounts(accounts)), 1);
    let reply = bench.ask(&Method::Describe, URL, None);
    assert_eq!(reply.matches("WWW-Authenticate").count(), 1, "{reply}");
    let form = Form { algorithm: Algorithm::Sha256, ..Form::default() };
    assert!(is_challenge(&bench.try_with("nvr", "nvr's", &form)));
}

#[test]
fn a_password_is_looked_at_only_where_it_may_be_said() {
    use base64::Engine as _;
    let basic =
        |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
    let authorizer = authorizer(Access::Accounts(accounts()));
    let mut bench = AuthBench::new(&authorizer, 1);
    let (right, wrong) = (basic("nvr:nvr's"), basic("nvr:guess"));
    assert!(is_challenge(&bench.ask(&Method::Describe, URL, Some(&right))));
    bench.secure = true;
    assert_eq!(bench.ask(&Method::Describe, URL, Some(&right)), "as nvr");
    assert!(is_challenge(&bench.ask(&Method::Describe, URL, Some(&wrong))));
    bench.secure = false;
    authorizer.change(Rules { access: Access::Accounts(accounts()), basic: true });
    assert_eq!(bench.ask(&Method::Describe, URL, Some(&right)), "as nvr");
    assert!(is_challenge(&bench.ask(&Method::Describe, URL, Some(&basic("nobody:x")))));
    assert_eq!(authorizer.failures().counts(), (2, 0));
}

#[test]
fn an_old_nonce_is_stale_unless_this_connection_has_used_it() {
    let authorizer = authorizer(Access::Accounts(accounts()));
    let (mut fast, mut slow) = (AuthBench::new(&authorizer, 1), AuthBench::new(&authorizer, 2));
    assert_eq!(fast.right(), "as nvr");
    for bench in [&mut fast, &mut slow] {
        bench.now = bench.now.after(RTSP_NONCE_TIME_MAX + Duration::from_secs(1));
    }
    assert_eq!(fast.right(), "as nvr");
    let reply = slow.right();
    assert!(is_stale(&reply), "{reply}");
    assert!(is_challenge(&slow.wrong()), "only a right password is told that it was");
    slow.nonce = nonce_of(&reply);
    assert_eq!(slow.right(), "as nvr");
}

#[test]
fn what_was_sent_before_opens_nothing() {
    let authorizer = authorizer(Access::Accounts(accounts()));
    let (mut own, mut other) = (AuthBench::new(&authorizer, 1), AuthBench::new(&authorizer, 2));
    let (nvr, form) = ("nvr", Form::default());
    let shown = own.proof(nvr, "nvr's", &form);
    assert_eq!(own.ask(&Method::Describe, URL, Some(&shown)), "as nvr");
    assert!(is_stale(&other.ask(&Method::Describe, URL, Some(&shown))), "another connection");
    assert_eq!(own.ask(&Method::Describe, URL, Some(&shown)), "as nvr", "who never counts");
    assert!(is_challenge(&own.ask(&Method::Setup, URL, Some(&shown))), "another method");
    let shown = own.proof(nvr, "nvr's", &form);
    assert!(is_challenge(&own.ask(&Method::Describe, "rtsp://h/yard", Some(&shown))), "elsewhere");
}

#[test]
fn a_right_is_needed_for_what_is_asked() {
    use Method::{Announce, Describe, GetParameter, Options, Play, Record, Setup, Teardown};
    let mut bench = AuthBench::new(&authorizer(Access::Accounts(accounts())), 1);
    let mut told = |username: &str, method: &Method, url: &'static str| {
        let form = Form { method: method.clone(), uri: url, ..Form::default() };
        let shown = bench.proof(username, &format!("{username}'s"), &form);
        let reply = bench.ask(method, url, Some(&shown));
        reply.strip_prefix("RTSP/1.0 ").map_or(reply.clone(), |reply| reply[..3].to_owned())
    };
    let yard = "rtsp://h/yard";
    for (username, method, url, wanted) in [
        ("nvr", Options, yard, "anyone"),
        ("nvr", Describe, yard, "as nvr"),
        ("nvr", Play, URL, "as nvr"),
        ("nvr", Announce, URL, "403"),
        ("nvr", Record, URL, "403"),
        ("cam", Announce, URL, "as cam"),
        ("cam", Record, URL, "as cam"),
        ("cam", Describe, URL, "as cam"),
        ("cam", Setup, yard, "403"),
        ("cam", Describe, yard, "403"),
        ("cam", Announce, yard, "403"),
        ("cam", Teardown, yard, "as cam"),
        ("cam", GetParameter, yard, "as cam"),
    ] {
        assert_eq!(told(username, &method, url), wanted, "{username} {method:?} {url}");
    }
}

#[test]
fn a_right_counts_for_the_session_and_not_only_for_the_url() {
    let gate = || Scope::Only([NamePattern::parse("gate").unwrap()].into());
    let access = Access::Accounts([account("cam", Scope::none(), gate())].into());
    let mut bench = AuthBench::new(&authorizer(access), 1);
    let form = Form { method: Method::Record, ..Form::default() };
    let shown = bench.proof("cam", "cam's", &form);
    let target = Target::of(&Url::parse(URL).unwrap(), &NoChannels);
    let asking = Asking {
        method: &Method::Record,
        target: Some(&target),
        session: Some("yard"),
        session_only: false,
        authorization: Some(&shown),
        channels: &NoChannels,
        secure: false,
    };
    assert!(bench.auth.admit(bench.now, asking).is_err());
    let shown = bench.proof("cam", "cam's", &form);
    let other = Target { stream: "gate/streamid=1".to_owned(), track: None, span: Ok(None) };
    let asking = Asking {
        target: Some(&other),
        session: Some("gate"),
        session_only: true,
        authorization: Some(&shown),
        ..asking
    };
    assert_eq!(bench.auth.admit(bench.now, asking).unwrap(), Admitted::As(Some("cam".into())));
}

#[test]
fn a_peer_that_guesses_waits_and_one_that_is_in_does_not() {
    let authorizer = authorizer(Access::Accounts(accounts()));
    let (mut known, mut bench) = (AuthBench::new(&authorizer, 1), AuthBench::new(&authorizer, 2));
    assert_eq!(known.right(), "as nvr");
    for _ in 0..AUTH_FAILURES_MAX {
        assert!(is_challenge(&bench.wrong()));
    }
    let reply = bench.right();
    assert!(reply.starts_with("RTSP/1.0 503 "), "{reply}");
    assert!(reply.contains("\r\nRetry-After: 31\r\n"), "{reply}");
    assert!(reply.contains("too many wrong passwords"), "{reply}");
    assert_eq!(known.right(), "as nvr");
    bench.now = bench.now.after(AUTH_FAILURE_TIME);
    assert_eq!(bench.right(), "as nvr");
}

#[test]
fn without_accounts_only_this_computer_is_let_in() {
    let authorizer = authorizer(Access::ThisComputer);
    let now = BootTime::from_millis(1);
    let told = |peer: IpAddr, method: &Method| {
        let (target, session, authorization) = (None, None, None);
        let (session_only, secure) = (false, false);
        let channels = &NoChannels;
        let asking =
            Asking { method, target, session, session_only, authorization, channels, secure };
        AuthState::new(Arc::clone(&authorizer), peer, 1).admit(now, asking).map_err(|_| ())
    };
    assert_eq!(told(PEER, &Method::Describe), Err(()));
    assert_eq!(told(PEER, &Method::Options), Ok(Admitted::Anyone));
    assert_eq!(told(IpAddr::from([127, 0, 0, 1]), &Method::Describe), Ok(Admitted::As(None)));
}

#[test]
fn who_lost_a_right_is_no_longer_let() {
    let authorizer = authorizer(Access::Accounts(accounts()));
    assert!(authorizer.still_lets(Some("cam"), Right::Publish, "gate"));
    assert!(!authorizer.still_lets(Some("cam"), Right::Publish, "yard"));
    assert!(
        !authorizer.still_lets(None, Right::Read, "gate"),
        "came in before there were accounts"
    );
    authorizer.change(Rules::new(Accounts::new(), false));
    assert!(!authorizer.still_lets(None, Right::Read, "gate"), "nobody is let in");
    authorizer.change(Rules::new(Accounts::new(), false).or_this_computer());
    assert!(!authorizer.still_lets(Some("cam"), Right::Read, "gate"));
    assert!(authorizer.still_lets(None, Right::Read, "gate"));
}

#[test]
fn a_change_ends_what_runs_for_the_accounts_that_changed_and_no_other() {
    let authorizer = authorizer(Access::Accounts(accounts()));
    let changed = |change: fn(&mut Account)| {
        let mut accounts = accounts();
        change(accounts.get_mut("nvr").unwrap());
        authorizer.change(Rules::new(accounts, false))
    };
    let nvr = HashSet::from(["nvr".to_owned()]);
    assert_eq!(changed(|_| ()), HashSet::new());
    assert_eq!(changed(|nvr| nvr.ha1 = Secret::new("0")), nvr, "another password");
    assert_eq!(changed(|_| ()), nvr, "and the old one again");
    assert!(authorizer.allows_past(Some("nvr")) && authorizer.allows_past(Some("cam")));
    assert_eq!(changed(|nvr| nvr.past = false), nvr, "no recordings any more");
    assert!(!authorizer.allows_past(Some("nvr")) && authorizer.allows_past(Some("cam")));
    assert_eq!(changed(|nvr| nvr.publish = Scope::All), HashSet::new(), "more than before");
    assert!(!authorizer.allows_past(Some("gone")));
}

fn forms() -> impl Strategy<Value = Form> {
    let method = prop_oneof![
        Just(Method::Describe),
        Just(Method::Setup),
        Just(Method::Play),
        Just(Method::GetParameter),
    ];
    let algorithm = prop_oneof![Just(Algorithm::Md5), Just(Algorithm::Sha256)];
    let uri = prop_oneof![Just(URL), Just("/gate/"), Just("gate/trackID=0")];
    (method, algorithm, uri, proptest::bool::ANY).prop_map(|(method, algorithm, uri, qop)| Form {
        method,
        algorithm,
        uri,
        qop,
    })
}

proptest! {
    #[test]
    fn the_right_password_opens_and_no_other_does(
        forms in proptest::collection::vec(forms(), 1..9),
        guess in "[ -~]{0,20}",
    ) {
        let mut bench = AuthBench::new(&authorizer(Access::Accounts(accounts())), 1);
        for form in forms {
            assert_eq!(bench.try_with("nvr", "nvr's", &form), "as nvr", "{form:?}");
            if guess != "nvr's" {
                assert!(is_challenge(&bench.try_with("nvr", &guess, &form)), "{form:?}");
            }
        }
    }

    #[test]
    fn a_proof_with_a_letter_changed_opens_nothing(
        field in prop_oneof![
            Just("username"), Just("nonce"), Just("uri"), Just("response"), Just("nc"), Just("cnonce"),
        ],
        at in 0..48_usize,
        to in "[!#-+.-\\[\\]-~]",
    ) {
        let mut bench = AuthBench::new(&authorizer(Access::Accounts(accounts())), 1);
        let shown = bench.proof("nvr", "nvr's", &Form::default());
        let begin = shown.find(&format!(" {field}=")).unwrap() + field.len() + 2;
        let value = shown[begin..].trim_start_matches('"');
        let begin = shown.len() - value.len();
        let at = begin + at % value.find(['"', ',']).unwrap();
        let mut changed = shown.clone();
        changed.replace_range(at..=at, &to);
        let opened = bench.ask(&Method::Describe, URL, Some(&changed)).starts_with("as ");
        // Hexadecimal digits count in either case.
        assert_eq!(opened, changed.eq_ignore_ascii_case(&shown) && (changed == shown || field == "response"));
    }
}
