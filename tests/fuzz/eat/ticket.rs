//! Tickets of players, which are signed: nothing of one can be changed, nor can it be used elsewhere.

use holdfast::base::time::BootTime;

use super::media::{accounts, authorizer};
use super::people::spoilt;

const PATH: &str = "/live/gate/";

/// Feeds one input: as a ticket, and as what spoils a good one.
pub fn eat(bytes: &[u8]) {
    let (now, authorizer) = (BootTime::from_millis(5_000), authorizer(accounts()));
    let ticket =
        authorizer.media_ticket(now, "nvr", PATH, false).expect("there is such an account");
    for shown in [bytes.to_vec(), spoilt(&ticket, bytes)] {
        let shown = String::from_utf8_lossy(&shown);
        let reads = |path: &str, secure| authorizer.ticket_reader(now, &shown, path, secure);
        assert_eq!(reads(PATH, false).is_some(), shown == ticket, "{shown}");
        assert!(reads(PATH, true).is_none() && reads("/live/yard/", false).is_none(), "{shown}");
    }
    let path = String::from_utf8_lossy(bytes);
    assert_eq!(authorizer.ticket_reader(now, &ticket, &path, false).is_some(), path == PATH);
}
