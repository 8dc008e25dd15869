//! One row of the table of routes.

use serde::Serialize;

/// A route and who may use it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct RouteEntry {
    /// In capitals.
    pub(super) method: &'static str,
    /// With its parameters in braces.
    pub(super) path: &'static str,
    /// The class: `public`, `account`, `viewer`, `operator`, `admin`, `metrics`.
    pub(super) access: &'static str,
    /// The right on the object: `live`, `past`, or `each` where the handler looks it up.
    pub(super) object: Option<&'static str>,
}
