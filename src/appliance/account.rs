//! Makes stream accounts.
//!
//! Owns: what is printed where. The section goes to standard output, so that `>>` puts it into a
//! configuration; the password goes to standard error, once, and is kept nowhere.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::base::name::StreamName;
use crate::base::random;
use crate::wire::rtsp::auth::{Credential, is_account_name};

/// What can be done with stream accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Makes a password and prints it once, with the section that the configuration needs:
    /// holdfast account new --name nvr >> holdfast.toml
    New {
        /// The account's name: 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Streams that it may watch, with commas between, or "*" for all.
        #[arg(long, value_name = "STREAMS", default_value = "*")]
        read: String,
        /// Streams that it may send, with commas between, or "*" for all.
        #[arg(long, value_name = "STREAMS", default_value = "")]
        publish: String,
        /// Keep what SHA-256 needs too; then every account must have it.
        #[arg(long)]
        sha256: bool,
    },
}

/// Does it.
pub fn account(command: &AccountCommand) -> anyhow::Result<ExitCode> {
    let AccountCommand::New { name, read, publish, sha256 } = command;
    if !is_account_name(name) {
        bail!("a name has 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'; {name:?} has not");
    }
    let (read, publish) = (scope(read)?, scope(publish)?);
    let made = Credential::generate(name, &random::bytes().context("no random bytes")?);
    let sha256 = match sha256 {
        true => format!("ha1_sha256 = \"{}\"\n", made.ha1_sha256.reveal()),
        false => String::new(),
    };
    let section = format!(
        "\n[account.{}]\nha1 = \"{}\"\n{sha256}read = {read}\npublish = {publish}\n",
        key(name),
        made.ha1.reveal()
    );
    std::io::stdout().write_all(section.as_bytes())?;
    eprintln!("Password of {name}, shown only now: {}", made.password.reveal());
    eprintln!("The section on standard output belongs into the configuration; kill -HUP reads it.");
    Ok(ExitCode::SUCCESS)
}

/// The name as a TOML key: a dot in it would begin a table.
fn key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// The streams as a TOML value.
fn scope(text: &str) -> anyhow::Result<String> {
    if text.trim() == "*" {
        return Ok("\"*\"".to_owned());
    }
    let mut names = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        names.push(format!("\"{}\"", StreamName::parse(name)?));
    }
    Ok(format!("[{}]", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_become_a_list() {
        assert_eq!(scope("*").unwrap(), "\"*\"");
        assert_eq!(scope("").unwrap(), "[]");
        assert_eq!(scope("gate, yard").unwrap(), "[\"gate\", \"yard\"]");
        assert!(scope("../x").is_err());
    }
}
