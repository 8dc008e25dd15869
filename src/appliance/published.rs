//! Streams that begin with their first publisher and end some time after the last.
//!
//! Owns: which there are, and which of them makes room for another one. How they run is the matter
//! of [`RunningStreams`](super::streams::RunningStreams), as with all others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::base::limits::{PUBLISHED_BEGIN_TIME_MAX, PUBLISHED_PLACE_TIME_MIN};
use crate::base::name::StreamName;
use crate::base::name_pattern::NamePattern;
use crate::base::time::WallTime;
use crate::config::publish::pattern_of;
use crate::config::{Config, PublishConfig};
use crate::serve::publish_desk::{BeginRefused, PublishDesk};
use crate::stream::{Stream, StreamState};

/// The streams that publishers began, with the pattern of each.
#[derive(Debug, Default)]
pub(super) struct Published(BTreeMap<StreamName, NamePattern>);

/// What has to happen for a stream to have its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Free,
    /// This vacant stream ends.
    Of(StreamName),
}

impl Published {
    /// Adds what is published to `config`, and forgets what has no place there any more: its
    /// pattern is gone, or it has a section of its own now.
    pub(super) fn join(&mut self, config: &mut Config) {
        self.0.retain(|name, pattern| {
            config.publish.contains_key(pattern) && !config.streams.contains_key(name)
        });
        for (name, pattern) in &self.0 {
            let published = config.publish.get(pattern).map(PublishConfig::stream);
            config.streams.extend(published.map(|stream| (name.clone(), stream)));
        }
    }

    /// Takes a place for `name`. `vacant` says since when a stream has had no publisher.
    pub(super) fn enter(
        &mut self,
        name: &StreamName,
        wanted: &Config,
        vacant: impl Fn(&StreamName) -> Option<WallTime>,
        now: WallTime,
    ) -> Result<Place, BeginRefused> {
        if self.0.contains_key(name) || wanted.streams.contains_key(name) {
            return Ok(Place::Free);
        }
        // The pattern may be gone since the publisher asked.
        let pattern = pattern_of(&wanted.publish, name).ok_or(BeginRefused::Busy)?;
        let max = wanted.publish[pattern].streams_max;
        let mut place = Place::Free;
        if self.0.values().filter(|other| *other == pattern).count() >= max {
            let of_pattern = self.0.iter().filter(|(_, other)| *other == pattern);
            let oldest = of_pattern.filter_map(|(name, _)| Some((vacant(name)?, name))).min();
            let leaves = oldest.filter(|(since, _)| has_waited(*since, now));
            let full = || BeginRefused::Full { pattern: pattern.clone(), max };
            let (_, leaves) = leaves.ok_or_else(full)?;
            place = Place::Of(leaves.clone());
        }
        if let Place::Of(leaves) = &place {
            self.0.remove(&leaves.clone());
        }
        self.0.insert(name.clone(), pattern.clone());
        Ok(place)
    }

    /// Forgets `name`; whether it was there.
    pub(super) fn leave(&mut self, name: &StreamName) -> bool {
        self.0.remove(name).is_some()
    }
}

fn has_waited(since: WallTime, now: WallTime) -> bool {
    let waited = now.as_unix_nanos().saturating_sub(since.as_unix_nanos());
    Duration::from_nanos(u64::try_from(waited).unwrap_or(0)) >= PUBLISHED_PLACE_TIME_MIN
}

/// Since when `stream` has had no publisher; `None` while there is one.
pub(super) fn vacant_since(stream: &Stream) -> Option<WallTime> {
    let (state, since) = stream.state();
    is_vacant(&state).then_some(since)
}

fn is_vacant(state: &StreamState) -> bool {
    matches!(state, StreamState::Waiting { .. } | StreamState::Offline { .. })
}

/// Answers once `stream` waits for its publisher; from then on says whenever it has been vacant
/// for `linger`.
pub(super) async fn watch(
    stream: Arc<Stream>,
    linger: Duration,
    desk: PublishDesk,
    reply: oneshot::Sender<Result<(), BeginRefused>>,
) {
    let mut state = stream.watch_state();
    let opened = timeout(PUBLISHED_BEGIN_TIME_MAX, state.wait_for(|(state, _)| is_vacant(state)));
    let opened = opened.await.is_ok_and(|opened| opened.is_ok());
    // Who asked may have gone meanwhile; then the stream waits for the next one.
    let _ = reply.send(if opened { Ok(()) } else { Err(BeginRefused::Busy) });
    loop {
        if state.wait_for(|(state, _)| is_vacant(state)).await.is_err() {
            return;
        }
        let taken = state.wait_for(|(state, _)| !is_vacant(state));
        match timeout(linger, taken).await.map(|taken| taken.is_ok()) {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => desk.vacated(stream.name().clone()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn name(text: &str) -> StreamName {
        StreamName::parse(text).unwrap()
    }

    fn at(secs: i64) -> WallTime {
        WallTime::from_unix_nanos(secs * 1_000_000_000)
    }

    fn full() -> BeginRefused {
        BeginRefused::Full { pattern: NamePattern::parse("cam-*").unwrap(), max: 2 }
    }

    #[test]
    fn the_stream_that_was_vacant_longest_makes_room() {
        let config = parse("[publish.\"cam-*\"]\nstreams_max = 2").unwrap();
        let mut published = Published::default();
        let mut enter = |text: &str, vacant: &[(&str, i64)]| {
            let since = |name: &StreamName| {
                let found = vacant.iter().find(|(other, _)| name.as_str() == *other);
                found.map(|(_, since)| at(*since))
            };
            published.enter(&name(text), &config, since, at(100))
        };
        assert_eq!(enter("cam-1", &[]), Ok(Place::Free));
        assert_eq!(enter("cam-2", &[]), Ok(Place::Free));
        assert_eq!(enter("cam-1", &[]), Ok(Place::Free), "it is there");
        assert_eq!(enter("cam-3", &[]), Err(full()), "both are published");
        assert_eq!(enter("cam-3", &[("cam-2", 95)]), Err(full()), "it may come back at once");
        let vacant = [("cam-1", 50), ("cam-2", 40)];
        assert_eq!(enter("cam-3", &vacant), Ok(Place::Of(name("cam-2"))));
        assert_eq!(enter("dog-1", &vacant), Err(BeginRefused::Busy));
    }

    #[test]
    fn what_has_a_section_of_its_own_or_no_pattern_is_forgotten() {
        let with =
            |more: &str| parse(&format!("[publish.\"cam-*\"]\nrecord = false\n{more}")).unwrap();
        let mut published = Published::default();
        for text in ["cam-1", "cam-2"] {
            published.enter(&name(text), &with(""), |_| None, at(0)).unwrap();
        }
        let mut config = with("[stream.cam-1]\nsource = { kind = \"pattern\" }");
        published.join(&mut config);
        let kinds: Vec<_> = config.streams.values().map(|stream| stream.source.kind()).collect();
        assert_eq!(kinds, ["pattern", "rtsp_push"]);
        assert_eq!(config.streams[&name("cam-2")].record, None);
        let mut config = parse("").unwrap();
        published.join(&mut config);
        assert!(config.streams.is_empty() && !published.leave(&name("cam-2")));
    }
}
