//! The daemon's command line.
//!
//! Owns: arguments and exit codes. Everything else is the library's.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast::{appliance, encode::still};

/// Pulls cameras, records them into a ring, serves them on the local network.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the daemon until it is told to stop (Ctrl-C or SIGTERM); SIGHUP reads FILE again.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Says every fault of a configuration file; exit code 2 if there is one.
    CheckConfig {
        /// The configuration file.
        file: PathBuf,
    },
    /// Looks into a ring whose daemon is not running, or whose disk hangs on another computer.
    Ring {
        #[command(subcommand)]
        command: appliance::RingCommand,
    },
    /// Makes accounts for players and recorders.
    Account {
        #[command(subcommand)]
        command: appliance::AccountCommand,
    },
    /// Turns key frames on standard input into pictures; the daemon starts this itself.
    #[command(name = still::CHILD_COMMAND, hide = true)]
    DecodeStill {
        /// What for.
        #[arg(value_parser = |name: &str| still::Job::parse(name).ok_or("no such job"))]
        job: still::Job,
        /// Load a decoder for H.265.
        #[arg(long)]
        h265: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config } => appliance::run(&config),
        Command::CheckConfig { file } => appliance::check_config(&file),
        Command::Ring { command } => appliance::ring(&command),
        Command::Account { command } => appliance::account(&command),
        Command::DecodeStill { job, h265 } => {
            still::run_child(job, h265).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    done.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("holdfast: {error:#}");
        ExitCode::FAILURE
    })
}
