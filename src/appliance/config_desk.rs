//! Answers calls for the configuration: reads the file, changes it, applies it.
//!
//! Owns: the order. A change is checked whole before the file is touched, written, and then applied
//! as a reload does; addresses that could not be had are tried before, so that a text that was
//! written is a text that runs.

use std::net::{SocketAddr, TcpListener};

use serde_json::{Value as Json, json};
use toml::Table;
use tracing::{error, info};

use super::lifecycle::{Appliance, Applied};
use super::trial::ConfigTrial;
use super::unconfirmed::{Unconfirmed, may_lock_out};
use crate::base::fault::chain;
use crate::base::name::StreamName;
use crate::base::time::WallTime;
use crate::config::drop_in::{self, ChangeError};
use crate::config::edit::{self, EditError};
use crate::config::file::{ConfigFile, Snapshot, WriteError};
use crate::config::{self, Config, ConfigError, KeyFault, credential, resource};
use crate::serve::config_desk::{
    Change, Changer, ConfigAnswer, ConfigCall, ConfigFault, ConfigRefusal, ConfigRequest,
    CredentialChange,
};

type Answered = Result<ConfigAnswer, ConfigRefusal>;

/// Answers one call; whether another text runs now.
pub(super) async fn answer(
    call: ConfigCall,
    file: &ConfigFile,
    appliance: &mut Appliance,
    (trial, unconfirmed): (&mut ConfigTrial, &mut Unconfirmed),
) -> bool {
    let ConfigCall { request, reply } = call;
    let (answer, changed) = match decide(request, file, appliance, (trial, unconfirmed)) {
        Ok(Decision::Answer(answer)) => (Ok(answer), false),
        Ok(Decision::Apply(planned)) => {
            (apply(*planned, file, appliance, (trial, unconfirmed)).await, true)
        }
        Err(refusal) => (Err(refusal), false),
    };
    let changed = changed && answer.is_ok();
    // The caller may have gone meanwhile; the change stands.
    let _ = reply.send(answer);
    changed
}

enum Decision {
    Answer(ConfigAnswer),
    Apply(Box<Planned>),
}

/// A text that is to take the place of another one.
struct Planned {
    changer: Changer,
    before: Snapshot,
    plan: Plan,
}

/// What a change makes of a text.
struct Plan {
    text: String,
    config: Config,
    /// The request, in the form of the file.
    paste: String,
    /// What the answer shows of it.
    shows: Shows,
    /// It was not there before.
    created: bool,
}

/// What the answer to a change shows of the new text.
enum Shows {
    Nothing,
    Stream(StreamName),
    Credential(String),
}

fn decide(
    request: ConfigRequest,
    file: &ConfigFile,
    appliance: &Appliance,
    (trial, unconfirmed): (&ConfigTrial, &mut Unconfirmed),
) -> Result<Decision, ConfigRefusal> {
    let before = file.read();
    let answer = |tag: &str, body| {
        let (tag, created, unconfirmed) = (tag.to_owned(), false, false);
        Ok(Decision::Answer(ConfigAnswer { tag, body, created, unconfirmed }))
    };
    let tag = before.as_ref().map(|before| before.tag.clone()).unwrap_or_default();
    if request == ConfigRequest::Status {
        let mut body = status(&before, appliance, trial);
        if let Some(left) = unconfirmed.left() {
            body["confirm_within"] = json!(left.as_secs());
        }
        return answer(&tag, body);
    }
    if let ConfigRequest::Confirm(from) = request {
        unconfirmed.confirm(from)?;
        info!(part = "config", "the last change was confirmed");
        return answer(&tag, json!({"confirmed": true}));
    }
    let before = before.map_err(|error| ConfigRefusal::FileFaulty(faults_of(&error)))?;
    let faulty = || ConfigRefusal::FileFaulty(faults_of_text(&before.text));
    let table: Table = drop_in::table(&before.text).map_err(|_| faulty())?;
    match request {
        ConfigRequest::Status | ConfigRequest::Confirm(_) => unreachable!("answered above"),
        ConfigRequest::Change(..) | ConfigRequest::Restore(..) if unconfirmed.waits() => {
            Err(ConfigRefusal::Unconfirmed)
        }
        ConfigRequest::Settings => answer(&before.tag, resource::settings(&table)),
        ConfigRequest::Stream(name) => {
            let section = resource::stream(&table, &name).ok_or(ConfigRefusal::NotFound)?;
            answer(&before.tag, json!({"name": name.as_str(), "section": section}))
        }
        ConfigRequest::Credentials => {
            answer(&before.tag, json!({"credentials": credential::list(&table)}))
        }
        ConfigRequest::History => answer(&before.tag, json!({"texts": former_texts(file)?})),
        ConfigRequest::Check(change) => {
            config::parse_file(&before.text).map_err(|_| faulty())?;
            let (faults, accepted) = match plan(&before, &table, change, appliance) {
                Ok(_) => (Vec::new(), true),
                Err(ConfigRefusal::Faults(faults)) => (faults, false),
                Err(other) => return Err(other),
            };
            answer(&before.tag, json!({"accepted": accepted, "faults": faults}))
        }
        ConfigRequest::Change(changer, precondition, change) => {
            precondition.holds(&before.tag)?;
            config::parse_file(&before.text).map_err(|_| faulty())?;
            let plan = plan(&before, &table, change, appliance)?;
            Ok(Decision::Apply(Box::new(Planned { changer, before, plan })))
        }
        ConfigRequest::Restore(changer, precondition, id) => {
            precondition.holds(&before.tag)?;
            let text = file.former(id).map_err(|_| ConfigRefusal::DiskFails)?;
            let text = text.ok_or(ConfigRefusal::NotFound)?;
            let config = checked(&text, appliance)?;
            let (paste, shows, created) = (String::new(), Shows::Nothing, false);
            let plan = Plan { text, config, paste, shows, created };
            Ok(Decision::Apply(Box::new(Planned { changer, before, plan })))
        }
    }
}

