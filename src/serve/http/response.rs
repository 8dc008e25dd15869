//! Headers that several answers share.

use axum::http::{HeaderName, HeaderValue, header};

use crate::base::time::WallTime;

/// For answers that change with every frame.
pub(super) const NO_STORE: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
/// The content type of HLS playlists.
pub(super) const PLAYLIST_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.apple.mpegurl");

/// An HTTP date, RFC 9110 §5.6.7.
pub(super) fn http_date(at: WallTime) -> String {
    let at = jiff::Timestamp::from_second(at.as_unix_nanos().div_euclid(1_000_000_000));
    let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_that_http_wants() {
        let at = WallTime::from_unix_nanos(784_111_777_900_000_000);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
