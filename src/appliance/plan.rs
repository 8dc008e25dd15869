//! What changes between two configurations.
//!
//! Owns: the decision. Pure: a start is the diff from nothing, a reload the diff from what runs.

use std::net::SocketAddr;

use crate::base::name::StreamName;
use crate::config::{Config, StreamConfig};
use crate::dvr::Retention;
use crate::gpio;
use crate::ingest;

/// What has to happen, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Streams that end, because they are gone or changed too much to continue.
    pub(super) end: Vec<StreamName>,
    /// Streams that begin.
    pub(super) begin: Vec<(StreamName, StreamConfig)>,
    /// Streams whose source alone is exchanged; their readers stay.
    pub(super) resource: Vec<(StreamName, ingest::SourceConfig)>,
    /// Streams of which only recording changes; source and readers stay.
    pub(super) record: Vec<(StreamName, Option<Retention>)>,
    /// Addresses where the RTSP server stops, and where it starts.
    pub(super) rtsp: Listening,
    /// The same with TLS.
    pub(super) rtsps: Listening,
    /// Addresses where the HTTP server stops, and where it starts.
    pub(super) http: Listening,
    /// The same with TLS.
    pub(super) https: Listening,
    /// What hangs on the board's lines, if that changed.
    pub(super) panel: Option<gpio::Config>,
    /// Keys that changed but take effect only after a restart.
    pub(super) restart_keys: Vec<&'static str>,
}

/// Where a server stops and opens.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Listening {
    pub(super) close: Vec<SocketAddr>,
    pub(super) open: Vec<SocketAddr>,
}

/// The changes from `old` (`None`: nothing runs) to `new`.
pub(super) fn changes(old: Option<&Config>, new: &Config) -> Changes {
    let nothing = Config {
        rtsp_listen: Vec::new(),
        rtsps_listen: Vec::new(),
        http_listen: Vec::new(),
        https_listen: Vec::new(),
        data_dir: new.data_dir.clone(),
        state_dir: new.state_dir.clone(),
        ring_size: new.ring_size,
        pictures: new.pictures,
        ..Config::default()
    };
    let old = old.unwrap_or(&nothing);
    let mut changes = Changes {
        rtsp: listening(&old.rtsp_listen, &new.rtsp_listen),
        rtsps: listening(&old.rtsps_listen, &new.rtsps_listen),
        http: listening(&old.http_listen, &new.http_listen),
        https: listening(&old.https_listen, &new.https_listen),
        ..Changes::default()
    };
    if old.panel != new.panel {
        changes.panel = Some(new.panel.clone());
    }
    if old.data_dir != new.data_dir {
        changes.restart_keys.push("data_dir");
    }
    if old.state_dir() != new.state_dir() {
        changes.restart_keys.push("state_dir");
    }
    if old.ring_size != new.ring_size {
        changes.restart_keys.push("ring.size");
    }
    if old.pictures != new.pictures {
        changes.restart_keys.push("pictures.h265");
    }
    // A stream that is switched off is one that is not there, but for its recordings.
    let runs = |config: &Config, name: &StreamName| {
        config.streams.get(name).is_some_and(|stream| stream.label.enabled)
    };
    let ends = |name: &&StreamName| runs(old, name) && !runs(new, name);
    changes.end.extend(old.streams.keys().filter(ends).cloned());
    for (name, wanted) in new.streams.iter().filter(|(name, _)| runs(new, name)) {
        match old.streams.get(name).filter(|_| runs(old, name)) {
            // Which stream is whose sub-stream can be set without touching either.
            Some(running)
                if StreamConfig { sub: wanted.sub.clone(), ..running.clone() } == *wanted => {}
            Some(running) if running.source.kind() == wanted.source.kind() => {
                if running.source != wanted.source {
                    changes.resource.push((name.clone(), wanted.source.clone()));
                }
                if running.record != wanted.record {
                    changes.record.push((name.clone(), wanted.record));
                }
            }
            running => {
                changes.end.extend(running.map(|_| name.clone()));
                changes.begin.push((name.clone(), wanted.clone()));
            }
        }
    }
    changes
}

