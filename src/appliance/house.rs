//! Everything that runs, and how it changes.
//!
//! Owns: one supervised scope per stream and per listening address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use anyhow::Context;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::condition;
use super::doors::{self, Door};
use super::plan::{Changes, Listening, changes};
use crate::base::Stop;
use crate::base::fault::chain;
use crate::base::limits::{STOP_TIME_MAX, STORAGE_HEARTBEAT_AGE_MAX};
use crate::base::name::StreamName;
use crate::base::random;
use crate::base::time::{BootTime, SharedClock, SystemClock};
use crate::board::Machine;
use crate::config::{Config, StreamConfig};
use crate::dvr::{self, Dvr};
use crate::encode::still::{self, StillDecoders};
use crate::gpio::{self, Panel};
use crate::ingest::{self, Entrance, Taps};
use crate::live::Outlet;
use crate::live::recorder::Recorder;
use crate::playback::Playback;
use crate::playback::export_jobs::ExportJobs;
use crate::playback::pictures::PastPictures;
use crate::playback::sprite::Sprites;
use crate::serve::http::Cors;
use crate::serve::places::{PlaceLimits, Places};
use crate::serve::rtsp::SessionRegistry;
use crate::serve::rtsp::multicast::Multicast;
use crate::serve::rtsp::registry::{keep_failed_logins, read_failed_logins};
use crate::serve::tls::{Fingerprint, Tls};
use crate::stream::{Directory, State, Stream};
use crate::supervise::recovery::{Parked, RecoveryLog, Rung};
use crate::supervise::{
    Enlisted, Supervisor, TaskSpec, begin_drill, keep_watchdog_fed, say_stopping,
};
use crate::wire::rtsp::auth::{Guard, Rules};

/// The running appliance.
pub(super) struct House {
    /// What somebody asked for.
    wanted: Config,
    /// What runs of it: without recording while the box is parked.
    config: Config,
    supervisor: Supervisor,
    recovery: RecoveryLog,
    clock: SharedClock,
    begun: BootTime,
    /// The port that the API tells, whichever door it was asked at.
    rtsp_port: Arc<AtomicU16>,
    tls: Tls,
    registry: SessionRegistry,
    multicast: Multicast,
    places: Places,
    cors: Cors,
    dvr: Dvr,
    archive: Playback,
    decoders: StillDecoders,
    past: PastPictures,
    sprites: Sprites,
    export_jobs: ExportJobs,
    machine: Machine,
    panel: Panel,
    /// What keeps the panel's lines.
    lines: Supervisor,
    outlets: Arc<Directory<Outlet>>,
    entrances: Arc<Directory<Entrance>>,
    taps: Taps,
    streams: BTreeMap<StreamName, Part>,
    doors: BTreeMap<(Door, SocketAddr), Supervisor>,
    _storage: Enlisted,
}

/// What one stream keeps alive.
struct Part {
    /// Source, sinks and all.
    whole: Supervisor,
    source: Supervisor,
    outlet: Arc<Outlet>,
    entrance: Arc<Entrance>,
}

impl Part {
    /// Stops it: the source first, so that the sinks have all of it when they end.
    async fn stop(&self) {
        self.source.stop().await;
        self.whole.stop().await;
    }
}

impl House {
    /// Opens the ring and starts everything that `config` names.
    pub(super) async fn open(wanted: Config) -> anyhow::Result<Self> {
        let clock: SharedClock = Arc::new(SystemClock);
        let recovery = RecoveryLog::open(&wanted.data_dir, Arc::clone(&clock))?;
        let config = allowed(&wanted, &recovery);
        let supervisor =
            Supervisor::new(Stop::new(), Arc::clone(&clock)).with_recovery(recovery.clone());
        // A disk that stalls must not restart the daemon, live viewing goes on: calls to it are
        // excused, and what is left is the thread's own.
        let spec = TaskSpec::vital("storage", STORAGE_HEARTBEAT_AGE_MAX);
        let (heartbeat, storage) = supervisor.enlist(spec);
        let ring = dvr::Config {
            data_dir: config.data_dir.clone(),
            size: config.ring_size,
            slot_bytes: None,
        };
        let dvr = Dvr::open(ring, Arc::clone(&clock), Some(heartbeat))?;
        let machine = Machine::open(Path::new("/"), &config.data_dir, Arc::clone(&clock))?;
        let key = random::bytes().context("no random bytes")?;
        let registry = SessionRegistry::new(Guard::new(&key, rules(&config)));
        registry.wait_for_peers(config.rtsp_session_timeout);
        read_failed_logins(registry.guard(), &config.data_dir, &*clock).await;
        keep_failed_logins(registry.guard(), &config.data_dir, &supervisor);
        let program = still::this_program()?;
        let decoders = StillDecoders::keep(&program, config.pictures.h265, &supervisor);
        let past = PastPictures::new(dvr.clone(), Arc::clone(&clock), decoders.pictures.clone());
        let sprites = Sprites::new(dvr.clone(), Arc::clone(&clock), decoders.sprites.clone());
        let mut house = Self {
            wanted,
            config: config.clone(),
            recovery,
            begun: clock.boot(),
            rtsp_port: Arc::default(),
            tls: Tls::new(config.data_dir.join("tls")),
            registry,
            multicast: Multicast::default(),
            places: Places::new(PlaceLimits::of_this_process()),
            cors: Cors::default(),
            clock,
            archive: Playback::new(dvr.clone()),
            export_jobs: ExportJobs::open(dvr.clone(), config.data_dir.clone(), &supervisor),
            machine,
            panel: Panel::default(),
            lines: supervisor.child(),
            supervisor,
            dvr,
            past,
            sprites,
            decoders,
            outlets: Arc::default(),
            entrances: Arc::default(),
            taps: Taps::default(),
            streams: BTreeMap::new(),
            doors: BTreeMap::new(),
            _storage: storage,
        };
        house.tell_rtsp_port(&config);
        house.tls.want(config.tls.clone());
        house.multicast.configure(config.multicast);
        if !config.rtsps_listen.is_empty() {
            // Whoever needs it and has none tries again, and says why.
            let _ = house.tls.load();
        }
        house.cors.allow(config.http_cors.clone());
        house.change(changes(None, &config)).await;
        house.tell_streams(&config);
        let outlets = Arc::clone(&house.outlets);
        keep_watchdog_fed(house.supervisor.clone(), move || status(&outlets))?;
        begin_drill(&house.supervisor);
        house.supervisor.spawn("park", house.recovery.clone().watch_park());
        Ok(house)
    }

