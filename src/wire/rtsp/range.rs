//! Which part of a stream is requested: the Range header (RFC 2326 §12.29) and dates in URLs.
//!
//! Owns: the forms in which dates are read and written. Does not own: what is recorded.

use rtsp_types::StatusCode;

use crate::base::time::WallTime;

const NANOS_PER_SEC: i64 = 1_000_000_000;

/// Dates from which and until which to play; `until` is not played any more, and without it
/// playing continues for as long as there is anything. Backwards, `until` is the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where playing begins.
    pub from: WallTime,
    /// Where it ends.
    pub until: Option<WallTime>,
}

/// A date or a range that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Why a Range header cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeError {
    /// It is invalid (457).
    Unreadable,
    /// Its unit is not known here, such as `smpte` (501, RFC 2326 §12.29).
    UnknownUnit,
}

impl RangeError {
    /// What is answered.
    pub(super) fn refusal(self) -> (StatusCode, &'static str) {
        match self {
            Self::Unreadable => {
                (StatusCode::InvalidRange, "a range is npt=SECONDS- or clock=YYYYMMDDThhmmss.fZ-")
            }
            Self::UnknownUnit => {
                (StatusCode::NotImplemented, "the units of a range are npt and clock")
            }
        }
    }
}

impl From<Unreadable> for RangeError {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

/// What a Range header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Dates (RFC 2326 §3.7).
    Clock(Span),
    /// What comes now (RFC 2326 §3.6, `npt=now-`).
    Now,
    /// Nanoseconds since the beginning of what the URL names (RFC 2326 §3.6).
    Npt {
        /// Where playing begins.
        from_nanos: i64,
        /// Where it ends.
        until_nanos: Option<i64>,
    },
}

impl Range {
    /// Reads a header's value; an empty one counts as no header.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, RangeError> {
        // `;time=` says when to begin; everyone means at once.
        let text = text.split(';').next().unwrap_or_default().trim();
        if text.is_empty() {
            return Ok(None);
        }
        let (unit, range) = text.split_once('=').unwrap_or((text, ""));
        match unit.trim().to_ascii_lowercase().as_str() {
            "clock" => Ok(Some(parse_clock(range.trim())?)),
            "npt" => Ok(Some(parse_npt(range.trim())?)),
            _ => Err(RangeError::UnknownUnit),
        }
    }

    /// Whether it ends before it begins, as only a range to play backwards may.
    pub(super) fn is_reversed(self) -> bool {
        match self {
            Self::Npt { from_nanos, until_nanos } => {
                until_nanos.is_some_and(|until| until < from_nanos)
            }
            Self::Clock(span) => span.until.is_some_and(|until| until < span.from),
            Self::Now => false,
        }
    }

    /// The dates that are meant by a URL that names `named`; `None` is live. On a URL without
    /// dates normal play time begins now, so all of it is live.
    pub(super) fn resolve(self, named: Option<Span>) -> Option<Span> {
        match self {
            Self::Clock(span) => Some(span),
            Self::Now => None,
            Self::Npt { from_nanos, until_nanos } => {
                let named = named?;
                let end = until_nanos.map(|nanos| named.from.offset_nanos(nanos));
                let until = match (end, named.until) {
                    (Some(end), Some(until)) => Some(end.min(until)),
                    (end, until) => end.or(until),
                };
                Some(Span { from: named.from.offset_nanos(from_nanos), until })
            }
        }
    }
}

impl Span {
    /// The value of a Range header, such as `clock=20261122T172523.480Z-`.
    #[must_use]
    pub fn to_header(self) -> String {
        let until = self.until.and_then(clock).unwrap_or_default();
        format!("clock={}-{until}", clock(self.from).unwrap_or_default())
    }

    /// The same in seconds since `zero`.
    #[must_use]
    pub fn to_npt(self, zero: WallTime) -> String {
        let secs = |at: WallTime| {
            let nanos = at.as_unix_nanos().saturating_sub(zero.as_unix_nanos()).max(0);
            format!("{}.{:03}", nanos / NANOS_PER_SEC, nanos % NANOS_PER_SEC / 1_000_000)
        };
        format!("npt={}-{}", secs(self.from), self.until.map(secs).unwrap_or_default())
    }
}

