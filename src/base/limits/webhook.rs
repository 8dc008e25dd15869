//! Webhooks: what waits to be sent, and what one attempt may cost.

use std::time::Duration;

/// Webhooks in one configuration; more are refused.
pub const WEBHOOKS_MAX: usize = 8;
/// Bytes of a webhook's secret.
pub const WEBHOOK_SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;
/// Deliveries of one webhook that wait to be sent; past it the oldest one other than an alarm
/// becomes a dead letter.
pub const WEBHOOK_PENDING_MAX: usize = 256;
/// Dead letters of one webhook; the oldest leave first.
pub const WEBHOOK_DEAD_MAX: usize = 1_000;
/// Bytes of the bodies of one webhook's dead letters; the oldest leave first.
pub const WEBHOOK_DEAD_BYTES_MAX: usize = 1 << 20;
/// Largest body of a delivery; the data of a larger event is left out.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 16 << 10;
/// Largest file of deliveries that is read; a larger one counts as none.
pub const WEBHOOK_FILE_BYTES_MAX: u64 = 16 << 20;
/// From the look-up of the receiver's name to the status of its answer.
pub const WEBHOOK_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 4 << 10;
/// Pauses after each failed attempt, a fifth more or less; after the last the delivery is a dead letter.
pub const WEBHOOK_PAUSES: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(24 * 3_600),
];
/// How soon what waits is on the medium.
pub const WEBHOOK_SAVE_PAUSE: Duration = Duration::from_secs(1);
/// Pause between two writes of it while something fails, so that no receiver wears the medium.
pub const WEBHOOK_SAVE_INTERVAL: Duration = Duration::from_secs(15);