/// The former texts of the file, as the API lists them.
fn former_texts(file: &ConfigFile) -> Result<Vec<Json>, ConfigRefusal> {
    let former = file.history().map_err(|_| ConfigRefusal::DiskFails)?;
    let texts = former.into_iter().map(|former| {
        let until = i64::try_from(former.until_secs).unwrap_or(i64::MAX / 1_000_000_000);
        let until = WallTime::from_unix_nanos(until.saturating_mul(1_000_000_000));
        json!({"id": former.id, "until": until, "tag": former.tag})
    });
    Ok(texts.collect())
}

/// How file and daemon compare.
fn status(
    before: &Result<Snapshot, ConfigError>,
    appliance: &Appliance,
    trial: &ConfigTrial,
) -> Json {
    let faults = match before {
        Ok(before) => faults_of_text(&before.text),
        Err(error) => faults_of(error),
    };
    let runs = before.as_ref().is_ok_and(|before| trial.is_of(&before.text));
    let state = if trial.reverted.is_some() {
        "reverted"
    } else if !faults.is_empty() {
        "faulty"
    } else if runs {
        "running"
    } else {
        "file_differs"
    };
    json!({
        "state": state,
        "reason": trial.reverted,
        "faults": faults,
        "streams": appliance.stream_names(),
        "after_restart": appliance.restart_keys(),
    })
}

/// What a change makes of the text `before`, checked.
fn plan(
    before: &Snapshot,
    table: &Table,
    change: Change,
    appliance: &Appliance,
) -> Result<Plan, ConfigRefusal> {
    let is_there = |name: &StreamName| resource::stream(table, name).is_some();
    let mut created = false;
    let (patch, shows) = match change {
        Change::Put(name, section) => {
            created = !is_there(&name);
            (resource::put_stream(table, &name, section), Shows::Stream(name))
        }
        Change::Patch(name, patch) if is_there(&name) => {
            (resource::patch_stream(table, &name, patch), Shows::Stream(name))
        }
        Change::Remove(name) if is_there(&name) => {
            (Ok(json!({"stream": {(name.as_str()): null}})), Shows::Nothing)
        }
        Change::Patch(..) | Change::Remove(_) => return Err(ConfigRefusal::NotFound),
        Change::Settings(patch) => (resource::patch_settings(patch), Shows::Nothing),
        Change::Credential(name, change) => {
            created = matches!(change, CredentialChange::Add(..));
            (Ok(credential_patch(table, &name, change)?), Shows::Credential(name))
        }
        Change::RemoveOwned(person) => {
            (Ok(credential::without_owned(table, &person)), Shows::Nothing)
        }
    };
    let patch = patch.map_err(refusal_of)?;
    let text = drop_in::apply(&before.text, &patch).map_err(unchanged)?;
    let config = checked(&text, appliance)?;
    let paste = edit::apply("", &resource::without_secrets(&patch)).unwrap_or_default();
    Ok(Plan { text, config, paste, shows, created })
}

fn credential_patch(
    table: &Table,
    name: &str,
    change: CredentialChange,
) -> Result<Json, ConfigRefusal> {
    match (change, credential::one(table, name).is_some()) {
        (CredentialChange::Add(..), true) => Err(ConfigRefusal::Exists),
        (CredentialChange::Alter(..) | CredentialChange::Remove, false) => {
            Err(ConfigRefusal::NotFound)
        }
        (CredentialChange::Add(password, keys), false) => {
            Ok(credential::patch(table, name, keys, Some(password)))
        }
        (CredentialChange::Alter(password, keys), true) => {
            Ok(credential::patch(table, name, keys, password))
        }
        (CredentialChange::Remove, true) => Ok(json!({"account": {name: null}})),
    }
}

fn unchanged(error: ChangeError) -> ConfigRefusal {
    match error {
        ChangeError::SeveralFiles { files } => ConfigRefusal::SeveralFiles(files),
        ChangeError::Edit(EditError::Unrepresentable { path }) => {
            ConfigRefusal::Faults(vec![ConfigFault {
                path,
                wrong: "a value that the file cannot hold".to_owned(),
                right: "texts, numbers, true, false, lists and objects".to_owned(),
            }])
        }
        ChangeError::Edit(EditError::NotToml | EditError::Mismatch) => {
            error!(part = "config", %error, "a change through the API was refused");
            ConfigRefusal::Form
        }
    }
}

