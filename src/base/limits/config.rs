//! What a configuration may hold.
//!
//! Owns: the file, its streams and accounts.

use std::time::Duration;

/// Longest stream name; a longer one is refused when the configuration is read.
pub const STREAM_NAME_BYTES_MAX: usize = 32;
/// Streams in one configuration; more are refused.
pub const STREAMS_MAX: usize = 64;
/// Largest configuration read, all files of `conf.d` included; a larger one is refused.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Files of `conf.d` beside the configuration file; more are refused.
pub const CONFIG_DROP_INS_MAX: usize = 64;

/// Former texts of the configuration that are kept; the oldest leave first.
pub const CONFIG_HISTORY_MAX: usize = 10;
/// Calls for the configuration that wait for their turn; a further one waits with its request.
pub const CONFIG_CALLS_MAX: usize = 16;
/// How long a change that may lock everybody out waits for its confirmation, unless the request says
/// otherwise; then the old text is taken back.
pub const CONFIG_CONFIRM_TIME: Duration = Duration::from_secs(90);
/// What a request may say instead, in seconds.
pub const CONFIG_CONFIRM_SECS: std::ops::RangeInclusive<u64> = 5..=600;
/// Characters of a stream's title; a longer one is refused.
pub const STREAM_TITLE_CHARS_MAX: usize = 64;
/// Accounts in one configuration; more are refused.
pub const ACCOUNTS_MAX: usize = 256;
