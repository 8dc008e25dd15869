//! What a request says: its query, dates and durations.
//!
//! Owns: the one form that dates have everywhere (RFC 3339, or Unix seconds with or without a
//! fraction), and the words when a value makes no sense.

use std::time::Duration;

use url::form_urlencoded;

use super::error::ApiError;
use super::operation::Parameter;
use crate::base::limits::PICTURE_WIDTHS;
use crate::base::time::WallTime;

/// The query of a URL.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; `None` is an empty one.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The same query, if it has nothing but `names` and their `aliases`, each once at most.
    /// An alias is an older name: what it says is found under the new one.
    pub(super) fn only(
        mut self,
        names: &[&str],
        aliases: &[(&str, &str)],
    ) -> Result<Self, ApiError> {
        for (key, _) in &mut self.0 {
            if let Some((_, name)) = aliases.iter().find(|(alias, _)| alias == key) {
                (*name).clone_into(key);
            }
        }
        let once = |name: &str| self.0.iter().filter(|(key, _)| key == name).count() <= 1;
        if self.0.iter().all(|(key, _)| names.contains(&key.as_str()) && once(key)) {
            return Ok(self);
        }
        let allowed: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        Err(ApiError::bad_request(format!(
            "Allowed query parameters: {} (once each).",
            allowed.join(", ")
        )))
    }

    /// The value of `name`; of several the first.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The date under `name`.
    pub(super) fn date(&self, name: &str) -> Result<Option<WallTime>, ApiError> {
        self.get(name).map(|text| date(text, name)).transpose()
    }
}

/// The date `text`, which a request gives under `name`.
pub(super) fn date(text: &str, name: &str) -> Result<WallTime, ApiError> {
    parse_date(text).ok_or_else(|| {
        ApiError::bad_request(format!(
            "`{name}` must be a time in RFC 3339, such as 2026-11-22T14:05:00Z, or Unix seconds."
        ))
    })
}

/// A date: RFC 3339, or Unix seconds with or without a fraction.
pub(super) fn parse_date(text: &str) -> Option<WallTime> {
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

/// The parameter of [`picture_width`].
pub(super) fn width() -> Parameter {
    let (least, most) = PICTURE_WIDTHS.into_inner();
    Parameter::number("width", "Pixels.", (least.into(), most.into()))
}

/// The picture's width as a request says it.
pub(super) fn picture_width(text: Option<&str>) -> Result<Option<u16>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let width = text.parse().ok().filter(|width| digits && PICTURE_WIDTHS.contains(width));
    width.map(Some).ok_or_else(|| {
        let (least, most) = PICTURE_WIDTHS.into_inner();
        ApiError::bad_request(format!("`width` must be a number of pixels, {least} to {most}."))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

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
            assert_eq!(parse_date(text), Some(at), "{text}");
        }
        assert_eq!(parse_date("1795356300.25"), Some(at.offset_nanos(250_000_000)));
        assert_eq!(parse_date("1795356300.0000000009"), Some(at));
        for text in [
            "",
            ".",
            "-5",
            "+5",
            "5.",
            "yesterday",
            "5.x",
            "99999999999999999999",
            "1e9",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
            assert_eq!(date(text, "at").unwrap_err().status, StatusCode::BAD_REQUEST, "{text}");
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
    fn a_query_may_have_parameters_of_others_unless_it_is_closed() {
        let query = Query::parse(Some("token=1&start=a%2Bb&start=c&end"));
        assert_eq!((query.get("start"), query.get("end")), (Some("a+b"), Some("")));
        assert_eq!(query.get("window"), None);
        assert_eq!(Query::parse(None).get("start"), None);
        let only = |text| Query::parse(Some(text)).only(&["start", "end"], &[("from", "start")]);
        assert_eq!(only("from=5&end=6").unwrap().get("start"), Some("5"));
        assert_eq!(only("").unwrap().get("start"), None);
        for wrong in ["start=1&start=2", "from=1&start=2", "start=1&zoom=2"] {
            let error = only(wrong).unwrap_err();
            assert_eq!(error.message, "Allowed query parameters: `start`, `end` (once each).");
        }
    }

    #[test]
    fn only_widths_that_make_sense_are_taken() {
        assert_eq!(picture_width(None).unwrap(), None);
        assert_eq!(picture_width(Some("320")).unwrap(), Some(320));
        for wrong in ["", "0", "15", "3841", "-320", "+320", "320px", "1e3", "99999999999", "٣٢٠"]
        {
            assert_eq!(
                picture_width(Some(wrong)).unwrap_err().status,
                StatusCode::BAD_REQUEST,
                "{wrong}"
            );
        }
    }
}
