//! `/metrics`: what the parts count, for Prometheus (OpenMetrics text).
//!
//! Owns: names and labels; one label value per stream, door or task, never per client. Nothing
//! is kept: each scrape walks the streams, whose parts all count the same four.

mod board;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::archive_stats::Outcome;
use super::context::HttpContext;
use super::door::{Access, Door};
use super::error::ApiError;
use super::extract::At;
use crate::base::meter::Totals;
use crate::dvr::RecordingState;
use crate::live::StreamOutputs;
use crate::stream::StreamState;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The four that every part counts.
type Count = (&'static str, &'static str, fn(&Totals) -> u64);
const COUNTS: [Count; 4] = [
    ("units", "Access units handled", |totals| totals.units),
    ("bytes", "Media bytes handled", |totals| totals.bytes),
    ("lost", "Access units lost", |totals| totals.lost),
    ("restarts", "Restarts of the part", |totals| totals.restarts),
];

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/metrics", Access::Metrics, text)
        .says("Figures for Prometheus.")
        .answers_media(200, &["text/plain", "application/openmetrics-text"])
}

/// `GET /metrics`.
pub(super) async fn text(State(context): At) -> Result<Response, ApiError> {
    let mut registry = Registry::with_prefix("holdfast");
    registry.register_collector(Box::new(Scrape(context)));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| {
        ApiError::unavailable("metrics_unavailable", "The metrics could not be written.")
    })?;
    let headers = [
        (header::CONTENT_TYPE, OPEN_METRICS),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

/// One walk over everything.
#[derive(Debug)]
struct Scrape(Arc<HttpContext>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let streams = self.0.streams.all();
        let streams: Vec<&StreamOutputs> = streams.values().map(AsRef::as_ref).collect();
        counts(&mut encoder, &streams)?;
        self.streams(&mut encoder, &streams)?;
        self.past(&mut encoder)?;
        self.passwords(&mut encoder)?;
        self.tasks(&mut encoder)?;
        board::encode(&mut encoder, &self.0.machine)
    }
}

/// The four of each part of each stream.
fn counts(encoder: &mut DescriptorEncoder, streams: &[&StreamOutputs]) -> fmt::Result {
    let all: Vec<_> =
        streams.iter().map(|outputs| (outputs.stream.name().as_str(), outputs.totals())).collect();
    let mut parts: Vec<&'static str> = Vec::new();
    for (part, _) in all.iter().flat_map(|(_, totals)| totals) {
        if !parts.contains(part) {
            parts.push(part);
        }
    }
    for part in parts {
        for (name, help, get) in COUNTS {
            let values = all.iter().flat_map(|(stream, totals)| {
                totals
                    .iter()
                    .filter(|(of, _)| *of == part)
                    .map(|(_, totals)| ([("stream", *stream)], ConstCounter::new(get(totals))))
            });
            family(encoder, &format!("{part}_{name}"), help, MetricType::Counter, values)?;
        }
    }
    Ok(())
}

