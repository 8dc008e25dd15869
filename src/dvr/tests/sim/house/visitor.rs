//! People: they mark, protect, give up and read.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::super::ledger::Gone;
use super::{House, Process};
use crate::base::time::{Clock, Trust};
use crate::dvr::catalogue::facts::RingFacts;
use crate::dvr::format::journal_record::JournalContent;
use crate::dvr::store::journal::read_facts;
use crate::dvr::store::messages::{JournalChange, JournalRequest};
use crate::dvr::tests::range_reader::RangeReader;
use crate::dvr::{DvrError, JournalRecord, NewPin, Pin, PinError};

/// Readers at once.
const READERS_MAX: usize = 3;

/// What was answered: it is in the journal from then on.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    marks: Vec<String>,
    /// With whether it may have ended: its time had come by a clock that was trusted, or its end
    /// was asked for.
    pins: BTreeMap<u64, (Pin, bool)>,
    /// Ends of protection that were answered.
    unpinned: Vec<u64>,
}

impl House {
    /// One of them comes, at times.
    pub(crate) fn visit(&mut self, process: &mut Process) {
        match self.random.u16(0..400) {
            0 | 1 => self.mark(process),
            2..6 => self.pin(process),
            6 | 7 => self.unpin(process),
            8..12 => self.open_reader(process),
            12..15 => {
                process.age_passes += 1;
                process.dvr.pass_age_limit();
            }
            100..150 => self.read(process),
            _ => {}
        }
    }

    fn ask(
        &self,
        process: &mut Process,
        change: JournalChange,
    ) -> Option<Result<JournalRecord, PinError>> {
        let (reply, mut answer) = oneshot::channel();
        process.journal.turn(Some(JournalRequest { change, reply }), false);
        let answered = answer.try_recv().ok()?;
        // An answer that came as the power failed reached no one.
        (!self.disk.has_ended()).then_some(answered)
    }

    /// A visitor marks a moment.
    fn mark(&mut self, process: &mut Process) {
        let text = format!("mark {}", self.random.u64(..));
        let change = JournalChange::Mark {
            stream: None,
            at: self.clock.wall(),
            text: text.clone(),
            kind: None,
        };
        if let Some(Ok(_)) = self.ask(process, change) {
            self.notes.marks.push(text);
            self.tally.done.marks += 1;
        }
    }

    /// A visitor protects a range, of the past or reaching into the future.
    fn pin(&mut self, process: &mut Process) {
        let secs = |from: i64, to: i64, random: &mut fastrand::Rng| {
            random.i64(from..to).saturating_mul(1_000_000_000)
        };
        let now = self.clock.wall();
        let from = now.offset_nanos(-secs(0, 200, &mut self.random));
        let until = from.offset_nanos(secs(1, 100, &mut self.random));
        let expires = self.random.bool().then(|| now.offset_nanos(secs(1, 200, &mut self.random)));
        let stream = self.cameras[self.random.usize(..self.cameras.len())].name.clone();
        let (reason, owner) = ("seen".to_owned(), "somebody".to_owned());
        let wish = NewPin { stream, from, until, reason, owner, expires };
        match self.ask(process, JournalChange::Pin(wish)) {
            Some(Ok(JournalRecord::Pin(pin))) => {
                let (held, slots) = {
                    let table = process.dvr.shared.table();
                    let held = table.held().filter(|(_, held)| table.is_protected(held)).count();
                    (held as u64, self.slots)
                };
                assert!(held * 2 <= slots, "{held} of {slots} slots are protected");
                self.notes.pins.insert(pin.id, (pin, false));
                self.tally.done.pins += 1;
            }
            Some(Err(PinError::Full { wanted_bytes, max_bytes })) => {
                assert!(wanted_bytes > max_bytes, "{wanted_bytes} of {max_bytes} were refused");
                self.tally.done.pins_refused += 1;
            }
            _ => {}
        }
    }

    /// A visitor ends a protection.
    fn unpin(&mut self, process: &mut Process) {
        let Some((&id, noted)) = self.notes.pins.iter_mut().next() else { return };
        noted.1 = true;
        if let Some(Ok(_)) = self.ask(process, JournalChange::Unpin(id)) {
            self.notes.pins.remove(&id);
            self.notes.unpinned.push(id);
        }
    }

