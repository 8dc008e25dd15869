//! How far an update is, and what runs.
//!
//! Owns: their form in the API and in the helper's report.

use serde::{Deserialize, Serialize};

/// How far an update is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum UpdateState {
    /// There is none.
    #[default]
    None,
    /// It is on its way.
    Uploading,
    /// It is inspected.
    Checking,
    /// It can be installed.
    Ready,
    /// It is written into the other slot.
    Installing,
    /// The box starts into it.
    Installed,
    /// It cannot be installed.
    Refused,
}

/// An update, as far as it is known.
#[derive(Clone, Debug, Default, Serialize, schemars::JsonSchema)]
pub struct Update {
    /// How far it is.
    pub state: UpdateState,
    /// Its version.
    pub version: Option<String>,
    /// How much of it is uploaded, or installed.
    pub percent: Option<u8>,
    /// Why it was refused.
    pub message: Option<String>,
}

/// The image that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Running {
    /// Its version.
    pub version: String,
    /// Its slot.
    pub slot: String,
    /// Whether it has yet to be found well.
    pub on_trial: bool,
}
