//! One webhook: its task, its queue and its file.
//!
//! Owns: when something is sent, and when the queue is written to disk.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::client::{SendError, authorities, post};
use super::queue::{DeadLetter, Delivery, Queue};
use super::signature::signatures;
use super::{WebhookConfig, WebhookState, WebhookView};
use crate::base::fault::{Class, Fault};
use crate::base::file;
use crate::base::limits::{
    WEBHOOK_BODY_BYTES_MAX, WEBHOOK_FILE_BYTES_MAX, WEBHOOK_SAVE_INTERVAL, WEBHOOK_SAVE_PAUSE,
};
use crate::base::sync::lock;
use crate::base::time::{SharedClock, WallTime};
use crate::event::{Event, EventReader, Heard, Kind, Severity};
use crate::supervise::TaskContext;

/// The longest sleep, so that a clock that jumps is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Why the task ended.
#[derive(Debug, thiserror::Error)]
#[error("the webhook was asked to stop")]
pub(super) struct Stopped;

impl Fault for Stopped {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// One webhook.
#[derive(Debug)]
pub(super) struct Hook {
    name: String,
    config: WebhookConfig,
    /// Whether the receiver may be on this computer.
    open: bool,
    path: PathBuf,
    state: Arc<Mutex<State>>,
    delivered: Arc<AtomicU64>,
    wake: Arc<Notify>,
    clock: SharedClock,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// Id of the last event taken.
    seen: Option<String>,
    error: Option<String>,
    delivered_at: Option<WallTime>,
    gone: bool,
    /// What the file holds.
    written: Vec<u8>,
}

/// The attempt under way: its id, and its result.
type Attempt = Pin<Box<dyn Future<Output = (String, Result<(), SendError>)> + Send>>;

impl Hook {
    /// The webhook `name`, with the deliveries that waited when the daemon ended.
    pub(super) fn open(
        name: &str,
        config: WebhookConfig,
        open: bool,
        path: PathBuf,
        clock: SharedClock,
    ) -> Self {
        let (queue, written) = read(&path).unwrap_or_default();
        let state = State { queue, written, ..State::default() };
        Self {
            name: name.to_owned(),
            config,
            open,
            path,
            state: Arc::new(Mutex::new(state)),
            delivered: Arc::default(),
            wake: Arc::default(),
            clock,
        }
    }

