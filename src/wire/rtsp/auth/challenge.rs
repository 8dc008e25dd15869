//! The WWW-Authenticate header (RFC 2617 §3.2.1, RFC 7616 §3.3) and what a client answers to it.
//!
//! Owns: its reading, and the Authorization header of our own requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::digest::Algorithm;
use crate::base::secret::Secret;

/// One way in that a peer offers. Texts are as they stood between their quotes, escapes and all:
/// that is how they are said again, because peers compare them so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// It wants to see that the password is known.
    Digest {
        /// With which hash.
        algorithm: Algorithm,
        /// The hash of the session form, `MD5-sess`.
        per_session: bool,
        realm: String,
        nonce: String,
        /// To be said again.
        opaque: Option<String>,
        /// What the proof covers; `None`: the form of RFC 2069.
        qop: Option<Quality>,
        /// The nonce was too old, the password may have been right.
        stale: bool,
    },
    /// It asks for the password in clear text.
    Basic,
}

/// What a proof covers (RFC 2617 §3.2.1, `qop`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    /// Method and URI.
    Auth,
    /// The body, too; of our requests none has one.
    AuthInt,
}

impl Quality {
    /// The weaker of those in a list, which more peers can do.
    fn offered(list: &str) -> Option<Self> {
        let has =
            |wanted: &str| list.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted));
        has("auth").then_some(Self::Auth).or_else(|| has("auth-int").then_some(Self::AuthInt))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

