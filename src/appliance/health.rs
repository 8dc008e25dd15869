//! `holdfast health`: whether the box is so well that its image may be called good.
//!
//! Owns: what that takes, and the small file that remembers which local cameras were there when
//! it last was. Asks the daemon as anybody would, over its API.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ask::{Api, AskError};
use crate::base::fault::chain;
use crate::base::file;
use crate::base::limits::HEALTH_FILE_BYTES_MAX;
use crate::base::time::{SharedClock, SystemClock};
use crate::config::{self, Config};
use crate::supervise::recovery::{self, Rung};

/// What is remembered, in the data directory.
const NAME: &str = "health.json";
/// The daemon must have run so long.
const UP_MIN: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The answer for `holdfast health`.
#[derive(Debug, Args)]
pub struct HealthArguments {
    /// The configuration file of the daemon.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Waits so long for the box to become well, such as "5m"; and remembers which local cameras
    /// were there when it did.
    #[arg(long, value_name = "TIME", value_parser = wait)]
    wait: Option<Duration>,
}

fn wait(text: &str) -> Result<Duration, String> {
    config::duration(text).map_err(|right| format!("expected {right}"))
}

/// The local cameras that were there when the box was last found well.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LastHealthy {
    cameras: BTreeSet<String>,
}

/// Says whether the box is healthy, and what is missing.
pub fn health(arguments: &HealthArguments) -> anyhow::Result<ExitCode> {
    let config = config::load(&arguments.config)?;
    let memory = recall(&config.data_dir);
    let mut seen = BTreeSet::new();
    let until = Instant::now() + arguments.wait.unwrap_or_default();
    loop {
        let missing = match look(&config, &memory, &mut seen) {
            Ok(missing) => missing,
            Err(error) => vec![format!("{}.", chain(&error))],
        };
        if missing.is_empty() {
            if arguments.wait.is_some() {
                remember(&config.data_dir, LastHealthy { cameras: seen }).with_context(|| {
                    format!("{NAME} in {} cannot be written", config.data_dir.display())
                })?;
            }
            println!("The box is healthy.");
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= until {
            println!("{}", missing.join("\n"));
            if arguments.wait.is_some() && recovery::image_is_on_trial() {
                leave_reason(&config.data_dir, &missing)?;
            }
            return Ok(ExitCode::FAILURE);
        }
        std::thread::sleep(PAUSE);
    }
}

/// For the recovery log of the image that is booted instead: what was missing.
fn leave_reason(data_dir: &Path, missing: &[String]) -> anyhow::Result<()> {
    let what = format!("the image was not well in time: {}", missing.join(" "));
    let clock: SharedClock = Arc::new(SystemClock);
    recovery::leave_note(data_dir, Rung::PreviousImage, "board", &what, &clock)?;
    Ok(())
}

/// What is missing now; adds to `seen` which local cameras are there.
fn look(
    config: &Config,
    memory: &LastHealthy,
    seen: &mut BTreeSet<String>,
) -> Result<Vec<String>, AskError> {
    let api = Api::of(config)?;
    let health = api.health()?;
    let streams = api.get("/api/v1/streams")?;
    let streams = streams["streams"].as_array().map_or(&[][..], Vec::as_slice);
    let local = local_cameras(config);
    let live = streams.iter().filter(|stream| stream["state"] == "live");
    seen.extend(
        live.filter_map(|s| s["name"].as_str()).filter(|s| local.contains(*s)).map(Into::into),
    );
    let is_gone = |name: &str| local.contains(name) && !seen.contains(name);
    let mut missing = Vec::new();
    let checks = health["checks"].as_array().map_or(&[][..], Vec::as_slice);
    let failed = checks.iter().filter(|check| check["status"] == "failed");
    missing.extend(failed.filter_map(|check| check["message"].as_str()).map(str::to_owned));
    let up_secs = health["uptime_secs"].as_f64().unwrap_or_default();
    if up_secs < UP_MIN.as_secs_f64() {
        missing.push(format!("It has run for {up_secs} of {} seconds.", UP_MIN.as_secs()));
    }
    if !records(config, streams) {
        missing.push("Nothing was made durable since the start.".to_owned());
    }
    // One that was not there the last time either is known to be absent. Whether one is missing
    // says something of an image only while that is new.
    let judged = recovery::image_is_on_trial();
    let gone = memory.cameras.iter().filter(|name| judged && is_gone(name));
    missing.extend(gone.map(|name| format!("The camera of stream {name} is missing.")));
    Ok(missing)
}

fn local_cameras(config: &Config) -> BTreeSet<String> {
    let streams = config.streams.iter().filter(|(_, stream)| stream.source.is_local());
    streams.map(|(name, _)| name.to_string()).collect()
}

/// Whether a fragment is on the medium, if anything is to be recorded.
fn records(config: &Config, streams: &[Value]) -> bool {
    let wanted = config.streams.values().any(|stream| stream.record.is_some());
    let durable = |stream: &Value| stream["recording"]["durable_until"].is_string();
    !wanted || streams.iter().any(durable)
}

/// What was there the last time; nothing when that cannot be read, for a file that is damaged
/// must not make a good image bad.
fn recall(data_dir: &Path) -> LastHealthy {
    let path = data_dir.join(NAME);
    let small = fs::metadata(&path).is_ok_and(|file| file.len() <= HEALTH_FILE_BYTES_MAX);
    let bytes = small.then(|| fs::read(&path).ok()).flatten();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Remembers it; a person may ask at the same moment as the unit does.
fn remember(data_dir: &Path, memory: LastHealthy) -> io::Result<()> {
    file::replace_shared(&data_dir.join(NAME), &serde_json::to_vec(&memory)?)
}
