//! Who may use a route, and what it is about.
//!
//! Owns: the classes of callers and of objects, and their words in the table of routes.

use crate::access::{Right, Role};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve::http) enum Access {
    /// Everyone, on a box without accounts too.
    Public,
    /// Any account.
    Account,
    /// Anyone who may watch the object.
    Viewer(Object),
    /// Operators, with an object that they may watch.
    Operator(Object),
    /// Administrators.
    Admin,
    /// Administrators, and others who may read the metrics.
    Metrics,
}

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve::http) enum Object {
    /// The stream that the path names as `{stream}`.
    Stream(Right),
    /// The stream that the path names as `{file}`, up to its ending.
    File(Right),
    /// What the handler looks up, or lists: it asks the caller for each.
    LookedUp,
}

impl Access {
    /// The class and its object, as the table of routes has them.
    pub(super) fn words(self) -> (&'static str, Option<&'static str>) {
        let object = |object| match object {
            Object::Stream(Right::Live) | Object::File(Right::Live) => "live",
            Object::Stream(Right::Past) | Object::File(Right::Past) => "past",
            Object::LookedUp => "each",
        };
        match self {
            Self::Public => ("public", None),
            Self::Account => ("account", None),
            Self::Viewer(of) => ("viewer", Some(object(of))),
            Self::Operator(of) => ("operator", Some(object(of))),
            Self::Admin => ("admin", None),
            Self::Metrics => ("metrics", None),
        }
    }

    pub(super) fn role(self) -> Option<Role> {
        match self {
            Self::Public => None,
            Self::Account | Self::Viewer(_) => Some(Role::Viewer),
            Self::Operator(_) => Some(Role::Operator),
            Self::Admin | Self::Metrics => Some(Role::Admin),
        }
    }

    pub(super) fn object(self) -> Option<Object> {
        match self {
            Self::Viewer(object) | Self::Operator(object) => Some(object),
            Self::Public | Self::Account | Self::Admin | Self::Metrics => None,
        }
    }
}
