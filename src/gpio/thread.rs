//! The panel's thread: it reads and drives the lines.
//!
//! Owns: the lines. They have one thread of their own, so that a driver that is slow or hangs
//! holds up nothing but the panel.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::button::{Button, PressStage};
use super::input::{InputState, Manner, Meaning};
use super::led::{self, Colour, IDENTIFY_TIME, Lamp, LedStatus, Wires};
use super::note::{InputEvent, Notes};
use super::{Config, InputConfig, LedConfig};
use crate::base::fault::{Class, Fault, chain};
use crate::base::limits::{GPIO_EDGES_MAX, INPUT_QUEUE_LEN_MAX};
use crate::base::sync::lock;
use crate::base::time::{BootTime, SharedClock, WallTime};
use crate::board::gpio::{self, Edges, Gpio, GpioError, InputWish, LineDriver, LineEdge, Output};
use crate::dvr::Dvr;
use crate::supervise::{Supervisor, TaskContext, TaskSpec};

/// How often levels and the box's status are polled.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How often missing lines are searched for again.
const SEARCH_PAUSE: Duration = Duration::from_secs(10);
/// Longest sleep of the thread, so that it sees its end.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// A level of a button held for less than this is ignored.
const BUTTON_DEBOUNCE: Duration = Duration::from_millis(30);

/// Says how the box does. It is called once a second and must not block.
pub type ReadStatus = Arc<dyn Fn() -> LedStatus + Send + Sync>;

/// Called when somebody held the button. It must not block for long.
pub type OnHeld = Arc<dyn Fn() + Send + Sync>;

/// What the panel asks of the rest of the box.
#[derive(Clone)]
pub struct PanelCalls {
    /// How the box does.
    pub status: ReadStatus,
    /// The button was held for the claim.
    pub on_claim: OnHeld,
    /// The button was held for the factory reset.
    pub on_reset: OnHeld,
}

/// A handle to the panel and its current state. Clones share it.
#[derive(Clone, Default)]
pub struct Panel(Arc<SharedPanel>);

#[derive(Default)]
struct SharedPanel {
    /// Found when a line is first needed, or later.
    gpio: OnceLock<Arc<dyn Gpio>>,
    view: Mutex<PanelView>,
}

impl fmt::Debug for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panel").field(&*self.lock()).finish()
    }
}

/// The panel's state, as the API reports it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PanelView {
    /// What reaches the lines; `None` while none is configured.
    pub gpio: Option<LineDriver>,
    /// Why there is no LED, if one is configured and cannot be driven.
    pub led: Option<String>,
    /// The same of the button.
    pub button: Option<String>,
    /// The inputs.
    pub inputs: Vec<InputView>,
}

/// The published state of an input.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct InputView {
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: String,
    /// Whether it is active; `None` before that was seen.
    pub active: Option<bool>,
    /// What is wrong with it.
    pub state: Manner,
    /// Why its line cannot be used.
    pub reason: Option<String>,
    /// When it last became active.
    pub last: Option<WallTime>,
    /// How often it became active.
    pub events: u64,
    /// How often more, while it chattered.
    pub suppressed: u64,
}

impl Panel {
    /// A panel on these lines, instead of those of the board.
    #[must_use]
    pub fn on(gpio: Arc<dyn Gpio>) -> Self {
        let shared = SharedPanel::default();
        let _ = shared.gpio.set(gpio); // it was empty
        Self(Arc::new(shared))
    }

    /// The state as of now.
    #[must_use]
    pub fn view(&self) -> PanelView {
        self.lock().clone()
    }

    /// The way to the lines, once there is one.
    fn gpio(&self) -> Result<Arc<dyn Gpio>, String> {
        if let Some(gpio) = self.0.gpio.get() {
            return Ok(Arc::clone(gpio));
        }
        let found = gpio::find()?;
        Ok(Arc::clone(self.0.gpio.get_or_init(|| found)))
    }

    fn lock(&self) -> MutexGuard<'_, PanelView> {
        lock(&self.0.view)
    }
}

