//! How the box does, for the LED.
//!
//! Owns: which state of which part is trouble. The health page says the same at length.

use crate::base::time::{Clock, Trust};
use crate::board::Machine;
use crate::dvr::{Dvr, RecordingState, RingState};
use crate::gpio::{LedStatus, LedTrouble};
use crate::live::StreamOutputs;
use crate::stream::{Directory, StreamState};

/// Looks at everything; blocks on nothing but locks.
pub(super) fn of(
    streams: &Directory<StreamOutputs>,
    dvr: &Dvr,
    machine: &Machine,
    clock: &dyn Clock,
) -> LedStatus {
    let streams = streams.all();
    let recorders = streams.values().filter_map(|outputs| outputs.recorder.as_ref());
    let states: Vec<_> = recorders.map(|recorder| recorder.status().state).collect();
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    let ring = dvr.status();
    let power = machine.report().power.clone();
    let offline = streams
        .values()
        .any(|outputs| matches!(outputs.stream.state().0, StreamState::Offline { .. }));
    let has_room = matches!(ring.ring, RingState::Ready) && ring.short.is_none();
    let storage = !has_room || ring.bad_slots > 0 || count(RecordingState::Failed) > 0;
    let board = power.under_voltage == Some(true) || power.throttled == Some(true);
    let time = clock.quality().trust == Trust::None;
    let troubles = [
        (storage, LedTrouble::Storage),
        (offline, LedTrouble::Camera),
        (board, LedTrouble::Board),
        (time, LedTrouble::Time),
    ];
    LedStatus {
        recorded: states.len(),
        recording: count(RecordingState::Recording),
        troubles: troubles.into_iter().filter_map(|(is_so, what)| is_so.then_some(what)).collect(),
    }
}
