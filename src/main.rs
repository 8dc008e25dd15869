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
    /// Runs the daemon until Ctrl-C or SIGTERM; SIGHUP reloads FILE.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Lists every fault in a configuration file; exit code 2 if there is one.
    CheckConfig {
        /// The configuration file.
        file: PathBuf,
    },
    /// Inspects a ring while its daemon is stopped, or on another computer.
    Ring {
        #[command(subcommand)]
        command: appliance::RingCommand,
    },
    /// Creates accounts: for people, and for players and recorders.
    Account {
        #[command(subcommand)]
        command: appliance::AccountCommand,
    },
    /// Prints the code with which a new box is claimed.
    ClaimCode {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Shows what the box did to recover by itself.
    Recovery {
        #[command(subcommand)]
        command: appliance::RecoveryCommand,
    },
    /// Reports whether the box is healthy, or waits until it is; exit code 1 if not in time.
    Health(appliance::HealthArguments),
    /// Checks that an export is unchanged, and which box signed it.
    VerifyExport {
        /// The zip file.
        file: PathBuf,
        /// The public key of the box that must have signed it: a PEM file, or the SHA-256 that
        /// `holdfast device-key` prints. Without it, anyone could have signed.
        #[arg(long, value_name = "PUBKEY")]
        key: Option<String>,
    },
    /// Prints the public key with which this box signs exports.
    DeviceKey {
        /// The directory that `data_dir` of the configuration names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Installs an update of the image (.raucb), on a box that is updated by images.
    Update(appliance::UpdateArguments),
    /// Does what the daemon asks for with an update; `holdfast-update.service` starts this itself.
    #[command(hide = true)]
    UpdateHelper {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Brings a dead USB camera back as the daemon asked; `holdfast-usb.service` starts this itself.
    #[command(hide = true)]
    UsbMend,
    /// Turns key frames on standard input into pictures; the daemon starts this itself.
    #[command(name = still::CHILD_COMMAND, hide = true)]
    DecodeStill {
        /// What for.
        #[arg(value_parser = |name: &str| still::DecoderJob::parse(name).ok_or("no such job"))]
        job: still::DecoderJob,
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
        Command::ClaimCode { config } => appliance::claim_code(&config),
        Command::DecodeStill { job, h265 } => {
            still::run_child(job, h265).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
        Command::Update(arguments) => appliance::update(&arguments),
        Command::UpdateHelper { config } => appliance::update_helper(&config),
        Command::UsbMend => appliance::usb_mend(),
        Command::Recovery { command } => appliance::recovery(&command),
        Command::Health(arguments) => appliance::health(&arguments),
        Command::VerifyExport { file, key } => appliance::verify_export(&file, key.as_deref()),
        Command::DeviceKey { data_dir } => appliance::device_key(&data_dir),
    };
    done.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("holdfast: {error:#}");
        ExitCode::FAILURE
    })
}
