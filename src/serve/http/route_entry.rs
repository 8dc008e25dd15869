//! One row of the table of routes.

use serde::Serialize;

use super::operation::Operation;

/// A route, who may use it, and what it takes and answers.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub(super) struct RouteEntry {
    /// In capitals.
    pub(super) method: &'static str,
    /// With its parameters in braces.
    pub(super) path: &'static str,
    /// The class: `public`, `account`, `viewer`, `operator`, `admin`, `metrics`.
    pub(super) access: &'static str,
    /// The right on the object: `live`, `past`, or `each` where the handler looks it up.
    pub(super) object: Option<&'static str>,
    /// Whether stream accounts may read it.
    #[serde(skip)]
    pub(super) is_media: bool,
    /// For the document of the API.
    #[serde(skip)]
    pub(super) operation: Operation,
}
