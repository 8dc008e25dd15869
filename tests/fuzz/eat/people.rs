//! A claimed box with one person, their sessions and a token.

use std::sync::{Arc, OnceLock};

use holdfast::access::{AccessControl, NewAccount, NewToken, Role, StreamAccess, TokenScope};
use holdfast::base::secret::Secret;
use holdfast::base::time::SystemClock;

/// Who may use the box, and what they would have to show.
pub(crate) struct People {
    pub(crate) access: AccessControl,
    /// A session over plain HTTP.
    pub(crate) session: String,
    pub(crate) token: String,
}

/// The same for every input.
pub(crate) fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("holdfast-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let access = AccessControl::open(&dir, Arc::new(SystemClock)).unwrap();
        let (streams, past) = (StreamAccess::All, true);
        let (name, password) = ("anna".to_owned(), Secret::new("correct horse battery"));
        let new = NewAccount { name, role: Role::Admin, streams: streams.clone(), past, password };
        access.add(&new).unwrap();
        let (label, role, scope) = ("wall".to_owned(), Role::Viewer, TokenScope::Api);
        let new = NewToken { label, role, streams, past, scope, expires: None };
        let (_, token) = access.add_token(&new, None).unwrap();
        let session = access.open_session("anna", false).unwrap();
        // From here on it is in memory.
        std::fs::remove_dir_all(&dir).unwrap();
        let (session, token) = (session.reveal().to_owned(), token.reveal().to_owned());
        People { access, session, token }
    })
}

/// `text` with some of it replaced by what the input says: where, how much of it, and by what.
pub(crate) fn spoilt(text: &str, bytes: &[u8]) -> Vec<u8> {
    let [at, length, rest @ ..] = bytes else { return bytes.to_vec() };
    let begin = usize::from(*at) % (text.len() + 1);
    let end = (begin + usize::from(*length)).min(text.len());
    [&text.as_bytes()[..begin], rest, &text.as_bytes()[end..]].concat()
}
