//! The deliveries of a webhook: waiting, and given up.
//!
//! Owns: the order, the pauses and the bounds. Pure: the time and the random number are passed in.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::limits::{
    WEBHOOK_DEAD_BYTES_MAX, WEBHOOK_DEAD_MAX, WEBHOOK_PAUSES, WEBHOOK_PENDING_MAX,
};
use crate::base::time::BootTime;

/// One event to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// The event's id.
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) stream: Option<String>,
    pub(super) alarm: bool,
    /// When the event happened, RFC 3339.
    pub(super) time: String,
    /// The body to send.
    pub(super) body: String,
    /// Failed attempts.
    pub(super) attempts: u32,
    /// Why the last one failed.
    pub(super) error: Option<String>,
    /// When it is due; at once after a start.
    #[serde(skip)]
    pub(super) due: BootTime,
}

/// A delivery that was given up: a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DeadLetter {
    /// The event.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its stream.
    pub stream: Option<String>,
    /// When it happened.
    pub time: String,
    /// Number of attempts.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// The deliveries of one webhook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Queue {
    pending: VecDeque<Delivery>,
    dead: VecDeque<Delivery>,
}

impl Queue {
    /// Adds a delivery.
    pub(super) fn add(&mut self, delivery: Delivery) {
        self.pending.push_back(delivery);
        if self.pending.len() > WEBHOOK_PENDING_MAX {
            let lesser = self.pending.iter().position(|delivery| !delivery.alarm);
            if let Some(mut oldest) = self.pending.remove(lesser.unwrap_or(0)) {
                let full = "Too many events waited for the receiver.".to_owned();
                oldest.error.get_or_insert(full);
                self.bury(oldest);
            }
        }
    }

    /// The delivery to send at `now`: alarms first, then the oldest.
    pub(super) fn due(&self, now: BootTime) -> Option<&Delivery> {
        let due = || self.pending.iter().filter(|delivery| delivery.due <= now);
        due().find(|delivery| delivery.alarm).or_else(|| due().next())
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<BootTime> {
        self.pending.iter().map(|delivery| delivery.due).min()
    }

    /// Removes `id`, which arrived.
    pub(super) fn delivered(&mut self, id: &str) {
        self.pending.retain(|delivery| delivery.id != id);
    }

    /// Reschedules `id`, which did not arrive. `chance` (0 to 1) spreads the next attempt.
    pub(super) fn failed(&mut self, id: &str, now: BootTime, error: &str, chance: f64) {
        let Some(at) = self.pending.iter().position(|delivery| delivery.id == id) else { return };
        let delivery = &mut self.pending[at];
        delivery.attempts += 1;
        delivery.error = Some(error.to_owned());
        match WEBHOOK_PAUSES.get(delivery.attempts as usize - 1) {
            Some(pause) => delivery.due = now.after(spread(*pause, chance)),
            None => {
                if let Some(dead) = self.pending.remove(at) {
                    self.bury(dead);
                }
            }
        }
    }

    fn bury(&mut self, delivery: Delivery) {
        self.dead.push_back(delivery);
        let bytes =
            |dead: &VecDeque<Delivery>| dead.iter().map(|one| one.body.len()).sum::<usize>();
        while self.dead.len() > WEBHOOK_DEAD_MAX || bytes(&self.dead) > WEBHOOK_DEAD_BYTES_MAX {
            self.dead.pop_front();
        }
    }

    /// Queues dead letters again: those of `ids`, or all, as many as fit. Returns how many.
    pub(super) fn resend(&mut self, ids: Option<&[String]>, now: BootTime) -> usize {
        let mut room = WEBHOOK_PENDING_MAX.saturating_sub(self.pending.len());
        let mut resent = 0;
        for mut delivery in std::mem::take(&mut self.dead) {
            let wanted = ids.is_none_or(|ids| ids.contains(&delivery.id));
            if !wanted || room == 0 {
                self.dead.push_back(delivery);
                continue;
            }
            (delivery.attempts, delivery.due) = (0, now);
            self.pending.push_back(delivery);
            (room, resent) = (room - 1, resent + 1);
        }
        resent
    }

    /// Forgets the dead letters.
    pub(super) fn forget_dead(&mut self) {
        self.dead.clear();
    }

    /// The dead letters, oldest first.
    pub(super) fn dead(&self) -> Vec<DeadLetter> {
        let letter = |delivery: &Delivery| DeadLetter {
            id: delivery.id.clone(),
            kind: delivery.kind.clone(),
            stream: delivery.stream.clone(),
            time: delivery.time.clone(),
            attempts: delivery.attempts,
            error: delivery.error.clone(),
        };
        self.dead.iter().map(letter).collect()
    }

    /// How many deliveries wait, and how many are dead letters.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.pending.len(), self.dead.len())
    }
}

