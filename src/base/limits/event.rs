//! Events, and their readers.
//!
//! Owns: how many are kept, and what one may cost.

use std::time::Duration;

/// Events kept for readers that fall behind or come back; the oldest leave first, and a reader that
/// wanted them gets the number it lost.
pub const EVENTS_KEPT_MAX: usize = 4_096;
/// Bytes of the data of those events; past it the oldest leave as well.
pub const EVENTS_BYTES_MAX: usize = 4 << 20;
/// Readers of the event stream over HTTP; a further one is answered 503.
pub const EVENT_READERS_MAX: usize = 256;
/// Interval of pings to a reader of the event stream.
pub const EVENT_PING_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of a mark's kind.
pub const MARK_KIND_BYTES_MAX: usize = 32;
/// How far before and behind its moment an event may protect footage.
pub const EVENT_ROLL_MAX: Duration = Duration::from_secs(3_600);
/// Events that one answer lists; older ones are in the answer to a request with an earlier `end`.
pub const EVENTS_LISTED_MAX: usize = 1_000;
/// Kinds, or streams, that one filter may name.
pub const EVENT_FILTER_LEN_MAX: usize = 64;
