//! `[account.<name>]` sections: who may read and publish which streams over RTSP.
//!
//! Owns: their keys, and the rule that no server listens beyond this computer without accounts. A
//! value of `ha1` opens streams as a password does, so no fault repeats it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use toml::Value;

use super::Config;
use super::reader::{KeyFault, Section};
use crate::base::limits::ACCOUNTS_MAX;
use crate::base::name_pattern::NamePattern;
use crate::base::secret::Secret;
use crate::wire::rtsp::auth::{Account, Accounts, Algorithm, Scope, is_account_name};

const NEW: &str = "what `holdfast account new --name NAME` prints";
const SCOPE: &str = "\"*\", or a list of streams such as [\"gate\", \"cam-*\"]";

/// Reads every account.
pub(super) fn check(mut section: Section, faults: &mut Vec<KeyFault>) -> Accounts {
    let keys = section.keys();
    if keys.len() > ACCOUNTS_MAX {
        let wrong = format!("{} accounts", keys.len());
        faults.push(section.fault(None, wrong, format!("at most {ACCOUNTS_MAX}")));
    }
    let mut accounts = Accounts::new();
    for key in keys {
        let Some(section) = section.section(&key, faults) else { continue };
        if !is_account_name(&key) {
            let right = "1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'".to_owned();
            faults.push(section.fault(None, "this cannot be a name".to_owned(), right));
        } else if let Some(account) = check_one(section, faults) {
            accounts.insert(key, account);
        }
    }
    let with = accounts.values().filter(|account| account.ha1_sha256.is_some()).count();
    if with != 0 && with != accounts.len() {
        faults.push(KeyFault {
            path: "account".to_owned(),
            wrong: "some accounts have `ha1_sha256` and some have not".to_owned(),
            right: "all or none: what is offered is offered to all".to_owned(),
        });
    }
    accounts
}

fn check_one(mut section: Section, faults: &mut Vec<KeyFault>) -> Option<Account> {
    let before = faults.len();
    let ha1 = hash(&mut section, "ha1", Algorithm::Md5, faults);
    if ha1.is_none() && faults.len() == before {
        faults.push(section.fault(Some("ha1"), "missing".to_owned(), NEW.to_owned()));
    }
    let ha1_sha256 = hash(&mut section, "ha1_sha256", Algorithm::Sha256, faults);
    let read = scope(&mut section, "read", faults).unwrap_or(Scope::All);
    let publish = scope(&mut section, "publish", faults).unwrap_or_else(Scope::none);
    let owner = section.parsed("owner", owner, faults);
    section.finish(faults);
    Some(Account { ha1_sha256, owner, ..Account::new(ha1?, read, publish) })
}

fn hash(
    section: &mut Section,
    key: &str,
    algorithm: Algorithm,
    faults: &mut Vec<KeyFault>,
) -> Option<Secret> {
    let wrong = || (format!("not {} hexadecimal digits", algorithm.digits()), NEW);
    section.parsed(key, |text| algorithm.ha1_from_hex(text).ok_or_else(wrong), faults)
}

fn owner(text: &str) -> Result<String, (String, &'static str)> {
    let wrong = || ("this cannot be a name".to_owned(), "the name of a person's account");
    is_account_name(text).then(|| text.to_owned()).ok_or_else(wrong)
}

fn scope(section: &mut Section, key: &str, faults: &mut Vec<KeyFault>) -> Option<Scope> {
    match section.take(key)? {
        Value::String(all) if all == "*" => Some(Scope::All),
        Value::Array(names) => {
            let mut streams = BTreeSet::new();
            for name in names {
                if let Some(name) = name.as_str().and_then(NamePattern::parse) {
                    streams.insert(name);
                } else {
                    let wrong = format!("{name} is not a stream name");
                    faults.push(section.fault(Some(key), wrong, SCOPE.to_owned()));
                }
            }
            Some(Scope::Only(streams))
        }
        other => {
            let wrong = format!("{} found", other.type_str());
            faults.push(section.fault(Some(key), wrong, SCOPE.to_owned()));
            None
        }
    }
}

