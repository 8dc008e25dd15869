//! A life between a start and its end.

use std::time::Duration;

use super::super::ledger::State;
use super::{House, LOSS_MAX, Process};
use crate::base::time::Clock;
use crate::dvr::catalogue::lap::LapInfo;
use crate::dvr::disk::model::{CutKind, DiskTrouble, TroublePlan};
use crate::dvr::store::ring_writer::WriterTurn;

/// The journal's thread has its turn at least so often.
const NOTES_PAUSE_MAX: Duration = Duration::from_millis(1_500);
/// How long recording may take to continue after trouble: the ring is tried every two seconds, a
/// key frame comes every few fragments, and then it is a fragment and its commit.
const RESUMED_WITHIN: Duration = Duration::from_secs(10);

impl House {
    pub(crate) fn record(&mut self, mut process: Process) {
        self.disk.keep();
        self.ledger.keep();
        let cut = self.draw_cut();
        let plan = (self.random.u8(0..4) == 0).then(|| self.draw_trouble());
        // Mostly short lives, so that many begin; some turn the whole ring, or see the end of
        // their trouble.
        let is_long = plan.is_some() && self.random.u8(0..4) == 0;
        let magnitude = if is_long { 10 } else { self.random.u32(2..9) };
        self.disk.cut_at(self.random.u64(1..=1 << magnitude), cut);
        if let Some(plan) = plan {
            self.disk.plan(plan);
            self.tally.troubles += 1;
            process.is_troubled = true;
            self.is_scarred = true;
        }
        for camera in &self.cameras {
            process.writers.push(process.dvr.writer(&camera.name, camera.keep));
        }
        let in_order = self.random.u8(0..40) == 0;
        let limit = self.clock.boot().after(Duration::from_secs(self.random.u64(20..400)));
        while !self.disk.has_ended() {
            if self.clock.boot() > limit {
                if in_order {
                    self.close(process);
                    return;
                }
                self.disk.cut_now(cut);
                break;
            }
            self.step(&mut process);
        }
        self.check_loss(&process);
        let built_again = process.indexer.audit.built_again;
        assert!(
            self.is_scarred || self.is_flipped || built_again == 0,
            "nothing was wrong with it"
        );
        let in_health = !process.is_troubled && cut == CutKind::Power;
        self.cut_in_health = in_health.then(|| self.clock.boot());
        self.end_date(!process.is_troubled);
        drop(process);
        self.end(cut);
        self.maybe_flip();
        self.maybe_harm();
    }

    pub(crate) fn close(&mut self, mut process: Process) {
        process.dvr.close(Duration::ZERO);
        for _ in 0..100 {
            let turn = process.storage.turn(None);
            self.clock.advance(Duration::from_millis(100));
            if turn == WriterTurn::Ended || self.disk.has_ended() {
                break;
            }
        }
        self.observe(&mut process);
        process.indexer.turn();
        drop(process);
        let cut = self.draw_cut();
        self.disk.cut_now(cut);
        self.end(cut);
    }

    pub(crate) fn draw_trouble(&mut self) -> TroublePlan {
        let odds = [1.0, 0.5, 0.1][self.random.usize(0..3)];
        let trouble = DiskTrouble::ALL[self.random.usize(0..DiskTrouble::ALL.len())];
        TroublePlan {
            trouble,
            from_call: self.random.u64(0..200),
            lasts: Duration::from_millis(self.random.u64(1..20_000)),
            odds,
        }
    }

    /// Until the next thing happens.
    pub(crate) fn step(&mut self, process: &mut Process) {
        let now = self.clock.boot();
        let due = self.cameras.iter().map(|camera| camera.due).min().unwrap();
        let wait = process.storage.patience().min(due.since(now));
        // A machine that does other things as well.
        let late = if self.random.u8(0..8) == 0 { self.random.u64(0..100) } else { 1 };
        self.clock.advance(wait.max(Duration::from_millis(late)));
        for at in 0..self.cameras.len() {
            if self.cameras[at].due <= self.clock.boot() {
                self.hand_over(process, at);
            }
        }
        process.storage.turn(None);
        // What went before it was protected does not count as protected.
        self.observe(process);
        if self.random.u8(0..4) != 0 {
            process.indexer.turn();
        }
        let now = self.clock.boot();
        if self.random.u8(0..4) == 0 || now.since(process.noted_at) > NOTES_PAUSE_MAX {
            process.noted_at = now;
            process.journal.turn(None, false);
        }
        self.visit(process);
        self.change_clock();
        if self.random.u16(0..400) == 0 {
            self.disk.squeeze();
        }
        self.observe(process);
        self.check_resumed(process);
    }

    pub(crate) fn observe(&mut self, process: &mut Process) {
        let gone = self.ledger.observe(self.disk.take_events());
        self.check_pins(process, &gone);
        self.check_expired(process, &gone);
        let boot = self.boot;
        for (at, camera) in self.cameras.iter_mut().enumerate() {
            let Some(writer) = process.writers.get(at) else { return };
            let Some(durable) = *writer.durable().borrow() else { continue };
            let news = durable.fragments - camera.acknowledged;
            if news > 0 {
                let lasts: Vec<_> = {
                    let table = process.dvr.shared.table();
                    // Another boot may have begun a fragment at the same time of its own.
                    let mine = |held: &LapInfo| held.stream == camera.name && held.boot == boot;
                    let of_stream = table.held().filter(|(_, held)| mine(held));
                    of_stream.filter_map(|(_, held)| Some(held.last?.boot_time)).collect()
                };
                let of = (at, self.life);
                let may_be_gone = process.is_troubled || gone.iter().any(|gone| gone.stream == at);
                self.ledger.acknowledge(of, &lasts, news, may_be_gone);
                camera.acknowledged = durable.fragments;
                camera.acknowledged_at = Some(durable.since);
            }
        }
    }

    /// On a healthy disk all but the last two seconds is acknowledged, and nothing is refused.
    pub(crate) fn check_loss(&mut self, process: &Process) {
        let now = self.clock.boot();
        if process.is_troubled {
            return;
        }
        for (id, fragment) in self.ledger.of_life(self.life) {
            let age = now.since(fragment.begun);
            let late = age > LOSS_MAX && fragment.state < State::Acknowledged;
            assert!(!late, "{id} began {age:?} ago and is not durable");
        }
        for writer in &process.writers {
            let status = writer.status();
            assert!(status.lost == 0 || self.disk.has_ended(), "{status:?}");
        }
    }

    /// After trouble every camera is recorded again.
    pub(crate) fn check_resumed(&mut self, process: &mut Process) {
        let Some((trouble, over_at)) = self.disk.trouble_over() else { return };
        let now = self.clock.boot();
        for camera in &self.cameras {
            let since = over_at.max(camera.sending_since);
            if now.since(since) <= RESUMED_WITHIN || self.disk.has_ended() {
                return;
            }
            let is_on = camera.acknowledged_at.is_some_and(|at| at >= since);
            let status = process.dvr.status();
            assert!(is_on, "{} is not recorded {trouble:?}: {status:?}", camera.name);
        }
        if !std::mem::replace(&mut process.has_resumed, true) {
            *self.tally.resumed.entry(trouble).or_default() += 1;
        }
    }
}
