//! Makes stream accounts.
//!
//! Owns: what is printed where, and how a section gets into a configuration: after a check of the
//! whole file, and in one write, so that the file is never one that the daemon refuses. Without a file
//! the section goes to standard output. The password goes to standard error, once, and is kept nowhere.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;

use super::people::{PeopleCommand, people};
use crate::base::name_pattern::NamePattern;
use crate::base::random;
use crate::config::{self, drop_in};
use crate::wire::rtsp::auth::{Credential, is_account_name};

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Makes an account, shows its password once, and adds its section to the configuration:
    /// holdfast account new --name nvr --config holdfast.toml
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
        /// The person whose it is: it may no more than they, and ends with their account.
        #[arg(long, value_name = "PERSON")]
        owner: Option<String>,
        /// Keep what SHA-256 needs too; then every account must have it.
        #[arg(long)]
        sha256: bool,
        /// The configuration to add it to; without one the section is printed.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Accounts of people.
    #[command(flatten)]
    People(PeopleCommand),
}

/// Does it.
pub fn account(command: &AccountCommand) -> anyhow::Result<ExitCode> {
    let (name, read, publish, owner, sha256, config) = match command {
        AccountCommand::New { name, read, publish, owner, sha256, config } => {
            (name, read, publish, owner, sha256, config)
        }
        AccountCommand::People(command) => return people(command),
    };
    if !is_account_name(name) {
        bail!("a name has 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'; {name:?} has not");
    }
    let (read, publish) = (scope(read)?, scope(publish)?);
    let made = Credential::generate(name, &random::bytes().context("no random bytes")?);
    let sha256 = match sha256 {
        true => format!("ha1_sha256 = \"{}\"\n", made.ha1_sha256.reveal()),
        false => String::new(),
    };
    let owner = match owner {
        Some(owner) if is_account_name(owner) => format!("owner = \"{owner}\"\n"),
        Some(owner) => bail!("{owner:?} cannot be the name of a person's account"),
        None => String::new(),
    };
    let section = format!(
        "\n[account.{}]\nha1 = \"{}\"\n{sha256}read = {read}\npublish = {publish}\n{owner}",
        key(name),
        made.ha1.reveal()
    );
    match config {
        Some(file) => {
            add(name, &section, file)?;
            let file = file.display();
            println!("Added [account.{}] to {file}. To apply it, send SIGHUP.", key(name));
        }
        None => std::io::stdout().write_all(section.as_bytes())?,
    }
    eprintln!("Password of {name}, shown only now: {}", made.password.reveal());
    Ok(ExitCode::SUCCESS)
}

/// Adds a section to a configuration, unless the daemon would refuse the file with it.
fn add(name: &str, section: &str, file: &Path) -> anyhow::Result<()> {
    let shown = file.display();
    let text = config::text(file).with_context(|| format!("{shown} was not changed"))?;
    // Without an account the file may be faulty: one that listens beyond this computer needs one.
    let before = drop_in::table(&text).unwrap_or_default();
    if before.get("account").is_some_and(|accounts| accounts.get(name).is_some()) {
        bail!("{shown} has an account {name}; remove its section first, or choose another name");
    }
    config::parse(&drop_in::appended(&text, section)).with_context(|| {
        format!("{shown} was not changed: with this account the daemon would refuse it")
    })?;
    // Written in place, not replaced by a new file: owner and mode of the old one are the daemon's.
    let mut open = OpenOptions::new().append(true).open(file)?;
    let length = open.metadata()?.len();
    let written = open.write_all(section.as_bytes()).and_then(|()| open.sync_all());
    written.inspect_err(|_| drop(open.set_len(length)))?;
    Ok(())
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
        let pattern = NamePattern::parse(name);
        let pattern =
            pattern.with_context(|| format!("{name:?} is neither a stream name nor a pattern"))?;
        names.push(format!("\"{pattern}\""));
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
        assert_eq!(scope("cam-*").unwrap(), "[\"cam-*\"]");
        assert!(scope("../x").is_err() && scope("cam-**").is_err());
    }

    #[test]
    fn a_file_that_would_be_faulty_is_not_changed() {
        const TEXT: &str = "[stream.roof]\nsource = { kind = \"rtsp_push\" }";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("holdfast.toml");
        let new = |name: &str, publish: &str| {
            let (name, read, publish) = (name.to_owned(), String::new(), publish.to_owned());
            let config = Some(file.clone());
            let owner = Some("anna".to_owned());
            account(&AccountCommand::New { name, read, publish, owner, sha256: false, config })
        };
        let refused = |name: &str, publish: &str| format!("{:#}", new(name, publish).unwrap_err());
        assert!(refused("drone", "roof").contains("was not changed"), "there is no file");
        assert!(!file.exists(), "an empty one would be taken for a configuration");
        std::fs::write(&file, TEXT).unwrap();
        let told = refused("drone", "cellar");
        assert!(told.contains("would refuse it") && told.contains("cellar"), "{told}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), TEXT);
        new("drone", "roof").unwrap();
        new("drone.2", "roof").unwrap();
        let read = || std::fs::read_to_string(&file).unwrap();
        let before = read();
        assert_eq!(config::parse(&before).unwrap().accounts.len(), 2);
        assert!(refused("drone", "roof").contains("has an account drone"));
        assert_eq!(read(), before);
    }
}
