//! Starts everything, changes it, and stops it.
//!
//! Owns: the services of the box, the streams and servers that run on them, and the order in
//! which they start and stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::led_status;
use super::plan::{Changes, changes};
use super::published::{Published, vacant_since};
use super::reconfigure::{Reconfigurable, reconfigure};
use super::servers::{Protocol, Servers};
use super::sign_ins;
use super::streams::RunningStreams;
use crate::access::{AccessControl, Act, ClaimStatus};
use crate::base::Stop;
use crate::base::limits::{ACCESS_SWEEP_INTERVAL, STOP_TIME_MAX, STORAGE_HEARTBEAT_AGE_MAX};
use crate::base::name::StreamName;
use crate::base::random;
use crate::base::time::{SharedClock, SystemClock};
use crate::board::Machine;
use crate::config::Config;
use crate::dvr::{self, Dvr};
use crate::encode::still::{self, StillDecoders};
use crate::event::{Kind, NewEvent, Severity};
use crate::gpio;
use crate::ingest::CameraCertificates;
use crate::live::StreamOutputs;
use crate::serve::config_desk::ConfigDesk;
use crate::serve::health::keys_at_risk;
use crate::serve::http::HttpContext;
use crate::serve::publish_desk::{PublishCall, PublishDesk};
use crate::serve::rtsp::multicast::Multicast;
use crate::serve::rtsp::registry::{keep_failed_logins, read_failed_logins};
use crate::serve::rtsp::{RtspServer, SessionRegistry};
use crate::serve::tls::{Fingerprint, Tls};
use crate::serve::{Foundation, Services, observer};
use crate::stream::{Directory, StreamState};
use crate::supervise::recovery::{ParkedRecording, RecoveryLog, Rung};
use crate::supervise::{
    Enlisted, Supervisor, TaskSpec, begin_drill, keep_watchdog_fed, say_stopping,
};
use crate::wire::rtsp::auth::{Accounts, Authorizer, Rules};

/// What a change of the configuration did.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    /// Streams that began, or whose source was exchanged.
    pub(super) restarted: Vec<String>,
    /// Streams that ended.
    pub(super) ended: Vec<String>,
    /// Keys that changed and take effect after a restart.
    pub(super) after_restart: Vec<&'static str>,
}

/// The running appliance.
pub(super) struct Appliance {
    /// The configuration as given.
    wanted: Config,
    /// What runs of it: without recording while the box is parked.
    config: Config,
    supervisor: Supervisor,
    recovery: RecoveryLog,
    services: Arc<Services>,
    tls: Tls,
    multicast: Multicast,
    streams: RunningStreams,
    published: Published,
    publish_desk: PublishDesk,
    servers: Servers,
    /// What runs the GPIO panel.
    panel_tasks: Supervisor,
    _storage: Enlisted,
}

impl Applied {
    fn of(changes: &Changes) -> Self {
        let begun = changes.begin.iter().map(|(name, _)| name);
        let exchanged = changes.resource.iter().map(|(name, _)| name);
        // A stream that changed too much to continue ends and begins.
        let ended =
            changes.end.iter().filter(|name| changes.begin.iter().all(|(begun, _)| begun != *name));
        Self {
            restarted: begun.chain(exchanged).map(ToString::to_string).collect(),
            ended: ended.map(ToString::to_string).collect(),
            after_restart: changes.restart_keys.clone(),
        }
    }
}