impl Challenge {
    /// The best of what the values of all WWW-Authenticate headers offer: SHA-256, then MD5, then
    /// Basic.
    pub(crate) fn best<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let offered = values.flat_map(schemes);
        offered
            .filter_map(|(scheme, params)| Self::read(&scheme, &params))
            .max_by_key(Self::strength)
    }

    /// How much better it is than others; equal for the same scheme and hash.
    fn strength(&self) -> u8 {
        match self {
            Self::Digest { algorithm: Algorithm::Sha256, .. } => 2,
            Self::Digest { algorithm: Algorithm::Md5, .. } => 1,
            Self::Basic => 0,
        }
    }

    fn read(scheme: &str, params: &[(String, String)]) -> Option<Self> {
        let param = |wanted: &str| {
            let found = params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let named = param("algorithm").filter(|name| !name.trim().is_empty());
        let upper = named.unwrap_or_else(|| "MD5".to_owned()).trim().to_ascii_uppercase();
        let per_session = upper.ends_with("-SESS");
        let algorithm = Algorithm::named(upper.trim_end_matches("-SESS"))?;
        let qop = Quality::offered(&param("qop").unwrap_or_default());
        Some(Self::Digest {
            algorithm,
            per_session,
            realm: param("realm").unwrap_or_default(),
            nonce: param("nonce")?,
            opaque: param("opaque"),
            // The session form cannot be checked without what `qop` brings.
            qop: qop.or(per_session.then_some(Quality::Auth)),
            stale: param("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// Whether the peer says that only the nonce was too old.
    fn is_stale(&self) -> bool {
        matches!(self, Self::Digest { stale: true, .. })
    }

    /// Whether a peer that refused what `answered` got may take what this gets: it has another nonce
    /// because the one before was too old, or it is of another scheme.
    pub(crate) fn may_follow(&self, answered: &Self) -> bool {
        self.is_stale() || self.strength() != answered.strength()
    }

    /// The value of an Authorization header for `method` of `uri`, the `count`th with this nonce.
    pub(crate) fn answer(
        &self,
        (username, password): (&str, &Secret),
        (method, uri): (&str, &str),
        (count, cnonce): (u32, &str),
    ) -> String {
        let Self::Digest { algorithm, per_session, realm, nonce, opaque, qop, .. } = self else {
            let plain = format!("{username}:{}", password.reveal());
            return format!("Basic {}", STANDARD.encode(plain));
        };
        let plain_nonce = unescaped(nonce);
        let mut ha1 = algorithm.ha1(username, &unescaped(realm), password);
        if *per_session {
            ha1 = Secret::new(algorithm.hash(&[ha1.reveal(), &plain_nonce, cnonce]));
        }
        let ha2 = match qop {
            Some(Quality::AuthInt) => algorithm.hash(&[method, uri, &algorithm.hash(&[""])]),
            _ => algorithm.hash(&[method, uri]),
        };
        let nc = format!("{count:08x}");
        let response = match qop {
            None => algorithm.hash(&[ha1.reveal(), &plain_nonce, &ha2]),
            Some(qop) => {
                algorithm.hash(&[ha1.reveal(), &plain_nonce, &nc, cnonce, qop.name(), &ha2])
            }
        };
        let quoted = username.replace('\\', "\\\\").replace('"', "\\\"");
        let mut value = format!(
            "Digest username=\"{quoted}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\""
        );
        if let Some(opaque) = opaque {
            value.extend([", opaque=\"", opaque, "\""]);
        }
        if *algorithm == Algorithm::Sha256 || *per_session {
            let sess = if *per_session { "-sess" } else { "" };
            value.extend([", algorithm=", algorithm.name(), sess]);
        }
        if let Some(qop) = qop {
            value.extend([", qop=", qop.name(), ", nc=", &nc, ", cnonce=\"", cnonce, "\""]);
        }
        value
    }
}

/// A quoted text without its escapes (RFC 2616 §2.2). A backslash before anything else is one:
/// cameras that have it in their name do not escape it.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped =
            if c == '\\' { chars.next_if(|next| matches!(next, '"' | '\\')) } else { None };
        plain.push(escaped.unwrap_or(c));
    }
    plain
}

/// The schemes in one header, each with its parameters; one line may have several. Between
/// parameters may be a comma, or what some cameras write instead.
fn schemes(value: &str) -> Vec<(String, Vec<(String, String)>)> {
    const BETWEEN: [char; 4] = [' ', '\t', ',', ';'];
    let mut schemes: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = value.trim_start_matches(BETWEEN);
    while !rest.is_empty() {
        let end = rest.find(|c| c == '=' || BETWEEN.contains(&c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if let Some(after) = after.trim_start().strip_prefix('=') {
            let (value, after) = param_value(after.trim_start());
            if let Some((_, params)) = schemes.last_mut() {
                params.push((word.to_owned(), value.to_owned()));
            }
            rest = after;
        } else {
            schemes.push((word.to_owned(), Vec::new()));
            rest = after;
        }
        rest = rest.trim_start_matches(BETWEEN);
    }
    schemes
}

/// The value that `text` begins with, and what is behind it.
fn param_value(text: &str) -> (&str, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or(quoted.len());
        return (&quoted[..end], quoted.get(end + 1..).unwrap_or_default());
    }
    let end = text.find([',', ';']).unwrap_or(text.len());
    // `realm=IP Camera` is one value, `realm=x nonce=y` are two.
    let begins_param = |&(at, _): &(usize, &str)| {
        let word = text[at..end].trim_start();
        let name = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
        name > 0 && word[name..].trim_start().starts_with('=')
    };
    let next = text[..end].match_indices([' ', '\t']).find(begins_param);
    let end = next.map_or(end, |(at, _)| at);
    (text[..end].trim_end(), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_what_is_offered_is_taken() {
        let basic = "Basic realm=\"cam, a\"";
        let md5 = "Digest realm=\"cam\",nonce=\"n\" , stale=TRUE, qop=\"auth-int,auth\"";
        let best = |values: &[&str]| Challenge::best(values.iter().copied());
        assert_eq!(best(&[basic]), Some(Challenge::Basic));
        assert_eq!(best(&["Negotiate"]), None);
        let in_one_line = format!("{basic}, {md5}");
        for values in [&[basic, md5][..], &[md5, basic], &[&in_one_line]] {
            match best(values) {
                Some(Challenge::Digest {
                    algorithm: Algorithm::Md5, realm, qop, stale, ..
                }) => {
                    assert_eq!((realm.as_str(), qop, stale), ("cam", Some(Quality::Auth), true));
                }
                other => panic!("{other:?}"),
            }
        }
        let sha = "Digest realm=x, nonce=y, algorithm=SHA-256";
        let found = best(&[md5, sha, basic]);
        assert!(matches!(found, Some(Challenge::Digest { algorithm: Algorithm::Sha256, .. })));
    }

    /// RFC 2617 §3.5.
    #[test]
    fn the_example_of_the_rfc_is_answered_so() {
        let value = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let challenge = Challenge::best(std::iter::once(value)).unwrap();
        let answer = challenge.answer(
            ("Mufasa", &Secret::new("Circle Of Life")),
            ("GET", "/dir/index.html"),
            (1, "0a4f113b"),
        );
        assert!(answer.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{answer}");
        assert!(answer.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""), "{answer}");
    }

    /// What realm, nonce and quality are read of a challenge, with `|` between them.
    fn told(value: &str) -> String {
        match Challenge::best(std::iter::once(value)) {
            Some(Challenge::Digest { realm, nonce, qop, .. }) => {
                format!("{realm}|{nonce}|{}", qop.map_or("", Quality::name))
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn challenges_are_read_however_their_parameters_are_written() {
        for (value, wanted) in [
            (r#"Digest realm="a, b",nonce="n",qop="auth""#, "a, b|n|auth"),
            (r#"DIGEST  realm = "a" , nonce = "n""#, "a|n|"),
            (r#"Digest realm="a" nonce="n" qop="auth-int""#, "a|n|auth-int"),
            (r#"Digest realm="a"; nonce="n"; algorithm="""#, "a|n|"),
            ("Digest realm=IP Camera, nonce=bm9uY2U=, stale=FALSE", "IP Camera|bm9uY2U=|"),
            ("Digest realm=a nonce=n qop=auth", "a|n|auth"),
            (r#"Digest realm="a \"b\"", nonce="n"#, r#"a \"b\"|n|"#),
            (r#"Digest nonce="n", algorithm=MD5-sess"#, "|n|auth"),
            (r#"Negotiate, Digest realm="a", nonce="n""#, "a|n|"),
            (r#"Digest realm="a""#, "None"),
            (r#"Digest realm="a", nonce="n", algorithm=SHA-512-256"#, "None"),
            ("=x,; Basic", "Some(Basic)"),
        ] {
            assert_eq!(told(value), wanted, "{value}");
        }
    }

    #[test]
    fn quoted_texts_are_hashed_without_escapes_and_said_again_with_them() {
        assert_eq!(unescaped(r#"a \"b\" \\ c\d"#), r#"a "b" \ c\d"#);
        let value = r#"Digest realm="a \"b\"", nonce="n""#;
        let challenge = Challenge::best(std::iter::once(value)).unwrap();
        let answer = challenge.answer(("u", &Secret::new("p")), ("PLAY", "/"), (1, "c"));
        let md5 = |parts: &[&str]| Algorithm::Md5.hash(parts);
        let (ha1, ha2) = (md5(&["u", r#"a "b""#, "p"]), md5(&["PLAY", "/"]));
        assert!(answer.contains(r#"realm="a \"b\"", "#), "{answer}");
        assert!(answer.contains(&md5(&[&ha1, "n", &ha2])), "{answer}");
    }

    #[test]
    fn a_proof_that_covers_the_body_covers_an_empty_one() {
        let value = r#"Digest realm="r", nonce="n", qop="auth-int""#;
        let challenge = Challenge::best(std::iter::once(value)).unwrap();
        let answer = challenge.answer(("u", &Secret::new("p")), ("PLAY", "/"), (1, "c"));
        let md5 = |parts: &[&str]| Algorithm::Md5.hash(parts);
        let ha2 = md5(&["PLAY", "/", "d41d8cd98f00b204e9800998ecf8427e"]);
        let response = md5(&[&md5(&["u", "r", "p"]), "n", "00000001", "c", "auth-int", &ha2]);
        assert!(answer.contains(&response) && answer.contains("qop=auth-int, nc="), "{answer}");
    }
}
