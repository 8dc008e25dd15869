//! The WWW-Authenticate header (RFC 2617 §3.2.1, RFC 7616 §3.3) and what a client answers to it.
//!
//! Owns: its reading, and the Authorization header of our own requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::digest::{Algorithm, Proof, Qop};
use crate::base::secret::Secret;

/// One way in that a peer offers.
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
        /// `qop=auth` is offered; else the form of RFC 2069.
        qop: bool,
        /// The nonce was too old, the password may have been right.
        stale: bool,
    },
    /// It asks for the password in clear text.
    Basic,
}

impl Challenge {
    /// The best of what the values of all WWW-Authenticate headers offer: SHA-256, then MD5, then
    /// Basic.
    pub(crate) fn best<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let offered = values.flat_map(schemes);
        offered.filter_map(|(scheme, params)| Self::read(&scheme, &params)).max_by_key(
            |challenge| match challenge {
                Self::Digest { algorithm: Algorithm::Sha256, .. } => 2,
                Self::Digest { algorithm: Algorithm::Md5, .. } => 1,
                Self::Basic => 0,
            },
        )
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
        let named = param("algorithm").unwrap_or_else(|| "MD5".to_owned());
        let upper = named.to_ascii_uppercase();
        let per_session = upper.ends_with("-SESS");
        let algorithm = Algorithm::named(upper.trim_end_matches("-SESS"))?;
        let qop = param("qop").unwrap_or_default();
        Some(Self::Digest {
            algorithm,
            per_session,
            realm: param("realm").unwrap_or_default(),
            nonce: param("nonce")?,
            opaque: param("opaque"),
            qop: qop.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")),
            stale: param("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// Whether the peer says that only the nonce was too old.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Digest { stale: true, .. })
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
        let mut ha1 = algorithm.ha1(username, realm, password);
        if *per_session {
            ha1 = Secret::new(algorithm.hash(&[ha1.reveal(), nonce, cnonce]));
        }
        let nc = format!("{count:08x}");
        let qop = qop.then(|| Qop { nc: nc.clone(), cnonce: cnonce.to_owned() });
        let proof = Proof { nonce: nonce.clone(), uri: uri.to_owned(), qop };
        let response = proof.response(*algorithm, &ha1, method);
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut value = format!(
            "Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", \
             response=\"{response}\"",
            quoted(username),
            quoted(realm),
            quoted(nonce)
        );
        if let Some(opaque) = opaque {
            value.extend([", opaque=\"", &quoted(opaque), "\""]);
        }
        if *algorithm == Algorithm::Sha256 || *per_session {
            let sess = if *per_session { "-sess" } else { "" };
            value.extend([", algorithm=", algorithm.name(), sess]);
        }
        if proof.qop.is_some() || *per_session {
            value.extend([", qop=auth, nc=", &nc, ", cnonce=\"", cnonce, "\""]);
        }
        value
    }
}

/// The schemes in one header, each with its parameters; one line may have several.
fn schemes(value: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut schemes: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for part in split_unquoted(value) {
        let mut part = part.trim();
        let head = part.split('=').next().unwrap_or_default().trim_end();
        // `Digest realm="…"`: a word and a blank before the first parameter begin a scheme.
        if let Some((scheme, rest)) = part.split_once([' ', '\t'])
            && (head.contains([' ', '\t']) || !part.contains('='))
        {
            schemes.push((scheme.to_owned(), Vec::new()));
            part = rest.trim();
        } else if !part.contains('=') && !part.is_empty() {
            schemes.push((part.to_owned(), Vec::new()));
            continue;
        }
        if let (Some((name, value)), Some((_, params))) = (part.split_once('='), schemes.last_mut())
        {
            let value = value.trim();
            let inner = value.strip_prefix('"').map(|v| v.strip_suffix('"').unwrap_or(v));
            let value = inner.map_or_else(|| value.to_owned(), |v| v.replace("\\\"", "\""));
            params.push((name.trim().to_owned(), value));
        }
    }
    schemes
}

/// Splits at commas outside of quotes.
fn split_unquoted(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        c == ',' && !quoted
    })
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
                    assert_eq!((realm.as_str(), qop, stale), ("cam", true, true));
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
}
