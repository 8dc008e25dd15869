//! `holdfast verify-export` and `holdfast device-key`: whose export it is, and whether it is whole.
//!
//! Owns: what is printed, and the exit code. What is wrong goes to standard output too: it is the
//! answer, not an accident.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::base::device::{DeviceKey, PublicKey};
use crate::playback::export_jobs::verify::{Report, verify};

/// A public key is no longer than this as a file.
const KEY_FILE_BYTES_MAX: u64 = 4 << 10;

/// Prints the public key of the box whose `data_dir`, or `state_dir`, this is.
pub fn device_key(dir: &Path) -> anyhow::Result<ExitCode> {
    let below = DeviceKey::find(&dir.join("state"));
    let key = below.or_else(|_| DeviceKey::find(dir))?.public();
    println!("{}SHA-256 {}", key.to_pem(), key.fingerprint());
    Ok(ExitCode::SUCCESS)
}

/// Checks the export in `file`, and that `key` signed it; fails when anything is wrong.
pub fn verify_export(file: &Path, key: Option<&str>) -> anyhow::Result<ExitCode> {
    let wanted = key.map(fingerprint).transpose()?;
    let shown = file.display();
    let opened = File::open(file).with_context(|| format!("{shown} cannot be read"))?;
    let mut report = verify(&opened).with_context(|| format!("{shown} cannot be read"))?;
    if let (Some(wanted), Some(signer)) = (&wanted, report.signer)
        && *wanted != signer.fingerprint()
    {
        report.problems.push("It was signed by another key than the one given.".to_owned());
    }
    tell(&report, wanted.is_some(), &mut std::io::stdout().lock())?;
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The fingerprint of the key that `text` is, or that is in the file of this name.
fn fingerprint(text: &str) -> anyhow::Result<String> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digits);
    }
    let known = || format!("--key: {text} is neither a SHA-256 nor a PEM file with a public key");
    let length = std::fs::metadata(text).with_context(known)?.len();
    let pem = if length > KEY_FILE_BYTES_MAX { Vec::new() } else { std::fs::read(text)? };
    Ok(PublicKey::from_pem(&pem).with_context(known)?.fingerprint())
}

fn tell(report: &Report, with_key: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    for line in &report.says {
        writeln!(out, "{line}")?;
    }
    if let Some(signer) = report.signer {
        writeln!(out, "signed by device key SHA-256 {}", signer.fingerprint())?;
    }
    for problem in &report.problems {
        writeln!(out, "WRONG: {problem}")?;
    }
    let files = report.whole_files;
    if !report.is_sound() {
        writeln!(out, "This export was changed after it was signed, or somebody else signed it.")?;
    } else if with_key {
        writeln!(out, "{files} files are exactly as the box with this key signed them.")?;
    } else {
        writeln!(out, "{files} files are as they were signed.")?;
        writeln!(
            out,
            "The signer was not checked: anyone who changes an export can sign it again. Give \
             --key with the key that `holdfast device-key` prints on the box."
        )?;
    }
    Ok(())
}
