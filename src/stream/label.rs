//! How people call and arrange the streams.
//!
//! Owns: the labels of all configured streams, those that are switched off among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::name::StreamName;

/// What people say of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it is called, if not by its name.
    pub title: Option<String>,
    /// Whether it is pulled and recorded; what is recorded already stays.
    pub enabled: bool,
    /// Position among the others: lower numbers first, those without one last.
    pub order: Option<u32>,
}

impl Default for Label {
    fn default() -> Self {
        Self { title: None, enabled: true, order: None }
    }
}

/// The labels of all configured streams. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Labels(Arc<ArcSwap<BTreeMap<StreamName, Label>>>);

impl Labels {
    /// Replaces all of them.
    pub fn replace(&self, labels: BTreeMap<StreamName, Label>) {
        self.0.store(Arc::new(labels));
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Arc<BTreeMap<StreamName, Label>> {
        self.0.load_full()
    }
}
