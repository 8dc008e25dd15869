//! The streams that run: one supervised scope each.
//!
//! Owns: how a stream begins, gets another source, and ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::published;
use crate::base::name::StreamName;
use crate::base::time::SharedClock;
use crate::config::publish::pattern_of;
use crate::config::{Config, StreamConfig};
use crate::dvr::{Dvr, Retention};
use crate::encode::still::StillDecoders;
use crate::ingest::{self, CameraCertificates, Ingest, SharedSources};
use crate::live::StreamOutputs;
use crate::live::recorder::Recorder;
use crate::serve::publish_desk::{BeginRefused, PublishDesk};
use crate::stream::{Directory, Stream};
use crate::supervise::Supervisor;

/// What one stream keeps alive.
struct Running {
    /// Source, outputs and all.
    whole: Supervisor,
    source: Supervisor,
    /// The recorder alone.
    recording: Supervisor,
    outputs: Arc<StreamOutputs>,
    ingest: Arc<Ingest>,
}

impl Running {
    /// Stops it: the source first, so that the outputs have all of it when they end.
    async fn stop(&self) {
        self.source.stop().await;
        self.recording.stop().await;
        self.whole.stop().await;
    }
}

/// All streams that run, and the directories in which servers look them up.
pub(super) struct RunningStreams {
    supervisor: Supervisor,
    clock: SharedClock,
    dvr: Dvr,
    decoders: StillDecoders,
    sources: SharedSources,
    running: BTreeMap<StreamName, Running>,
    streams: Arc<Directory<StreamOutputs>>,
    ingests: Arc<Directory<Ingest>>,
}

impl RunningStreams {
    /// No stream yet.
    pub(super) fn new(
        supervisor: Supervisor,
        clock: SharedClock,
        dvr: Dvr,
        decoders: StillDecoders,
        streams: Arc<Directory<StreamOutputs>>,
        certificates: CameraCertificates,
    ) -> Self {
        Self {
            supervisor,
            clock,
            dvr,
            decoders,
            sources: SharedSources { certificates, ..SharedSources::default() },
            running: BTreeMap::new(),
            streams,
            ingests: Arc::default(),
        }
    }

    /// Where the RTSP servers look up what may be published, and what moved elsewhere.
    pub(super) fn ingests(&self) -> Arc<Directory<Ingest>> {
        Arc::clone(&self.ingests)
    }

    /// Ends and forgets `name`.
    pub(super) async fn end(&mut self, name: &StreamName) {
        if let Some(stream) = self.running.remove(name) {
            stream.stop().await;
            self.dvr.forget(name);
        }
    }

    /// Starts `name`.
    pub(super) fn begin(&mut self, name: StreamName, config: StreamConfig) {
        let whole = self.supervisor.child();
        let recording = whole.child();
        let stream = Stream::new(name.clone(), config.source.kind(), self.clock.wall());
        let recorder = config
            .record
            .map(|record| Recorder::keep(Arc::clone(&stream), &self.dvr, &recording, record));
        let outputs = Arc::new(StreamOutputs::new(&stream, recorder, &self.decoders, &whole));
        let source = whole.child();
        let ingest = Arc::new(config.source.ingest());
        ingest::keep(config.source, stream, &self.sources, &source);
        self.running.insert(name, Running { whole, source, recording, outputs, ingest });
    }

    /// The stream called `name`, if it runs.
    pub(super) fn stream(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.running.get(name).map(|running| Arc::clone(&running.outputs.stream))
    }

    /// Answers once `name`, which a publisher began, waits for it; from then on tells `desk` when
    /// it has been without one for as long as `config` says.
    pub(super) fn watch_published(
        &self,
        name: &StreamName,
        config: &Config,
        desk: &PublishDesk,
        reply: oneshot::Sender<Result<(), BeginRefused>>,
    ) {
        let pattern = pattern_of(&config.publish, name).and_then(|it| config.publish.get(it));
        let (Some(running), Some(pattern)) = (self.running.get(name), pattern) else { return };
        let stream = Arc::clone(&running.outputs.stream);
        let watching = published::watch(stream, pattern.linger, desk.clone(), reply);
        running.whole.spawn("published", watching);
    }

    /// Gives `name` another source; its readers stay.
    pub(super) async fn change_source(&mut self, name: &StreamName, config: ingest::SourceConfig) {
        let Some(stream) = self.running.get_mut(name) else { return };
        stream.source.stop().await;
        stream.source = stream.whole.child();
        stream.ingest = Arc::new(config.ingest());
        ingest::keep(config, Arc::clone(&stream.outputs.stream), &self.sources, &stream.source);
    }

    /// Records `name` as `config` says from now on. The source and its readers stay: other limits
    /// are taken over by the recorder that runs, and a recorder comes or goes with outputs of its
    /// own beside those that have readers.
    pub(super) async fn change_recording(&mut self, name: &StreamName, config: Option<Retention>) {
        let Some(stream) = self.running.get_mut(name) else { return };
        match (config, &stream.outputs.recorder) {
            (Some(config), Some(_)) => return self.dvr.set_retention(name, config),
            (None, Some(_)) => {
                stream.recording.stop().await;
                self.dvr.forget(name);
            }
            _ => {}
        }
        stream.recording = stream.whole.child();
        let source = &stream.outputs.stream;
        let recorder = config
            .map(|config| Recorder::keep(Arc::clone(source), &self.dvr, &stream.recording, config));
        stream.outputs =
            Arc::new(StreamOutputs::new(source, recorder, &self.decoders, &stream.whole));
    }

    /// Lets servers find the streams that run now.
    pub(super) fn publish(&self) {
        let entries =
            self.running.iter().map(|(name, running)| (name.clone(), Arc::clone(&running.outputs)));
        self.streams.replace(entries.collect());
    }

    /// Lets RTSP servers find the streams that run now, and those of `begin` that will be
    /// elsewhere: their readers must learn where before the stream here ends.
    pub(super) fn publish_entrances(&self, begin: &[(StreamName, StreamConfig)]) {
        let running = self.running.iter();
        let mut all: BTreeMap<_, _> =
            running.map(|(name, stream)| (name.clone(), Arc::clone(&stream.ingest))).collect();
        for (name, config) in begin {
            if let ingest @ Ingest::Elsewhere(_) = config.source.ingest() {
                all.insert(name.clone(), Arc::new(ingest));
            }
        }
        self.ingests.replace(all);
    }

    /// Applies what changes without restarting a stream.
    pub(super) fn reconfigure(&self, config: &Config) {
        for (name, stream) in &self.running {
            let sub = config.streams.get(name).and_then(|stream| stream.sub.clone());
            stream.outputs.sub.store(sub.map(Arc::new));
            stream.outputs.hls.set_low_latency(config.hls_low_latency);
        }
    }

    /// Stops all of them.
    pub(super) async fn stop(&self) {
        for stream in self.running.values() {
            stream.stop().await;
        }
    }
}
