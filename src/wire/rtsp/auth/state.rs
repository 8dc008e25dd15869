//! Lets the requests of one connection through, or says what they lack.
//!
//! Owns: who this connection has proved to be, and the nonce it did so with. That nonce stays good
//! on it for as long as it lasts, because many players never ask for another one. The counter of
//! `qop` is part of the proof but need not rise: some recorders never count, and an attacker who
//! could replay a request on this very connection owns the connection already.

use std::net::IpAddr;
use std::sync::Arc;

use rtsp_types::{Method, StatusCode, Url, headers};

use super::account::{Account, Right};
use super::digest::{Algorithm, same};
use super::header::{self, Digest, Shown};
use super::nonce::Holder;
use super::{Access, Authorizer, Origin, Outcome, REALM, Rules};
use crate::base::secret::Secret;
use crate::base::time::BootTime;
use crate::wire::rtsp::channel::Channels;
use crate::wire::rtsp::reply::Reply;
use crate::wire::rtsp::target::Target;

/// Who makes the request, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// The request is open to all; the sender stays unknown.
    Anyone,
    /// An account, or `None` where there are no accounts.
    As(Option<Arc<str>>),
}

/// A request, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) method: &'a Method,
    /// What the URL names.
    pub(crate) target: Option<&'a Target>,
    /// The stream that the session on this connection is of.
    pub(crate) session: Option<&'a str>,
    /// Whether the request is about that stream whatever its URL names.
    pub(crate) session_only: bool,
    pub(crate) authorization: Option<&'a str>,
    /// Which stream each channel is, for the URL in a proof.
    pub(crate) channels: &'a dyn Channels,
    /// Whether the transport is encrypted, so that a password may be sent.
    pub(crate) secure: bool,
}

impl Asking<'_> {
    /// Whether `account` has one of `rights` on every stream concerned.
    fn is_for(&self, account: &Account, rights: &[Right]) -> bool {
        let named = self.target.filter(|_| !self.session_only).map(|target| &target.stream[..]);
        let mut streams = named.into_iter().chain(self.session);
        streams.all(|stream| rights.iter().any(|right| account.may(*right, stream)))
    }

    /// Whether the `uri` of a response means the stream that the request does. Players write it
    /// absolute or relative, with and without a slash at the end, with and without the track.
    fn is_at(&self, uri: &str) -> bool {
        let Some(target) = self.target else { return true };
        let base = || Url::parse("rtsp://holdfast/").and_then(|base| base.join(uri));
        let Ok(url) = Url::parse(uri).or_else(|_| base()) else { return false };
        let stream = Target::of(&url, self.channels).stream;
        stream == target.stream || self.session == Some(&stream)
    }
}

/// One connection's gate.
#[derive(Debug)]
pub(crate) struct AuthState {
    authorizer: Arc<Authorizer>,
    holder: Holder,
    accepted: Option<Accepted>,
}

/// The last proof that was accepted here.
#[derive(Debug)]
struct Accepted {
    username: Arc<str>,
    /// Empty when it was a password.
    nonce: String,
    /// The response to an ANNOUNCE, which some encoders repeat with every request.
    announced: Option<String>,
}

/// What a method asks of an account.
enum Need {
    Nothing,
    /// To be one.
    Account,
    /// One of these rights.
    Right(&'static [Right]),
}

impl Need {
    fn of(method: &Method) -> Self {
        match method {
            Method::Options => Self::Nothing,
            Method::Describe | Method::Play => Self::Right(&[Right::Read]),
            Method::Announce | Method::Record => Self::Right(&[Right::Publish]),
            Method::Setup => Self::Right(&[Right::Read, Right::Publish]),
            _ => Self::Account,
        }
    }
}

/// What a request lacks.
enum Lack {
    /// Credentials, or right ones; or a newer nonce.
    Proof {
        stale: bool,
    },
    Patience {
        secs: u64,
    },
}

impl AuthState {
    pub(crate) fn new(authorizer: Arc<Authorizer>, peer: IpAddr, connection: u64) -> Self {
        Self { authorizer, holder: Holder { peer, connection }, accepted: None }
    }

    /// The same with another authorizer.
    pub(crate) fn authorized_by(self, authorizer: Arc<Authorizer>) -> Self {
        Self { authorizer, ..self }
    }

