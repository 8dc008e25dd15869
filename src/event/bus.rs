//! The list of events and its readers.
//!
//! Owns: the numbering, and how many events are kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{Event, NewEvent};
use crate::base::limits::{EVENTS_BYTES_MAX, EVENTS_KEPT_MAX};
use crate::base::sync::lock;
use crate::base::time::SharedClock;

/// The events since the daemon started. Clones share them.
#[derive(Clone, Debug)]
pub struct EventBus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: SharedClock,
    /// Distinguishes this run of the daemon from others.
    instance: String,
    kept: Mutex<Kept>,
    /// The number of the next event.
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    /// In order, without gaps; each with the size of its data in bytes.
    events: VecDeque<(Arc<Event>, usize)>,
    bytes: usize,
}

/// A place in the list.
#[derive(Debug)]
pub struct EventReader {
    bus: EventBus,
    next: u64,
    news: watch::Receiver<u64>,
    /// Events lost before the first one, as far as known.
    resumed_in_vain: bool,
}

/// What a reader receives.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The next event.
    Event(Arc<Event>),
    /// This many events are gone; `None` for an unknown number from an earlier run of the daemon.
    Lost(Option<u64>),
}

impl EventBus {
    /// An empty list; `instance` distinguishes this run of the daemon from others.
    #[must_use]
    pub fn new(instance: String, clock: SharedClock) -> Self {
        let next = watch::Sender::new(1);
        Self(Arc::new(Shared { clock, instance, kept: Mutex::default(), next }))
    }

    /// Adds an event. Never waits.
    pub fn publish(&self, new: NewEvent) {
        let shared = &self.0;
        let bytes = new.data.to_string().len();
        let mut kept = lock(&shared.kept);
        let seq = *shared.next.borrow();
        let event = Event {
            id: format!("{}-{seq}", shared.instance),
            seq,
            kind: new.kind,
            time: shared.clock.wall(),
            clock: shared.clock.quality().trust,
            stream: new.stream,
            severity: new.severity,
            audience: new.audience,
            data: new.data,
        };
        kept.add(Arc::new(event), bytes);
        // Before the lock is released, so that readers see numbers and events together.
        shared.next.send_replace(seq + 1);
    }

    /// What distinguishes this run of the daemon from others.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.0.instance
    }

    /// Numbers of the oldest kept event and of the next one.
    #[must_use]
    pub fn range(&self) -> (u64, u64) {
        let kept = lock(&self.0.kept);
        let next = *self.0.next.borrow();
        (kept.events.front().map_or(next, |(event, _)| event.seq), next)
    }

    /// A reader that starts with the next event.
    #[must_use]
    pub fn read(&self) -> EventReader {
        let news = self.0.next.subscribe();
        let next = *news.borrow();
        EventReader { bus: self.clone(), next, news, resumed_in_vain: false }
    }

    /// A reader that starts with the oldest kept event.
    #[must_use]
    pub fn read_from_oldest(&self) -> EventReader {
        let next = self.range().0;
        EventReader { next, ..self.read() }
    }

    /// A reader that starts after the event `id`. An id from another run of the daemon, or an
    /// unreadable one, yields a loss first and then every kept event.
    #[must_use]
    pub fn read_after(&self, id: &str) -> EventReader {
        let seq = id.split_once('-').filter(|(instance, _)| *instance == self.0.instance);
        let seq = seq.and_then(|(_, seq)| seq.parse::<u64>().ok());
        let mut reader = self.read();
        let newest = reader.next;
        if let Some(seq) = seq.filter(|seq| *seq < newest) {
            reader.next = seq + 1;
        } else {
            (reader.next, reader.resumed_in_vain) = (self.range().0, true);
        }
        reader
    }
}

impl Kept {
    fn add(&mut self, event: Arc<Event>, bytes: usize) {
        self.events.push_back((event, bytes));
        self.bytes += bytes;
        while self.events.len() > EVENTS_KEPT_MAX
            || (self.bytes > EVENTS_BYTES_MAX && self.events.len() > 1)
        {
            if let Some((_, bytes)) = self.events.pop_front() {
                self.bytes -= bytes;
            }
        }
    }
}

impl EventReader {
    /// Waits for the next event. Cancel safe.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.poll() {
                return heard;
            }
            let next = self.next;
            if self.news.wait_for(|newest| *newest > next).await.is_err() {
                // The list lives as long as this reader, which holds it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The next event, if there is one already.
    pub fn poll(&mut self) -> Option<Heard> {
        if std::mem::take(&mut self.resumed_in_vain) {
            return Some(Heard::Lost(None));
        }
        let kept = lock(&self.bus.0.kept);
        let oldest = kept.events.front()?.0.seq;
        if self.next < oldest {
            let lost = oldest - self.next;
            self.next = oldest;
            return Some(Heard::Lost(Some(lost)));
        }
        let at = usize::try_from(self.next - oldest).ok()?;
        let event = Arc::clone(&kept.events.get(at)?.0);
        self.next += 1;
        Some(Heard::Event(event))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::time::SystemClock;
    use crate::event::{Kind, Severity};

    fn bus() -> EventBus {
        EventBus::new("a1".to_owned(), Arc::new(SystemClock))
    }

    fn publish(bus: &EventBus, times: usize) {
        for _ in 0..times {
            bus.publish(NewEvent::of_box(Kind::CONFIG_CHANGED, Severity::Info, json!({})));
        }
    }

    fn seq(heard: Option<Heard>) -> u64 {
        match heard {
            Some(Heard::Event(event)) => event.seq,
            other => panic!("no event: {other:?}"),
        }
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_and_knows_how_many() {
        let bus = bus();
        let mut reader = bus.read();
        publish(&bus, EVENTS_KEPT_MAX + 7);
        assert_eq!(reader.poll(), Some(Heard::Lost(Some(7))));
        assert_eq!(seq(reader.poll()), 8);
        assert_eq!(lock(&bus.0.kept).events.len(), EVENTS_KEPT_MAX);
    }

    #[test]
    fn large_events_push_out_older_ones_and_are_kept_themselves() {
        let bus = bus();
        for _ in 0..3 {
            let data = json!("x".repeat(EVENTS_BYTES_MAX));
            bus.publish(NewEvent::of_box(Kind::CONFIG_CHANGED, Severity::Info, data));
        }
        assert_eq!(bus.range(), (3, 4));
    }

    #[test]
    fn a_reader_resumes_behind_the_event_that_it_names() {
        let bus = bus();
        publish(&bus, 3);
        let mut reader = bus.read_after("a1-1");
        assert_eq!((seq(reader.poll()), seq(reader.poll())), (2, 3));
        assert_eq!(reader.poll(), None);
        assert_eq!(bus.read_after("a1-3").poll(), None);
        for strange in ["b2-1", "a1-4", "a1-x", "", "a1-99999999999999999999999"] {
            let mut reader = bus.read_after(strange);
            assert_eq!(reader.poll(), Some(Heard::Lost(None)), "{strange}");
            assert_eq!(seq(reader.poll()), 1, "{strange}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let bus = bus();
        let mut reader = bus.read();
        let (heard, ()) = tokio::join!(reader.next(), async { publish(&bus, 1) });
        assert_eq!(seq(Some(heard)), 1);
    }
}