/// The configuration that `text` says, if the box can take it over.
fn checked(text: &str, appliance: &Appliance) -> Result<Config, ConfigRefusal> {
    let config = config::parse_file(text).map_err(|error| match error {
        ConfigError::Faults { faults } => refusal_of(faults),
        other => ConfigRefusal::Faults(faults_of(&other)),
    })?;
    let opened = appliance.opened_by(&config);
    for address in opened {
        TcpListener::bind(address)
            .map_err(|error| ConfigRefusal::Unusable(unusable(address, &error)))?;
    }
    Ok(config)
}

fn unusable(address: SocketAddr, error: &std::io::Error) -> String {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let why = match error.kind() {
        AddrInUse => "something else listens there",
        AddrNotAvailable => "this box does not have that address",
        PermissionDenied => "ports below 1024 are not the daemon's to take",
        _ => "it cannot be opened",
    };
    format!("The box cannot listen on {address}: {why}. Nothing was changed.")
}

/// Writes the text, and lets it run.
async fn apply(
    planned: Planned,
    file: &ConfigFile,
    appliance: &mut Appliance,
    (trial, unconfirmed): (&mut ConfigTrial, &mut Unconfirmed),
) -> Answered {
    let Planned { changer, before, plan: Plan { text, config, paste, shows, created } } = planned;
    let after = Snapshot::new(text);
    // An unchanged text needs no new file, but it may not run yet.
    if after.text != before.text {
        if may_lock_out(appliance.wanted(), &config) {
            unconfirmed.begin(&before, &after, changer).map_err(|error| {
                error!(part = "config", %error, "a change that has to be confirmed cannot be noted");
                ConfigRefusal::DiskFails
            })?;
        }
        file.write(&before, &after.text).map_err(|cause| {
            unconfirmed.forget();
            written(&cause, file, paste)
        })?;
    }
    let Applied { restarted, ended, after_restart } = appliance.apply(config).await;
    info!(part = "config", "configuration changed through the API");
    let mut body = json!({
        "restarted": restarted,
        "ended": ended,
        "after_restart": after_restart,
    });
    if unconfirmed.waits() {
        body["confirm_within"] = json!(changer.confirm_within.as_secs());
    }
    let table = drop_in::table(&after.text).unwrap_or_default();
    match shows {
        Shows::Nothing => {}
        Shows::Stream(name) => {
            body["name"] = json!(name.as_str());
            body["section"] = resource::stream(&table, &name).unwrap_or_default();
        }
        Shows::Credential(name) => {
            body["credential"] = credential::one(&table, &name).unwrap_or_default();
        }
    }
    trial.restart(after.text);
    Ok(ConfigAnswer { tag: after.tag, body, created, unconfirmed: unconfirmed.waits() })
}

/// Takes back the change that nobody confirmed; the text that runs again.
pub(super) async fn take_back(
    file: &ConfigFile,
    appliance: &mut Appliance,
    unconfirmed: &mut Unconfirmed,
) -> Option<String> {
    let text = unconfirmed.take_back(file);
    appliance.note_own("configuration taken back: not confirmed in time", text.is_some()).await;
    let text = text?;
    let config = config::parse_file(&text).ok()?;
    let _ = appliance.apply(config).await;
    Some(text)
}

fn written(cause: &WriteError, file: &ConfigFile, paste: String) -> ConfigRefusal {
    error!(part = "config", error = chain(cause), "the configuration file was not changed");
    match cause {
        WriteError::Outdated => {
            let tag = file.read().map(|now| now.tag).unwrap_or_default();
            ConfigRefusal::Outdated { tag }
        }
        WriteError::SeveralFiles { files } => ConfigRefusal::SeveralFiles(files.clone()),
        WriteError::ReadOnly { file, .. } => {
            ConfigRefusal::ReadOnly { file: file.display().to_string(), paste }
        }
        WriteError::Full(_) => ConfigRefusal::DiskFull,
        WriteError::Write(_) => ConfigRefusal::DiskFails,
    }
}

fn refusal_of(faults: Vec<KeyFault>) -> ConfigRefusal {
    ConfigRefusal::Faults(faults.into_iter().map(fault).collect())
}

fn fault(KeyFault { path, wrong, right }: KeyFault) -> ConfigFault {
    ConfigFault { path, wrong, right }
}

fn faults_of_text(text: &str) -> Vec<ConfigFault> {
    config::parse_file(text).err().map(|error| faults_of(&error)).unwrap_or_default()
}

fn faults_of(error: &ConfigError) -> Vec<ConfigFault> {
    match error {
        ConfigError::Faults { faults } => faults.iter().cloned().map(fault).collect(),
        other => {
            let right = "a file that the daemon can read".to_owned();
            let path = "the file".to_owned();
            vec![ConfigFault { path, wrong: other.to_string(), right }]
        }
    }
}
