//! The Authorization header (RFC 2617 §3.2.2, RFC 7617): what a client shows.
//!
//! Owns: its reading. Credentials in a form not offered here are `None`, and are answered like a
//! request without any.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::digest::{Algorithm, Proof, Qop};
use crate::base::secret::Secret;

/// What a client shows.
#[derive(Debug)]
pub(super) enum Shown {
    /// It knows a hash of the password.
    Digest(Digest),
    /// It says the password.
    Basic { username: String, password: Secret },
}

/// A Digest response.
#[derive(Debug)]
pub(super) struct Digest {
    pub(super) username: String,
    pub(super) algorithm: Algorithm,
    pub(super) proof: Proof,
    pub(super) response: String,
}

/// Reads the value of an Authorization header.
pub(super) fn read(value: &str) -> Option<Shown> {
    let (scheme, rest) = value.trim().split_once([' ', '\t'])?;
    if scheme.eq_ignore_ascii_case("digest") {
        digest(rest).map(Shown::Digest)
    } else if scheme.eq_ignore_ascii_case("basic") {
        basic(rest)
    } else {
        None
    }
}

fn basic(text: &str) -> Option<Shown> {
    let text = text.trim();
    let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Shown::Basic { username: username.to_owned(), password: Secret::new(password) })
}

fn digest(text: &str) -> Option<Digest> {
    let params = params(text)?;
    let param = |wanted: &str| {
        let found = params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    };
    let algorithm = match param("algorithm") {
        Some(name) => Algorithm::named(&name)?,
        None => Algorithm::Md5,
    };
    let qop = match param("qop") {
        Some(qop) if qop.eq_ignore_ascii_case("auth") => {
            Some(Qop { nc: param("nc")?, cnonce: param("cnonce")? })
        }
        // `auth-int` is not offered.
        Some(_) => return None,
        None => None,
    };
    Some(Digest {
        username: param("username")?,
        algorithm,
        proof: Proof { nonce: param("nonce")?, uri: param("uri")?, qop },
        response: param("response")?,
    })
}

/// The value of an Authorization or WWW-Authenticate header without what is secret in it. Of what
/// cannot be read nothing is shown.
pub(crate) fn masked(value: &str) -> String {
    const PUBLIC: [&str; 7] = ["username", "realm", "uri", "algorithm", "qop", "nc", "stale"];
    const SECRET: [&str; 4] = ["nonce", "response", "cnonce", "opaque"];
    let (scheme, rest) = value.trim().split_once([' ', '\t']).unwrap_or(("", value));
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    let scheme = if is("digest") || is("basic") { scheme } else { "?" };
    // A challenge of Basic has a parameter; credentials are base64, which may look like one.
    let has_params = is("digest") || is("basic") && rest.trim().starts_with("realm=");
    let Some(params) = params(rest).filter(|_| has_params) else { return format!("{scheme} ***") };
    let shown = params.iter().map(|(name, value)| {
        let of = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        let value = if of(&PUBLIC) { value } else { "***" };
        let name = if of(&PUBLIC) || of(&SECRET) { name } else { "?" };
        format!("{name}=\"{value}\"")
    });
    format!("{scheme} {}", shown.collect::<Vec<_>>().join(", "))
}

/// `name=value, name="value"`; `None` when it is not that, or names something twice.
fn params(text: &str) -> Option<Vec<(&str, String)>> {
    let mut params: Vec<(&str, String)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        let (value, after) = value(after.trim_start())?;
        if name.is_empty() || params.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return None;
        }
        params.push((name, value));
        let after = after.trim_start();
        if !(after.is_empty() || after.starts_with(',')) {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    Some(params)
}