impl Appliance {
    /// Opens the ring and starts everything that `config` names.
    pub(super) async fn open(
        wanted: Config,
        desk: ConfigDesk,
        publish_desk: PublishDesk,
    ) -> anyhow::Result<Self> {
        let clock: SharedClock = Arc::new(SystemClock);
        let recovery = RecoveryLog::open(&wanted.data_dir, Arc::clone(&clock))?;
        let config = allowed(&wanted, &recovery);
        let supervisor =
            Supervisor::new(Stop::new(), Arc::clone(&clock)).with_recovery(recovery.clone());
        let tls = Tls::new(config.state_dir().join("tls"), Arc::clone(&clock));
        let (dvr, storage) = open_ring(&config, &clock, &supervisor)?;
        let program = still::this_program()?;
        let decoders = StillDecoders::keep(&program, config.pictures.h265, &supervisor);
        let services = Arc::new(Services::new(Foundation {
            supervisor: &supervisor,
            clock: Arc::clone(&clock),
            data_dir: config.data_dir.clone(),
            state_dir: config.state_dir(),
            dvr: dvr.clone(),
            decoders: &decoders,
            machine: Machine::open(Path::new("/"), &config.data_dir, Arc::clone(&clock))?,
            rtsp: open_registry(&config, &clock, &supervisor).await?,
            tls: tls.clone(),
            config: desk,
            access: Arc::new(AccessControl::open(&config.state_dir(), Arc::clone(&clock))?),
        }));
        let multicast = Multicast::default();
        let streams = Arc::clone(&services.streams);
        let certificates = CameraCertificates::open(&config.state_dir());
        let streams =
            RunningStreams::new(supervisor.clone(), clock, dvr, decoders, streams, certificates);
        let rtsp = RtspServer::new(Arc::clone(&services.streams), supervisor.clone())
            .with_multicast(multicast.clone())
            .with_entrances(streams.ingests())
            .with_archive(services.playback.clone())
            .with_registry(services.rtsp.clone())
            .with_publish_desk(publish_desk.clone())
            .with_places(services.places.clone())
            .with_hosts(services.http.clone());
        let http = Arc::new(HttpContext::new(Arc::clone(&services)));
        let mut appliance = Self {
            wanted,
            config: config.clone(),
            recovery,
            servers: Servers::new(rtsp, tls.clone(), http),
            panel_tasks: supervisor.child(),
            supervisor,
            services,
            tls,
            multicast,
            streams,
            published: Published::default(),
            publish_desk,
            _storage: storage,
        };
        if let Some(at) = &appliance.services.keys_at_risk {
            warn!(part = "access", "{}", keys_at_risk(at));
        }
        appliance.change(changes(None, &config), &config).await;
        appliance.keep_alive()?;
        Ok(appliance)
    }

    /// Starts what watches over the rest.
    fn keep_alive(&self) -> anyhow::Result<()> {
        let streams = Arc::clone(&self.services.streams);
        keep_watchdog_fed(self.supervisor.clone(), move || status(&streams))?;
        begin_drill(&self.supervisor);
        self.supervisor.spawn("park", self.recovery.clone().watch_park());
        let stop = self.supervisor.stop_signal().clone();
        self.supervisor.spawn("tls", self.tls.clone().keep_renewed(stop));
        self.supervisor.spawn("access", sweep(Arc::clone(&self.services)));
        self.supervisor.spawn("events", observer::observe(Arc::clone(&self.services)));
        Ok(())
    }

    /// The certificate in use, and the authority that signed it if that is the box's own.
    pub(super) fn certificates(&self) -> (Option<Fingerprint>, Option<Fingerprint>) {
        let authority = self.tls.authority();
        (self.tls.fingerprint(), authority.map(|authority| authority.fingerprint))
    }

    /// Whether the box has yet to be claimed.
    pub(super) fn is_unclaimed(&self) -> bool {
        let claim = self.services.access.claim_status();
        !self.config.is_open() && matches!(claim, ClaimStatus::Unclaimed | ClaimStatus::Locked(_))
    }

    /// The configuration as the file says it.
    pub(super) fn wanted(&self) -> &Config {
        &self.wanted
    }

    /// Notes in the audit log what was done on the box itself, and whether it could be.
    pub(super) async fn note_own(&self, act: &str, done: bool) {
        let (access, now) = (Arc::clone(&self.services.access), self.services.clock.wall());
        let act = Act {
            who: "this computer".to_owned(),
            proof: "local",
            scheme: "local",
            address: None,
            act: act.to_owned(),
            result: if done { 200 } else { 422 },
        };
        let noted = tokio::task::spawn_blocking(move || access.audit().append(now, act)).await;
        if let Ok(Err(error)) = noted {
            warn!(part = "access", %error, "audit log cannot be written");
        }
    }

    /// Whether recording is off, as it changes.
    pub(super) fn parked(&self) -> watch::Receiver<Option<ParkedRecording>> {
        self.recovery.parked()
    }

    /// Reports why the daemon runs with another configuration than the file's; `None` that it
    /// does not.
    pub(super) fn report_reverted(&self, why: Option<String>) {
        if let Some(why) = &why {
            error!(part = "config", what = why, "running with the last good configuration");
            self.recovery.note(Rung::ConfigReverted, "config", why);
        }
        self.recovery.set_reverted(why);
    }

    /// Applies the configuration again: the box was parked, or no longer is.
    pub(super) async fn renew(&mut self) {
        let _ = self.apply(self.wanted.clone()).await;
    }

    /// A stream that runs and that `config` does not name.
    pub(super) fn missing(&self, config: &Config) -> Option<StreamName> {
        self.wanted.streams.keys().find(|name| !config.streams.contains_key(*name)).cloned()
    }

    /// The streams that are configured.
    pub(super) fn stream_names(&self) -> Vec<String> {
        self.wanted.streams.keys().map(ToString::to_string).collect()
    }

