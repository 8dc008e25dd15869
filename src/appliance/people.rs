//! `holdfast account add|list|password|remove|token|reset` and `holdfast claim-code`: people's
//! accounts and their programs' tokens from the command line of the box, for scripts and for people
//! who are locked out.
//!
//! Owns: the dialogue. A running daemon adopts the change within a second.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};

use crate::access::{
    AccessControl, AccountChange, Act, ClaimStatus, NewAccount, NewToken, Role, Store,
    StreamAccess, TokenScope,
};
use crate::base::limits::PASSWORD_CHARACTERS;
use crate::base::name::StreamName;
use crate::base::secret::Secret;
use crate::base::time::{Clock, SystemClock};
use crate::config;

/// What can be done with people's accounts.
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Makes a person's account; the first one claims the box. The password comes on standard
    /// input: holdfast account add --config FILE --name anna --role admin --password-stdin < secret
    Add {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The account's name: 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may do.
        #[arg(long, value_name = "ROLE")]
        role: RoleName,
        /// Streams that it may see, with commas between, or "*" for all.
        #[arg(long, value_name = "STREAMS", default_value = "*")]
        streams: String,
        /// Keeps it from seeing recordings.
        #[arg(long)]
        live_only: bool,
        /// Reads the password from standard input.
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Lists the accounts of people.
    List {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Gives an account another password, which comes on standard input; its sessions end.
    Password {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The account.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Reads the password from standard input.
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Deletes an account; its sessions end.
    Remove {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The account.
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Makes an API token, and prints it: programs send it as `Authorization: Bearer TOKEN`.
    Token {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Its purpose.
        #[arg(long, value_name = "TEXT")]
        label: String,
        /// What it may do.
        #[arg(long, value_name = "ROLE", default_value = "viewer")]
        role: RoleName,
        /// Streams that it may see, with commas between, or "*" for all.
        #[arg(long, value_name = "STREAMS", default_value = "*")]
        streams: String,
        /// Keeps it from seeing recordings.
        #[arg(long)]
        live_only: bool,
        /// Makes it good for /metrics and nothing else.
        #[arg(long)]
        metrics: bool,
        /// How long it is good, such as "30d"; without it for ever.
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<Duration>,
    },
    /// Lists the API tokens, which it does not know.
    Tokens {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Deletes an API token.
    Revoke {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The token's id, as `tokens` lists it.
        #[arg(long, value_name = "ID")]
        id: String,
    },
    /// Deletes all accounts of people: the box is unclaimed then, with a new claim code.
    Reset {
        /// The configuration file of the daemon.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleName {
    /// Watches.
    Viewer,
    /// Keeps footage: marks, protected ranges, exports.
    Operator,
    /// Does everything.
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// The accounts of the daemon of `config`.
fn open(config: &Path) -> anyhow::Result<AccessControl> {
    let dir = config::load(config)?.state_dir();
    Ok(AccessControl::beside(&dir, Arc::new(SystemClock))?)
}

/// Notes what was done in the audit log; what is done stays done where that cannot be written.
fn note(access: &AccessControl, what: String) {
    let act = Act {
        who: "command line".to_owned(),
        proof: "local",
        scheme: "local",
        address: None,
        act: what,
        result: 0,
    };
    if let Err(error) = access.audit().append(SystemClock.wall(), act) {
        eprintln!("The audit log cannot be written: {error}");
    }
}

/// Does it.
pub(super) fn people(command: &PeopleCommand) -> anyhow::Result<ExitCode> {
    match command {
        PeopleCommand::Add { config, name, role, streams, live_only, password_stdin: _ } => {
            let new = NewAccount {
                name: name.clone(),
                role: (*role).into(),
                streams: seen(streams)?,
                past: !live_only,
                password: read_password(&mut std::io::stdin())?,
            };
            let access = open(config)?;
            let first = access.claim_status() != ClaimStatus::Claimed;
            if first && Role::from(*role) != Role::Admin {
                bail!("the first account must be an administrator's: --role admin");
            }
            access.add(&new)?;
            note(&access, format!("account add {name}"));
            println!("Made the account {name}.");
        }
        PeopleCommand::List { config } => list_accounts(&open(config)?)?,
        PeopleCommand::Password { config, name, password_stdin: _ } => {
            let password = Some(read_password(&mut std::io::stdin())?);
            let change = AccountChange { password, ..AccountChange::default() };
            let access = open(config)?;
            access.alter(name, &change)?;
            note(&access, format!("account password {name}"));
            println!("Changed the password of {name}.");
        }
        PeopleCommand::Remove { config, name } => {
            let access = open(config)?;
            access.remove(name)?;
            note(&access, format!("account remove {name}"));
            println!("Deleted the account {name}.");
        }
        PeopleCommand::Token { config, label, role, streams, live_only, metrics, expires } => {
            let scope = if *metrics { TokenScope::Metrics } else { TokenScope::Api };
            let now = SystemClock.wall();
            let nanos = |life: &Duration| i64::try_from(life.as_nanos()).unwrap_or(i64::MAX);
            let new = NewToken {
                label: label.clone(),
                role: (*role).into(),
                streams: seen(streams)?,
                past: !live_only,
                scope,
                expires: expires.as_ref().map(|life| now.offset_nanos(nanos(life))),
            };
            let access = open(config)?;
            let (token, text) = access.add_token(&new, None)?;
            note(&access, format!("account token {}", token.id));
            println!("{}", text.reveal());
        }
        PeopleCommand::Tokens { config } => list_tokens(&open(config)?),
        PeopleCommand::Revoke { config, id } => {
            let access = open(config)?;
            access.remove_token(id)?;
            note(&access, format!("account revoke {id}"));
            println!("Deleted the token {id}.");
        }
        PeopleCommand::Reset { config } => {
            let access = open(config)?;
            access.store().reset()?;
            note(&access, "account reset".to_owned());
            println!("Deleted all accounts of people. The claim code is now:");
            println!("{}", access.store().claim_code()?.shown());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints each account with its rights.
fn list_accounts(access: &AccessControl) -> anyhow::Result<()> {
    for account in access.accounts() {
        let streams = serde_json::to_string(&account.streams)?.replace('"', "");
        let role = format!("{:?}", account.role).to_lowercase();
        let past = if account.past { "" } else { ", live only" };
        println!("{}  {role}, streams {streams}{past}", account.name);
    }
    Ok(())
}

/// Prints each token, never its secret.
fn list_tokens(access: &AccessControl) {
    for token in access.tokens() {
        let role = format!("{:?}", token.role).to_lowercase();
        println!("{}  {role}, {}", token.id, token.label);
    }
}

/// Prints the claim code of the box of `config`.
pub fn claim_code(config: &Path) -> anyhow::Result<ExitCode> {
    let access = open(config)?;
    if access.claim_status() == ClaimStatus::Claimed {
        eprintln!("This box has been claimed already; sign in with an account.");
        return Ok(ExitCode::FAILURE);
    }
    println!("{}", access.store().claim_code()?.shown());
    Ok(ExitCode::SUCCESS)
}

/// What a person who starts an unclaimed box at a terminal has to know. It goes to the terminal
/// alone, and into no log.
pub(super) fn say_claim_code(state_dir: &Path) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    if let Ok(code) = Store::open(state_dir).and_then(|store| store.claim_code()) {
        println!("Claim:     open the page and enter {}", code.shown());
    }
}

/// One line of standard input.
fn read_password(input: &mut dyn Read) -> anyhow::Result<Secret> {
    let most = 4 * *PASSWORD_CHARACTERS.end() as u64 + 2;
    let mut text = String::new();
    input.take(most).read_to_string(&mut text).context("no password on standard input")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line)))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    config::duration(text).map_err(|right| format!("expected {right}"))
}

fn seen(text: &str) -> anyhow::Result<StreamAccess> {
    if text.trim() == "*" {
        return Ok(StreamAccess::All);
    }
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(StreamAccess::Only(names.map(StreamName::parse).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_a_line_without_its_end() {
        for (text, wanted) in [("a b \n", "a b "), ("x\r\n", "x"), ("x", "x"), ("", "")] {
            assert_eq!(read_password(&mut text.as_bytes()).unwrap().reveal(), wanted);
        }
    }

    #[test]
    fn streams_are_named_with_commas() {
        let covers = |text: &str, name| seen(text).unwrap().covers(name);
        assert!(covers("*", "gate") && covers("gate, yard", "yard") && !covers("gate", "yard"));
        assert!(seen("../x").is_err());
    }
}
