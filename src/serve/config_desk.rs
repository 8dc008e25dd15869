//! Where the API asks for the configuration, and for changes of it.
//!
//! Owns: the questions and answers. Who owns the file, and applies what it says, is above: it takes
//! one call after the other, a reload among them, so that no two changes can cross.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};

use crate::base::limits::CONFIG_CALLS_MAX;
use crate::base::name::StreamName;
use crate::base::secret::Secret;

/// Where calls are made. Clones call the same owner.
#[derive(Clone, Debug)]
pub struct ConfigDesk(mpsc::Sender<ConfigCall>);

/// One call.
#[derive(Debug)]
pub struct ConfigCall {
    /// The request.
    pub request: ConfigRequest,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<ConfigAnswer, ConfigRefusal>>,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigRequest {
    /// How file and daemon compare.
    Status,
    /// The sections that are not streams.
    Settings,
    /// The section of one stream.
    Stream(StreamName),
    /// The stream accounts.
    Credentials,
    /// Whether a change would be accepted.
    Check(Change),
    /// A change, of the text that has one of these tags.
    Change(Changer, Precondition, Change),
    /// The former texts.
    History,
    /// A former text, to replace one that has one of these tags.
    Restore(Changer, Precondition, u64),
    /// The last change shall stay: who asks could connect after it.
    Confirm(SocketAddr),
}

/// Who changes the configuration, in case that the change locks them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changer {
    /// The other end of their connection.
    pub from: SocketAddr,
    /// How long the change waits for its confirmation.
    pub confirm_within: Duration,
}

/// Which text a change applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// None was named.
    Missing,
    /// Whatever is there.
    Any,
    /// One with such a tag.
    Tags(Vec<String>),
}

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A stream's section as a whole.
    Put(StreamName, Json),
    /// Some keys of a stream (RFC 7396).
    Patch(StreamName, Json),
    /// A stream goes.
    Remove(StreamName),
    /// Some keys of the settings (RFC 7396).
    Settings(Json),
    /// A stream account.
    Credential(String, CredentialChange),
    /// All stream accounts of a person go.
    RemoveOwned(String),
}

/// What becomes of a stream account.
#[derive(Clone, Debug, PartialEq)]
pub enum CredentialChange {
    /// It is made, with this password and these keys.
    Add(Secret, Json),
    /// Some keys of it change (RFC 7396), and the password if there is one.
    Alter(Option<Secret>, Json),
    /// It goes.
    Remove,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigAnswer {
    /// The tag of the text that is there now.
    pub tag: String,
    /// The answer.
    pub body: Json,
    /// What was changed was not there before.
    pub created: bool,
    /// The change has to be confirmed, over another connection.
    pub unconfirmed: bool,
}

/// One thing that is wrong with a change.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigFault {
    /// Where, such as `stream.gate.source.url`.
    pub path: String,
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigRefusal {
    /// A change must name the text it applies to.
    NoPrecondition,
    /// It was meant for another text.
    Outdated {
        /// The tag of the current one.
        tag: String,
    },
    /// There is no such thing.
    NotFound,
    /// There is one of this name already.
    Exists,
    /// The file that is there has faults itself, or cannot be read.
    FileFaulty(Vec<ConfigFault>),
    /// The change has faults.
    Faults(Vec<ConfigFault>),
    /// The file is written in a form that cannot be changed here.
    Form,
    /// More than one file of `conf.d` would have to change.
    SeveralFiles(Vec<String>),
    /// It cannot be applied, so the old text stays.
    Unusable(String),
    /// The last change waits for its confirmation.
    Unconfirmed,
    /// No change waits for one.
    NothingToConfirm,
    /// Who confirms has not connected anew.
    SameConnection,
    /// The file cannot be changed from here.
    ReadOnly {
        /// Which.
        file: String,
        /// The form in which a person would write it.
        paste: String,
    },
    /// The disk is full.
    DiskFull,
    /// The disk fails.
    DiskFails,
    /// The receiver is gone.
    Away,
}

impl ConfigDesk {
    /// A desk, and where its calls arrive.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<ConfigCall>) {
        let (calls, arriving) = mpsc::channel(CONFIG_CALLS_MAX);
        (Self(calls), arriving)
    }

    /// Asks. Waits while others are served.
    pub async fn ask(&self, request: ConfigRequest) -> Result<ConfigAnswer, ConfigRefusal> {
        let (reply, answer) = oneshot::channel();
        let call = ConfigCall { request, reply };
        self.0.send(call).await.map_err(|_| ConfigRefusal::Away)?;
        answer.await.map_err(|_| ConfigRefusal::Away)?
    }
}

impl Precondition {
    /// Whether the text with `tag` matches.
    pub fn holds(&self, tag: &str) -> Result<(), ConfigRefusal> {
        match self {
            Self::Missing => Err(ConfigRefusal::NoPrecondition),
            Self::Tags(tags) if !tags.iter().any(|named| named == tag) => {
                Err(ConfigRefusal::Outdated { tag: tag.to_owned() })
            }
            Self::Any | Self::Tags(_) => Ok(()),
        }
    }
}