/// A token, or a quoted string with its escapes undone; and what follows.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text[..end].trim_end().to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, character) in quoted.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Some((value, &quoted[at + 1..])),
            other => {
                value.push(other);
                escaped = false;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: &str) -> Option<String> {
        Some(match read(value)? {
            Shown::Basic { username, password } => format!("{username} {}", password.reveal()),
            Shown::Digest(Digest { username, algorithm, proof, response }) => {
                let qop = proof.qop.map(|qop| format!(" {} {}", qop.nc, qop.cnonce));
                let (name, qop) = (algorithm.name(), qop.unwrap_or_default());
                format!("{username} {name} {} {} {response}{qop}", proof.nonce, proof.uri)
            }
        })
    }

    #[test]
    fn what_clients_send_is_read() {
        for (value, wanted) in [
            (
                r#"Digest username="nvr", realm="holdfast", nonce="n", uri="rtsp://h/gate", response="r""#,
                "nvr MD5 n rtsp://h/gate r",
            ),
            (
                r#"digest username="nvr",realm="holdfast",nonce="n",uri="/gate/",algorithm=md5,response="r",opaque="",cnonce="c",nc=00000001,qop=auth"#,
                "nvr MD5 n /gate/ r 00000001 c",
            ),
            (
                r#"Digest  username = "a\"b\\c" , nonce=n, uri="/a,b=c", response=r, algorithm="SHA-256", qop="auth", nc=1, cnonce="",,"#,
                r#"a"b\c SHA-256 n /a,b=c r 1 "#,
            ),
            ("Basic bnZyOnBhOnNz", "nvr pa:ss"),
            ("BASIC  bnZyOg==", "nvr "),
            ("Basic bnZyOg", "nvr "),
        ] {
            assert_eq!(told(value).as_deref(), Some(wanted), "{value}");
        }
    }

    #[test]
    fn what_is_not_offered_or_damaged_is_none() {
        let whole = r#"Digest username="u", nonce="n", uri="/", response="r""#;
        assert!(told(whole).is_some());
        for more in [
            ", algorithm=MD5-sess",
            ", qop=auth-int, nc=1, cnonce=c",
            ", qop=auth, nc=1",
            ", username=\"other\"",
            ", opaque=\"open",
            " x=y",
            ", =x",
            ", bare",
        ] {
            assert_eq!(told(&format!("{whole}{more}")), None, "{more}");
        }
        for value in
            ["", "Digest", "Digest ", "Basic", "Basic ***", "Basic bnZy", "Bearer x", "Basic /w=="]
        {
            assert_eq!(told(value), None, "{value}");
        }
    }

    #[test]
    fn nothing_secret_is_shown_however_odd() {
        for (value, wanted) in [
            (
                r#"Digest username="u", nonce="n", response="r""#,
                r#"Digest username="u", nonce="***", response="***""#,
            ),
            (r#"Basic realm="holdfast""#, r#"Basic realm="holdfast""#),
            ("Basic bnZyOnNlY3JldA==", "Basic ***"),
            ("Digest bnZyOnNlY3JldA==", r#"Digest ?="***""#),
            (r#"Digest0u="u", realm="h", response="r""#, "? ***"),
            (r#"Digest0 realm="h", response="r""#, "? ***"),
            (r#"Basic realm="h", response="r", realm="h""#, "Basic ***"),
            (r#"Digest realm="h", response="r"#, "Digest ***"),
            ("secret", "? ***"),
        ] {
            assert_eq!(masked(value), wanted, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_reading_panic(scheme in "(Digest |Basic )?", value: String) {
            let _ = read(&format!("{scheme}{value}"));
        }

        #[test]
        fn what_is_quoted_is_read_back(text: String) {
            let quoted: String =
                text.chars().flat_map(|c| match c { '"' | '\\' => vec!['\\', c], c => vec![c] }).collect();
            let value = format!("Digest username=\"{quoted}\", nonce=n, uri=u, response=r");
            let Some(Shown::Digest(digest)) = read(&value) else { panic!("{value}") };
            assert_eq!(digest.username, text);
        }
    }
}
