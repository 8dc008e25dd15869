//! What is known of one stream's recording.
//!
//! Owns: what waits to become durable, what was lost, and what kept the stream from being recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::limits::{
    DISK_STALL_SHOWN, TROUBLE_MERGE_TIME, TROUBLE_NOTE_PAUSE, TROUBLE_TEXT_BYTES_MAX,
};
use crate::base::name::StreamName;
use crate::base::time::BootTime;
use crate::dvr::catalogue::recent::Recent;
use crate::dvr::config::Retention;
use crate::dvr::format::journal_record::{Cause, LossRecord};
use crate::dvr::format::seal::Identity;
use crate::dvr::store::state::{Durable, RecordingState, RingState, lock};

/// From this age on the newest durable fragment no longer counts as "recording".
const RECORDING_AGE_MAX: Duration = Duration::from_secs(5);

/// What is known of one stream's recording.
#[derive(Debug)]
pub(crate) struct StreamLog {
    pub(crate) name: StreamName,
    pub(crate) durable: watch::Sender<Option<Durable>>,
    pub(crate) lost: AtomicU64,
    /// Something was lost since the last fragment that was written.
    pub(crate) loss_pending: AtomicBool,
    /// When the newest unit that was handed over had arrived, in nanoseconds since boot.
    pub(crate) taken_until_nanos: AtomicU64,
    /// When it was first to be recorded, in nanoseconds since boot.
    pub(crate) begun_nanos: AtomicU64,
    pub(crate) keep: Mutex<Retention>,
    recent: Mutex<Recent>,
    trouble: Mutex<Disturbance>,
    /// What kept it from being recorded, by cause: the last stretch of each.
    noted: Mutex<BTreeMap<Cause, Outage>>,
}

#[derive(Debug, Default)]
struct Disturbance {
    reason: Option<String>,
    /// The last reason that was not collected yet.
    news: Option<String>,
    /// Since when a fragment waits to become durable.
    waiting_since: Option<BootTime>,
}

/// A stretch of time in which something kept a stream from being recorded.
#[derive(Debug)]
struct Outage {
    from: BootTime,
    until: Option<BootTime>,
    text: String,
    /// Not in the journal on disk.
    is_news: bool,
    /// When it was last written.
    told_at: Option<BootTime>,
}

impl StreamLog {
    pub(crate) fn new(name: &StreamName) -> Self {
        Self {
            name: name.clone(),
            durable: watch::Sender::new(None),
            lost: AtomicU64::new(0),
            loss_pending: AtomicBool::new(false),
            taken_until_nanos: AtomicU64::new(0),
            begun_nanos: AtomicU64::new(0),
            keep: Mutex::default(),
            recent: Mutex::default(),
            trouble: Mutex::default(),
            noted: Mutex::default(),
        }
    }

