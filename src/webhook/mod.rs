#![doc = include_str!("README.md")]

mod client;
mod hook;
mod queue;
mod signature;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use url::Url;

use self::hook::Hook;
pub use self::queue::DeadLetter;
use crate::base::secret::Secret;
use crate::base::sync::lock;
use crate::base::time::{SharedClock, WallTime};
use crate::event::{EventBus, Filter};
use crate::supervise::{Supervisor, TaskSpec};

/// One webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookConfig {
    /// The receiver's URL: http or https, without user name and password.
    pub url: Url,
    /// The secret that signs deliveries.
    pub secret: Secret,
    /// The previous secret, which signs as well so that receivers can change over.
    pub former_secret: Option<Secret>,
    /// The body to send.
    pub filter: Filter,
    /// A PEM file of the authorities trusted for the receiver; the system's if absent.
    pub ca: Option<PathBuf>,
}

/// The webhooks by name.
pub type Config = BTreeMap<String, WebhookConfig>;

/// The status of a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// Scheme and host of its address; the path may be a secret.
    pub host: String,
    /// The kinds it wants; empty means all.
    pub kinds: Vec<String>,
    /// The streams it wants; empty means all.
    pub streams: Vec<crate::base::name::StreamName>,
    /// Its state in one word.
    pub state: WebhookState,
    /// Deliveries that wait.
    pub pending: usize,
    /// Dead letters.
    pub dead: usize,
    /// Deliveries since the daemon started.
    pub delivered: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// When the last delivery arrived.
    pub delivered_at: Option<WallTime>,
}

/// The state of a webhook, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookState {
    /// The last attempt succeeded, or there was none.
    Ok,
    /// The last attempt failed.
    Failing,
    /// The receiver answered 410 Gone; nothing is sent until the configuration changes.
    Gone,
}

/// All webhooks. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Webhooks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    clock: SharedClock,
    events: EventBus,
    hooks: Mutex<BTreeMap<String, Arc<Hook>>>,
    /// Their tasks run here.
    scope: Mutex<Option<Supervisor>>,
    /// The configuration applied last.
    applied: Mutex<Option<(Config, bool)>>,
}

impl Webhooks {
    /// No webhooks yet; their queues are kept in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf, events: EventBus, clock: SharedClock) -> Self {
        let (hooks, scope) = (Mutex::default(), Mutex::default());
        let applied = Mutex::default();
        Self(Arc::new(Shared { dir, clock, events, hooks, scope, applied }))
    }

    /// Replaces the webhooks; deliveries of those that stay keep waiting. `open` lets them send
    /// to this computer, because the box is open to it.
    pub async fn reconfigure(&self, config: &Config, open: bool, supervisor: &Supervisor) {
        let shared = &self.0;
        let before = lock(&shared.applied).replace((config.clone(), open));
        if before.as_ref().is_some_and(|(known, was)| known == config && *was == open) {
            return;
        }
        let former = lock(&shared.scope).take();
        if let Some(former) = former {
            former.stop().await;
        }
        let known = std::mem::take(&mut *lock(&shared.hooks));
        let mut hooks = BTreeMap::new();
        let scope = supervisor.child();
        for (name, config) in config {
            let path = shared.dir.join(format!("{name}.json"));
            let hook = match known.get(name) {
                Some(hook) => hook.with(config.clone(), open),
                None => Hook::open(name, config.clone(), open, path, Arc::clone(&shared.clock)),
            };
            let hook = Arc::new(hook);
            hooks.insert(name.clone(), Arc::clone(&hook));
            // At a start it gets events from the first one on; a webhook added later gets future events.
            let reader = match hook.seen() {
                Some(id) => shared.events.read_after(&id),
                None if before.is_some() => shared.events.read(),
                None => shared.events.read_from_oldest(),
            };
            let reader = Arc::new(tokio::sync::Mutex::new(reader));
            scope.keep(TaskSpec::new(format!("webhook/{name}")), move |context| {
                let (hook, reader) = (Arc::clone(&hook), Arc::clone(&reader));
                async move { hook.run(&mut *reader.lock().await, context).await }
            });
        }
        for name in known.keys().filter(|name| !hooks.contains_key(*name)) {
            forget(&shared.dir.join(format!("{name}.json")));
        }
        *lock(&shared.hooks) = hooks;
        *lock(&shared.scope) = Some(scope);
    }

    /// The status of each, by name.
    #[must_use]
    pub fn list(&self) -> Vec<WebhookView> {
        lock(&self.0.hooks).values().map(|hook| hook.view()).collect()
    }

    /// The dead letters of `name`, oldest first; `None` where there is no such webhook.
    #[must_use]
    pub fn dead(&self, name: &str) -> Option<Vec<DeadLetter>> {
        self.hook(name).map(|hook| hook.dead())
    }

    /// Sends dead letters again: those of `ids`, or all. Returns how many.
    #[must_use]
    pub fn resend(&self, name: &str, ids: Option<&[String]>) -> Option<usize> {
        self.hook(name).map(|hook| hook.resend(ids))
    }

    /// Forgets the dead letters of `name`.
    #[must_use]
    pub fn forget_dead(&self, name: &str) -> Option<()> {
        self.hook(name).map(|hook| hook.forget_dead())
    }

    /// Sends a test event; returns its id.
    #[must_use]
    pub fn test(&self, name: &str) -> Option<String> {
        self.hook(name).map(|hook| hook.test(&self.0.clock))
    }

    fn hook(&self, name: &str) -> Option<Arc<Hook>> {
        lock(&self.0.hooks).get(name).cloned()
    }
}

/// Drops the deliveries of webhooks that were removed.
fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
}
