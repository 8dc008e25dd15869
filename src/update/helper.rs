//! Root's side: carries out the daemon's requests and reports.
//!
//! Owns: what each step reports. `holdfast-update.service` runs it once per request.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::exchange::{BUNDLE, Report, UpdateRequest, UpdateStep};
use super::rauc::{BundleFacts, Rauc, RaucError};
use super::state::UpdateState;
use crate::base::limits::UPDATE_REPORT_BYTES_MAX;

/// Where the image's own check says why it refuses a version.
const REFUSED: &str = "run/holdfast-image/refused";
/// Which board this image is for.
const IMAGE: &str = "usr/lib/holdfast/image";

/// Does what `request` asks for with the update in `data_dir`, and reports to `report`. Returns
/// whether it was installed, so that the box must restart.
///
/// # Errors
///
/// The report cannot be written.
pub fn serve(
    root: &Path,
    rauc: &Rauc,
    data_dir: &Path,
    request: &UpdateRequest,
    report: &Path,
) -> io::Result<bool> {
    let bundle = data_dir.join(BUNDLE);
    let mut told = Report::new(&request.id, UpdateState::Checking);
    told.write(report)?;
    let facts = match rauc.inspect(&bundle).map_err(|error| words(root, &error)) {
        Ok(facts) if !fits(root, &facts) => Err("The update is for another board.".to_owned()),
        other => other,
    };
    let done = match facts {
        Err(why) => Err(why),
        Ok(facts) => {
            told.version = Some(facts.version.chars().take(64).collect());
            match request.step {
                UpdateStep::Inspect => Ok(UpdateState::Ready),
                UpdateStep::Install => install(root, rauc, &bundle, &mut told, report),
            }
        }
    };
    match done {
        Ok(state) => told.state = state,
        Err(why) => (told.state, told.message) = (UpdateState::Refused, Some(why)),
    }
    told.write(report)?;
    Ok(told.state == UpdateState::Installed)
}

/// Installs it, with its progress in the report.
fn install(
    root: &Path,
    rauc: &Rauc,
    bundle: &Path,
    told: &mut Report,
    report: &Path,
) -> Result<UpdateState, String> {
    told.state = UpdateState::Installing;
    let _ = fs::remove_file(root.join(REFUSED));
    let installed = rauc.install(bundle, |percent| {
        told.percent = Some(percent);
        // One that is lost is followed by the next.
        let _ = told.write(report);
    });
    installed.map(|()| UpdateState::Installed).map_err(|error| words(root, &error))
}

/// Whether it is for this board, where that is known.
fn fits(root: &Path, facts: &BundleFacts) -> bool {
    let known = small_file(&root.join(IMAGE));
    let own = known.lines().find_map(|line| line.strip_prefix("COMPATIBLE="));
    own.is_none_or(|own| own == facts.compatible)
}

/// Why it was refused, for people; RAUC's own words go to the log.
fn words(root: &Path, error: &RaucError) -> String {
    if let RaucError::Refused { said, .. } = error {
        for line in said {
            eprintln!("rauc: {line}");
        }
    }
    let own = small_file(&root.join(REFUSED));
    let own = own.lines().next().unwrap_or_default();
    if own.is_empty() { error.to_string() } else { own.to_owned() }
}

/// A file that root wrote; empty if there is none.
fn small_file(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(UPDATE_REPORT_BYTES_MAX).read_to_string(&mut text);
    }
    text
}