fn parse_clock(range: &str) -> Result<Range, Unreadable> {
    let (from, until) = range.split_once('-').unwrap_or((range, ""));
    let from = basic_date(from.trim()).ok_or(Unreadable)?;
    let until = match until.trim() {
        "" => None,
        until => Some(basic_date(until).ok_or(Unreadable)?),
    };
    Ok(Range::Clock(Span { from, until }))
}

fn parse_npt(range: &str) -> Result<Range, Unreadable> {
    let (from, until) = range.split_once('-').unwrap_or((range, ""));
    if from.trim().eq_ignore_ascii_case("now") {
        return Ok(Range::Now);
    }
    let nanos = |text: &str| match text.trim() {
        "" => Ok(None),
        text => npt_nanos(text).map(Some).ok_or(Unreadable),
    };
    Ok(Range::Npt { from_nanos: nanos(from)?.unwrap_or(0), until_nanos: nanos(until)? })
}

/// `12.5` or `0:00:12.5`, RFC 2326 §3.6.
fn npt_nanos(text: &str) -> Option<i64> {
    let mut whole = 0i64;
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts: Vec<&str> = clock.split(':').collect();
    if parts.len() != 1 && parts.len() != 3 {
        return None;
    }
    for part in parts {
        whole = whole.checked_mul(60)?.checked_add(digits(part)?)?;
    }
    whole.checked_mul(NANOS_PER_SEC)?.checked_add(fraction_nanos(fraction)?)
}

/// A date in a URL: RFC 3339, `20260101T000000Z`, `2026_01_01_00_00_00`, or Unix seconds.
/// A date without a zone is UTC.
#[must_use]
pub fn any_date(text: &str) -> Option<WallTime> {
    let underscored = || {
        let parts: Vec<&str> = text.split('_').collect();
        let [year, month, day, hour, minute, second] = parts[..] else { return None };
        date([year, month, day, hour, minute, second], 0)
    };
    let unix = || {
        let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
        let nanos = digits(secs)?.checked_mul(NANOS_PER_SEC)?;
        nanos.checked_add(fraction_nanos(fraction)?).map(WallTime::from_unix_nanos)
    };
    let upper = text.to_ascii_uppercase();
    WallTime::parse_rfc3339(&upper)
        .or_else(|| basic_date(&upper))
        .or_else(underscored)
        .or_else(unix)
}

/// `20260101T000000.5Z`, RFC 2326 §3.7; the `Z` may be missing.
fn basic_date(text: &str) -> Option<WallTime> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (day, time) = whole.split_once(['T', 't'])?;
    if !whole.is_ascii() || day.len() != 8 || time.len() != 6 {
        return None;
    }
    let parts = [&day[..4], &day[4..6], &day[6..], &time[..2], &time[2..4], &time[4..]];
    date(parts, fraction_nanos(fraction)?)
}

/// Year, month, day, hour, minute and second in UTC.
fn date(parts: [&str; 6], nanos: i64) -> Option<WallTime> {
    let mut numbers = [0i8; 6];
    let year = i16::try_from(digits(parts[0])?).ok()?;
    for (number, part) in numbers.iter_mut().zip(parts).skip(1) {
        *number = i8::try_from(digits(part)?).ok()?;
    }
    let [_, month, day, hour, minute, second] = numbers;
    let at = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_nanosecond();
    i64::try_from(at).ok()?.checked_add(nanos).map(WallTime::from_unix_nanos)
}

/// Decimal digits and nothing else; at least one.
fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What is behind the point, to nanoseconds.
fn fraction_nanos(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let kept = text.get(..text.len().min(9))?;
    let scale = 10i64.pow(u32::try_from(9 - kept.len()).ok()?);
    digits(text.get(9..).unwrap_or_default()).or(Some(0))?;
    Some(digits(kept)? * scale)
}