#[derive(Debug, thiserror::Error)]
enum PanelError {
    #[error("its thread ended")]
    Ended,
    #[error("no thread")]
    Thread(#[source] std::io::Error),
}

impl Fault for PanelError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// Keeps what `config` names alive in `scope`, which is stopped to change it.
pub fn keep(panel: &Panel, config: Config, dvr: &Dvr, calls: PanelCalls, scope: &Supervisor) {
    *panel.lock() = PanelView::default();
    if config.is_empty() {
        return;
    }
    let (events, queue) = mpsc::channel(INPUT_QUEUE_LEN_MAX);
    let inputs = Arc::new(config.inputs.clone());
    let notes = Notes { inputs, dvr: dvr.clone(), clock: Arc::clone(scope.clock()) };
    let (notes, queue) = (Arc::new(notes), Arc::new(tokio::sync::Mutex::new(queue)));
    scope.keep(TaskSpec::new("inputs"), move |context| {
        let (notes, queue) = (Arc::clone(&notes), Arc::clone(&queue));
        async move {
            notes.run(&mut *queue.lock().await).await;
            // Its other end is gone: so is the panel.
            context.stop.cancelled().await;
            Err(PanelError::Ended)
        }
    });
    let (panel, begun) = (panel.clone(), scope.clock().boot());
    scope.keep(TaskSpec::new("panel"), move |context| {
        let setup = ThreadSetup {
            panel: panel.clone(),
            config: config.clone(),
            calls: calls.clone(),
            events: events.clone(),
            begun,
        };
        on_a_thread(setup, context)
    });
}

async fn on_a_thread(
    wanted: ThreadSetup,
    context: TaskContext,
) -> Result<std::convert::Infallible, PanelError> {
    let (done, ended) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("panel".into());
    let spawned = thread.spawn(move || {
        PanelThread::open(wanted, Arc::clone(&context.clock)).run(&context);
        drop(done);
    });
    spawned.map_err(PanelError::Thread)?;
    let _ = ended.await; // it says nothing: it is dropped
    Err(PanelError::Ended)
}

/// What the thread needs to start.
#[derive(Clone)]
pub(super) struct ThreadSetup {
    pub(super) panel: Panel,
    pub(super) config: Config,
    pub(super) calls: PanelCalls,
    pub(super) events: mpsc::Sender<InputEvent>,
    pub(super) begun: BootTime,
}

/// One input and its line.
struct WatchedInput {
    name: String,
    config: InputConfig,
    line: Result<Box<dyn gpio::InputLine>, String>,
    input: InputState,
    last: Option<WallTime>,
}

/// The button and its line.
type Pressed = (Box<dyn gpio::InputLine>, Button);

/// The thread's own state.
pub(super) struct PanelThread {
    wanted: ThreadSetup,
    clock: SharedClock,
    edges: Receiver<LineEdge>,
    led: Option<(Wires<Box<dyn Output>>, LedConfig)>,
    button: Option<Pressed>,
    inputs: Vec<WatchedInput>,
    lamp: (Lamp, BootTime),
    colour: Option<Colour>,
    here_until: Option<BootTime>,
    look_at: BootTime,
    /// When lines are looked for again, where there were none.
    search_at: BootTime,
    faults: PanelView,
}

impl PanelThread {
    pub(super) fn open(wanted: ThreadSetup, clock: SharedClock) -> Self {
        let gpio = wanted.panel.gpio().unwrap_or_else(gpio::none);
        let mut faults = PanelView { gpio: Some(gpio.driver()), ..PanelView::default() };
        let (queue, edges) = sync_channel(GPIO_EDGES_MAX);
        let led = wanted.config.led.clone();
        let led = led.map(|config| open_led(&*gpio, &config).map(|wires| (wires, config)));
        let led = usable("led", led, &mut faults.led);
        let button = open_button(&*gpio, &wanted.config, &queue, &clock);
        let button = usable("button", button, &mut faults.button);
        let inputs = wanted.config.inputs.iter().enumerate();
        let open = |(of, (name, config)): (usize, (&String, &InputConfig))| {
            let line = gpio.input(&config.wish, Edges::new(queue.clone(), of, Arc::clone(&clock)));
            let mut reason = None;
            let line = usable("input", Some(line), &mut reason).ok_or(reason.unwrap_or_default());
            WatchedInput {
                name: name.clone(),
                config: config.clone(),
                line,
                input: InputState::default(),
                last: None,
            }
        };
        let inputs = inputs.map(open).collect();
        let now = clock.boot();
        let lamp = (Lamp::Starting, now);
        Self {
            wanted,
            clock,
            edges,
            led,
            button,
            inputs,
            lamp,
            colour: None,
            here_until: None,
            look_at: now,
            search_at: now.after(SEARCH_PAUSE),
            faults,
        }
    }

