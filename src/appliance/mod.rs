//! The plan: configuration to parts to supervised tasks.
//!
//! Owns: what runs. A start is a reload from nothing, so there is one path for both. Holds no
//! protocol and no loop of its own but the one that waits for signals.

mod account;
mod ask;
mod config_desk;
mod evidence;
mod health;
mod led_status;
mod lifecycle;
mod logs;
mod people;
mod plan;
mod published;
mod reconfigure;
mod recovery;
mod servers;
mod sign_ins;
mod streams;
mod trial;
mod unconfirmed;
mod update;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::base::memory;
use crate::base::name::StreamName;
use crate::base::time::{SharedClock, SystemClock, WallTime};
use crate::config::drop_in;
use crate::config::file::ConfigFile;
use crate::config::{self, Config, ConfigError};
use crate::dvr;
use crate::serve::config_desk::ConfigDesk;
use crate::serve::publish_desk::PublishDesk;
use crate::supervise::recovery::bear_with;
use crate::supervise::say_pausing;
pub use account::{AccountCommand, account};
pub use evidence::{device_key, verify_export};
pub use health::{HealthArguments, health};
use lifecycle::Appliance;
pub use people::{PeopleCommand, RoleName, claim_code};
pub use recovery::{RecoveryCommand, recovery, usb_mend};
use trial::ConfigTrial;
use unconfirmed::Unconfirmed;
pub use update::{UpdateArguments, update, update_helper};

/// Exit code of a faulty configuration.
const EXIT_CONFIG: u8 = 2;
/// Worker threads at most: media is moved, not computed.
const WORKERS_MAX: usize = 4;
/// What does not come in the life of a daemon.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);
/// Descriptors at most: connections of all doors, two for an RTSP reader over TCP, four over UDP.
const DESCRIPTORS_MAX: u64 = 16_384;
/// Threads for blocking calls at most.
const BLOCKING_THREADS_MAX: usize = 16;

/// Runs the daemon until it is asked to stop.
pub fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let Some((config, text)) = load_or_say(path)? else { return Ok(ExitCode::from(EXIT_CONFIG)) };
    memory::share_arenas();
    logs::init();
    let (config, text) = without_unconfirmed(path, config, text);
    pause_when_parked(&config);
    let (trial, config) = ConfigTrial::begin(text, config);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(WORKERS_MAX))
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(live(config, trial, path))?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration without a change that nobody confirmed before the daemon died.
fn without_unconfirmed(path: &Path, config: Config, text: String) -> (Config, String) {
    let state_dir = config.state_dir();
    let file = ConfigFile::new(path, &state_dir);
    let back = Unconfirmed::new(&state_dir).take_back_left(&file);
    let before = back.and_then(|text| Some((config::parse_file(&text).ok()?, text)));
    before.unwrap_or((config, text))
}

/// Puts the start off where starting at once would boot the board again, see `recovery`.
fn pause_when_parked(config: &Config) {
    let clock: SharedClock = Arc::new(SystemClock);
    let pause = bear_with(&config.data_dir, &clock);
    if pause.is_zero() {
        return;
    }
    warn!(elapsed_ms = pause.as_millis(), "parked and died before, starting later");
    say_pausing(pause);
    std::thread::sleep(pause);
}

/// A thousand readers need more descriptors than a process is given at first; it may take more.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(DESCRIPTORS_MAX, |most| most.min(DESCRIPTORS_MAX)));
    // Fewer serve fewer readers.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

/// Says every fault of a configuration file.
pub fn check_config(path: &Path) -> anyhow::Result<ExitCode> {
    let Some((config, text)) = load_or_say(path)? else { return Ok(ExitCode::from(EXIT_CONFIG)) };
    let dropped: Vec<_> = drop_in::parts(&text).filter_map(|part| part.name).collect();
    let with =
        if dropped.is_empty() { String::new() } else { format!(" with {}", dropped.join(", ")) };
    let streams = match config.streams.len() {
        1 => "1 stream".to_owned(),
        count => format!("{count} streams"),
    };
    println!("{}{with}: no faults, {streams}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// The configuration and its text, or `None` after its faults were printed.
fn load_or_say(path: &Path) -> anyhow::Result<Option<(Config, String)>> {
    match load_with_text(path) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(error @ ConfigError::Read { .. }) => Err(error.into()),
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            Ok(None)
        }
    }
}

fn load_with_text(path: &Path) -> Result<(Config, String), ConfigError> {
    let text = config::text(path)?;
    Ok((config::parse_file(&text)?, text))
}