/// RFC 2326 §3.7, such as `20261122T172523.480Z`; `None` beyond the calendar.
fn clock(at: WallTime) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(at.as_unix_millis()).ok()?;
    Some(at.strftime("%Y%m%dT%H%M%S.%3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallTime {
        WallTime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn dates_are_read_in_every_form_that_clients_send() {
        let wanted = at("2026-01-02T03:04:05.5Z");
        for text in ["2026-01-02T03:04:05.5Z", "2026-01-02t04:04:05.5+01:00", "1767323045.5"] {
            assert_eq!(any_date(text), Some(wanted), "{text}");
        }
        let whole = at("2026-01-02T03:04:05Z");
        for text in ["20260102T030405Z", "20260102t030405z", "20260102T030405"] {
            assert_eq!(any_date(text), Some(whole), "{text}");
        }
        assert_eq!(any_date("2026_01_02_03_04_05"), Some(whole));
        for text in ["", "yesterday", "20261301T000000Z", "2026_01_02", "1e9", "-5", "é026"] {
            assert_eq!(any_date(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_are_read_and_written() {
        let (from, until) = (at("2026-01-02T03:04:05.250Z"), at("2026-01-02T03:05:00Z"));
        let closed = Span { from, until: Some(until) };
        let text = "clock=20260102T030405.250Z-20260102T030500.000Z";
        assert_eq!(Range::parse(text), Ok(Some(Range::Clock(closed))));
        assert_eq!(closed.to_header(), text);
        assert_eq!(closed.to_npt(from.offset_nanos(-NANOS_PER_SEC)), "npt=1.000-55.750");
        let open = Span { from, until: None };
        let told = Range::parse("clock = 20260102T030405.25Z- ; time=x");
        assert_eq!(told, Ok(Some(Range::Clock(open))));
        assert_eq!(Range::parse("npt=now-"), Ok(Some(Range::Now)));
        let npt = Range::Npt { from_nanos: 3_723_500_000_000, until_nanos: None };
        assert_eq!(Range::parse("npt=1:02:03.5-"), Ok(Some(npt)));
        assert_eq!(Range::parse(""), Ok(None));
        for unit in ["smpte=0:00-", "smpte-25=0:10:20-", "bytes=0-5", "foo"] {
            assert_eq!(Range::parse(unit), Err(RangeError::UnknownUnit), "{unit}");
        }
        assert!(Range::parse("npt=5-2").unwrap().unwrap().is_reversed());
        assert!(!Range::parse("npt=2-5").unwrap().unwrap().is_reversed());
        for bad in ["clock=-", "clock=now-", "npt=x-", "npt=1:2-", "npt=-9999999999999999999"] {
            assert_eq!(Range::parse(bad), Err(RangeError::Unreadable), "{bad}");
        }
    }

    #[test]
    fn normal_play_time_begins_where_the_url_says() {
        let named =
            Span { from: at("2026-01-02T00:00:00Z"), until: Some(at("2026-01-02T00:01:00Z")) };
        let npt = Range::Npt { from_nanos: 10 * NANOS_PER_SEC, until_nanos: None };
        let wanted = Span { from: at("2026-01-02T00:00:10Z"), ..named };
        assert_eq!(npt.resolve(Some(named)), Some(wanted));
        assert_eq!(npt.resolve(None), None);
        assert_eq!(Range::Now.resolve(Some(named)), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC*", digits in "[0-9TZ_:.+-]*") {
            for text in [text, digits] {
                let _ = any_date(&text);
                for unit in ["clock", "npt"] {
                    let _ = Range::parse(&format!("{unit}={text}"));
                }
            }
        }

        #[test]
        fn what_is_written_is_read(millis in 0i64..4_000_000_000_000, longer in 0i64..100_000_000) {
            let from = WallTime::from_unix_nanos(millis * 1_000_000);
            let until = Some(WallTime::from_unix_nanos((millis + longer) * 1_000_000));
            for span in [Span { from, until }, Span { from, until: None }] {
                proptest::prop_assert_eq!(Range::parse(&span.to_header()), Ok(Some(Range::Clock(span))));
            }
        }
    }
}
