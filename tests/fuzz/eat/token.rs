//! Keys in the Authorization header: only the exact text of one opens the box.

use super::people::{people, spoilt};

/// Feeds one input: as a key, and as what spoils a good one.
pub fn eat(bytes: &[u8]) {
    let people = people();
    let access = &people.access;
    assert!(access.by_token(&people.token).is_some());
    for shown in [bytes.to_vec(), spoilt(&people.token, bytes)] {
        let shown = String::from_utf8_lossy(&shown);
        let good = shown == people.token;
        assert_eq!(access.by_token(&shown).is_some(), good, "{shown}");
        assert!(access.by_local_key(&shown).is_none(), "{shown}");
        // A token is no session, nor is a session of one scheme one of the other.
        assert!(access.by_session(&shown, false).is_none(), "{shown}");
    }
    let shown = spoilt(&people.session, bytes);
    let shown = String::from_utf8_lossy(&shown);
    assert_eq!(access.by_session(&shown, false).is_some(), shown == people.session, "{shown}");
    assert!(access.by_session(&shown, true).is_none() && access.by_token(&shown).is_none());
}