    /// Who makes the request; or the reply that refuses it.
    pub(crate) fn admit(
        &mut self,
        now: BootTime,
        asking: Asking<'_>,
    ) -> Result<Admitted, Box<Reply>> {
        let need = Need::of(asking.method);
        if matches!(need, Need::Nothing) {
            return Ok(Admitted::Anyone);
        }
        let rules = self.authorizer.rules();
        match &rules.access {
            Access::Everybody => return Ok(Admitted::As(None)),
            Access::ThisComputer if self.holder.peer.is_loopback() => {
                return Ok(Admitted::As(None));
            }
            Access::ThisComputer => {
                return forbidden("there is no account, so only this computer may connect");
            }
            Access::Nobody => {
                return forbidden("there is no account yet: holdfast account new makes one");
            }
            Access::Accounts(_) => {}
        }
        let shown = asking.authorization.and_then(header::read);
        let proved = match shown {
            Some(shown) => self.prove(now, &rules, &shown, asking),
            None => Err(Lack::Proof { stale: false }),
        };
        let username = proved.map_err(|lack| {
            let basic = asking.secure || rules.basic;
            Box::new(self.refusal(now, &rules, basic, &lack))
        })?;
        let may = |rights| rules.account(&username).is_some_and(|own| asking.is_for(own, rights));
        match need {
            Need::Right(wanted) if !may(wanted) => {
                self.note(&rules, &username, asking.secure, Outcome::Forbidden);
                forbidden("this account may not do that")
            }
            _ => Ok(Admitted::As(Some(username))),
        }
    }

    /// The account whose password the credentials in `shown` prove.
    fn prove(
        &mut self,
        now: BootTime,
        rules: &Rules,
        shown: &Shown,
        asking: Asking<'_>,
    ) -> Result<Arc<str>, Lack> {
        let (username, offered) = match shown {
            Shown::Digest(digest) => (&digest.username, rules.offers(digest.algorithm)),
            Shown::Basic { username, .. } => (username, asking.secure || rules.basic),
        };
        if !offered {
            return Err(Lack::Proof { stale: false });
        }
        self.have_patience(now, username).inspect_err(|_| {
            self.note(rules, username, asking.secure, Outcome::TooMany);
        })?;
        let account = rules.account(username);
        let right = match shown {
            Shown::Digest(digest) => {
                knows_hash(account, digest, asking.method.into()) || self.repeats_announce(digest)
            }
            Shown::Basic { username, password } => knows_password(account, username, password),
        };
        if !right {
            self.authorizer.failures().failed(now, self.holder.peer);
            self.note(rules, username, asking.secure, Outcome::Wrong);
            return Err(Lack::Proof { stale: false });
        }
        let known = self.knows(username);
        let username = self.accept(now, shown, asking)?;
        if !known {
            self.note(rules, &username, asking.secure, Outcome::Right);
        }
        self.authorizer.failures().succeeded(now, self.holder.peer);
        Ok(username)
    }

