//! Stream accounts over HTTP: media for players and programs that show a password (RFC 7616, RFC 7617).
//!
//! Owns: the proof that such a request needs, and the tickets that replace it. HTTP clients open
//! many connections, so a nonce is good for the client's address and [`RTSP_NONCE_TIME_MAX`]; then
//! it is stale, and clients make the next proof by themselves. Some players show the password for a
//! playlist only: its answer brings a ticket, a cookie that is good for the one stream.
//!
//! [`RTSP_NONCE_TIME_MAX`]: crate::base::limits::RTSP_NONCE_TIME_MAX

use std::net::IpAddr;
use std::sync::Arc;

use super::account::{Account, Scope};
use super::digest::same;
use super::header::{self, Digest, Shown};
use super::nonce::Holder;
use super::state::{challenges, knows_hash, knows_password};
use super::{Access, Authorizer, Origin, Outcome, Rules};
use crate::base::Stop;
use crate::base::limits::MEDIA_TICKET_TIME_MAX;
use crate::base::time::BootTime;

/// Digits of the time in a ticket.
const TIME_DIGITS: usize = 16;

/// A request for media, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaAsking<'a> {
    /// Where the client is.
    pub(crate) peer: IpAddr,
    /// `GET` or `HEAD`.
    pub(crate) method: &'a str,
    /// The request target: path and query.
    pub(crate) target: &'a str,
    /// The path below which the client sees the box, with a slash at both ends.
    pub(crate) base: &'a str,
    /// The value of its Authorization header.
    pub(crate) authorization: Option<&'a str>,
    /// Whether the transport is encrypted, so that a password may be sent.
    pub(crate) secure: bool,
}

/// Who may read media.
#[derive(Clone, Debug)]
pub struct MediaReader {
    /// The stream account's name.
    pub name: Arc<str>,
    /// What it may watch.
    pub read: Scope,
    /// Whether it may watch recordings.
    pub past: bool,
    /// Given when the account changes.
    pub ended: Stop,
}

/// What a request lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MediaLack {
    /// There are no stream accounts.
    Accounts,
    /// Credentials, or right ones: what is offered, the best first.
    Proof(Vec<String>),
    /// It said a password where others can read along.
    Secrecy,
    /// Too many wrong passwords came.
    Patience {
        /// Seconds until the next one is checked.
        secs: u64,
    },
}

impl Authorizer {
    /// The account behind a request for media; or what the request lacks.
    pub(crate) fn media_reader(
        &self,
        now: BootTime,
        asking: MediaAsking<'_>,
    ) -> Result<MediaReader, MediaLack> {
        let rules = self.rules();
        if !matches!(rules.access, Access::Accounts(_)) {
            return Err(MediaLack::Accounts);
        }
        let basic = asking.secure || rules.basic;
        // HTTP connections come and go: a nonce is the address's.
        let holder = Holder { peer: asking.peer, connection: 0 };
        let challenge = |stale| {
            let nonce = self.nonces.make(now, holder);
            MediaLack::Proof(challenges(&rules, &nonce, basic, stale))
        };
        let shown = asking.authorization.and_then(header::read);
        let (username, offered) = match &shown {
            None => return Err(challenge(false)),
            Some(Shown::Basic { username, .. }) if basic => (username, true),
            // Players that are asked again say it again, for ever.
            Some(Shown::Basic { .. }) => return Err(MediaLack::Secrecy),
            Some(Shown::Digest(digest)) => (&digest.username, rules.offers(digest.algorithm)),
        };
        if !offered {
            return Err(challenge(false));
        }
        let from = Origin { peer: asking.peer, secure: asking.secure, http: true };
        if let Some(wait) = self.failures().wait(now, asking.peer) {
            self.note(&rules, username, from, Outcome::TooMany);
            return Err(MediaLack::Patience { secs: wait.as_secs() + 1 });
        }
        let account = rules.account(username);
        let right = match &shown {
            Some(Shown::Digest(digest)) => knows_hash(account, digest, asking.method),
            Some(Shown::Basic { password, .. }) => knows_password(account, username, password),
            None => false,
        };
        if !right {
            self.failures().failed(now, asking.peer);
            self.note(&rules, username, from, Outcome::Wrong);
            return Err(challenge(false));
        }
        if let Some(Shown::Digest(digest)) = &shown {
            if !is_for(digest, asking) {
                return Err(challenge(false));
            }
            if !self.nonces.is_fresh(now, holder, &digest.proof.nonce) {
                return Err(challenge(true));
            }
        }
        self.failures().succeeded(now, asking.peer);
        self.note(&rules, username, from, Outcome::Right);
        self.reader(&rules, username).ok_or(MediaLack::Accounts)
    }

