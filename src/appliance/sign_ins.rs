//! Sign-ins of stream accounts, as the audit log has them.
//!
//! Owns: the words for them. Which are written, and which are only counted, is decided in `access`.

use tracing::warn;

use crate::access::{AccessControl, Act};
use crate::base::time::WallTime;
use crate::serve::rtsp::SessionRegistry;
use crate::wire::rtsp::auth::{Attempt, Outcome};

/// Notes the sign-ins that were looked at since the last call. Blocks.
pub(super) fn note(access: &AccessControl, rtsp: &SessionRegistry, now: WallTime) {
    let (attempts, others) = rtsp.authorizer().attempts().take();
    access.count_sign_ins(others);
    for (attempt, times) in attempts {
        if let (Outcome::Right, Some(account)) = (attempt.outcome, &attempt.account) {
            rtsp.note_use(account, now);
        }
        let Some(line) = access.admit_act(act(&attempt), times) else { continue };
        if let Err(error) = access.audit().append_line(now, &line) {
            warn!(part = "access", %error, "audit log cannot be written");
        }
    }
}

fn act(attempt: &Attempt) -> Act {
    let Attempt { account, peer, secure, http, outcome } = attempt;
    let proved = matches!(outcome, Outcome::Right | Outcome::Forbidden);
    Act {
        who: account.as_deref().unwrap_or("unknown").to_owned(),
        proof: if proved { "stream account" } else { "none" },
        scheme: match (http, secure) {
            (true, true) => "https",
            (true, false) => "http",
            (false, true) => "rtsps",
            (false, false) => "rtsp",
        },
        address: Some(*peer),
        act: if *outcome == Outcome::Forbidden { "what its rights forbid" } else { "sign-in" }
            .to_owned(),
        result: match outcome {
            Outcome::Right => 200,
            Outcome::Wrong => 401,
            Outcome::Forbidden => 403,
            Outcome::TooMany if *http => 429,
            Outcome::TooMany => 503,
        },
    }
}