    /// Whether `digest` is the one with which this connection's ANNOUNCE was accepted. Libraries of
    /// phone apps compute it once, for ANNOUNCE, and keep using it. An attacker who could replay it
    /// on this very connection owns the connection already.
    fn repeats_announce(&self, digest: &Digest) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| {
            *accepted.username == *digest.username
                && accepted.nonce == digest.proof.nonce
                && accepted.announced.as_ref().is_some_and(|known| same(&digest.response, known))
        })
    }

    /// Whether `username` has signed in on this connection.
    fn knows(&self, username: &str) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| &*accepted.username == username)
    }

    fn note(&self, rules: &Rules, username: &str, secure: bool, outcome: Outcome) {
        let from = Origin { peer: self.holder.peer, secure, http: false };
        self.authorizer.note(rules, username, from, outcome);
    }

    /// Makes a guessing client wait. A client known on this connection is not guessing.
    fn have_patience(&self, now: BootTime, username: &str) -> Result<(), Lack> {
        if self.knows(username) {
            return Ok(());
        }
        match self.authorizer.failures().wait(now, self.holder.peer) {
            Some(wait) => Err(Lack::Patience { secs: wait.as_secs() + 1 }),
            None => Ok(()),
        }
    }

    /// Accepts a right proof unless it was made for something else.
    fn accept(
        &mut self,
        now: BootTime,
        shown: &Shown,
        asking: Asking<'_>,
    ) -> Result<Arc<str>, Lack> {
        let (username, nonce) = match shown {
            Shown::Basic { username, .. } => (username, ""),
            Shown::Digest(digest) => {
                if !asking.is_at(&digest.proof.uri) {
                    return Err(Lack::Proof { stale: false });
                }
                if !self.is_good(now, &digest.proof.nonce) {
                    return Err(Lack::Proof { stale: true });
                }
                (&digest.username, &digest.proof.nonce[..])
            }
        };
        let known = self.accepted.take().filter(|accepted| &*accepted.username == username);
        let announced = match (shown, asking.method) {
            (Shown::Digest(digest), Method::Announce) => Some(digest.response.to_ascii_lowercase()),
            _ => known.as_ref().and_then(|accepted| accepted.announced.clone()),
        };
        let username = known.map_or_else(|| username.as_str().into(), |accepted| accepted.username);
        let nonce = nonce.to_owned();
        let accepted = Accepted { username: Arc::clone(&username), nonce, announced };
        self.accepted = Some(accepted);
        Ok(username)
    }

    /// Whether a proof may be made with `nonce`.
    fn is_good(&self, now: BootTime, nonce: &str) -> bool {
        let known = self.accepted.as_ref().is_some_and(|accepted| accepted.nonce == nonce);
        known || self.authorizer.nonces.is_fresh(now, self.holder, nonce)
    }

    fn refusal(&self, now: BootTime, rules: &Rules, basic: bool, lack: &Lack) -> Reply {
        match lack {
            Lack::Proof { stale } => self.challenge(now, rules, basic, *stale),
            Lack::Patience { secs } => {
                let text = format!("too many wrong passwords; try again in {secs} s");
                Reply::refuse(StatusCode::ServiceUnavailable, &text)
                    .header(headers::RETRY_AFTER, secs.to_string())
            }
        }
    }

    /// 401 with everything that is offered, the best first, each on a line of its own: players
    /// that know Digest take the first line, and some stumble over a list (RFC 7616 §3.7).
    fn challenge(&self, now: BootTime, rules: &Rules, basic: bool, stale: bool) -> Reply {
        let nonce = self.authorizer.nonces.make(now, self.holder);
        let offered = challenges(rules, &nonce, basic, stale).into_iter();
        offered.fold(Reply::new(StatusCode::Unauthorized), Reply::challenge)
    }
}

/// The challenges offered to an unknown client, the best first.
pub(super) fn challenges(rules: &Rules, nonce: &str, basic: bool, stale: bool) -> Vec<String> {
    let stale = if stale { ", stale=true" } else { "" };
    let digests = [(Algorithm::Sha256, ", algorithm=SHA-256"), (Algorithm::Md5, "")];
    let offered = digests.into_iter().filter(|(algorithm, _)| rules.offers(*algorithm));
    let digests = offered.map(|(_, named)| {
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\"{named}{stale}")
    });
    digests.chain(basic.then(|| format!("Basic realm=\"{REALM}\""))).collect()
}

fn forbidden<T>(text: &str) -> Result<T, Box<Reply>> {
    Err(Box::new(Reply::refuse(StatusCode::Forbidden, text)))
}

/// Whether a response was made with the account's HA1. As long for an account that is not there.
pub(super) fn knows_hash(account: Option<&Account>, digest: &Digest, method: &str) -> bool {
    let nobody = Secret::new("");
    let ha1 = account.and_then(|account| account.ha1(digest.algorithm));
    let wanted = digest.proof.response(digest.algorithm, ha1.unwrap_or(&nobody), method);
    same(&digest.response, &wanted) & ha1.is_some()
}

pub(super) fn knows_password(account: Option<&Account>, username: &str, password: &Secret) -> bool {
    let told = Algorithm::Md5.ha1(username, REALM, password);
    let nobody = Secret::new("");
    let wanted = account.map_or(&nobody, |account| &account.ha1);
    same(told.reveal(), wanted.reveal()) & account.is_some()
}
