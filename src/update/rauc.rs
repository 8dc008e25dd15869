//! RAUC's command line: what an update is, and its installation.
//!
//! Owns: the arguments, and what its answers mean to people. Its own words go to the log.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::base::limits::{UPDATE_LINE_BYTES_MAX, UPDATE_LINES_MAX};

/// RAUC on this machine.
#[derive(Clone, Debug)]
pub struct Rauc {
    program: PathBuf,
    configuration: PathBuf,
}

/// The signed description of an update.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BundleFacts {
    /// The board it is for.
    pub compatible: String,
    /// Its version.
    pub version: String,
}

/// Why RAUC refuses an update.
#[derive(Debug, thiserror::Error)]
pub enum RaucError {
    /// RAUC cannot be started.
    #[error("RAUC cannot be started")]
    Start(#[source] io::Error),
    /// It refuses the update.
    #[error("{why}")]
    Refused {
        /// The reason, for people.
        why: &'static str,
        /// What RAUC said, for the log.
        said: Vec<String>,
    },
}

impl Default for Rauc {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl Rauc {
    /// RAUC of the system below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            program: root.join("usr/bin/rauc"),
            configuration: root.join("etc/rauc/system.conf"),
        }
    }

    /// The program found by its name, with its own configuration.
    #[must_use]
    pub fn with_configuration(configuration: &Path) -> Self {
        Self { program: PathBuf::from("rauc"), configuration: configuration.to_owned() }
    }

    /// Whether this system is updated by RAUC.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.program.exists() && self.configuration.exists()
    }

    /// Describes an update that is signed with a key this box trusts.
    ///
    /// # Errors
    ///
    /// It is not signed so, or it is damaged.
    pub fn inspect(&self, bundle: &Path) -> Result<BundleFacts, RaucError> {
        let mut answer = None;
        self.run(&["info", "--output-format=json"], bundle, |line| {
            answer = answer.take().or_else(|| serde_json::from_str(line).ok());
        })?;
        answer.ok_or(RaucError::Refused { why: NOT_READ, said: Vec::new() })
    }

    /// Installs it into the inactive slot; `told` receives the progress in percent.
    ///
    /// # Errors
    ///
    /// It was refused; the running slot stays the one to boot.
    pub fn install(&self, bundle: &Path, mut told: impl FnMut(u8)) -> Result<(), RaucError> {
        self.run(&["install"], bundle, |line| {
            if let Some(percent) = percent(line) {
                told(percent);
            }
        })
    }

    /// Runs RAUC and passes on each line it prints.
    fn run(
        &self,
        what: &[&str],
        bundle: &Path,
        mut each: impl FnMut(&str),
    ) -> Result<(), RaucError> {
        let (reader, writer) = io::pipe().map_err(RaucError::Start)?;
        let mut command = Command::new(&self.program);
        command.arg("--conf").arg(&self.configuration).args(what).arg(bundle);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        command.stdin(Stdio::null());
        command.stdout(writer.try_clone().map_err(RaucError::Start)?).stderr(writer);
        let mut child = command.spawn().map_err(RaucError::Start)?;
        // The command holds the writing end, which keeps this loop alive.
        drop(command);
        let mut said = VecDeque::new();
        let mut lines = BufReader::new(reader);
        while let Some(line) = next_line(&mut lines) {
            each(&line);
            if said.len() == UPDATE_LINES_MAX {
                said.pop_front();
            }
            said.push_back(line);
        }
        if child.wait().map_err(RaucError::Start)?.success() {
            return Ok(());
        }
        let said: Vec<String> = said.into();
        Err(RaucError::Refused { why: why(&said), said })
    }
}

/// The next line, shortened to the kept length; `None` at the end.
fn next_line(lines: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let most = u64::try_from(UPDATE_LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let read = lines.by_ref().take(most).read_until(b'\n', &mut line).ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// `" 40% Copying image to rootfs.1"`.
fn percent(line: &str) -> Option<u8> {
    let (number, _) = line.split_once('%')?;
    number.trim().parse().ok().filter(|percent| *percent <= 100)
}

const NOT_READ: &str = "The file is not an update for this box, or it is damaged.";
const NOT_SIGNED: &str = "The update is damaged, or not signed with a key that this box trusts.";

/// What RAUC's output means, for people.
fn why(said: &[String]) -> &'static str {
    let has = |part: &str| said.iter().any(|line| line.contains(part));
    if has("ompatible") {
        "The update is for another board."
    } else if has("re-install handler") {
        "This box does not take that version."
    } else if has("D-Bus") {
        "RAUC does not answer. Restart the box and try again."
    } else if has("bundle format") || has("No such file") {
        NOT_READ
    } else if has("erif") || has("ignature") || has("ertificate") || has("CMS") {
        NOT_SIGNED
    } else {
        "The update could not be written. The log says why."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_its_lines() {
        let known = [("  0% Installing", Some(0)), ("100% Installing done.", Some(100))];
        for (line, found) in known {
            assert_eq!(percent(line), found);
        }
        for line in ["idle", "300% done", "LastError: 5% of it"] {
            assert_eq!(percent(line), None);
        }
    }

    #[test]
    fn what_it_says_becomes_a_sentence() {
        let said = |line: &str| why(&[line.to_owned()]);
        assert_eq!(
            said("LastError: Compatible mismatch: Expected 'a' but bundle manifest has 'b'"),
            "The update is for another board."
        );
        assert_eq!(
            said(
                "signature verification failed: Verify error: unable to get local issuer certificate"
            ),
            NOT_SIGNED
        );
        assert_eq!(
            said(
                "Invalid bundle format: Signature size (16406602975856473706) exceeds bundle size"
            ),
            NOT_READ
        );
    }
}