    /// Pins whose time has come by a clock that is trusted may end from now on.
    pub(crate) fn note_expiries(&mut self) {
        let (trust, now) = self.believed();
        for (pin, may_end) in self.notes.pins.values_mut() {
            let is_over = pin.expires.is_some_and(|expires| expires.as_unix_nanos() <= now);
            *may_end |= is_over && trust > Trust::None;
        }
    }

    /// Nothing that is protected went, and what was protected still is.
    pub(crate) fn check_pins(&mut self, process: &Process, gone: &[Gone]) {
        self.note_expiries();
        let facts = process.dvr.shared.facts();
        for (id, (pin, may_end)) in &self.notes.pins {
            let is_kept = *may_end || facts.pins.contains_key(id);
            assert!(is_kept, "{pin:?} ended by itself");
            let of_stream = |gone: &&Gone| self.cameras[gone.stream].name == pin.stream;
            for gone in gone.iter().filter(|gone| gone.is_owed).filter(of_stream) {
                let holds = |(first, last)| (first..=last).contains(&gone.generation);
                let is_held = !may_end && pin.laps.is_some_and(holds);
                assert!(!is_held, "{gone:?} was protected by {pin:?}");
            }
        }
        let ended = self.notes.pins.len();
        self.notes.pins.retain(|id, (_, may_end)| !*may_end || facts.pins.contains_key(id));
        self.tally.done.pins_ended += (ended - self.notes.pins.len()) as u64;
    }

    fn open_reader(&mut self, process: &mut Process) {
        let until = self.clock.wall().offset_nanos(1_000_000_000);
        let from = until.offset_nanos(-self.random.i64(1..400) * 1_000_000_000);
        let stream = &self.cameras[self.random.usize(..self.cameras.len())].name;
        if process.readers.len() == READERS_MAX {
            process.readers.remove(0);
        }
        process.readers.extend(RangeReader::open(&process.dvr, stream, from, until));
    }

    /// A visitor reads on, while slots are reused under every reader.
    fn read(&mut self, process: &mut Process) {
        if process.readers.is_empty() {
            return;
        }
        let reader = self.random.usize(..process.readers.len());
        for _ in 0..self.random.u8(1..6) {
            match process.readers[reader].next_piece() {
                Ok(Some(piece)) => {
                    self.ledger.assert_written(&piece.bytes);
                    self.tally.done.read += 1;
                }
                Err(DvrError::Reused { .. }) => self.tally.done.reused += 1,
                Ok(None) | Err(_) => break,
            }
        }
    }

    /// Every note that was answered is in the journal, and nothing in it is damaged.
    pub(crate) fn check_journal(&mut self) -> Option<RingFacts> {
        let Ok((facts, parsed)) = read_facts(&self.disk, &self.data_dir) else {
            assert!(self.is_scarred, "the journal cannot be read");
            return None;
        };
        if self.is_scarred || self.is_flipped {
            // A disk that came back older, or dropped what it had, has older notes.
            let is_there = |text: &String| facts.marks.iter().any(|mark| mark.text == *text);
            self.notes.marks.retain(is_there);
            // So has a range that had not taken in yet what was recorded in it since.
            self.notes.pins.retain(|id, (pin, _)| {
                facts.pins.get(id).is_some_and(|older| {
                    pin.clone_from(older);
                    true
                })
            });
            self.notes.unpinned.clear();
        }
        self.check_notes(&facts, &parsed);
        Some(facts)
    }

    fn check_notes(&mut self, facts: &RingFacts, parsed: &JournalContent) {
        assert_eq!(parsed.damaged, 0, "the journal is damaged");
        for text in &self.notes.marks {
            let is_there = facts.marks.iter().any(|mark| mark.text == *text);
            assert!(is_there, "{text} was answered and is not in the journal");
        }
        self.notes.pins.retain(|id, (pin, may_end)| {
            let Some(found) = facts.pins.get(id) else {
                assert!(*may_end, "{pin:?} was answered and is not in the journal");
                return false;
            };
            let holds = |(first, last): (u64, u64)| {
                found.laps.is_some_and(|found| found.0 <= first && last <= found.1)
            };
            assert!(pin.laps.is_none_or(holds), "{pin:?} became {found:?}");
            // It may have taken in what was recorded since.
            pin.clone_from(found);
            self.tally.done.pins_found += 1;
            true
        });
        for id in &self.notes.unpinned {
            assert!(!facts.pins.contains_key(id), "a range is protected again");
        }
    }
}
