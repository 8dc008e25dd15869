//! Dates and durations behind a question mark.
//!
//! Owns: their forms. What is not asked about is passed over: players add parameters of their own.

use std::time::Duration;

use url::form_urlencoded;

use crate::base::time::WallTime;

/// What stands behind the question mark.
#[derive(Debug)]
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    /// Reads the query of a URL.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The value of `name`; of several the first.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A date: RFC 3339, or Unix seconds with or without a fraction.
pub(super) fn date(text: &str) -> Option<WallTime> {
    // A plus that was not escaped arrives as a space.
    WallTime::parse_rfc3339(&text.replace(' ', "+")).or_else(|| unix(text))
}

fn unix(text: &str) -> Option<WallTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.is_empty() {
        return None;
    }
    let nanos = format!("{fraction:0<9.9}").parse::<i64>().ok()?;
    let whole = whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?;
    whole.checked_add(nanos).map(WallTime::from_unix_nanos)
}

/// A duration of whole `s`, `m`, `h` or `d`, such as `90s` or `24h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let secs: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(secs).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_both_forms() {
        let at = WallTime::from_unix_nanos(1_795_356_300_000_000_000);
        for text in [
            "2026-11-22T14:05:00Z",
            "2026-11-22T15:05:00+01:00",
            "2026-11-22T15:05:00 01:00",
            "1795356300",
            "1795356300.000",
        ] {
            assert_eq!(date(text), Some(at), "{text}");
        }
        assert_eq!(date("1795356300.25"), Some(at.offset_nanos(250_000_000)));
        assert_eq!(date("1795356300.0000000009"), Some(at));
        for text in ["", ".", "-5", "+5", "5.", "yesterday", "5.x", "99999999999999999999", "1e9"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        for text in ["", "h", "24", "-1h", "1.5h", "1 h", "24ü", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_of_others_are_passed_over() {
        let asked = Asked::parse(Some("token=1&start=a%2Bb&start=c&end"));
        assert_eq!((asked.get("start"), asked.get("end")), (Some("a+b"), Some("")));
        assert_eq!(asked.get("window"), None);
        assert_eq!(Asked::parse(None).get("start"), None);
    }
}
