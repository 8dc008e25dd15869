//! Three kinds of time that never convert silently, and the clock they are read from.
//!
//! Owns: [`BootTime`] (order, ageing, watchdogs), [`WallTime`] (an annotation that a later
//! clock sync may correct, because these boards boot without a battery clock) and
//! [`MediaTime`] (ticks of one track). Cores never read a clock; drivers pass `now` in.

#[cfg(test)]
mod hand;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
pub(crate) use hand::HandClock;

pub use super::trust::{ClockQuality, Trust};

use super::trust;

/// Nanoseconds of `CLOCK_BOOTTIME`: monotonic, counts through suspend, restarts at boot.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct BootTime(u64);

impl BootTime {
    /// The instant `nanos` after boot.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` after boot.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Nanoseconds since boot.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The instant `by` earlier, not before boot.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z as this machine believed at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

/// Seconds between the NTP epoch (1900) and the Unix epoch (1970), RFC 5905 §6.
const NTP_UNIX_OFFSET_SECS: i64 = 2_208_988_800;

impl WallTime {
    /// The date that NTP writes as zero: "unknown" in a sender report (RFC 3550 §6.4.1).
    pub const NTP_ZERO: Self = Self(-NTP_UNIX_OFFSET_SECS * 1_000_000_000);

    /// The instant `nanos` after the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_nanos(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_unix_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The instant `nanos` later (or earlier, when negative).
    #[must_use]
    pub const fn offset_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// As a 64-bit NTP timestamp, 32.32 fixed point (RFC 3550 §4). Wraps in 2036 as NTP does.
    #[must_use]
    pub fn to_ntp(self) -> u64 {
        let secs = self.0.div_euclid(1_000_000_000) + NTP_UNIX_OFFSET_SECS;
        let nanos = self.0.rem_euclid(1_000_000_000).unsigned_abs();
        (secs.cast_unsigned() << 32) | ((nanos << 32) / 1_000_000_000)
    }

    /// From a 64-bit NTP timestamp, read as the era nearest to `near`.
    #[must_use]
    pub fn from_ntp(ntp: u64, near: Self) -> Self {
        let frac_nanos = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
        let near_secs = near.0.div_euclid(1_000_000_000) + NTP_UNIX_OFFSET_SECS;
        // Truncation is the meaning: the difference within one 2^32 s era, shorter way round.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let by = ((ntp >> 32) as u32).wrapping_sub(near_secs as u32).cast_signed();
        let secs = near_secs + i64::from(by) - NTP_UNIX_OFFSET_SECS;
        Self(secs.saturating_mul(1_000_000_000).saturating_add(frac_nanos.cast_signed()))
    }

    /// From RFC 3339 with any offset; `None` for anything else.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let nanos = text.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
        i64::try_from(nanos).ok().map(Self)
    }

    /// RFC 3339 in UTC with milliseconds, such as `2026-11-22T14:05:23.480Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_nanosecond(i128::from(self.as_unix_millis()) * 1_000_000) {
            Ok(at) => format!("{at:.3}"),
            Err(_) => "1970-01-01T00:00:00.000Z".to_owned(),
        }
    }
}

impl schemars::JsonSchema for WallTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl serde::Serialize for WallTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

/// A position on a stream's media timeline, in ticks of one track's clock.
///
/// All tracks and all runs of a stream share one timeline, whose zero is boot: a run is
/// anchored where its first unit arrived, so media time continues over a reconnect with a gap
/// of the right length and never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MediaTime {
    /// Ticks since boot.
    pub ticks: i64,
    /// Ticks per second.
    pub rate: NonZeroU32,
}

impl MediaTime {
    /// The position of `nanos` after boot, rounded down to a tick.
    #[must_use]
    pub fn from_nanos(nanos: i64, rate: NonZeroU32) -> Self {
        let ticks = (i128::from(nanos) * i128::from(rate.get())).div_euclid(1_000_000_000);
        Self { ticks: saturate(ticks), rate }
    }

    /// Nanoseconds since boot, rounded down.
    #[must_use]
    pub fn as_nanos(self) -> i64 {
        saturate((i128::from(self.ticks) * 1_000_000_000).div_euclid(i128::from(self.rate.get())))
    }

    /// The same instant in another track's ticks, rounded down.
    #[must_use]
    pub fn rescale(self, rate: NonZeroU32) -> Self {
        let ticks = (i128::from(self.ticks) * i128::from(rate.get()))
            .div_euclid(i128::from(self.rate.get()));
        Self { ticks: saturate(ticks), rate }
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Where drivers read the time. Tests bring their own.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Time since boot, suspend included.
    fn boot(&self) -> BootTime;
    /// The date as the machine believes it.
    fn wall(&self) -> WallTime;
    /// How far that date can be trusted. A clock that does not know says so.
    fn quality(&self) -> ClockQuality {
        ClockQuality::default()
    }
}

/// A clock that can be handed round.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn boot(&self) -> BootTime {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        BootTime(t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs())
    }

    fn wall(&self) -> WallTime {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        WallTime(t.tv_sec * 1_000_000_000 + t.tv_nsec)
    }

    fn quality(&self) -> ClockQuality {
        trust::of_this_machine()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(hz: u32) -> NonZeroU32 {
        NonZeroU32::new(hz).unwrap()
    }

    #[test]
    fn ntp_and_back_is_the_same_instant() {
        let now = WallTime::from_unix_nanos(1_795_363_523_480_000_000);
        let back = WallTime::from_ntp(now.to_ntp(), now);
        assert!((back.as_unix_nanos() - now.as_unix_nanos()).abs() <= 1, "{back:?}");
    }

    #[test]
    fn ntp_is_read_in_the_nearest_era() {
        let after_2036 = WallTime::from_unix_nanos(2_200_000_000_000_000_000);
        let back = WallTime::from_ntp(after_2036.to_ntp(), after_2036);
        assert!((back.as_unix_nanos() - after_2036.as_unix_nanos()).abs() <= 1);
    }

    #[test]
    fn rescaling_does_not_overflow_or_drift() {
        let far = MediaTime { ticks: 90_000 * 86_400 * 365 * 100, rate: rate(90_000) };
        assert_eq!(far.rescale(rate(48_000)).rescale(rate(90_000)), far);
    }

    #[test]
    fn a_wall_time_prints_as_rfc_3339() {
        let t = WallTime::from_unix_nanos(1_795_363_523_480_999_999);
        assert_eq!(t.to_rfc3339(), "2026-11-22T16:05:23.480Z");
    }

    #[test]
    fn rfc_3339_is_read_with_any_offset() {
        let t = WallTime::parse_rfc3339("2026-11-22T17:05:23.480+01:00").unwrap();
        assert_eq!(t.to_rfc3339(), "2026-11-22T16:05:23.480Z");
        assert_eq!(WallTime::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn the_system_clock_moves_forward() {
        let clock = SystemClock;
        let a = clock.boot();
        assert!(clock.boot() >= a);
    }
}