    fn reader(&self, rules: &Rules, name: &str) -> Option<MediaReader> {
        let Account { read, past, .. } = rules.account(name)?.clone();
        let mut readers = crate::base::sync::lock(&self.readers);
        let ended = readers.entry(name.to_owned()).or_default().clone();
        // The rules may have changed since they were looked at: then nobody would end this.
        if self.rules().account(name) != rules.account(name) {
            return None;
        }
        Some(MediaReader { name: name.into(), read, past, ended })
    }

    /// A ticket with which `name` may read everything below `path`, on this scheme only.
    #[must_use]
    pub fn media_ticket(
        &self,
        now: BootTime,
        name: &str,
        path: &str,
        secure: bool,
    ) -> Option<String> {
        let until = now.after(MEDIA_TICKET_TIME_MAX).as_nanos();
        self.write_ticket(&self.rules(), until, name, path, secure)
    }

    /// The owner of `ticket`, if it is good for `path`.
    #[must_use]
    pub fn ticket_reader(
        &self,
        now: BootTime,
        ticket: &str,
        path: &str,
        secure: bool,
    ) -> Option<MediaReader> {
        let rules = self.rules();
        let (time, rest) = ticket.split_at_checked(TIME_DIGITS)?;
        let until = u64::from_str_radix(time, 16).ok()?;
        let name = rest.strip_prefix('.')?.split_once('.')?.1;
        let good = self.write_ticket(&rules, until, name, path, secure)?;
        let fresh = BootTime::from_nanos(until) > now;
        if same(ticket, &good) & fresh { self.reader(&rules, name) } else { None }
    }

    /// The account's secret is part of what is signed: another password ends its tickets.
    fn write_ticket(
        &self,
        rules: &Rules,
        until: u64,
        name: &str,
        path: &str,
        secure: bool,
    ) -> Option<String> {
        let ha1 = rules.account(name)?.ha1.reveal();
        let signature = self.nonces.sign(&format!("{until}\n{secure}\n{path}\n{name}\n{ha1}"));
        Some(format!("{until:0TIME_DIGITS$x}.{signature}.{name}"))
    }
}

