//! Reads a stream's units as HLS and MSE need them: only carried tracks, each with its format.
//!
//! Owns: when a new format begins, and what happens to announced sound that does not come. A format
//! begins at an entry point, never in between.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use crate::media::{AccessUnit, Kind, RunId, Tracks};
use crate::stream::{Allowance, Next, Stream, Subscriber};
use crate::wire::silence::SilenceFill;
use crate::wire::web::WebFormat;
use crate::wire::web_units::WebUnits;

/// Pictures that are waited for before sound that was announced is left out.
const SOUND_WAIT_NANOS: i64 = 1_500_000_000;
/// Units that wait for that at most.
const SOUND_WAIT_UNITS: usize = 512;

/// What happens to sound that is announced and does not come. Sound that came and stops is silence
/// in each case, because players give up where the number of tracks changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoundRule {
    /// Silence: what else is listed has the track.
    Always,
    /// It is left out, until it comes: then a new format begins.
    Follow,
    /// It is left out for as long as this reader lives.
    Once,
}

/// One reader of a stream.
#[derive(Debug)]
pub(super) struct WebReader {
    units: Subscriber<AccessUnit>,
    tracks: watch::Receiver<Option<Arc<Tracks>>>,
    format: Option<Arc<WebFormat>>,
    /// The format has changed and no unit at which a reader can begin has come since.
    waiting: bool,
    rule: SoundRule,
    /// Whether sound is carried, and of which run that was decided.
    with_sound: Option<(RunId, bool)>,
    /// Sound came that was left out so far.
    sound_came: bool,
    /// Units that wait for that decision, and the first picture among them.
    held: VecDeque<Arc<AccessUnit>>,
    /// Units that are ready.
    ready: VecDeque<Arc<AccessUnit>>,
    fill: SilenceFill,
    copies: WebUnits,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum WebNext {
    /// A unit as sent to browsers, and the tracks it belongs to.
    Unit(Arc<AccessUnit>, Arc<WebFormat>),
    /// Units were skipped; the next is a place to begin.
    Lagged(u64),
    /// The stream is gone for good.
    Ended,
}

impl WebReader {
    /// Begins at the newest place at which a reader can begin.
    pub(super) fn new(stream: &Stream, allowance: Allowance, rule: SoundRule) -> Self {
        Self {
            units: stream.bus().subscribe(allowance),
            tracks: stream.tracks(),
            format: None,
            waiting: true,
            rule,
            with_sound: None,
            sound_came: false,
            held: VecDeque::new(),
            ready: VecDeque::new(),
            fill: SilenceFill::default(),
            copies: WebUnits::default(),
        }
    }

    /// Waits for the next carried unit. Cancel safe.
    pub(super) async fn next(&mut self) -> WebNext {
        loop {
            while let Some(unit) = self.ready.pop_front() {
                if let Some(format) = &self.format
                    && let Some(unit) = self.copies.shown(format, &unit)
                {
                    return WebNext::Unit(unit, Arc::clone(format));
                }
            }
            if self.is_decided()
                && let Some(unit) = self.held.pop_front()
            {
                self.take(unit);
                continue;
            }
            match self.units.next().await {
                Next::Item(unit) => self.hear(unit),
                Next::Lagged(units) => {
                    self.held.clear();
                    return WebNext::Lagged(units);
                }
                Next::Ended => return WebNext::Ended,
            }
        }
    }

    fn is_decided(&self) -> bool {
        let oldest = self.held.front();
        oldest.is_some_and(|unit| self.with_sound.is_some_and(|(run, _)| run == unit.run))
    }

    /// Takes `unit`, once it is known whether sound is carried beside it.
    fn hear(&mut self, unit: Arc<AccessUnit>) {
        if self.decide(&unit) {
            self.take(unit);
        } else {
            self.held.push_back(unit);
        }
    }

    /// Whether it is decided if sound is carried in the run of `unit`, and nothing waits.
    fn decide(&mut self, unit: &AccessUnit) -> bool {
        let is_sound = unit.params.kind() == Kind::Audio;
        match self.with_sound {
            Some((run, carried)) if run == unit.run => {
                self.sound_came |= !carried && is_sound && self.rule == SoundRule::Follow;
                return self.held.is_empty();
            }
            Some((_, carried)) if self.rule == SoundRule::Once => {
                self.with_sound = Some((unit.run, carried));
                return self.held.is_empty();
            }
            _ => {}
        }
        self.held.retain(|held| held.run == unit.run);
        let first = self.held.front().map_or(unit.decode, |held| held.decode);
        let waited = unit.decode.as_nanos().saturating_sub(first.as_nanos());
        let is_over = waited > SOUND_WAIT_NANOS || self.held.len() >= SOUND_WAIT_UNITS;
        if self.rule == SoundRule::Always || is_sound || !self.may_be_silent(unit.run) {
            self.with_sound = Some((unit.run, true));
        } else if is_over {
            self.with_sound = Some((unit.run, false));
        }
        self.with_sound.is_some_and(|(run, _)| run == unit.run) && self.held.is_empty()
    }

    /// Whether the run announces sound beside its pictures.
    fn may_be_silent(&self, run: RunId) -> bool {
        let tracks = self.tracks.borrow();
        let tracks = tracks.as_ref().filter(|tracks| tracks.run == run);
        tracks.is_some_and(|tracks| tracks.video().is_some() && tracks.audio().is_some())
    }

    /// Makes `unit` ready, behind the silence that is due before it.
    fn take(&mut self, unit: Arc<AccessUnit>) {
        // Where pictures can restart they do so with the sound that came.
        if self.sound_came && unit.random_access() {
            self.sound_came = false;
            (self.with_sound, self.format) = (Some((unit.run, true)), None);
        }
        let Some(format) = self.admit(&unit) else { return };
        if unit.track == format.lead() {
            self.ready.extend(self.fill.due(&unit).into_iter().map(Arc::new));
        }
        if self.fill.admit(&unit) {
            self.ready.push_back(unit);
        }
    }

    fn admit(&mut self, unit: &AccessUnit) -> Option<Arc<WebFormat>> {
        if self.format.as_ref().is_none_or(|format| format.differs(unit)) {
            self.refresh(unit);
        }
        let format = self.format.as_ref().filter(|format| format.carries(unit.track))?;
        if self.waiting && !unit.random_access() {
            return None;
        }
        self.waiting = false;
        Some(Arc::clone(format))
    }

    /// Makes the format that `unit` needs. The stream knows its newest tracks only: units of a run
    /// that is already over are left out, because their tracks are no longer known.
    fn refresh(&mut self, unit: &AccessUnit) {
        let tracks = self.tracks.borrow_and_update().clone();
        let Some(tracks) = tracks.filter(|tracks| tracks.run == unit.run) else {
            self.format = None;
            self.waiting = true;
            return;
        };
        let mut tracks = Tracks::clone(&tracks);
        if let Some(track) = tracks.list.get_mut(usize::from(unit.track.0)) {
            track.params = Arc::clone(&unit.params);
        }
        if self.format.as_ref().is_some_and(|format| format.describes(&tracks)) {
            return;
        }
        let muted = self.with_sound.is_some_and(|(_, carried)| !carried);
        let format = if muted { WebFormat::muted(tracks) } else { WebFormat::new(tracks) };
        self.fill = SilenceFill::new(format.as_ref().and_then(WebFormat::fillable_sound));
        self.format = format.map(Arc::new);
        self.waiting = true;
    }
}
