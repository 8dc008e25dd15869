//! The state of an update, and the running image.
//!
//! Owns: their form in the API and in the helper's report.

use serde::{Deserialize, Serialize};

/// The state of an update.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum UpdateState {
    /// There is no update.
    #[default]
    None,
    /// It is being uploaded.
    Uploading,
    /// It is being inspected.
    Checking,
    /// It is ready to be installed.
    Ready,
    /// It is being written into the other slot.
    Installing,
    /// The box is restarting into it.
    Installed,
    /// It cannot be installed.
    Refused,
}

/// What is known of an update.
#[derive(Clone, Debug, Default, Serialize, schemars::JsonSchema)]
pub struct Update {
    /// How far it is.
    pub state: UpdateState,
    /// Its version.
    pub version: Option<String>,
    /// Progress of the upload or the installation, in percent.
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
    /// Whether it is still on trial: its health is not confirmed yet.
    pub on_trial: bool,
}