    /// This webhook with another configuration.
    pub(super) fn with(&self, config: WebhookConfig, open: bool) -> Self {
        self.lock().gone = false;
        Self {
            name: self.name.clone(),
            config,
            open,
            path: self.path.clone(),
            state: Arc::clone(&self.state),
            delivered: Arc::clone(&self.delivered),
            wake: Arc::clone(&self.wake),
            clock: Arc::clone(&self.clock),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Id of the last event it took.
    pub(super) fn seen(&self) -> Option<String> {
        self.lock().seen.clone()
    }

    /// Takes events and delivers them until it is stopped.
    pub(super) async fn run(
        &self,
        events: &mut EventReader,
        context: TaskContext,
    ) -> Result<Infallible, Stopped> {
        let ca = self.config.ca.clone();
        let tls = tokio::task::spawn_blocking(move || authorities(ca.as_deref())).await;
        let tls = tls.ok().flatten();
        let mut attempt: Option<Attempt> = None;
        let mut save_at: Option<Instant> = None;
        let mut saved_at: Option<Instant> = None;
        loop {
            if attempt.is_none() {
                attempt = self.next_attempt(tls.clone());
            }
            let wait = self.wait(attempt.is_some());
            tokio::select! {
                biased;
                () = context.stop.cancelled() => {
                    self.save().await;
                    return Err(Stopped);
                }
                heard = events.next() => self.take(heard),
                (id, ended) = pending_or(&mut attempt) => {
                    attempt = None;
                    self.ended(&id, ended);
                }
                () = self.wake.notified() => {}
                () = sleep_until(save_at.unwrap_or(wait)), if save_at.is_some() => {
                    self.save().await;
                    (save_at, saved_at) = (None, Some(Instant::now()));
                    continue;
                }
                () = sleep_until(wait) => {}
            }
            // What arrives before then is never written.
            save_at = save_at.or_else(|| {
                let soon = Instant::now() + WEBHOOK_SAVE_PAUSE;
                Some(saved_at.map_or(soon, |at| soon.max(at + WEBHOOK_SAVE_INTERVAL)))
            });
        }
    }

    /// Sleeps until something is due.
    fn wait(&self, busy: bool) -> Instant {
        let state = self.lock();
        let due = state.queue.next_due().filter(|_| !busy && !state.gone);
        let pause = due.map_or(SLEEP_MAX, |due| due.since(self.clock.boot()));
        Instant::now() + pause.clamp(Duration::from_millis(50), SLEEP_MAX)
    }

    /// Queues an event if the filter wants it.
    fn take(&self, heard: Heard) {
        match heard {
            Heard::Event(event) => {
                let mut state = self.lock();
                state.seen = Some(event.id.clone());
                if self.config.filter.wants(&event) {
                    state.queue.add(self.delivery(&event));
                }
            }
            Heard::Lost(Some(lost)) => {
                warn!(part = "webhook", webhook = self.name, lost, "events were not sent");
            }
            Heard::Lost(None) => {}
        }
    }

    fn delivery(&self, event: &Event) -> Delivery {
        let mut body = json!(event);
        if body.to_string().len() > WEBHOOK_BODY_BYTES_MAX {
            body["data"] = Value::Null;
        }
        Delivery {
            id: event.id.clone(),
            kind: event.kind.as_str().to_owned(),
            stream: event.stream.as_ref().map(ToString::to_string),
            alarm: event.severity == Severity::Alarm,
            time: event.time.to_rfc3339(),
            body: body.to_string(),
            attempts: 0,
            error: None,
            due: self.clock.boot(),
        }
    }

    /// Starts the attempt that is due now.
    fn next_attempt(&self, tls: Option<Arc<ClientConfig>>) -> Option<Attempt> {
        let state = self.lock();
        if state.gone {
            return None;
        }
        let delivery = state.queue.due(self.clock.boot())?.clone();
        drop(state);
        let timestamp = (self.clock.wall().as_unix_nanos() / 1_000_000_000).to_string();
        let secrets = std::iter::once(&self.config.secret).chain(&self.config.former_secret);
        let signed = signatures(secrets, &delivery.id, &timestamp, &delivery.body);
        let headers = [
            ("webhook-id", delivery.id.clone()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signed),
            ("webhook-clock", self.clock.quality().trust.as_str().to_owned()),
            ("user-agent", "holdfast".to_owned()),
        ];
        let (url, open) = (self.config.url.clone(), self.open);
        Some(Box::pin(async move {
            let ended = post(&url, tls, open, &headers, &delivery.body).await;
            (delivery.id, ended)
        }))
    }

    /// Records how an attempt ended.
    fn ended(&self, id: &str, ended: Result<(), SendError>) {
        let mut state = self.lock();
        let Err(error) = ended else {
            state.queue.delivered(id);
            (state.error, state.delivered_at) = (None, Some(self.clock.wall()));
            self.delivered.fetch_add(1, Relaxed);
            return;
        };
        state.gone |= matches!(error, SendError::Status(410));
        let why = error.to_string();
        state.queue.failed(id, self.clock.boot(), &why, fastrand::f64());
        if state.error.replace(why.clone()).is_none() {
            warn!(
                part = "webhook",
                webhook = self.name,
                error = why,
                "not delivered, trying again"
            );
        }
    }

    /// Writes the queue to disk if it changed.
    async fn save(&self) {
        let bytes = serde_json::to_vec(&self.lock().queue).unwrap_or_default();
        let empty = serde_json::to_vec(&Queue::default()).unwrap_or_default();
        let known = self.lock().written.clone();
        if known == bytes || (known.is_empty() && bytes == empty) {
            return;
        }
        let (path, text) = (self.path.clone(), bytes.clone());
        let written = tokio::task::spawn_blocking(move || write(&path, &text)).await;
        match written {
            Ok(Ok(())) => self.lock().written = bytes,
            Ok(Err(error)) => {
                warn!(part = "webhook", webhook = self.name, %error, "deliveries are not kept");
            }
            Err(_) => {}
        }
    }

    /// Its status.
    pub(super) fn view(&self) -> WebhookView {
        let state = self.lock();
        let (pending, dead) = state.queue.counts();
        let word = match &state.error {
            _ if state.gone => WebhookState::Gone,
            Some(_) => WebhookState::Failing,
            None => WebhookState::Ok,
        };
        let url = &self.config.url;
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        WebhookView {
            name: self.name.clone(),
            host: format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default()),
            kinds: self.config.filter.kinds(),
            streams: self.config.filter.streams().to_vec(),
            state: word,
            pending,
            dead,
            delivered: self.delivered.load(Relaxed),
            error: state.error.clone(),
            delivered_at: state.delivered_at,
        }
    }

    /// Its dead letters.
    pub(super) fn dead(&self) -> Vec<DeadLetter> {
        self.lock().queue.dead()
    }

    /// Sends dead letters again.
    pub(super) fn resend(&self, ids: Option<&[String]>) -> usize {
        let resent = {
            let mut state = self.lock();
            state.gone = false;
            state.queue.resend(ids, self.clock.boot())
        };
        info!(part = "webhook", webhook = self.name, units = resent, "dead letters are sent again");
        self.wake.notify_one();
        resent
    }

    /// Forgets them.
    pub(super) fn forget_dead(&self) {
        self.lock().queue.forget_dead();
        self.wake.notify_one();
    }

    /// Sends a test event.
    pub(super) fn test(&self, clock: &SharedClock) -> String {
        let id = format!("test-{:016x}", fastrand::u64(..));
        let event = Event {
            id: id.clone(),
            seq: 0,
            kind: Kind::WEBHOOK_TEST,
            time: clock.wall(),
            clock: clock.quality().trust,
            stream: None,
            severity: Severity::Info,
            audience: crate::event::Audience::Admin,
            data: json!({ "webhook": self.name }),
        };
        let delivery = self.delivery(&event);
        {
            let mut state = self.lock();
            state.gone = false;
            state.queue.add(delivery);
        }
        self.wake.notify_one();
        id
    }
}

/// Waits for the attempt under way; for ever if there is none.
async fn pending_or(attempt: &mut Option<Attempt>) -> (String, Result<(), SendError>) {
    match attempt {
        Some(attempt) => attempt.await,
        None => std::future::pending().await,
    }
}

fn read(path: &Path) -> Option<(Queue, Vec<u8>)> {
    let small = fs::metadata(path).is_ok_and(|file| file.len() <= WEBHOOK_FILE_BYTES_MAX);
    let bytes = small.then(|| fs::read(path).ok()).flatten()?;
    match serde_json::from_slice(&bytes) {
        Ok(queue) => Some((queue, bytes)),
        Err(error) => {
            warn!(part = "webhook", %error, "deliveries of before cannot be read");
            None
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    file::replace(path, bytes)
}
