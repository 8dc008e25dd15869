//! Starts, and what must be there and the same after one.

use std::sync::Arc;
use std::time::Duration;

use super::super::ledger::{Found, State, listings};
use super::{House, LOSS_MAX, Process, SLOT_BYTES, is_journal};
use crate::base::time::Clock;
use crate::dvr::config::RingConfig;
use crate::dvr::disk::model::CutKind;
use crate::dvr::store::index::IndexHandle;
use crate::dvr::{Dvr, RingSizing, RingState};

/// Turns after which everything that a start begins is done.
const SETTLE_TURNS: u32 = 6;

impl House {
    pub(crate) fn start(&mut self) -> Process {
        self.life += 1;
        let config = RingConfig {
            data_dir: self.data_dir.clone(),
            size: RingSizing::Bytes(SLOT_BYTES * self.slots),
            slot_bytes: Some(SLOT_BYTES),
        };
        let shelf = self.shelf.clone();
        let (dvr, storage, indexer, journal) = Dvr::parts(
            Arc::new(self.disk.clone()),
            self.boot,
            config,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            None,
            Box::new(move |_, _| IndexHandle::direct(Box::new(shelf.clone()))),
        );
        let began = self.clock.boot();
        for camera in &mut self.cameras {
            (camera.acknowledged, camera.acknowledged_at) = (0, None);
            camera.sending_since = began;
            (camera.begun, camera.run_start) = (began, true);
            camera.due = began.after(camera.period);
        }
        Process {
            dvr,
            storage,
            indexer,
            journal,
            writers: Vec::new(),
            is_troubled: false,
            has_resumed: false,
            readers: Vec::new(),
            noted_at: began,
            age_passes: 0,
            expired: 0,
        }
    }

    /// Reads the disk bare, starts on it and compares; `None` when the recovery was cut off too.
    pub(crate) fn recover(&mut self) -> Option<Process> {
        let bare =
            self.ledger.check(&self.disk, &self.data_dir, !self.is_flipped && !self.is_scarred);
        self.measure_loss(&bare);
        self.ledger.prune(&bare, self.life);
        let facts = self.check_journal();
        if let Some(facts) = facts {
            let boot = self.ended_boot;
            self.check_dates(boot, &facts, &bare);
        }
        let cut = (self.random.u8(0..5) == 0).then(|| self.draw_cut());
        if let Some(cut) = cut {
            self.disk.cut_at(self.random.u64(1..=10), cut);
        }
        if self.random.u8(0..16) == 0 {
            self.slots = (self.slots + 1).min(13);
        }
        let mut process = self.settled();
        if self.disk.has_ended() {
            self.tally.in_recovery += 1;
            // What the kill before left in memory only goes with the power.
            let same = self.last_cut == Some(CutKind::Power) || cut == Some(CutKind::Kill);
            self.end(cut.unwrap());
            if same {
                self.compare(&bare);
            }
            return None;
        }
        self.disk.spare();
        self.compare(&bare);
        self.compare_listings(&process);
        if self.random.u8(0..10) == 0 {
            // A second recovery finds nothing to do.
            let image = self.disk.image();
            process = self.settled();
            let again = self.disk.image();
            // The journal notes every start.
            let mut image = image.iter().filter(|(path, _)| !is_journal(path));
            let same = image.all(|(path, bytes)| again.get(path) == Some(bytes));
            assert!(same, "a second recovery changed what the first one left");
            self.compare_listings(&process);
        }
        Some(process)
    }

    /// A process that has done everything that it does at a start.
    pub(crate) fn settled(&mut self) -> Process {
        let mut process = self.start();
        for _ in 0..SETTLE_TURNS {
            process.storage.turn(None);
            process.indexer.turn();
            process.journal.turn(None, false);
            self.clock.advance(Duration::from_millis(100));
        }
        if !self.disk.has_ended() {
            assert_eq!(process.dvr.status().ring, RingState::Ready, "the ring does not open");
        }
        process
    }

    pub(crate) fn compare(&mut self, bare: &[Found]) {
        let found =
            self.ledger.check(&self.disk, &self.data_dir, !self.is_flipped && !self.is_scarred);
        let ids = |found: &[Found]| found.iter().map(|f| (f.slot, f.id)).collect::<Vec<_>>();
        let (found, bare) = (ids(&found), ids(bare));
        if self.is_scarred {
            return;
        }
        let gone: Vec<_> = bare.iter().filter(|id| !found.contains(id)).collect();
        let new: Vec<_> = found.iter().filter(|id| !bare.contains(id)).collect();
        assert_eq!(found, bare, "a recovery changed what is there: {gone:?} gone, {new:?} new");
    }

    pub(crate) fn compare_listings(&self, process: &Process) {
        if self.is_flipped {
            // The index may know of fragments that were whole when they were written.
            return;
        }
        let read = listings(&self.disk, &self.data_dir);
        for camera in &self.cameras {
            let told = process.dvr.listing(&camera.name);
            let wanted = read.get(camera.name.as_str()).map_or(&[][..], |listing| &listing.runs);
            assert!(told.complete, "the listing of {} is not complete", camera.name);
            assert_eq!(told.runs, wanted, "the listing of {} is not what is there", camera.name);
        }
        let image = self.disk.image();
        let slots = image.iter().filter(|(path, _)| !is_journal(path));
        let bytes: usize = slots.map(|(_, bytes)| bytes.len()).sum();
        let most = usize::try_from(SLOT_BYTES * self.slots).unwrap() + 4_096;
        assert!(bytes <= most, "{bytes} bytes are more than the ring's {most}");
    }

    /// What the power cut before cost of each camera's footage, by what is there.
    pub(crate) fn measure_loss(&mut self, found: &[Found]) {
        let Some(cut_at) = self.cut_in_health.take() else { return };
        for (at, camera) in self.cameras.iter().enumerate() {
            let mut lost = cut_at.since(camera.begun);
            for (id, fragment) in self.ledger.of_life(self.life) {
                let is_owed = fragment.stream == at && fragment.state != State::Excused;
                if is_owed && !found.iter().any(|found| found.id == *id) {
                    lost += fragment.taken_at.since(fragment.begun);
                }
            }
            assert!(lost <= LOSS_MAX, "the power cut cost {lost:?} of {}", camera.name);
            self.tally.lost_ms.push(u64::try_from(lost.as_millis()).unwrap());
        }
    }
}
