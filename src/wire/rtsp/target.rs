//! Which stream, which track and which time a URL names.
//!
//! Owns: the shape of our URLs: `rtsp://host/<stream>`, `/<stream>/main`, `/<stream>/sub`, `/<stream>/trackID=N`,
//! `?start=…&end=…` behind them, and the other makers' names of [`Channel`].

use rtsp_types::Url;

use super::channel::{Channel, Channels};
use super::range::{Span, Unreadable, any_date};
use crate::media::TrackId;

/// What control URLs of tracks end in.
const TRACK: &str = "trackID=";

/// What a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The stream's name as the peer wrote it, not yet checked against anything; of a numbered
    /// channel the name of its stream, or its path when it is none.
    pub stream: String,
    /// The track, if the URL names one.
    pub track: Option<TrackId>,
    /// The dates, if the URL names any.
    pub span: Result<Option<Span>, Unreadable>,
}

impl Target {
    /// Reads `url`, in which a channel is the stream that `channels` says. User info is left aside, and so is a query without dates; a track that some
    /// clients append behind the query is found there too.
    #[must_use]
    pub fn of(url: &Url, channels: &dyn Channels) -> Self {
        let whole = url.as_str();
        let last = whole.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let track = strip_prefix_ignoring_case(last, TRACK).and_then(|n| n.parse().ok());
        let path = url.path().trim_matches('/');
        let path = match path.rsplit_once('/') {
            Some((before, end)) if strip_prefix_ignoring_case(end, TRACK).is_some() => before,
            _ => path,
        };
        let stream = match channel(url) {
            Some(channel) => channels.stream(channel).unwrap_or_else(|| channel.path()),
            None => stream(path),
        };
        Self { stream, track: track.map(TrackId), span: span(url) }
    }
}

/// The stream that a path names: `gate`, `gate/main`, `gate/sub` for `gate-sub`, and `live/gate` or
/// `app/gate`, because apps on phones demand an application before the stream. No stream's name
/// has a slash.
fn stream(path: &str) -> String {
    if let Some(main) = path.strip_suffix("/sub").filter(|main| !main.contains('/')) {
        return format!("{main}-sub");
    }
    let path = path.strip_suffix("/main").unwrap_or(path);
    let rest = ["live/", "app/"].iter().find_map(|app| strip_prefix_ignoring_case(path, app));
    rest.filter(|rest| !rest.is_empty() && !rest.contains('/')).unwrap_or(path).to_owned()
}

/// The dates that the query names.
fn span(url: &Url) -> Result<Option<Span>, Unreadable> {
    let either = |ours, theirs| query(url, ours).or_else(|| query(url, theirs));
    let date =
        |text: Option<String>| text.map(|text| any_date(&text).ok_or(Unreadable)).transpose();
    let from = date(either("start", "starttime"))?;
    let until = date(either("end", "endtime"))?;
    match (from, until) {
        (Some(from), until) => Ok(Some(Span { from, until })),
        (None, Some(_)) => Err(Unreadable),
        (None, None) => Ok(None),
    }
}

fn channel(url: &Url) -> Option<Channel> {
    let path = url.path().trim_matches('/');
    let path = match path.rsplit_once('/') {
        Some((before, end)) if strip_prefix_ignoring_case(end, TRACK).is_some() => before,
        _ => path,
    };
    Channel::of(path, |key| query(url, key))
}

/// Whether a description is wanted of what goes out by multicast, `?multicast`. RFC 2326 has no
/// header to say so; libraries like LIVE555 choose their transport by the description.
pub(super) fn asks_multicast(url: &Url) -> bool {
    query(url, "multicast").is_some()
}

/// The value of `key` in the query, without a track that is behind it.
fn query(url: &Url, key: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case(key))?;
    // A form would turn the plus of a time zone into a blank.
    let value = value.replace(' ', "+");
    Some(value.split('/').next().unwrap_or_default().to_owned())
}