    /// Its newest fragments.
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        lock(&self.recent)
    }

    /// Counts `units` that did not reach the medium; the next seal reports them.
    pub(crate) fn lose(&self, units: u64) {
        self.lost.fetch_add(units, Relaxed);
        self.loss_pending.store(true, Relaxed);
    }

    /// Something waits to become durable from `now` on.
    pub(crate) fn wait(&self, now: BootTime) {
        lock(&self.trouble).waiting_since.get_or_insert(now);
    }

    /// Nothing waits any more.
    pub(crate) fn settle(&self) {
        lock(&self.trouble).waiting_since = None;
    }

    /// Recording failed for `reason`, or continues.
    pub(crate) fn set_reason(&self, reason: Option<String>) {
        let mut trouble = lock(&self.trouble);
        trouble.news = reason.clone().or(trouble.news.take());
        trouble.reason = reason;
    }

    /// Why recording fails, or failed since this was last asked.
    pub(crate) fn take_failure(&self) -> Option<String> {
        let mut trouble = lock(&self.trouble);
        let news = trouble.news.take();
        trouble.reason.clone().or(news)
    }

    /// Since when something waits to become durable.
    pub(crate) fn waits_since(&self) -> Option<BootTime> {
        lock(&self.trouble).waiting_since
    }

    /// From `now` on `cause` keeps the stream from being recorded. One that was over for moments
    /// only continues, so that a camera that flaps is one fact.
    pub(crate) fn begin(&self, cause: Cause, text: &str, now: BootTime) {
        let cut = text.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = cut.take_while(|&end| end <= TROUBLE_TEXT_BYTES_MAX).last().unwrap_or(0);
        let text = text[..end].to_owned();
        let mut noted = lock(&self.noted);
        match noted.get_mut(&cause) {
            Some(known) if known.until.is_none() => {}
            Some(known) if known.until.is_some_and(|end| now.since(end) < TROUBLE_MERGE_TIME) => {
                (known.until, known.is_news) = (None, true);
            }
            _ => {
                let fresh = Outage { from: now, until: None, text, is_news: true, told_at: None };
                noted.insert(cause, fresh);
            }
        }
    }

    /// `cause` is over.
    pub(crate) fn end(&self, cause: Cause, now: BootTime) {
        let mut noted = lock(&self.noted);
        if let Some(known) = noted.get_mut(&cause).filter(|known| known.until.is_none()) {
            (known.until, known.is_news) = (Some(now), true);
        }
    }

    /// What must be written down, not more often than the pause unless `all`.
    pub(crate) fn news(&self, now: BootTime, all: bool, boot: Identity) -> Vec<LossRecord> {
        let mut noted = lock(&self.noted);
        let rested = |at: BootTime| now.since(at) >= TROUBLE_NOTE_PAUSE;
        let due = noted
            .iter_mut()
            .filter(|(_, known)| known.is_news && (all || known.told_at.is_none_or(rested)));
        let told = due.map(|(&cause, known)| {
            (known.is_news, known.told_at) = (false, Some(now));
            let (stream, text) = (self.name.clone(), known.text.clone());
            LossRecord { stream, boot, from: known.from, until: known.until, cause, text }
        });
        told.collect()
    }

    /// Whether what comes now is lost.
    pub(crate) fn is_failing(&self, ring: &RingState, now: BootTime) -> bool {
        self.state(ring, now).0 == RecordingState::Failed
    }

    pub(crate) fn state(
        &self,
        ring: &RingState,
        now: BootTime,
    ) -> (RecordingState, Option<String>) {
        use RecordingState::{Failed, Recording, Waiting};
        match ring {
            RingState::Failed { reason } => return (Failed, Some(reason.clone())),
            RingState::Opening => return (Waiting, Some("The ring is being opened.".to_owned())),
            RingState::Ready => {}
        }
        let trouble = lock(&self.trouble);
        if let Some(reason) = &trouble.reason {
            return (Failed, Some(reason.clone()));
        }
        let waited = trouble.waiting_since.map(|since| now.since(since));
        if let Some(waited) = waited.filter(|&waited| waited > DISK_STALL_SHOWN) {
            let secs = waited.as_secs();
            return (Failed, Some(format!("The disk has taken no data for {secs} seconds.")));
        }
        let is_durable = self.durable.borrow().is_some();
        match waited {
            // What is on the medium counts, not what is on its way there.
            _ if is_durable && now.since(self.grown_at()) <= RECORDING_AGE_MAX => (Recording, None),
            Some(_) => (Waiting, Some("The first footage is on its way to the disk.".to_owned())),
            None => (Waiting, Some("No picture arrives from this stream.".to_owned())),
        }
    }

    /// When something of it last became durable; when it was first to be, if nothing has.
    pub(crate) fn grown_at(&self) -> BootTime {
        let begun = BootTime::from_nanos(self.begun_nanos.load(Relaxed));
        self.durable.borrow().map_or(begun, |durable| durable.since)
    }
}