fn listening(old: &[SocketAddr], new: &[SocketAddr]) -> Listening {
    let missing_in = |list: &[SocketAddr], other: &[SocketAddr]| {
        list.iter().filter(|address| !other.contains(address)).copied().collect()
    };
    Listening { close: missing_in(old, new), open: missing_in(new, old) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn names<T>(list: &[(StreamName, T)]) -> Vec<&str> {
        list.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_start_is_a_reload_from_nothing() {
        let config = parse("[stream.a]\nsource = { kind = \"pattern\" }").unwrap();
        let changes = changes(None, &config);
        assert_eq!(names(&changes.begin), ["a"]);
        assert_eq!(changes.rtsp.open, config.rtsp_listen);
        assert!(changes.end.is_empty() && changes.restart_keys.is_empty());
    }

    #[test]
    fn what_did_not_change_is_left_alone() {
        let config = parse("[stream.a]\nsource = { kind = \"pattern\" }").unwrap();
        assert_eq!(changes(Some(&config), &config), Changes::default());
    }

    #[test]
    fn a_stream_that_is_switched_off_ends_and_one_with_another_title_goes_on() {
        let of = |keys: &str| {
            let text = format!("[stream.a]\nsource = {{ kind = \"pattern\" }}\n{keys}");
            parse(&text).unwrap()
        };
        let (on, off) = (of(""), of("enabled = false"));
        let names_of = |changes: &Changes| (names(&changes.begin).len(), changes.end.len());
        assert_eq!(names_of(&changes(Some(&on), &off)), (0, 1));
        assert_eq!(names_of(&changes(Some(&off), &on)), (1, 0));
        assert_eq!(changes(Some(&off), &of("enabled = false\nrecord = false")), Changes::default());
        assert!(changes(None, &off).begin.is_empty());
        let named = of("title = \"Gate\"\norder = 7");
        assert_eq!(changes(Some(&on), &named), Changes::default());
        assert_eq!(named.streams.values().next().unwrap().label.title.as_deref(), Some("Gate"));
        for bad in ["title = \"\"", "title = \"a\\nb\"", "title = \"\\u202Ea\"", "order = -1"] {
            let text = format!("[stream.a]\nsource = {{ kind = \"pattern\" }}\n{bad}");
            assert!(parse(&text).is_err(), "{bad}");
        }
        let long = format!("title = \"{}\"", "ü".repeat(65));
        assert!(parse(&format!("[stream.a]\nsource = {{ kind = \"pattern\" }}\n{long}")).is_err());
    }

    #[test]
    fn only_what_changed_is_touched() {
        let old = parse(
            "[stream.a]\nsource = { kind = \"pattern\" }\n[stream.b]\nsource = { kind = \"pattern\" }\n\
             [stream.c]\nsource = { kind = \"pattern\" }\n[stream.d]\nsource = { kind = \"pattern\" }",
        );
        let new = parse(
            "[ring]\nsize = \"1GiB\"\n[http]\nlisten = [\"127.0.0.1:9\"]\n\
             [stream.a]\nsource = { kind = \"pattern\" }\n[stream.b]\nsource = { kind = \"pattern\", fps = 5 }\n\
             [stream.c]\nsource = { kind = \"pattern\" }\nrecord = false\n[stream.e]\nsource = { kind = \"pattern\" }",
        );
        let changes = changes(Some(&old.unwrap()), &new.unwrap());
        assert_eq!(names(&changes.resource), ["b"]);
        assert_eq!(changes.record, [(StreamName::parse("c").unwrap(), None)]);
        assert_eq!(names(&changes.begin), ["e"]);
        assert_eq!(changes.end.iter().map(StreamName::as_str).collect::<Vec<_>>(), ["d"]);
        assert_eq!(changes.restart_keys, ["ring.size"]);
        assert_eq!((changes.http.close.len(), changes.http.open.len()), (1, 1));
        assert_eq!(changes.rtsp, Listening::default());
    }
}
