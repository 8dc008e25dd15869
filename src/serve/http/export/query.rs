//! What stands behind the question mark: dates for the ring, seconds for a clip.

use crate::base::time::WallTime;
use crate::serve::http::error::ApiError;

const NANOS_DIGITS: usize = 9;

/// A stretch of the ring.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) start: WallTime,
    pub(super) end: WallTime,
}

impl Query {
    /// `start=&end=`, each RFC 3339 or seconds since 1970; without `end` it is `now`.
    pub(super) fn read(text: &str, now: WallTime) -> Result<Self, ApiError> {
        let (mut start, mut end) = (None, None);
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let field = match &*name {
                "start" => &mut start,
                "end" => &mut end,
                _ => return Err(bad("Only `start` and `end` may stand behind the question mark.")),
            };
            if field.replace(date(&value, &name)?).is_some() {
                return Err(bad("`start` and `end` may be given once."));
            }
        }
        let missing = "`start` is missing: a time in RFC 3339 or seconds since 1970.";
        let start = start.ok_or_else(|| bad(missing))?;
        let end = end.unwrap_or(now);
        if end <= start && !(start > now) {
            return Err(bad("`end` must be later than `start`."));
        }
        Ok(Self { start, end })
    }
}

fn bad(message: &str) -> ApiError {
    crate::serve::http::api::recordings::bad_request(message)
}

fn date(text: &str, name: &str) -> Result<WallTime, ApiError> {
    // A plus that was not escaped arrives as a space.
    let date = unix(text).or_else(|| WallTime::parse_rfc3339(&text.replace(' ', "+")));
    date.ok_or_else(|| {
        bad(&format!(
            "`{name}` must be a time in RFC 3339, such as 2026-11-22T14:05:00+01:00, or seconds \
             since 1970, such as 1795352700.5."
        ))
    })
}

/// Seconds since 1970 with a fraction.
fn unix(text: &str) -> Option<WallTime> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > NANOS_DIGITS {
        return None;
    }
    let secs: i64 = whole.parse().ok()?;
    let nanos: i64 = format!("{part:0<NANOS_DIGITS$}").parse().ok()?;
    let nanos = secs.checked_mul(1_000_000_000)?.checked_add(nanos)?;
    Some(WallTime::from_unix_nanos(nanos))
}

/// A stretch of a clip, as nginx reads it: what makes no sense counts as not given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seconds {
    /// `None` for all of the clip.
    pub(super) start_millis: Option<i64>,
    /// `None` up to its end.
    pub(super) length_millis: Option<i64>,
}

impl Seconds {
    pub(super) fn read(text: &str) -> Self {
        let find = |wanted: &str| {
            let mut fields = text.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(name, _)| *name == wanted).and_then(|(_, value)| millis(value))
        };
        let (start, end) = (find("start"), find("end").filter(|end| *end > 0));
        let start_millis = start.or(end.map(|_| 0));
        let length = end.zip(start_millis).map(|(end, start)| end - start);
        Self { start_millis, length_millis: length.filter(|length| *length > 0) }
    }
}

/// Seconds with a fraction, of which three digits count.
fn millis(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if text.is_empty() || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    format!("{whole}{part}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> WallTime {
        WallTime::from_unix_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn dates_come_in_two_forms() {
        let half = at(1_795_000_000).offset_nanos(500_000_000);
        for (text, start, end) in [
            ("start=1795000000&end=1795000010", at(1_795_000_000), at(1_795_000_010)),
            ("start=1795000000.5", half, at(1_796_000_000)),
            ("end=1795000010&start=1795000000.", at(1_795_000_000), at(1_795_000_010)),
            (
                "start=2026-11-18T12:06:40%2B01:00&end=2026-11-18T11:06:50Z",
                at(1_795_000_000),
                at(1_795_000_010),
            ),
            ("start=2026-11-18T12:06:40+01:00", at(1_795_000_000), at(1_796_000_000)),
        ] {
            let query = Query::read(text, at(1_796_000_000)).map_err(|error| error.message);
            assert_eq!(query, Ok(Query { start, end }), "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_words() {
        for text in [
            "",
            "end=1795000000",
            "start=1795000000&end=1795000000",
            "start=1795000000&end=1794000000",
            "start=-5",
            "start=tomorrow",
            "start=1.0000000001",
            "start=99999999999999999999",
            "start=1&start=2",
            "start=1&zoom=2",
        ] {
            let error = Query::read(text, at(1_796_000_000)).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, "bad_request"), "{text}");
        }
    }

    #[test]
    fn seconds_are_read_as_nginx_reads_them() {
        for (text, start, length) in [
            ("", None, None),
            ("start=238.88&end=555.55", Some(238_880), Some(316_670)),
            ("start=1.2345678", Some(1_234), None),
            ("end=4", Some(0), Some(4_000)),
            ("start=4&end=4", Some(4_000), None),
            ("start=4&end=3", Some(4_000), None),
            ("start=x&end=3", Some(0), Some(3_000)),
            ("start=-1", None, None),
            ("start=", None, None),
            ("end=0", None, None),
            ("start=2&end=x", Some(2_000), None),
            ("other=1&start=2.5", Some(2_500), None),
        ] {
            let wanted = Seconds { start_millis: start, length_millis: length };
            assert_eq!(Seconds::read(text), wanted, "{text}");
        }
    }
}