    fn run(mut self, context: &TaskContext) {
        while !context.stop.is_cancelled() {
            context.heartbeat.beat();
            let pause = self.turn(self.clock.boot());
            match self.edges.recv_timeout(pause.min(SLEEP_MAX)) {
                Ok(edge) => self.edge(edge),
                Err(RecvTimeoutError::Timeout) => {}
                // No line is watched.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause.min(SLEEP_MAX)),
            }
        }
        // The LED must not suggest that the box still records.
        self.drive([false; 3]);
    }

    /// Takes the edges that wait, without waiting for one: for a test in its own time.
    #[cfg(test)]
    pub(super) fn work_off(&mut self) {
        while let Ok(edge) = self.edges.try_recv() {
            self.edge(edge);
        }
    }

    /// Does what is due at `now`; answers how long nothing else is.
    pub(super) fn turn(&mut self, now: BootTime) -> Duration {
        if self.faults.gpio == Some(LineDriver::None) && now >= self.search_at {
            self.search(now);
        }
        if now >= self.look_at {
            self.look(now);
            self.look_at = now.after(LOOK_PAUSE);
        }
        let lamp = self.lamp(now);
        if lamp != self.lamp.0 {
            self.lamp = (lamp, now);
        }
        let has_colours = matches!(self.led, Some((Wires::Three(_), _)));
        let (colour, until) = led::shown(lamp, now.since(self.lamp.1), has_colours);
        self.drive(colour);
        until
    }

    /// Looks for lines that were not there at the start: a chip whose driver is loaded late, or one
    /// that udev had not given to our group yet.
    fn search(&mut self, now: BootTime) {
        self.search_at = now.after(SEARCH_PAUSE);
        if self.wanted.panel.gpio().is_ok() {
            *self = Self::open(self.wanted.clone(), Arc::clone(&self.clock));
        }
    }

    /// The most important state to show now: first a person's action at the box, then the box's
    /// health.
    fn lamp(&self, now: BootTime) -> Lamp {
        if let Some(stage) = self.button.as_ref().and_then(|(_, button)| button.held(now)) {
            return Lamp::Held(stage);
        }
        if self.here_until.is_some_and(|until| now < until) {
            return Lamp::Here;
        }
        led::lamp(&(self.wanted.calls.status)(), now.since(self.wanted.begun))
    }

    fn drive(&mut self, colour: Colour) {
        let Some((wires, config)) = &mut self.led else { return };
        if self.colour.replace(colour) == Some(colour) {
            return;
        }
        let level = |on: bool| config.active.is(on);
        let driven = match wires {
            Wires::One(line) => line.set(level(colour != [false; 3])),
            Wires::Three(lines) => {
                let mut each = lines.iter_mut().zip(colour);
                each.try_for_each(|(line, on)| line.set(level(on)))
            }
        };
        if let Err(error) = driven {
            let why = chain(&error);
            warn!(part = "led", error = why, "line cannot be driven, continuing without it");
            self.faults.led = Some(why);
            self.led = None;
        }
    }

    pub(super) fn edge(&mut self, edge: LineEdge) {
        if edge.of < self.inputs.len() {
            self.input(edge.of, edge.at, edge.high);
        } else {
            self.press(edge.at, edge.high);
        }
        self.tell();
    }

    /// Looks at every level, for edges that were lost, and lets time pass.
    fn look(&mut self, now: BootTime) {
        for of in 0..self.inputs.len() {
            let level = self.inputs[of].line.as_ref().ok().and_then(|line| line.is_high().ok());
            if let Some(high) = level {
                self.input(of, now, high);
            }
            if self.inputs[of].input.tick(now) {
                let part = &self.inputs[of].name;
                warn!(part, "alarm input is active all the time: is its contact stuck?");
            }
        }
        let level = self.button.as_ref().and_then(|(line, _)| line.is_high().ok());
        if let Some(high) = level {
            self.press(now, high);
        }
        self.tell();
    }