impl Scrape {
    fn streams(&self, encoder: &mut DescriptorEncoder, streams: &[&StreamOutputs]) -> fmt::Result {
        let live = streams.iter().map(|outputs| {
            let live = outputs.stream.state().0 == StreamState::Live;
            ([("stream", outputs.stream.name().as_str())], ConstGauge::new(i64::from(live)))
        });
        let help = "Whether units arrive";
        family(encoder, "stream_live", help, MetricType::Gauge, live)?;
        let recording = streams.iter().filter_map(|outputs| {
            let recording = outputs.recorder.as_ref()?.status().state == RecordingState::Recording;
            let name = outputs.stream.name().as_str();
            Some(([("stream", name)], ConstGauge::new(i64::from(recording))))
        });
        let help = "Whether footage reaches the disk, for streams that are configured to record";
        family(encoder, "stream_recording", help, MetricType::Gauge, recording)?;
        let now = self.0.clock.boot();
        let durable = streams.iter().filter_map(|outputs| {
            let durable = (*outputs.recorder.as_ref()?.durable().borrow())?;
            let age = ConstGauge::new(now.since(durable.since).as_secs_f64());
            Some(([("stream", outputs.stream.name().as_str())], age))
        });
        let help = "Seconds since footage last became durable";
        family(encoder, "stream_durable_age_seconds", help, MetricType::Gauge, durable)?;
        let age = streams.iter().filter_map(|outputs| {
            let age = now.since(outputs.stream.newest_arrival()?).as_secs_f64();
            Some(([("stream", outputs.stream.name().as_str())], ConstGauge::new(age)))
        });
        let help = "Seconds since the newest unit";
        family(encoder, "stream_last_frame_age_seconds", help, MetricType::Gauge, age)?;
        let foreign = streams.iter().map(|outputs| {
            let packets = ConstCounter::new(outputs.stream.foreign_packets());
            ([("stream", outputs.stream.name().as_str())], packets)
        });
        let help = "Packets that came with the media and belong to none of its tracks";
        family(encoder, "stream_foreign_packets", help, MetricType::Counter, foreign)?;
        let one_in = streams.iter().filter_map(|outputs| {
            let one_in = i64::from(outputs.stream.encoding()?.one_in);
            Some(([("stream", outputs.stream.name().as_str())], ConstGauge::new(one_in)))
        });
        let help =
            "One picture in this many is encoded; more than one when the machine cannot keep up";
        family(encoder, "stream_encoded_one_in", help, MetricType::Gauge, one_in)?;
        let readers = streams.iter().flat_map(|outputs| {
            let readers = outputs.readers();
            [("rtsp", readers.rtsp), ("hls", readers.hls), ("mse", readers.mse)].map(
                |(door, count)| {
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    let name = outputs.stream.name().as_str();
                    ([("stream", name), ("door", door)], ConstGauge::new(count))
                },
            )
        });
        family(encoder, "readers", "Readers of a stream", MetricType::Gauge, readers)
    }

    /// The recordings: who reads them now, and how downloads ended.
    fn past(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let all = self.0.stats.all(self.0.clock.boot());
        let readers = all.iter().flat_map(|(stream, told)| {
            let doors =
                [("play", told.browsers), ("hls", told.players), ("export", told.downloads)];
            doors.map(|(door, count)| {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                ([("stream", stream.as_str()), ("door", door)], ConstGauge::new(count))
            })
        });
        let help = "Readers of a stream's recording";
        family(encoder, "past_readers", help, MetricType::Gauge, readers)?;
        let ended = all.iter().flat_map(|(stream, told)| {
            Outcome::ALL.map(|outcome| {
                let labels = [("stream", stream.as_str()), ("outcome", outcome.name())];
                (labels, ConstCounter::new(told.ended[outcome as usize]))
            })
        });
        let help = "Downloads of a stream's recording that ended";
        family(encoder, "downloads", help, MetricType::Counter, ended)?;
        let bytes = all
            .iter()
            .map(|(stream, told)| ([("stream", stream.as_str())], ConstCounter::new(told.bytes)));
        let help = "Bytes of downloads that were sent";
        family(encoder, "download_bytes", help, MetricType::Counter, bytes)
    }

    fn passwords(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let (wrong, refused) = self.0.rtsp.authorizer().failures().counts();
        for (name, help, count) in [
            ("wrong_passwords", "Wrong passwords", wrong),
            (
                "refused_passwords",
                "Passwords that were not checked after too many wrong ones",
                refused,
            ),
        ] {
            let count = [([("door", "rtsp")], ConstCounter::new(count))];
            family(encoder, name, help, MetricType::Counter, count)?;
        }
        Ok(())
    }

    fn tasks(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let tasks = self.0.supervisor.report();
        let restarts = tasks
            .iter()
            .map(|task| ([("task", task.name.as_str())], ConstCounter::new(task.restarts)));
        let help = "Restarts of a task";
        family(encoder, "task_restarts", help, MetricType::Counter, restarts)?;
        let beating = tasks
            .iter()
            .map(|task| ([("task", task.name.as_str())], ConstGauge::new(i64::from(task.beating))));
        let help = "Whether a task gives signs of life";
        family(encoder, "task_beating", help, MetricType::Gauge, beating)?;
        let uptime = self.0.clock.boot().since(self.0.begun).as_secs_f64();
        let uptime = [([("version", env!("CARGO_PKG_VERSION"))], ConstGauge::new(uptime))];
        family(encoder, "uptime_seconds", "Since the daemon began", MetricType::Gauge, uptime)
    }
}

/// One metric with a value per set of labels.
fn family<'a, M: EncodeMetric, const N: usize>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    kind: MetricType,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], M)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in values {
        value.encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