    /// Keys that are configured otherwise than they run, until the next start.
    pub(super) fn restart_keys(&self) -> Vec<&'static str> {
        changes(Some(&self.config), &self.wanted).restart_keys
    }

    /// Addresses that `config` would open, on ports that are not open yet.
    pub(super) fn opened_by(&self, config: &Config) -> Vec<SocketAddr> {
        let lists = |config: &Config| {
            [&config.rtsp_listen, &config.rtsps_listen, &config.http_listen, &config.https_listen]
                .map(Clone::clone)
                .concat()
        };
        let open: Vec<u16> = lists(&self.config).iter().map(SocketAddr::port).collect();
        let mut wanted = lists(config);
        wanted.retain(|address| !open.contains(&address.port()));
        wanted
    }

    /// Changes over to `config`: what did not change runs on undisturbed.
    pub(super) async fn apply(&mut self, config: Config) -> Applied {
        self.wanted = config;
        let config = self.allowed();
        let changes = changes(Some(&self.config), &config);
        for key in &changes.restart_keys {
            warn!(key, "changed key takes effect after a restart");
        }
        let (begun, ended) = (changes.begin.len(), changes.end.len());
        let applied = Applied::of(&changes);
        self.change(changes, &config).await;
        let (data_dir, ring_size) = (self.config.data_dir.clone(), self.config.ring_size);
        let (pictures, state_dir) = (self.config.pictures, self.config.state_dir.clone());
        self.config = Config { data_dir, state_dir, ring_size, pictures, ..config };
        info!(begun, ended, "configuration applied");
        self.services.events.publish(NewEvent::of_box(
            Kind::CONFIG_CHANGED,
            Severity::Info,
            json!({
                "restarted": applied.restarted,
                "ended": applied.ended,
                "after_restart": applied.after_restart,
            }),
        ));
        applied
    }

    /// What may run now, streams that publishers began among it.
    fn allowed(&mut self) -> Config {
        let mut config = allowed(&self.wanted, &self.recovery);
        self.published.join(&mut config);
        config
    }

    /// Begins a stream for its publisher, or ends one that has had none for long.
    pub(super) async fn publisher(&mut self, call: PublishCall) {
        match call {
            PublishCall::Begin { name, reply } => {
                let vacant = |name: &StreamName| vacant_since(&*self.streams.stream(name)?);
                let now = self.services.clock.wall();
                match self.published.enter(&name, &self.wanted, vacant, now) {
                    Ok(_) => {
                        self.change_published().await;
                        self.streams.watch_published(
                            &name,
                            &self.config,
                            &self.publish_desk,
                            reply,
                        );
                    }
                    // Who asked may have gone meanwhile.
                    Err(refused) => drop(reply.send(Err(refused))),
                }
            }
            PublishCall::Vacated(name) => {
                let vacant =
                    self.streams.stream(&name).is_some_and(|it| vacant_since(&it).is_some());
                if vacant && self.published.leave(&name) {
                    self.change_published().await;
                }
            }
        }
    }

    /// Begins and ends streams as publishers want it; the rest is as configured.
    async fn change_published(&mut self) {
        let config = self.allowed();
        let Changes { end, begin, .. } = changes(Some(&self.config), &config);
        self.change_streams(Changes { end, begin, ..Changes::default() }, &config).await;
        self.config.streams = config.streams;
    }

    /// The one way to a configuration, at a start and at a reload.
    async fn change(&mut self, mut changes: Changes, config: &Config) {
        let Self { services, tls, multicast, .. } = self;
        reconfigure(&Reconfigurable { services, tls, multicast }, config);
        self.publish_desk.admit(config.publish.keys().cloned().collect());
        let panel = changes.panel.take();
        let [rtsp, rtsps, http, https] =
            [&mut changes.rtsp, &mut changes.rtsps, &mut changes.http, &mut changes.https]
                .map(std::mem::take);
        self.change_streams(changes, config).await;
        self.reconfigure_panel(panel).await;
        let webhooks = &self.services.webhooks;
        webhooks.reconfigure(&config.webhooks, config.is_open(), &self.supervisor).await;
        for (protocol, listening) in [
            (Protocol::Rtsp, rtsp),
            (Protocol::Rtsps, rtsps),
            (Protocol::Http, http),
            (Protocol::Https, https),
        ] {
            self.servers.listen(protocol, listening, &self.supervisor).await;
        }
    }

    async fn change_streams(&mut self, changes: Changes, config: &Config) {
        self.streams.publish_entrances(&changes.begin);
        for name in &changes.end {
            self.streams.end(name).await;
        }
        for (name, config) in changes.begin {
            self.streams.begin(name, config);
        }
        for (name, config) in changes.resource {
            self.streams.change_source(&name, config).await;
        }
        for (name, config) in changes.record {
            self.streams.change_recording(&name, config).await;
        }
        self.streams.publish();
        self.streams.publish_entrances(&[]);
        self.streams.reconfigure(config);
    }

    /// Starts the panel anew on other lines, if they changed.
    async fn reconfigure_panel(&mut self, changed: Option<gpio::Config>) {
        let Some(config) = changed else { return };
        self.panel_tasks.stop().await;
        self.panel_tasks = self.supervisor.child();
        let services = Arc::clone(&self.services);
        let status = move || {
            led_status::of(&services.streams, &services.dvr, &services.machine, &*services.clock)
        };
        let Services { panel, dvr, .. } = &*self.services;
        let access = Arc::clone(&self.services.access);
        let on_claim = move || {
            if !access.open_claim_window() {
                warn!(
                    part = "button",
                    "held for the claim, too late or after it: nothing is opened"
                );
            }
        };
        let updates = Arc::clone(&self.services.updates);
        let on_reset = move || {
            if let Err(error) = updates.factory_reset() {
                warn!(part = "button", %error, "held for the factory reset: nothing is deleted");
            }
        };
        let (status, on_claim) = (Arc::new(status), Arc::new(on_claim));
        let calls = gpio::PanelCalls { status, on_claim, on_reset: Arc::new(on_reset) };
        gpio::keep(panel, config, dvr, calls, &self.panel_tasks);
    }

    /// Stops everything: servers and sources first, then what they wrote is flushed.
    pub(super) async fn close(self) {
        say_stopping();
        self.servers.stop().await;
        self.streams.stop().await;
        self.panel_tasks.stop().await;
        self.supervisor.stop().await;
        let (services, recovery) = (Arc::clone(&self.services), self.recovery.clone());
        let closed = tokio::task::spawn_blocking(move || {
            recovery.close();
            services.machine.close();
            services.dvr.close(STOP_TIME_MAX)
        });
        let closed = closed.await;
        if !matches!(closed, Ok(true)) {
            warn!("the disk did not take the last second in time");
        }
    }
}

