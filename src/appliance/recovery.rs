//! What the command line shows of the recovery log, and what units of systemd run for the ladder.
//!
//! Owns: how an entry reads in a terminal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;

use super::ask;
use crate::base::time::{SharedClock, SystemClock};
use crate::config;
use crate::supervise::recovery::{self, Rung, ServiceEnd};
use crate::usb::{self, Mended};

/// What can be done with the recovery log.
#[derive(Debug, Subcommand)]
pub enum RecoveryCommand {
    /// Prints what the box did to heal itself, oldest first.
    Log {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Ends a park before its time: the daemon records again.
    Resume {
        /// The configuration file of the daemon that runs.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Ends when the board may be booted again after five deaths of the daemon, and notes it;
    /// `holdfast-reboot.service` runs this itself.
    #[command(hide = true)]
    AwaitReboot {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Notes that the image before this one is booted; `holdfast-fallback.service` runs this
    /// itself.
    #[command(hide = true)]
    NoteFallback {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What was wrong with the image.
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Notes how the service ended, from what systemd puts into the environment of
    /// `ExecStopPost=`; the unit runs this itself.
    #[command(hide = true)]
    NoteEnd {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Does it.
pub fn recovery(command: &RecoveryCommand) -> anyhow::Result<ExitCode> {
    let clock: SharedClock = Arc::new(SystemClock);
    match command {
        RecoveryCommand::Log { data_dir } => {
            let mut out = std::io::stdout().lock();
            for entry in recovery::read(data_dir)? {
                let (rung, times) = (entry.rung.number(), entry.times);
                let again = if times > 1 { format!(", {times} times") } else { String::new() };
                writeln!(
                    out,
                    "{}  rung {rung}  {}: {}{again}",
                    entry.last, entry.part, entry.what
                )?;
            }
        }
        RecoveryCommand::NoteEnd { config } => {
            let variable = |name| std::env::var(name).unwrap_or_default();
            let end =
                ServiceEnd { result: variable("SERVICE_RESULT"), status: variable("EXIT_STATUS") };
            recovery::note_end(&config::load(config)?.data_dir, &end, &clock)?;
        }
        RecoveryCommand::Resume { config } => {
            let resumed = ask::Api::of(&config::load(config)?)?.post("/api/v1/recovery/resume")?;
            let was = resumed["resumed"] == true;
            println!("{}", if was { "Recording continues." } else { "The box is not parked." });
        }
        RecoveryCommand::AwaitReboot { config } => {
            // A faulty configuration ends the daemon too, and no reboot mends it: this fails then.
            let data_dir = config::load(config)?.data_dir;
            loop {
                let wait = recovery::wait_for_reboot(&data_dir, &clock);
                if wait.is_zero() {
                    break;
                }
                eprintln!("holdfast: no reboot for {} s", wait.as_secs());
                std::thread::sleep(wait);
            }
        }
        RecoveryCommand::NoteFallback { config, why } => {
            let data_dir = config::load(config)?.data_dir;
            let what = why.as_deref().unwrap_or("the image was not well in time");
            // `holdfast health` may have said more already.
            if why.is_some() || !recovery::has_note(&data_dir) {
                recovery::leave_note(&data_dir, Rung::PreviousImage, "board", what, &clock)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How long a camera, or the ports, stay off: long enough for capacitors on a hub.
const USB_OFF_TIME: Duration = Duration::from_secs(5);

/// Does what the daemon asked for a dead camera on USB; needs the right to write to sysfs.
pub fn usb_mend() -> anyhow::Result<ExitCode> {
    let request = usb::UsbRequest::receive(Path::new(usb::REQUEST_PATH)).context("no request")?;
    match usb::mend(&usb::UsbTree::default(), &request, USB_OFF_TIME)? {
        Mended::Reset => println!("{} was taken off its bus and put back", request.device.as_str()),
        Mended::PowerCycled { ports } => println!("{ports} USB ports were without power"),
    }
    Ok(ExitCode::SUCCESS)
}
