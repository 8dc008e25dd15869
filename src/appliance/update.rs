//! `holdfast update`: an update of the image from a file, for a person with a root shell; and
//! root's helper for the daemon.
//!
//! Owns: what the terminal shows.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::config;
use crate::update::{self, REPORT_PATH, Rauc, RaucError, TAKEN_REQUEST_PATH, UpdateRequest};

/// The command line of `holdfast update`.
#[derive(Debug, Args)]
pub struct UpdateArguments {
    /// The update, a .raucb file.
    file: PathBuf,
    /// Only says what it is, and whether its signature holds.
    #[arg(long)]
    check: bool,
    /// Starts the box into it at once.
    #[arg(long, conflicts_with = "check")]
    restart: bool,
}

/// Inspects an update, then installs it into the slot that does not run.
pub fn update(arguments: &UpdateArguments) -> anyhow::Result<ExitCode> {
    let rauc = Rauc::default();
    ensure!(
        rauc.is_here(),
        "This system is not updated by images. Update the package holdfast with its package manager."
    );
    let file = std::path::absolute(&arguments.file)?;
    ensure!(file.is_file(), "there is no file {}", file.display());
    let facts = rauc.inspect(&file).map_err(refused)?;
    println!("Version {} for {}; its signature holds.", facts.version, facts.compatible);
    if arguments.check {
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(rustix::process::geteuid().is_root(), "Only root may install an update.");
    let mut out = std::io::stdout();
    let installed = rauc.install(&file, |percent| {
        // The terminal may be gone.
        let _ = write!(out, "\r{percent:3} %").and_then(|()| out.flush());
    });
    println!();
    installed.map_err(refused)?;
    if !arguments.restart {
        println!("Version {} is installed. The box runs it after a restart.", facts.version);
        return Ok(ExitCode::SUCCESS);
    }
    println!("Version {} is installed. The box restarts.", facts.version);
    restart()
}

/// Does what the daemon asked for; needs root.
pub fn update_helper(config: &Path) -> anyhow::Result<ExitCode> {
    let request = UpdateRequest::receive(Path::new(TAKEN_REQUEST_PATH)).context("no request")?;
    let data_dir = config::load(config)?.data_dir;
    let (root, report) = (Path::new("/"), Path::new(REPORT_PATH));
    if update::serve(root, &Rauc::default(), &data_dir, &request, report)? {
        // The unit starts the box again when it is there.
        std::fs::write(report.with_file_name("installed"), "")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// RAUC's messages go to the log, or to the terminal.
fn refused(error: RaucError) -> anyhow::Error {
    if let RaucError::Refused { said, .. } = &error {
        for line in said {
            eprintln!("rauc: {line}");
        }
    }
    error.into()
}

fn restart() -> anyhow::Result<ExitCode> {
    let status = Command::new("systemctl").args(["--no-block", "reboot"]).status()?;
    if !status.success() {
        bail!("the box cannot be restarted; do it yourself");
    }
    Ok(ExitCode::SUCCESS)
}