    fn input(&mut self, of: usize, at: BootTime, high: bool) {
        let Some(watched) = self.inputs.get_mut(of) else { return };
        match watched.input.level(at, watched.config.active.is(high)) {
            Meaning::None => {}
            Meaning::Chatter => {
                let part = &watched.name;
                warn!(part, "alarm input chatters: its events are only counted until it is quiet");
            }
            Meaning::Event => {
                watched.last = Some(self.clock.wall());
                let event = InputEvent { input: watched.name.clone(), at };
                if self.wanted.events.try_send(event).is_err() {
                    warn!(part = watched.name, "alarm lost: too many wait for the disk");
                }
            }
        }
    }

    fn press(&mut self, at: BootTime, high: bool) {
        let Some(config) = &self.wanted.config.button else { return };
        let Some((_, button)) = &mut self.button else { return };
        match button.level(at, config.active.is(high)) {
            None => {}
            Some(PressStage::Tap) => {
                info!(part = "button", "pressed: this box shows itself");
                self.here_until = Some(at.after(IDENTIFY_TIME));
            }
            Some(PressStage::Claim) => {
                info!(part = "button", what = PressStage::Claim.as_str(), "held");
                (self.wanted.calls.on_claim)();
            }
            Some(PressStage::Reset) => {
                warn!(part = "button", what = PressStage::Reset.as_str(), "held");
                (self.wanted.calls.on_reset)();
            }
            Some(stage @ PressStage::Network) => {
                info!(part = "button", what = stage.as_str(), "held; the network is the system's");
            }
        }
    }

    fn tell(&self) {
        let now = self.clock.boot();
        let view = |watched: &WatchedInput| InputView {
            name: watched.name.clone(),
            line: watched.config.wish.line.to_string(),
            active: watched.input.is_active(),
            state: match watched.line {
                Ok(_) => watched.input.manner(now),
                Err(_) => Manner::Unavailable,
            },
            reason: watched.line.as_ref().err().cloned(),
            last: watched.last,
            events: watched.input.events,
            suppressed: watched.input.suppressed,
        };
        let inputs = self.inputs.iter().map(view).collect();
        *self.wanted.panel.lock() = PanelView { inputs, ..self.faults.clone() };
    }
}

/// What was opened; what was not is reported once and noted in `fault`.
fn usable<T>(
    part: &'static str,
    opened: Option<Result<T, GpioError>>,
    fault: &mut Option<String>,
) -> Option<T> {
    match opened? {
        Ok(opened) => Some(opened),
        Err(error) => {
            let why = chain(&error);
            // That there are no lines at all was already reported.
            if !matches!(error, GpioError::None { .. }) {
                warn!(part, error = why, "line cannot be used, continuing without it");
            }
            *fault = Some(why);
            None
        }
    }
}

fn open_led(gpio: &dyn Gpio, config: &LedConfig) -> Result<Wires<Box<dyn Output>>, GpioError> {
    let open = |line| gpio.output(line, config.active.is(false));
    match &config.wires {
        Wires::One(line) => open(line).map(Wires::One),
        Wires::Three([red, green, blue]) => {
            Ok(Wires::Three([open(red)?, open(green)?, open(blue)?]))
        }
    }
}

/// The button's edges are numbered behind those of the inputs.
fn open_button(
    gpio: &dyn Gpio,
    config: &Config,
    queue: &SyncSender<LineEdge>,
    clock: &SharedClock,
) -> Option<Result<Pressed, GpioError>> {
    let button = config.button.as_ref()?;
    let wish = InputWish {
        line: button.line.clone(),
        bias: button.active.rest(),
        debounce: BUTTON_DEBOUNCE,
    };
    let edges = Edges::new(queue.clone(), config.inputs.len(), Arc::clone(clock));
    Some(gpio.input(&wish, edges).map(|line| (line, Button::default())))
}