/// The URL that track URLs are relative to: without user info and query, with a slash at the end
/// (RFC 2326 §C.1.1). That of a numbered channel names it without a query.
pub(super) fn base_url(url: &Url) -> String {
    let mut base = url.clone();
    // These fail only for URLs without a host, which then have nothing to hide.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    if let Some(channel) = channel(url) {
        base.set_path(&channel.path());
    }
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
    use super::super::channel::NoChannels;
    use super::*;

    fn told(url: &str) -> String {
        let url = Url::parse(url).unwrap();
        let target = Target::of(&url, &NoChannels);
        format!("{} {:?} {}", target.stream, target.track.map(|t| t.0), base_url(&url))
    }

    #[test]
    fn urls_name_streams_and_tracks() {
        for (url, wanted) in [
            ("rtsp://h:8554/gate", "gate None rtsp://h:8554/gate/"),
            ("rtsp://h/gate/", "gate None rtsp://h/gate/"),
            ("rtsp://h/gate/main", "gate None rtsp://h/gate/main/"),
            ("rtsp://h/gate/sub/trackID=0", "gate-sub Some(0) rtsp://h/gate/sub/"),
            ("rtsp://h/sub", "sub None rtsp://h/sub/"),
            ("rtsp://h/live/gate", "gate None rtsp://h/live/gate/"),
            ("rtsp://h/app/gate/trackID=1", "gate Some(1) rtsp://h/app/gate/"),
            ("rtsp://h/live", "live None rtsp://h/live/"),
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

    #[test]
    fn other_makers_urls_name_channels_and_dates() {
        let dates = "starttime=2026_01_02_00_00_00&endtime=2026_01_02_00_01_00";
        let hik = "starttime=20260102T000000Z&endtime=20260102T000100Z";
        for (url, wanted) in [
            ("rtsp://h/Streaming/Channels/102".to_owned(), "Streaming/Channels/102 None 0"),
            (format!("rtsp://h/Streaming/tracks/101/?{hik}"), "Streaming/Channels/101 None 60"),
            (
                "rtsp://h/cam/realmonitor?channel=2&subtype=1/trackID=1".to_owned(),
                "Streaming/Channels/202 Some(1) 0",
            ),
            (
                format!("rtsp://h/cam/playback?channel=1&subtype=0&{dates}/trackID=0"),
                "Streaming/Channels/101 Some(0) 60",
            ),
            ("rtsp://h/gate?start=1767312000&end=1767312060".to_owned(), "gate None 60"),
            (
                "rtsp://h/gate?start=2026-01-02T01:00:00+01:00&end=2026-01-02T00:01:00Z/trackID=1"
                    .to_owned(),
                "gate Some(1) 60",
            ),
            ("rtsp://h/gate?start=soon".to_owned(), "gate None -1"),
            ("rtsp://h/gate?end=5".to_owned(), "gate None -1"),
        ] {
            let url = Url::parse(&url).unwrap();
            let target = Target::of(&url, &NoChannels);
            let secs = match target.span {
                Ok(None) => 0,
                Err(Unreadable) => -1,
                Ok(Some(Span { from, until })) => {
                    let until = until.unwrap();
                    assert_eq!(from.to_rfc3339(), "2026-01-02T00:00:00.000Z", "{url}");
                    (until.as_unix_nanos() - from.as_unix_nanos()) / 1_000_000_000
                }
            };
            let track = target.track.map(|track| track.0);
            assert_eq!(format!("{} {track:?} {secs}", target.stream), wanted, "{url}");
        }
        let url = Url::parse("rtsp://u:p@h/cam/playback?channel=1&subtype=0").unwrap();
        assert_eq!(base_url(&url), "rtsp://h/Streaming/Channels/101/");
    }

    proptest::proptest! {
        #[test]
        fn no_url_makes_the_reader_panic(rest in "[a-zA-Z0-9/?&=_:.%+ -]*") {
            for url in [format!("rtsp://h/{rest}"), format!("rtsp://h/cam/playback?{rest}")] {
                if let Ok(url) = Url::parse(&url) {
                    let _ = (Target::of(&url, &NoChannels), base_url(&url));
                }
            }
        }
    }
}