async fn live(config: Config, mut trial: ConfigTrial, path: &Path) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("no SIGHUP")?;
    let mut terminate = signal(SignalKind::terminate()).context("no SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no SIGINT")?;
    for line in welcome(&config) {
        println!("{line}");
    }
    let state_dir = config.state_dir();
    let file = ConfigFile::new(path, &state_dir);
    let mut unconfirmed = Unconfirmed::new(&state_dir);
    let (desk, mut calls) = ConfigDesk::new();
    let (publish_desk, mut publishers) = PublishDesk::new();
    let mut appliance = Appliance::open(config, desk, publish_desk).await?;
    if appliance.is_unclaimed() {
        people::say_claim_code(&state_dir);
    }
    let (certificate, authority) = appliance.certificates();
    for (what, fingerprint) in [("Certificate", certificate), ("Authority", authority)] {
        if let Some(fingerprint) = fingerprint {
            println!("{what}: SHA-256 {fingerprint}");
        }
    }
    appliance.report_reverted(trial.reverted.clone());
    let mut parked = appliance.parked();
    let mut good_at = Instant::now() + trial::GOOD_AFTER;
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                let loaded = reload(&mut appliance, path).await;
                appliance.note_own("reload of the configuration (SIGHUP)", loaded.is_some()).await;
                if let Some(text) = loaded {
                    unconfirmed.replaced_by(&text);
                    trial.restart(text);
                    appliance.report_reverted(None);
                    good_at = Instant::now() + trial::GOOD_AFTER;
                }
            }
            Some(call) = calls.recv() => {
                let kept = (&mut trial, &mut unconfirmed);
                if config_desk::answer(call, &file, &mut appliance, kept).await {
                    appliance.report_reverted(None);
                    good_at = Instant::now() + trial::GOOD_AFTER;
                }
            }
            () = sleep_until(unconfirmed.until().unwrap_or(good_at + NEVER)) => {
                if let Some(text) = config_desk::take_back(&file, &mut appliance, &mut unconfirmed).await {
                    trial.restart(text);
                    good_at = Instant::now() + trial::GOOD_AFTER;
                }
            }
            Some(call) = publishers.recv() => appliance.publisher(call).await,
            () = sleep_until(good_at) => {
                trial.passed();
                good_at += NEVER;
            }
            Ok(()) = parked.changed() => appliance.renew().await,
        }
    }
    info!("stopping");
    trial.close();
    appliance.close().await;
    Ok(())
}

/// The text of the file, where the house went over to it.
async fn reload(appliance: &mut Appliance, path: &Path) -> Option<String> {
    match load_with_text(path) {
        Ok((config, text)) => match appliance.missing(&config) {
            // A stream that is taken out on purpose leaves a whole file behind.
            Some(stream) if drop_in::ends_within_a_line(&text) => error!(
                %stream,
                "the configuration file ends within a line and lacks a stream that runs: keeping \
                 the old configuration; end the last line to apply it"
            ),
            _ => {
                let _ = appliance.apply(config).await;
                return Some(text);
            }
        },
        Err(ConfigError::Faults { faults }) => {
            for fault in faults {
                error!(error = %fault, "configuration fault");
            }
            error!("keeping the old configuration");
        }
        Err(fault) => error!(error = %fault, "keeping the old configuration"),
    }
    None
}

/// What a person who started it by hand wants to open.
fn welcome(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(http) = config.http_listen.first() {
        lines.push(format!("Page:      http://{http}/"));
        lines.extend(
            config.https_listen.first().map(|https| format!("           https://{https}/")),
        );
        lines.extend(
            config
                .streams
                .keys()
                .map(|name| format!("HLS:       http://{http}/live/{name}/index.m3u8")),
        );
        lines.extend(
            config.streams.keys().map(|name| format!("Picture:   http://{http}/snap/{name}.jpg")),
        );
    }
    if let Some(rtsp) = config.rtsp_listen.first() {
        lines.extend(config.streams.keys().map(|name| format!("RTSP:      rtsp://{rtsp}/{name}")));
    }
    if let Some(rtsps) = config.rtsps_listen.first() {
        lines
            .extend(config.streams.keys().map(|name| format!("RTSPS:     rtsps://{rtsps}/{name}")));
    }
    lines.push(format!("Data:      {}", config.data_dir.display()));
    lines.extend(warnings(config).map(str::to_owned));
    lines
}