    /// The certificate in use.
    pub(super) fn certificate(&self) -> Option<Fingerprint> {
        self.tls.fingerprint()
    }

    /// Whether recording is off, as it changes.
    pub(super) fn parked(&self) -> watch::Receiver<Option<Parked>> {
        self.recovery.parked()
    }

    /// Says why the daemon runs with another configuration than the one that is there, or that it
    /// does not.
    pub(super) fn tell_reverted(&self, why: Option<String>) {
        if let Some(why) = &why {
            error!(part = "config", what = why, "last good configuration is used");
            self.recovery.note(Rung::ConfigReverted, "config", why);
        }
        self.recovery.set_reverted(why);
    }

    /// Goes over to what is wanted: the box was parked, or is not any more.
    pub(super) async fn renew(&mut self) {
        self.apply(self.wanted.clone()).await;
    }

    /// Goes over to `config`: what did not change runs on undisturbed.
    pub(super) async fn apply(&mut self, config: Config) {
        self.wanted = config;
        let config = allowed(&self.wanted, &self.recovery);
        let changes = changes(Some(&self.config), &config);
        self.tell_rtsp_port(&config);
        self.registry.guard().change(rules(&config));
        self.registry.wait_for_peers(config.rtsp_session_timeout);
        self.registry.end_unauthorized();
        self.tls.want(config.tls.clone());
        self.multicast.configure(config.multicast);
        self.renew_certificate();
        for key in &changes.restart_keys {
            warn!(key, "changed key takes effect after a restart");
        }
        let (begun, ended) = (changes.begin.len(), changes.end.len());
        self.cors.allow(config.http_cors.clone());
        self.change(changes).await;
        self.tell_streams(&config);
        let (data_dir, ring_size) = (self.config.data_dir.clone(), self.config.ring_size);
        let pictures = self.config.pictures;
        self.config = Config { data_dir, ring_size, pictures, ..config };
        info!(begun, ended, "configuration applied");
    }

    /// Says to the streams what changes without beginning them anew.
    fn tell_streams(&self, config: &Config) {
        for (name, part) in &self.streams {
            let sub = config.streams.get(name).and_then(|stream| stream.sub.clone());
            part.outlet.sub.store(sub.map(Arc::new));
            part.outlet.hls.set_low_latency(config.hls_low_latency);
        }
    }

    async fn change(&mut self, changes: Changes) {
        // Before a stream ends, so that its readers can be told where it is now.
        self.tell_entrances(&changes);
        for name in changes.end {
            if let Some(part) = self.streams.remove(&name) {
                part.stop().await;
                self.dvr.forget(&name);
            }
        }
        for (name, config) in changes.begin {
            let part = self.begin(&name, config);
            self.streams.insert(name, part);
        }
        for (name, config) in changes.resource {
            if let Some(part) = self.streams.get_mut(&name) {
                part.source.stop().await;
                part.source = part.whole.child();
                part.entrance = Arc::new(config.entrance());
                let stream = Arc::clone(&part.outlet.stream);
                ingest::keep(config, stream, &self.taps, &part.source);
            }
        }
        let entries =
            self.streams.iter().map(|(name, part)| (name.clone(), Arc::clone(&part.outlet)));
        self.outlets.replace(entries.collect());
        self.rewire(changes.panel).await;
        self.tell_entrances(&Changes::default());
        self.listen(Door::Rtsp, changes.rtsp).await;
        self.listen(Door::Rtsps, changes.rtsps).await;
        self.listen(Door::Http, changes.http).await;
    }