/// Whether a proof was made for this request: for its target, as the client or the proxy before it
/// sees that, and absolute or not.
fn is_for(digest: &Digest, asking: MediaAsking<'_>) -> bool {
    let uri = digest.proof.uri.as_str();
    let uri = match uri.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => uri,
    };
    let below = uri.strip_prefix(asking.base.trim_end_matches('/'));
    uri == asking.target || below == Some(asking.target)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Accounts, Algorithm, REALM};
    use super::*;
    use crate::base::name_pattern::NamePattern;
    use crate::base::secret::Secret;
    use crate::wire::rtsp::auth::digest::{Proof, Qop};

    const TARGET: &str = "/live/gate/index.m3u8?x=1";

    fn nvr() -> Account {
        let ha1 = Algorithm::Md5.ha1("nvr", REALM, &Secret::new("open sesame"));
        let read = Scope::Only(BTreeSet::from([NamePattern::parse("gate").unwrap()]));
        Account::new(ha1, read, Scope::none())
    }

    fn authorizer(basic: bool) -> Authorizer {
        let accounts = Accounts::from([("nvr".to_owned(), nvr())]);
        Authorizer::new(&[7; 32], Rules::new(accounts, basic))
    }

    fn asking(authorization: Option<&str>) -> MediaAsking<'_> {
        MediaAsking {
            peer: [10, 0, 0, 2].into(),
            method: "GET",
            target: TARGET,
            base: "/",
            authorization,
            secure: false,
        }
    }

    fn now() -> BootTime {
        BootTime::from_millis(5_000)
    }

    /// A proof for `uri` with the nonce that `lack` offers.
    fn proof(lack: &MediaLack, uri: &str, password: &str) -> String {
        let MediaLack::Proof(offered) = lack else { panic!("{lack:?}") };
        let nonce = offered[0].split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        let qop = Some(Qop { nc: "00000001".to_owned(), cnonce: "abc".to_owned() });
        let proof = Proof { nonce: nonce.to_owned(), uri: uri.to_owned(), qop };
        let ha1 = Algorithm::Md5.ha1("nvr", REALM, &Secret::new(password));
        let response = proof.response(Algorithm::Md5, &ha1, "GET");
        format!(
            "Digest username=\"nvr\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             qop=auth, nc=00000001, cnonce=\"abc\", response=\"{response}\""
        )
    }

    #[test]
    fn a_digest_for_this_target_is_taken_until_its_nonce_is_stale() {
        let authorizer = authorizer(false);
        let lack = authorizer.media_reader(now(), asking(None)).unwrap_err();
        let proof_for = |uri: &str| proof(&lack, uri, "open sesame");
        let shown = proof_for(TARGET);
        let reader = authorizer.media_reader(now(), asking(Some(&shown))).unwrap();
        assert_eq!(&*reader.name, "nvr");
        let absolute = proof_for(&format!("http://box.local:8080{TARGET}"));
        assert!(authorizer.media_reader(now(), asking(Some(&absolute))).is_ok());
        let below = proof_for(&format!("/cam{TARGET}"));
        let behind = MediaAsking { base: "/cam/", ..asking(Some(&below)) };
        assert!(authorizer.media_reader(now(), behind).is_ok(), "behind a proxy");
        for other in [proof_for("/live/yard/index.m3u8"), below, proof(&lack, TARGET, "guess")] {
            let lack = authorizer.media_reader(now(), asking(Some(&other))).unwrap_err();
            assert!(matches!(lack, MediaLack::Proof(_)), "{other}");
        }
        let elsewhere = MediaAsking { peer: [10, 0, 0, 3].into(), ..asking(Some(&shown)) };
        assert!(authorizer.media_reader(now(), elsewhere).is_err(), "of another address");
        let late = now().after(std::time::Duration::from_secs(61));
        let MediaLack::Proof(offered) =
            authorizer.media_reader(late, asking(Some(&shown))).unwrap_err()
        else {
            panic!()
        };
        assert!(offered[0].contains("stale=true"), "{offered:?}");
    }

    #[test]
    fn a_password_is_taken_only_where_nobody_reads_along() {
        // nvr:open sesame
        let basic = "Basic bnZyOm9wZW4gc2VzYW1l";
        let plain = authorizer(false).media_reader(now(), asking(Some(basic))).unwrap_err();
        assert_eq!(plain, MediaLack::Secrecy);
        let secure = MediaAsking { secure: true, ..asking(Some(basic)) };
        assert!(authorizer(false).media_reader(now(), secure).is_ok());
        assert!(authorizer(true).media_reader(now(), asking(Some(basic))).is_ok());
        let guess = MediaAsking { authorization: Some("Basic bnZyOmd1ZXNz"), ..secure };
        let authorizer = authorizer(false);
        let mut last = None;
        for _ in 0..40 {
            last = authorizer.media_reader(now(), guess).err();
        }
        assert!(matches!(last, Some(MediaLack::Patience { .. })), "{last:?}");
    }

    #[test]
    fn a_ticket_is_good_for_its_path_scheme_and_time_and_while_the_account_is() {
        let authorizer = authorizer(false);
        let ticket = authorizer.media_ticket(now(), "nvr", "/live/gate/", false).unwrap();
        let reads = |at, path, secure| {
            authorizer.ticket_reader(at, &ticket, path, secure).map(|reader| reader.name)
        };
        assert_eq!(reads(now(), "/live/gate/", false).as_deref(), Some("nvr"));
        assert!(reads(now(), "/live/yard/", false).is_none());
        assert!(reads(now(), "/live/gate/", true).is_none());
        assert!(reads(now().after(MEDIA_TICKET_TIME_MAX), "/live/gate/", false).is_none());
        let reader = authorizer.ticket_reader(now(), &ticket, "/live/gate/", false).unwrap();
        assert!(authorizer.media_ticket(now(), "nobody", "/live/gate/", false).is_none());
        let mut accounts = Accounts::from([("nvr".to_owned(), nvr())]);
        let other = Account::new(Secret::new("0"), Scope::All, Scope::none());
        accounts.insert("other".to_owned(), other);
        authorizer.change(Rules::new(accounts, false));
        assert!(!reader.ended.is_cancelled(), "another account's change is not its own");
        authorizer.change(Rules::new(Accounts::new(), false));
        assert!(reader.ended.is_cancelled());
        assert!(authorizer.ticket_reader(now(), &ticket, "/live/gate/", false).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_ticket(text: String) {
            assert!(authorizer(false).ticket_reader(now(), &text, "/live/gate/", false).is_none());
        }
    }
}
