//! What a download's query says: dates on the ring, seconds on a clip.

use crate::base::time::WallTime;
use crate::serve::http::error::ApiError;
use crate::serve::http::request::Query;

/// `start=&end=`, a range of the ring; without `end` it is `now`.
pub(super) fn range(text: &str, now: WallTime) -> Result<(WallTime, WallTime), ApiError> {
    let query = Query::parse(Some(text)).only(&["start", "end"], &[])?;
    let missing = "`start` is missing: a time in RFC 3339, or Unix seconds.";
    let start = query.date("start")?.ok_or_else(|| ApiError::bad_request(missing))?;
    let end = query.date("end")?.unwrap_or(now);
    if end <= start && start <= now {
        return Err(ApiError::bad_request("`end` must be later than `start`."));
    }
    Ok((start, end))
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
            ("end=1795000010&start=1795000000.0", at(1_795_000_000), at(1_795_000_010)),
            (
                "start=2026-11-18T12:06:40%2B01:00&end=2026-11-18T11:06:50Z",
                at(1_795_000_000),
                at(1_795_000_010),
            ),
            ("start=2026-11-18T12:06:40+01:00", at(1_795_000_000), at(1_796_000_000)),
        ] {
            let range = range(text, at(1_796_000_000)).map_err(|error| error.message);
            assert_eq!(range, Ok((start, end)), "{text}");
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
            "start=1795000000.",
            "start=99999999999999999999",
            "start=1&start=2",
            "start=1&zoom=2",
        ] {
            let error = range(text, at(1_796_000_000)).unwrap_err();
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