    /// Says how to get to the streams that are there, and to those of `changes` that move away.
    fn tell_entrances(&self, changes: &Changes) {
        let there = self.streams.iter();
        let mut all: BTreeMap<_, _> =
            there.map(|(name, part)| (name.clone(), Arc::clone(&part.entrance))).collect();
        for (name, config) in &changes.begin {
            if let entrance @ Entrance::Elsewhere(_) = config.source.entrance() {
                all.insert(name.clone(), Arc::new(entrance));
            }
        }
        self.entrances.replace(all);
    }

    fn begin(&self, name: &StreamName, config: StreamConfig) -> Part {
        let whole = self.supervisor.child();
        let stream = Stream::new(name.clone(), config.source.kind(), self.clock.wall());
        let recorder = config
            .record
            .map(|record| Recorder::keep(Arc::clone(&stream), &self.dvr, &whole, record));
        let outlet = Arc::new(Outlet::new(&stream, recorder, &self.decoders, &whole));
        let source = whole.child();
        let entrance = Arc::new(config.source.entrance());
        ingest::keep(config.source, stream, &self.taps, &source);
        Part { whole, source, outlet, entrance }
    }

    /// Goes over to other lines, if there are any.
    async fn rewire(&mut self, changed: Option<gpio::Config>) {
        let Some(config) = changed else { return };
        self.lines.stop().await;
        self.lines = self.supervisor.child();
        let (outlets, dvr) = (Arc::clone(&self.outlets), self.dvr.clone());
        let (machine, clock) = (self.machine.clone(), Arc::clone(&self.clock));
        let condition = move || condition::of(&outlets, &dvr, &machine, &*clock);
        gpio::keep(&self.panel, config, &self.dvr, Arc::new(condition), &self.lines);
    }

    async fn listen(&mut self, door: Door, listening: Listening) {
        for address in listening.close {
            if let Some(scope) = self.doors.remove(&(door, address)) {
                scope.stop().await;
            }
        }
        for address in listening.open {
            let scope = self.supervisor.child();
            doors::open(door, address, self.view(), &scope);
            self.doors.insert((door, address), scope);
        }
    }

    /// Reads the certificate anew where one is in use; its files may have changed under their
    /// names.
    fn renew_certificate(&self) {
        if self.tls.fingerprint().is_some()
            && let Err(error) = self.tls.load()
        {
            error!(
                part = "tls",
                error = chain(&error),
                "certificate not changed, the old one goes on"
            );
        }
    }

    fn tell_rtsp_port(&self, config: &Config) {
        let port = config.rtsp_listen.first().map_or(0, SocketAddr::port);
        self.rtsp_port.store(port, Relaxed);
    }

    fn view(&self) -> doors::View {
        doors::View {
            outlets: Arc::clone(&self.outlets),
            entrances: Arc::clone(&self.entrances),
            dvr: self.dvr.clone(),
            archive: self.archive.clone(),
            past: self.past.clone(),
            sprites: self.sprites.clone(),
            export_jobs: self.export_jobs.clone(),
            machine: self.machine.clone(),
            panel: self.panel.clone(),
            supervisor: self.supervisor.clone(),
            clock: Arc::clone(&self.clock),
            begun: self.begun,
            rtsp_port: Arc::clone(&self.rtsp_port),
            tls: self.tls.clone(),
            registry: self.registry.clone(),
            multicast: self.multicast.clone(),
            places: self.places.clone(),
            cors: self.cors.clone(),
        }
    }

    /// Stops everything: doors and sources first, then what they wrote is put to rest.
    pub(super) async fn close(self) {
        say_stopping();
        for scope in self.doors.values() {
            scope.stop().await;
        }
        for part in self.streams.values() {
            part.stop().await;
        }
        self.lines.stop().await;
        self.supervisor.stop().await;
        let dvr = self.dvr.clone();
        let (recovery, machine) = (self.recovery.clone(), self.machine.clone());
        let closed = tokio::task::spawn_blocking(move || {
            recovery.close();
            machine.close();
            dvr.close(STOP_TIME_MAX)
        });
        let closed = closed.await;
        if !matches!(closed, Ok(true)) {
            warn!("the disk did not take the last second in time");
        }
    }
}

/// What of `wanted` may run: nothing is recorded while the box is parked.
fn allowed(wanted: &Config, recovery: &RecoveryLog) -> Config {
    let mut config = wanted.clone();
    if recovery.parked().borrow().is_some() {
        config.streams.values_mut().for_each(|stream| stream.record = None);
    }
    config
}

/// Who may do what over RTSP.
fn rules(config: &Config) -> Rules {
    Rules::new(config.accounts.clone(), config.rtsp_basic)
}

/// The line that `systemctl status` shows.
fn status(outlets: &Directory<Outlet>) -> String {
    let all = outlets.all();
    let live = all.values().filter(|outlet| outlet.stream.state().0 == State::Live).count();
    format!("{live} of {} streams live", all.len())
}