/// Who reaches what.
fn warnings(config: &Config) -> impl Iterator<Item = &'static str> {
    let wide = |addresses: &[SocketAddr]| addresses.iter().any(|at| !at.ip().is_loopback());
    let http = wide(&config.http_listen) || wide(&config.https_listen);
    let rtsp = wide(&config.rtsp_listen) || wide(&config.rtsps_listen);
    let (accounts, open) = (!config.accounts.is_empty(), config.is_open());
    [
        (open, "Open to this computer only (claim = \"loopback\")."),
        (accounts, "RTSP asks for an account."),
        (!accounts && open, "RTSP accepts only this computer, because there is no account."),
        (
            !accounts && !open,
            "RTSP accepts nobody yet: `holdfast account new` creates an account for it.",
        ),
        (!http && !rtsp, "Listening for this computer only. Stop with Ctrl-C."),
    ]
    .into_iter()
    .filter_map(|(true_now, line)| true_now.then_some(line))
}

/// What can be asked of a ring on disk.
#[derive(Debug, Subcommand)]
pub enum RingCommand {
    /// Shows the ring's size and contents, and what its journal records.
    Status {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Lists what is recorded: runs and gaps of each stream.
    Ls {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Checks every seal of every slot; fails if anything but a torn tail is damaged.
    Verify {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Copies the whole fragments of a range into a fragmented MP4. A gap, or changed parameters,
    /// change, begin a further file: FILE-2.mp4 and so on.
    Extract {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The stream.
        #[arg(long, value_name = "NAME")]
        stream: String,
        /// Start of the range, such as 2026-11-22T14:05:00Z.
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Until when.
        #[arg(long, value_name = "TIME")]
        to: String,
        /// The file to write; existing files are never overwritten.
        #[arg(value_name = "FILE.mp4")]
        target: PathBuf,
    },
    /// Makes the ring smaller: shows which footage that deletes, and asks first.
    Shrink {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The new size, such as "200GiB" or "40%" of its volume.
        #[arg(long, value_name = "SIZE")]
        size: String,
        /// Deletes without asking.
        #[arg(long)]
        yes: bool,
    },
}

/// Copies a range of a stream into files that play.
fn extract(
    data_dir: &Path,
    stream: &str,
    (from, to): (&str, &str),
    target: &Path,
    out: &mut dyn std::io::Write,
) -> anyhow::Result<()> {
    let date = |text: &str, name: &str| {
        let date = WallTime::parse_rfc3339(text);
        date.with_context(|| {
            format!("--{name} must be a time such as 2026-11-22T14:05:00Z, not {text}")
        })
    };
    let wish = dvr::tool::Extract {
        stream: StreamName::parse(stream)?,
        from: date(from, "from")?,
        until: date(to, "to")?,
        target: target.to_owned(),
    };
    dvr::tool::extract(data_dir, &wish, out)?;
    Ok(())
}

/// Makes a ring smaller after agreement; returns whether it is.
fn shrink(
    data_dir: &Path,
    size: &str,
    yes: bool,
    out: &mut dyn std::io::Write,
) -> anyhow::Result<bool> {
    let size = config::ring_size(size)
        .map_err(|fault| anyhow::anyhow!("--size: {}; expected {}", fault.wrong, fault.right))?;
    let mut agree = || {
        if yes {
            return true;
        }
        if !std::io::stdin().is_terminal() {
            eprintln!("There is no terminal for a question. Use --yes to delete without asking.");
            return false;
        }
        eprint!("Delete this footage for good? Type yes to do so: ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && answer.trim() == "yes"
    };
    dvr::tool::shrink(data_dir, size, &mut agree, out).map_err(|error| match error {
        dvr::tool::ToolError::Ring(dvr::DvrError::InUse { path }) => anyhow::anyhow!(
            "a daemon is using {path}. Stop it first (Ctrl-C, or systemctl stop holdfast). Or let it \
             shrink the ring while it runs: lower `size` under [ring], send SIGHUP, and agree with \
             POST /api/v1/storage/shrink",
            path = path.display()
        ),
        error => error.into(),
    })
}

/// Looks into a ring whose daemon is not running.
pub fn ring(command: &RingCommand) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let good = match command {
        RingCommand::Status { data_dir } => dvr::tool::status(data_dir, &mut out).map(|()| true)?,
        RingCommand::Extract { data_dir, stream, from, to, target } => {
            extract(data_dir, stream, (from, to), target, &mut out).map(|()| true)?
        }
        RingCommand::Ls { data_dir } => dvr::tool::ls(data_dir, &mut out).map(|()| true)?,
        RingCommand::Shrink { data_dir, size, yes } => shrink(data_dir, size, *yes, &mut out)?,
        RingCommand::Verify { data_dir } => dvr::tool::verify(data_dir, &mut out)?.is_sound(),
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