/// Ends old sessions, takes over accounts that the command line changed, and notes who signed in.
async fn sweep(services: Arc<Services>) {
    let mut ticks = tokio::time::interval(ACCESS_SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        let services = Arc::clone(&services);
        // Files are read and written, on a disk that may hang.
        let swept = tokio::task::spawn_blocking(move || {
            sign_ins::note(&services.access, &services.rtsp, services.clock.wall());
            services.access.sweep();
            if services.rtsp.has_owners() {
                services.rtsp.limit_to(&services.access.accounts());
            }
        });
        let _ = swept.await;
    }
}

/// The ring, and its place among the vital tasks.
fn open_ring(
    config: &Config,
    clock: &SharedClock,
    supervisor: &Supervisor,
) -> anyhow::Result<(Dvr, Enlisted)> {
    // A disk that stalls must not restart the daemon, and live viewing continues: calls to the disk
    // are excused, and what is left is the thread's own.
    let spec = TaskSpec::vital("storage", STORAGE_HEARTBEAT_AGE_MAX);
    let (heartbeat, storage) = supervisor.enlist(spec);
    let ring = dvr::RingConfig {
        data_dir: config.data_dir.clone(),
        size: config.ring_size,
        slot_bytes: None,
    };
    Ok((Dvr::open(ring, Arc::clone(clock), Some(heartbeat))?, storage))
}

/// The registry of RTSP sessions, with what it knew of wrong passwords. It lets nobody in before it is
/// configured.
async fn open_registry(
    config: &Config,
    clock: &SharedClock,
    supervisor: &Supervisor,
) -> anyhow::Result<SessionRegistry> {
    let key = random::bytes().context("no random bytes")?;
    let registry = SessionRegistry::new(Authorizer::new(&key, Rules::new(Accounts::new(), false)));
    read_failed_logins(registry.authorizer(), &config.data_dir, &**clock).await;
    keep_failed_logins(registry.authorizer(), &config.data_dir, supervisor);
    Ok(registry)
}

/// What of `wanted` may run: nothing is recorded while the box is parked.
fn allowed(wanted: &Config, recovery: &RecoveryLog) -> Config {
    let mut config = wanted.clone();
    if recovery.parked().borrow().is_some() {
        config.streams.values_mut().for_each(|stream| stream.record = None);
    }
    config
}

/// The line that `systemctl status` shows.
fn status(streams: &Directory<StreamOutputs>) -> String {
    let all = streams.all();
    let live = all.values().filter(|outputs| outputs.stream.state().0 == StreamState::Live).count();
    format!("{live} of {} streams live", all.len())
}
