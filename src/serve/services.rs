//! What the box can do, built once and shared by every server.
//!
//! Owns: nothing of its own. A service added here is there for every handler.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config_desk::ConfigDesk;
use super::http::{Cors, Settings};
use super::mdns::Announcer;
use super::places::{PlaceLimits, Places};
use super::rtsp::SessionRegistry;
use super::tls::Tls;
use crate::access::AccessControl;
use crate::base::time::{BootTime, SharedClock};
use crate::base::volume::leaves_with;
use crate::board::Machine;
use crate::dvr::Dvr;
use crate::encode::still::{StillDecoder, StillDecoders};
use crate::event::EventBus;
use crate::gpio::Panel;
use crate::live::StreamOutputs;
use crate::playback::Playback;
use crate::playback::export::Exports;
use crate::playback::export_jobs::ExportJobs;
use crate::playback::pictures::PastPictures;
use crate::playback::sprite::Sprites;
use crate::stream::{Directory, Labels};
use crate::supervise::Supervisor;
use crate::update::Updates;
use crate::webhook::Webhooks;

/// The services of the box.
#[derive(Debug)]
pub struct Services {
    /// The configured streams and their outputs.
    pub streams: Arc<Directory<StreamOutputs>>,
    /// All tasks; its report is part of the health page.
    pub supervisor: Supervisor,
    /// The clock.
    pub clock: SharedClock,
    /// When the daemon began.
    pub begun: BootTime,
    /// The RTSP sessions, and who may have one.
    pub rtsp: SessionRegistry,
    /// The certificate in use.
    pub tls: Tls,
    /// Where the configuration is asked for and changed.
    pub config: ConfigDesk,
    /// What people call the streams.
    pub labels: Labels,
    /// Origins whose pages may read media.
    pub cors: Cors,
    /// The other settings of HTTP.
    pub http: Settings,
    /// What happened.
    pub events: EventBus,
    /// Where they are sent.
    pub webhooks: Webhooks,
    /// The ring.
    pub dvr: Dvr,
    /// Playback of recordings; all servers share its places.
    pub playback: Playback,
    /// Recordings as MP4 files; all servers share its places.
    pub exports: Exports,
    /// The decoder of pictures that a person is waiting for.
    pub decoder: StillDecoder,
    /// Pictures of recordings.
    pub past: PastPictures,
    /// Sheets of small pictures.
    pub sprites: Sprites,
    /// The export jobs.
    pub export_jobs: ExportJobs,
    /// Who may use the box.
    pub access: Arc<AccessControl>,
    /// The places of all connections, whatever they speak.
    pub places: Places,
    /// The machine this runs on.
    pub machine: Machine,
    /// What is wired to its GPIO lines.
    pub panel: Panel,
    /// Announces it on the local network.
    pub announcer: Announcer,
    /// Where its keys are, if they leave with the disk of the recordings.
    pub keys_at_risk: Option<PathBuf>,
    /// The update of its image.
    pub updates: Arc<Updates>,
}

/// What the services are built on.
#[derive(Debug)]
pub struct Foundation<'a> {
    /// Where their tasks live.
    pub supervisor: &'a Supervisor,
    /// The clock.
    pub clock: SharedClock,
    /// Where footage is kept.
    pub data_dir: PathBuf,
    /// Where keys are kept.
    pub state_dir: PathBuf,
    /// The ring.
    pub dvr: Dvr,
    /// What makes pictures.
    pub decoders: &'a StillDecoders,
    /// The machine this runs on.
    pub machine: Machine,
    /// The RTSP sessions, and who may have one.
    pub rtsp: SessionRegistry,
    /// The certificate in use.
    pub tls: Tls,
    /// Where the configuration is asked for and changed.
    pub config: ConfigDesk,
    /// Who may use the box.
    pub access: Arc<AccessControl>,
}

impl Services {
    /// Builds the services, with no stream yet.
    #[must_use]
    pub fn new(foundation: Foundation<'_>) -> Self {
        let Foundation {
            supervisor,
            clock,
            data_dir,
            state_dir,
            dvr,
            decoders,
            machine,
            rtsp,
            tls,
            config,
            access,
        } = foundation;
        let keys_at_risk = leaves_with(&state_dir, &data_dir).then(|| state_dir.clone());
        let events = EventBus::new(format!("{:016x}", fastrand::u64(..)), Arc::clone(&clock));
        let outbox = access.store().dir().join("webhooks");
        let webhooks = Webhooks::new(outbox, events.clone(), Arc::clone(&clock));
        let pictures = decoders.pictures.clone();
        let sprites = Sprites::new(dvr.clone(), Arc::clone(&clock), decoders.sprites.clone());
        supervisor.spawn("sprites", sprites.clone().draw_ahead());
        Self {
            streams: Arc::default(),
            supervisor: supervisor.clone(),
            begun: clock.boot(),
            rtsp,
            announcer: Announcer::new(supervisor, tls.clone()),
            tls,
            config,
            labels: Labels::default(),
            cors: Cors::default(),
            http: Settings::default(),
            playback: Playback::new(dvr.clone()),
            exports: Exports::new(dvr.clone()),
            past: PastPictures::new(dvr.clone(), Arc::clone(&clock), pictures.clone()),
            decoder: pictures,
            sprites,
            updates: Arc::new(Updates::open(Path::new("/"), &data_dir)),
            export_jobs: ExportJobs::open(dvr.clone(), data_dir, state_dir, supervisor),
            access,
            places: Places::new(PlaceLimits::of_this_process()),
            machine,
            panel: Panel::default(),
            webhooks,
            events,
            dvr,
            keys_at_risk,
            clock,
        }
    }
}
