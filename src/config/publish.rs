//! `[publish."<pattern>"]` sections: streams that begin with their first publisher.
//!
//! Owns: their keys, and how many streams they may make together with those that have a section.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::{KeyFault, Section};
use super::stream::{StreamConfig, check_record};
use super::unit;
use crate::base::limits::{PUBLISHED_LINGER_DEFAULT, PUBLISHED_STREAMS_DEFAULT, STREAMS_MAX};
use crate::base::name::StreamName;
use crate::base::name_pattern::NamePattern;
use crate::dvr::Retention;
use crate::ingest::{SourceConfig, rtsp_push};
use crate::stream::Label;

const PATTERN: &str = "a stream name with one `*` in it, such as \"cam-*\"";

/// The streams that publishers may begin, by the pattern of their names.
pub type PublishPatterns = BTreeMap<NamePattern, PublishConfig>;

/// What streams of one pattern are like.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishConfig {
    /// How many there may be at a time.
    pub streams_max: usize,
    /// How long one without a publisher stays.
    pub linger: Duration,
    /// Whether a second publisher of one replaces the first.
    pub take_over: bool,
    /// How they are recorded; `None`: not at all.
    pub record: Option<Retention>,
}

impl PublishConfig {
    /// The section that a stream of this pattern would have.
    #[must_use]
    pub fn stream(&self) -> StreamConfig {
        StreamConfig {
            source: SourceConfig::RtspPush(rtsp_push::PushConfig::new(self.take_over)),
            record: self.record,
            sub: None,
            label: Label { enabled: true, ..Label::default() },
        }
    }
}

/// The pattern that decides about `name`: of several the longest.
#[must_use]
pub fn pattern_of<'a>(patterns: &'a PublishPatterns, name: &StreamName) -> Option<&'a NamePattern> {
    let matching = patterns.keys().filter(|pattern| pattern.matches(name.as_str()));
    matching.max_by_key(|pattern| pattern.as_str().len())
}

/// Reads every pattern; `streams` have a section of their own.
pub(super) fn check(
    mut section: Section,
    streams: usize,
    faults: &mut Vec<KeyFault>,
) -> PublishPatterns {
    let mut patterns = PublishPatterns::new();
    for key in section.keys() {
        let Some(section) = section.section(&key, faults) else { continue };
        match NamePattern::parse(&key).filter(NamePattern::has_star) {
            Some(pattern) => {
                patterns.insert(pattern, check_one(section, faults));
            }
            None => {
                faults.push(section.fault(
                    None,
                    "this is not a pattern".to_owned(),
                    PATTERN.to_owned(),
                ));
            }
        }
    }
    let most: usize = patterns.values().map(|pattern| pattern.streams_max).sum();
    if streams + most > STREAMS_MAX {
        let wrong = format!("{streams} streams, and {most} that publishers may begin");
        let right = format!("at most {STREAMS_MAX} together; lower `streams_max`");
        faults.push(section.fault(None, wrong, right));
    }
    patterns
}

fn check_one(mut section: Section, faults: &mut Vec<KeyFault>) -> PublishConfig {
    let most = i64::try_from(STREAMS_MAX).unwrap_or(i64::MAX);
    let streams_max = section.number("streams_max", 1..=most, faults);
    let config = PublishConfig {
        streams_max: streams_max
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(PUBLISHED_STREAMS_DEFAULT),
        linger: section
            .parsed("linger", unit::duration, faults)
            .unwrap_or(PUBLISHED_LINGER_DEFAULT),
        take_over: section.flag("take_over", faults).unwrap_or(false),
        record: check_record(&mut section, Some(Retention::default()), faults),
    };
    section.finish(faults);
    config
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::tests::faults;
    use super::*;

    #[test]
    fn the_longest_pattern_decides() {
        let text = "[publish.\"cam-*\"]\n[publish.\"cam-yard-*\"]\nstreams_max = 2\nrecord = false";
        let config = parse(text).unwrap();
        let of = |name: &str| {
            let name = StreamName::parse(name).unwrap();
            pattern_of(&config.publish, &name).map(|pattern| pattern.as_str().to_owned())
        };
        assert_eq!(of("cam-1").as_deref(), Some("cam-*"));
        assert_eq!(of("cam-yard-1").as_deref(), Some("cam-yard-*"));
        assert_eq!(of("gate"), None);
        let narrow = &config.publish[&NamePattern::parse("cam-yard-*").unwrap()];
        assert_eq!((narrow.streams_max, narrow.record), (2, None));
    }

    #[test]
    fn faults_of_patterns_are_told() {
        let told = faults(
            "[publish.\"cam\"]\n[publish.\"a*b*\"]\n[publish.\"cam-*\"]\nstreams_max = 0\n\
             linger = \"soon\"\nrecords = true",
        );
        let paths: Vec<_> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
        let wanted = [
            "publish.\"a*b*\"",
            "publish.cam",
            "publish.\"cam-*\".streams_max",
            "publish.\"cam-*\".linger",
            "publish.\"cam-*\".records",
        ];
        assert_eq!(paths.iter().filter(|path| wanted.contains(path)).count(), 5, "{told:#?}");
        let told =
            faults("[publish.\"a-*\"]\nstreams_max = 40\n[publish.\"b-*\"]\nstreams_max = 25");
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("65 that publishers may begin"), "{told:?}");
    }

    #[test]
    fn a_right_may_name_a_pattern_that_is_there_or_a_part_of_it() {
        let ha1 = "939e7578ed9e3c518a452acee763bce9";
        let with = |publish: &str| {
            format!(
                "[account.phone]\nha1 = \"{ha1}\"\npublish = [\"{publish}\"]\n[publish.\"cam-*\"]"
            )
        };
        for right in ["cam-*", "cam-7", "cam-yard-*"] {
            assert!(parse(&with(right)).is_ok(), "{right}");
        }
        for wrong in ["dog-*", "*", "gate", "cam-", "c**"] {
            assert_eq!(faults(&with(wrong)).len(), 1, "{wrong}");
        }
    }
}