/// What is wrong with accounts and addresses taken together. `trusted`: the accounts had no
/// faults of their own.
pub(super) fn check_whole(config: &Config, trusted: bool, faults: &mut Vec<KeyFault>) {
    for (name, account) in &config.accounts {
        for (key, scope) in [("read", &account.read), ("publish", &account.publish)] {
            let Scope::Only(streams) = scope else { continue };
            for pattern in streams.iter().filter(|pattern| !is_there(config, pattern)) {
                let section = if pattern.has_star() { "publish" } else { "stream" };
                faults.push(KeyFault {
                    path: format!("account.{name}.{key}"),
                    wrong: format!("there is no [{section}.{}]", quoted(pattern)),
                    right: SCOPE.to_owned(),
                });
            }
        }
    }
    if !trusted || !config.accounts.is_empty() {
        return;
    }
    let doors = [("rtsp.listen", &config.rtsp_listen), ("rtsp.listen_tls", &config.rtsps_listen)];
    for (path, addresses) in doors {
        for address in addresses.iter().filter(|address| is_wide(address)) {
            faults.push(KeyFault {
                path: path.to_owned(),
                wrong: format!("other computers can reach {address}, and there is no account"),
                right: format!(
                    "an [account.NAME], {NEW}; or an address such as \"127.0.0.1:8554\""
                ),
            });
        }
    }
}

/// Whether there are, or may be, streams that `pattern` means.
fn is_there(config: &Config, pattern: &NamePattern) -> bool {
    config.streams.keys().any(|name| pattern.matches(name.as_str()))
        || config.publish.keys().any(|published| published.covers(pattern))
}

fn quoted(pattern: &NamePattern) -> String {
    if pattern.has_star() { format!("\"{pattern}\"") } else { pattern.to_string() }
}

fn is_wide(address: &SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::tests::faults;
    use super::*;

    const HA1: &str = "939e7578ed9e3c518a452acee763bce9";

    #[test]
    fn an_account_reads_everything_and_publishes_nothing_unless_told() {
        let text = format!(
            "[account.nvr]\nha1 = \"{}\"\n[account.cam]\nha1 = \"{HA1}\"\nread = []\n\
             publish = [\"gate\"]\n[stream.gate]\nsource = {{ kind = \"pattern\" }}",
            HA1.to_uppercase()
        );
        let config = parse(&text).unwrap();
        let gate = NamePattern::parse("gate").unwrap();
        let nvr = &config.accounts["nvr"];
        assert_eq!((&nvr.read, &nvr.publish), (&Scope::All, &Scope::none()));
        assert_eq!(nvr.ha1.reveal(), HA1);
        let cam = &config.accounts["cam"];
        assert_eq!((&cam.read, &cam.publish), (&Scope::none(), &Scope::Only([gate].into())));
    }

    #[test]
    fn every_fault_of_accounts_is_told_and_no_hash() {
        let told = faults(&format!(
            "[account.a]\nha1 = \"{HA1}0\"\n[account.b]\nread = \"gate\"\n\
             [account.\"c d\"]\nha1 = \"{HA1}\"\n[account.e]\nha1 = \"{HA1}\"\npublish = [\"yard\"]\n\
             ha1_sha256 = \"{HA1}{HA1}\"\n[account.f]\nha1 = \"{HA1}\"\nright = \"read\""
        ));
        let paths: Vec<_> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
        let wanted = [
            "account.a.ha1",
            "account.b.ha1",
            "account.b.read",
            "account.\"c d\"",
            "account.f.right",
            "account",
            "account.e.publish",
        ];
        assert_eq!(paths, wanted, "{told:#?}");
        assert!(!told.concat().contains(HA1), "{told:#?}");
    }

    #[test]
    fn without_an_account_only_this_computer_is_listened_to() {
        for (listen, count) in [
            ("\"127.0.0.1:8554\", \"[::1]:8554\"", 0),
            ("\"[::ffff:127.0.0.1]:8554\"", 0),
            ("\"0.0.0.0:8554\", \"127.0.0.1:8555\"", 1),
            ("\"10.0.0.7:8554\", \"[::]:8554\"", 2),
        ] {
            let rtsp = format!("[rtsp]\nlisten = [{listen}]\n");
            let told = if count == 0 { Vec::new() } else { faults(&rtsp) };
            assert_eq!((told.len(), parse(&rtsp).is_ok()), (count, count == 0), "{told:#?}");
            assert!(told.iter().all(|told| told.contains("holdfast account new")), "{told:#?}");
            assert!(parse(&format!("{rtsp}[account.nvr]\nha1 = \"{HA1}\"")).is_ok());
        }
        let told = faults("[rtsp]\nlisten_tls = [\"0.0.0.0:8322\"]");
        assert!(told[0].starts_with("rtsp.listen_tls: "), "{told:?}");
    }
}
