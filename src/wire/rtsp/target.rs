//! Which stream and track a URL names.
//!
//! Owns: the shape of our URLs: `rtsp://host/<stream>`, `/<stream>/main`, `/<stream>/trackID=N`.

use rtsp_types::Url;

use crate::media::TrackId;

/// What control URLs of tracks end in.
const TRACK: &str = "trackID=";

/// What a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The stream's name as the peer wrote it; not yet checked against anything.
    pub stream: String,
    /// The track, if the URL names one.
    pub track: Option<TrackId>,
}

impl Target {
    /// Reads `url`. Query and user info are left aside; a track that some clients append behind
    /// the query is found there too.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        let whole = url.as_str();
        let last = whole.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let track = strip_prefix_ignoring_case(last, TRACK).and_then(|n| n.parse().ok());
        let path = url.path().trim_matches('/');
        let path = match path.rsplit_once('/') {
            Some((before, end)) if strip_prefix_ignoring_case(end, TRACK).is_some() => before,
            _ => path,
        };
        let stream = path.strip_suffix("/main").unwrap_or(path);
        Self { stream: stream.to_owned(), track: track.map(TrackId) }
    }
}

/// The URL that track URLs are relative to: without user info and query, with a slash at the end
/// (RFC 2326 §C.1.1).
pub(super) fn base_url(url: &Url) -> String {
    let mut base = url.clone();
    // These fail only for URLs without a host, which then have nothing to hide.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    base.set_query(None);
    base.set_fragment(None);
    let text = base.as_str().trim_end_matches('/');
    let cut = match text.rsplit_once('/') {
        Some((before, end)) if strip_prefix_ignoring_case(end, TRACK).is_some() => before,
        _ => text,
    };
    format!("{cut}/")
}

/// The control URL of a track, relative to [`base_url`].
pub(super) fn control(track: TrackId) -> String {
    format!("{TRACK}{}", track.0)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> String {
        let url = Url::parse(url).unwrap();
        let target = Target::of(&url);
        format!("{} {:?} {}", target.stream, target.track.map(|t| t.0), base_url(&url))
    }

    #[test]
    fn urls_name_streams_and_tracks() {
        for (url, wanted) in [
            ("rtsp://h:8554/gate", "gate None rtsp://h:8554/gate/"),
            ("rtsp://h/gate/", "gate None rtsp://h/gate/"),
            ("rtsp://h/gate/main", "gate None rtsp://h/gate/main/"),
            ("rtsp://u:p@h/gate/trackID=1", "gate Some(1) rtsp://h/gate/"),
            ("rtsp://h/gate/TRACKid=0/", "gate Some(0) rtsp://h/gate/"),
            ("rtsp://h/gate?x=1", "gate None rtsp://h/gate/"),
            ("rtsp://h/gate?x=1/trackID=2", "gate Some(2) rtsp://h/gate/"),
            ("rtsp://h/gate/trackID=900", "gate None rtsp://h/gate/"),
            ("rtsp://[::1]:8554/a/b", "a/b None rtsp://[::1]:8554/a/b/"),
            ("rtsp://h", " None rtsp://h/"),
        ] {
            assert_eq!(told(url), wanted, "{url}");
        }
    }
}