/// `pause`, a fifth longer or shorter.
fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BootTime = BootTime::from_millis(1_000_000);

    fn delivery(id: usize, alarm: bool) -> Delivery {
        Delivery {
            id: id.to_string(),
            kind: "mark.bell".to_owned(),
            stream: None,
            alarm,
            time: String::new(),
            body: "x".repeat(100),
            attempts: 0,
            error: None,
            due: NOW,
        }
    }

    #[test]
    fn alarms_go_first_and_a_failed_one_holds_up_nobody() {
        let mut queue = Queue::default();
        (1..4).for_each(|id| queue.add(delivery(id, id == 2)));
        let due = |queue: &Queue| queue.due(NOW).map(|delivery| delivery.id.clone());
        assert_eq!(due(&queue).as_deref(), Some("2"));
        queue.failed("2", NOW, "no", 0.5);
        assert_eq!(due(&queue).as_deref(), Some("1"));
        queue.delivered("1");
        assert_eq!(due(&queue).as_deref(), Some("3"));
        queue.delivered("3");
        assert_eq!(due(&queue), None);
        assert_eq!(queue.next_due(), Some(NOW.after(WEBHOOK_PAUSES[0])));
    }

    #[test]
    fn after_the_last_pause_a_delivery_is_dead_and_can_be_sent_again() {
        let mut queue = Queue::default();
        queue.add(delivery(1, false));
        for attempt in 0..=WEBHOOK_PAUSES.len() {
            assert_eq!(queue.counts(), (1, 0), "attempt {attempt}");
            queue.failed("1", NOW, "It answers with status 500.", 0.0);
        }
        assert_eq!(queue.counts(), (0, 1));
        assert_eq!(queue.dead()[0].attempts, 8);
        assert_eq!(queue.resend(Some(&["2".to_owned()]), NOW), 0);
        assert_eq!(queue.resend(None, NOW), 1);
        assert_eq!(queue.due(NOW).map(|delivery| delivery.attempts), Some(0));
    }

    #[test]
    fn everything_is_bounded_and_alarms_stay() {
        let mut queue = Queue::default();
        queue.add(delivery(0, true));
        (1..5_000).for_each(|id| queue.add(delivery(id, false)));
        assert_eq!(queue.counts(), (WEBHOOK_PENDING_MAX, WEBHOOK_DEAD_MAX));
        assert!(queue.due(NOW).is_some_and(|delivery| delivery.alarm));
        let large = Delivery { body: "x".repeat(WEBHOOK_DEAD_BYTES_MAX), ..delivery(9, false) };
        queue.bury(large);
        assert_eq!(queue.counts().1, 1);
    }

    #[test]
    fn what_waits_is_read_back_and_due_at_once() {
        let mut queue = Queue::default();
        queue.add(delivery(1, false));
        queue.failed("1", NOW, "no", 1.0);
        let text = serde_json::to_string(&queue).unwrap();
        let read: Queue = serde_json::from_str(&text).unwrap();
        assert_eq!(read.due(BootTime::default()).map(|delivery| delivery.attempts), Some(1));
    }
}
