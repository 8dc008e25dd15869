//! Accounts, sessions and the claim.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Accounts of people; a further one is refused.
pub const PEOPLE_MAX: usize = 64;
/// API tokens; a further one is refused.
pub const API_TOKENS_MAX: usize = 64;
/// Bytes of a token's label.
pub const TOKEN_LABEL_BYTES_MAX: usize = 64;
/// Streams that one account may be limited to.
pub const ACCOUNT_STREAMS_MAX: usize = super::STREAMS_MAX;
/// Bytes of the accounts' file; a larger one counts as damaged.
pub const ACCOUNTS_FILE_BYTES_MAX: u64 = 1 << 20;
/// Characters of a password.
pub const PASSWORD_CHARACTERS: RangeInclusive<usize> = 12..=128;
/// Memory of one password hash, in KiB.
pub const PASSWORD_HASH_KIB: u32 = 19 * 1024;
/// Passwords that wait to be hashed, the one being hashed included; a further one is answered 429.
pub const PASSWORDS_IN_LINE_MAX: usize = 4;

/// A session ends after so long without a request and without an open socket.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// A session ends after so long in any case.
pub const SESSION_LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Sessions of one account; a further one ends the one that was idle longest.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 8;
/// Sessions in all; as above.
pub const WEB_SESSIONS_MAX: usize = 64;
/// Cookies of a session's name that are checked in one request: two boxes behind one host name
/// share their cookies.
pub const SESSION_COOKIES_MAX: usize = 4;
/// How often ended sessions, and changes of the accounts' file, are looked for.
pub const ACCESS_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Life of a media ticket, which replaces a password that a player shows only once.
pub const MEDIA_TICKET_TIME_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Wrong claim codes before the claim is locked.
pub const CLAIM_WRONG_MAX: u32 = 5;
/// How long a box can be claimed without its code after its button was held.
pub const CLAIM_WINDOW_TIME: Duration = Duration::from_secs(300);
/// How long after power-on the button opens that window.
pub const CLAIM_BUTTON_TIME: Duration = Duration::from_secs(600);
/// How long the claim is locked then.
pub const CLAIM_LOCK_TIME: Duration = Duration::from_secs(900);

/// How long after its start a box without an owner shows what its own cameras see.
pub const PREVIEW_TIME: Duration = Duration::from_secs(30 * 60);
/// Pixels of the width of those pictures.
pub const PREVIEW_PICTURE_WIDTH: u16 = 320;

/// Bytes of one file of the audit log; the older of two goes when the newer one is full.
pub const AUDIT_FILE_BYTES_MAX: u64 = 4 << 20;
/// Characters of a text in the audit log; what is longer is cut.
pub const AUDIT_TEXT_CHARS_MAX: usize = 200;
/// Lines of the audit log about sign-ins of players, or about what was refused, at once; then one in
/// [`AUDIT_SIGN_IN_INTERVAL`] or [`AUDIT_REFUSAL_INTERVAL`]. What is beyond is counted.
pub const AUDIT_BURST_MAX: u32 = 60;
/// From one line about a sign-in of a player to the next, once the burst is used up.
pub const AUDIT_SIGN_IN_INTERVAL: Duration = Duration::from_secs(60);
/// The same for what was refused: a flood that never ends takes weeks to fill the log.
pub const AUDIT_REFUSAL_INTERVAL: Duration = Duration::from_secs(300);
/// How long the same act by the same peer is only counted after a line about it.
pub const AUDIT_REPEAT_TIME: Duration = Duration::from_secs(600);
/// Acts that are recognised when they come again; the oldest is forgotten first.
pub const AUDIT_PACED_ACTS_MAX: usize = 256;
/// Lines of the audit log about what one account or token does, at once; then one in
/// [`AUDIT_ACTS_INTERVAL`]. What is beyond is counted.
pub const AUDIT_ACTS_BURST_MAX: u32 = 600;
/// From one such line to the next: a single account takes weeks to fill the log.
pub const AUDIT_ACTS_INTERVAL: Duration = Duration::from_secs(60);
/// Accounts and tokens with a budget of their own; further ones share one.
pub const AUDIT_ACTORS_MAX: usize = PEOPLE_MAX + API_TOKENS_MAX;
/// Entries of the audit log in one answer.
pub const AUDIT_LISTED_MAX: usize = 1_000;
/// Bytes of a file that holds a secret of the configuration.
pub const SECRET_BYTES_MAX: u64 = 4 << 10;
