//! Cameras: what they send, and how they come and go.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::super::ledger::MARK;
use super::{House, Process, SLOT_BYTES};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, Clock, MediaTime};
use crate::dvr::config::Retention;
use crate::dvr::tests::{RATE, params};
use crate::media::{AccessUnit, Captured, ClockSource, Entry, RunId};
use crate::wire::mp4::{Fragment, FragmentBuilder};

/// A camera and how it behaves.
#[derive(Clone)]
pub(crate) struct Camera {
    pub(crate) name: StreamName,
    pub(crate) period: Duration,
    pub(crate) bytes_min: usize,
    pub(crate) bytes_max: usize,
    pub(crate) keys_every: u64,
    /// What its entry points are.
    pub(crate) entry: Entry,
    /// Its parameters are others at every so many fragments.
    pub(crate) flips_every: Option<u64>,
    pub(crate) keep: Retention,
    pub(crate) due: BootTime,
    pub(crate) begun: BootTime,
    pub(crate) wide: bool,
    pub(crate) run: u32,
    pub(crate) run_start: bool,
    pub(crate) count: u64,
    /// Fragments that the process has acknowledged so far.
    pub(crate) acknowledged: u64,
    /// When that last grew.
    pub(crate) acknowledged_at: Option<BootTime>,
    /// Since when it sends without a pause.
    pub(crate) sending_since: BootTime,
}

impl Camera {
    /// A camera of any kind.
    pub(crate) fn draw(name: &str, random: &mut Rng) -> Self {
        let bytes_max = random.usize(200..9_000);
        Self {
            name: StreamName::parse(name).unwrap(),
            period: Duration::from_millis(random.u64(200..=1_200)),
            // All of one size: an old lap's fragments are exactly where the new lap's end.
            bytes_min: if random.bool() { bytes_max } else { 40 },
            bytes_max,
            keys_every: random.u64(1..4),
            entry: [Entry::Closed, Entry::Open, Entry::Gradual(18), Entry::Bare][random.usize(..4)],
            flips_every: (random.u8(0..6) == 0).then(|| random.u64(1..6)),
            keep: Retention {
                min_bytes: random.u64(0..3) * SLOT_BYTES,
                max_bytes: (random.u8(0..4) == 0).then(|| random.u64(3..6) * SLOT_BYTES),
                max_age: (random.u8(0..3) == 0).then(|| Duration::from_secs(random.u64(20..300))),
            },
            due: BootTime::default(),
            begun: BootTime::default(),
            wide: false,
            run: 1,
            run_start: true,
            count: 0,
            acknowledged: 0,
            acknowledged_at: None,
            sending_since: BootTime::default(),
        }
    }
}

impl House {
    pub(crate) fn hand_over(&mut self, process: &mut Process, at: usize) {
        let now = self.clock.boot();
        let true_end = self.truth() + now.as_nanos().cast_signed();
        let camera = &mut self.cameras[at];
        let kind = camera.entry;
        if camera.flips_every.is_some_and(|every| camera.count.is_multiple_of(every)) {
            camera.wide = !camera.wide;
            self.tally.done.param_flips += 1;
        }
        self.tally.done.weak_entries += u64::from(kind != Entry::Closed);
        let (id, wall) = (self.ledger.next_id(), self.clock.wall());
        let bytes = self.random.usize(camera.bytes_min..=camera.bytes_max);
        let key = camera.count.is_multiple_of(camera.keys_every);
        let span = i64::try_from(now.since(camera.begun).as_nanos()).unwrap();
        let decode = MediaTime::from_nanos(i64::try_from(camera.begun.as_nanos()).unwrap(), RATE);
        let begun = camera.begun;
        let unit = |data: Vec<u8>, decode: MediaTime| AccessUnit {
            run: RunId(camera.run),
            arrived: begun,
            captured: Captured { wall: wall.offset_nanos(-span), source: ClockSource::Arrival },
            entry: key.then_some(kind),
            ..AccessUnit::new(params(), decode, data.into())
        };
        let mut payload = [&MARK[..], &id.to_be_bytes()].concat();
        payload.resize(bytes, u8::try_from(id % 251).unwrap());
        let mut builder = FragmentBuilder::new(u32::try_from(id).unwrap());
        builder.push(Arc::new(unit(payload, decode)));
        let end = MediaTime::from_nanos(i64::try_from(now.as_nanos()).unwrap(), RATE);
        let fragment: Fragment = builder.build(Some(&unit(Vec::new(), end)));
        self.ledger.take((id, at, self.life), begun, now, true_end, fragment.to_bytes());
        let init = &self.inits[usize::from(camera.wide)];
        let _ = process.writers[at].append(init, fragment, camera.run_start, false);
        (camera.run_start, camera.begun) = (false, now);
        camera.count += 1;
        camera.due = now.after(camera.period);
        self.behave(process, at);
    }

    /// Cameras reconnect, change their parameters, and go away for a while.
    pub(crate) fn behave(&mut self, process: &mut Process, at: usize) {
        let camera = &mut self.cameras[at];
        match self.random.u8(0..100) {
            0 => camera.wide = !camera.wide,
            1 | 2 => {
                let outage = Duration::from_millis(self.random.u64(1..9_000));
                camera.begun = camera.begun.after(outage);
                camera.due = camera.due.after(outage);
                camera.sending_since = camera.due;
                (camera.run_start, camera.run, camera.count) = (true, camera.run + 1, 0);
                // Its recorder ends with it, at times.
                if self.random.bool() {
                    process.writers[at] = process.dvr.writer(&camera.name, camera.keep);
                }
            }
            _ => {}
        }
    }
}
