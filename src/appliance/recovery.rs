//! What the command line tells of the recovery log, and what systemd tells the log.
//!
//! Owns: how an entry reads in a terminal.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use crate::base::time::{SharedClock, SystemClock};
use crate::config;
use crate::supervise::recovery::{self, ServiceEnd};

/// What can be done with the recovery log.
#[derive(Debug, Subcommand)]
pub enum RecoveryCommand {
    /// Prints what the box did to heal itself, oldest first.
    Log {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
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
            let clock: SharedClock = Arc::new(SystemClock);
            recovery::note_end(&config::load(config)?.data_dir, &end, &clock)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
