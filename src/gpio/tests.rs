//! The decisions by themselves, and the whole panel on lines that a test moves, in its own time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::button::{Button, PressStage};
use super::input::{InputState, Meaning};
use super::led::{Lamp, lamp, shown};
use super::note::{InputEvent, Notes, ranges};
use super::thread::{PanelCalls, PanelThread, ThreadSetup};
use super::{
    Active, ButtonConfig, Config, InputConfig, LedConfig, LedStatus, LedTrouble, Manner, Panel,
    Wires,
};
use crate::base::limits::{
    BUTTON_HELD_MAX, INPUT_EVENTS_MAX, INPUT_EVENTS_WINDOW, INPUT_STUCK_AFTER,
};
use crate::base::name::StreamName;
use crate::base::time::{BootTime, Clock, SystemClock, WallTime};
use crate::board::gpio::{
    self, Bias, Edges, Gpio, GpioError, InputWish, LineDriver, LineEdge, LineName, Output,
};
use crate::dvr::{self, Dvr};

fn at(millis: u64) -> BootTime {
    BootTime::from_millis(millis)
}

fn all_well() -> LedStatus {
    LedStatus { recorded: 2, recording: 2, troubles: Vec::new() }
}

// Decisions.

#[test]
fn the_light_says_what_matters_most() {
    let late = Duration::from_secs(600);
    let with = |recorded, recording, troubles: &[LedTrouble]| {
        lamp(&LedStatus { recorded, recording, troubles: troubles.to_vec() }, late)
    };
    assert_eq!(with(2, 2, &[]), Lamp::Recording);
    assert_eq!(with(2, 1, &[]), Lamp::Trouble(1));
    assert_eq!(with(2, 1, &[LedTrouble::Time, LedTrouble::Storage]), Lamp::Trouble(2));
    assert_eq!(with(2, 2, &[LedTrouble::Time]), Lamp::Trouble(3));
    assert_eq!(with(2, 2, &[LedTrouble::Time, LedTrouble::Board]), Lamp::Trouble(4));
    assert_eq!(with(2, 0, &[LedTrouble::Camera]), Lamp::NotRecording);
    assert_eq!(with(0, 0, &[]), Lamp::Starting, "nothing to record is no reason for red");
    let starts = LedStatus { recorded: 2, ..LedStatus::default() };
    assert_eq!(lamp(&starts, Duration::from_secs(5)), Lamp::Starting);
}

/// The light in steps of 100 ms, one letter each.
fn seen(lamp: Lamp, has_colours: bool, steps: u64) -> String {
    let letter = |step| match shown(lamp, Duration::from_millis(step * 100), has_colours).0 {
        [false, false, false] => '.',
        [true, true, true] => 'W',
        [true, true, false] => 'A',
        [true, false, false] => 'R',
        [false, true, false] => 'G',
        [false, false, true] => 'B',
        _ => '?',
    };
    (0..steps).map(letter).collect()
}

#[test]
fn each_light_has_its_rhythm() {
    assert_eq!(seen(Lamp::Starting, true, 21), "WWWWWWWWWW..........W");
    assert_eq!(seen(Lamp::Recording, true, 101), format!("{}.G", "G".repeat(99)));
    assert_eq!(seen(Lamp::Trouble(2), true, 24), "AA...AA...............AA");
    assert_eq!(seen(Lamp::NotRecording, true, 12), "RRRRRRRRRRRR");
    assert_eq!(seen(Lamp::NotRecording, false, 12), "RRR...RRR...", "one line must not look well");
    assert_eq!(seen(Lamp::Here, true, 4), "W.W.");
    assert_eq!(seen(Lamp::Held(PressStage::Claim), true, 4), "BBBB");
    assert_eq!(seen(Lamp::Held(PressStage::Reset), true, 4), "R.R.");
    let (_, until) = shown(Lamp::Recording, Duration::from_millis(9_870), true);
    assert_eq!(until, Duration::from_millis(30));
}

#[test]
fn a_press_means_what_its_length_says() {
    let held = |millis: u64| {
        let mut button = Button::default();
        assert_eq!(button.level(at(1_000), true), None);
        button.level(at(1_000 + millis), false)
    };
    assert_eq!(held(40), Some(PressStage::Tap));
    assert_eq!(held(2_999), Some(PressStage::Tap));
    assert_eq!(held(3_000), Some(PressStage::Claim));
    assert_eq!(held(10_000), Some(PressStage::Network));
    assert_eq!(held(20_000), Some(PressStage::Reset));
    let stuck = u64::try_from(BUTTON_HELD_MAX.as_millis()).unwrap();
    assert_eq!(held(stuck + 1), None, "a button that is stuck must reset nothing");
    let mut button = Button::default();
    button.level(at(0), true);
    assert_eq!(button.held(at(12_000)), Some(PressStage::Network));
    assert_eq!(button.held(at(stuck + 1)), None);
    assert_eq!(Button::default().level(at(5), false), None, "let go, but never pressed");
}

#[test]
fn an_input_that_was_active_at_the_start_is_no_event() {
    let mut input = InputState::default();
    assert_eq!(input.is_active(), None);
    assert_eq!(input.level(at(0), true), Meaning::None);
    assert_eq!(input.is_active(), Some(true));
    assert_eq!(input.level(at(1), false), Meaning::None);
    assert_eq!(input.level(at(2), true), Meaning::Event);
    assert_eq!(input.level(at(3), true), Meaning::None, "it is active already");
    assert_eq!(input.events, 1);
}

#[test]
fn an_input_that_chatters_is_bounded_and_said_once() {
    let mut input = InputState::default();
    let (mut events, mut told) = (0, 0);
    // A broken sensor: 20 times a second, for an hour.
    for step in 0..2 * 20 * 3_600u64 {
        match input.level(at(step * 25), step % 2 == 1) {
            Meaning::Event => events += 1,
            Meaning::Chatter => told += 1,
            Meaning::None => {}
        }
    }
    assert_eq!((events, told), (INPUT_EVENTS_MAX, 1));
    assert_eq!(input.suppressed, 20 * 3_600 - INPUT_EVENTS_MAX as u64);
    let end = at(3_600_000);
    assert_eq!(input.manner(end), Manner::Chattering);
    // After a silence it counts again.
    input.level(end, false);
    let later = end.after(INPUT_EVENTS_WINDOW);
    input.tick(later);
    assert_eq!(input.manner(later), Manner::Ok);
    assert_eq!(input.level(later, true), Meaning::Event);
}

#[test]
fn an_input_that_is_stuck_is_said_once() {
    let mut input = InputState::default();
    input.level(at(0), false);
    input.level(at(1_000), true);
    let stuck = at(1_000).after(INPUT_STUCK_AFTER);
    assert!(!input.tick(at(5_000)));
    assert!(input.tick(stuck));
    assert!(!input.tick(stuck.after(Duration::from_secs(1))));
    assert_eq!(input.manner(stuck), Manner::Stuck);
    input.level(stuck, false);
    assert_eq!(input.manner(stuck), Manner::Ok);
}

// The whole panel.

/// Lines that a test moves. Those whose name begins with `X` are not there.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    levels: BTreeMap<String, bool>,
    edges: BTreeMap<String, Edges>,
    /// The chip is not there yet.
    absent: bool,
}

impl Fake {
    fn level(&self, line: &str) -> Option<bool> {
        self.0.lock().unwrap().levels.get(line).copied()
    }

    fn put(&self, line: &str, high: bool) {
        self.0.lock().unwrap().levels.insert(line.to_owned(), high);
    }

    /// Puts it and tells the edge.
    fn move_to(&self, line: &str, high: bool) {
        self.put(line, high);
        self.0.lock().unwrap().edges[line].tell(high);
    }

    fn there(&self, line: &LineName) -> Result<String, GpioError> {
        let name = line.to_string();
        let there = !name.starts_with('X') && !self.0.lock().unwrap().absent;
        there.then_some(name).ok_or_else(|| GpioError::Unknown { line: line.clone() })
    }
}

#[derive(Debug)]
struct FakeLine(Fake, String);

impl Gpio for Fake {
    fn driver(&self) -> LineDriver {
        if self.0.lock().unwrap().absent { LineDriver::None } else { LineDriver::Gpiocdev }
    }

    fn input(&self, wish: &InputWish, edges: Edges) -> Result<Box<dyn gpio::InputLine>, GpioError> {
        let name = self.there(&wish.line)?;
        let mut lines = self.0.lock().unwrap();
        lines.levels.entry(name.clone()).or_insert(wish.bias == Bias::Up);
        lines.edges.insert(name.clone(), edges);
        Ok(Box::new(FakeLine(self.clone(), name)))
    }

    fn output(&self, line: &LineName, high: bool) -> Result<Box<dyn Output>, GpioError> {
        let name = self.there(line)?;
        self.put(&name, high);
        Ok(Box::new(FakeLine(self.clone(), name)))
    }
}

impl gpio::InputLine for FakeLine {
    fn is_high(&self) -> Result<bool, GpioError> {
        Ok(self.0.level(&self.1).unwrap())
    }
}

impl Output for FakeLine {
    fn set(&mut self, high: bool) -> Result<(), GpioError> {
        self.0.put(&self.1, high);
        Ok(())
    }
}

/// A clock that a test sets.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn boot(&self) -> BootTime {
        at(self.0.load(Relaxed))
    }

    fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(1_800_000_000_000_000_000)
    }
}

fn line(name: &str) -> LineName {
    LineName::parse(name).unwrap()
}

fn input(name: &str) -> InputConfig {
    InputConfig {
        wish: InputWish { line: line(name), bias: Bias::Up, debounce: Duration::from_millis(50) },
        active: Active::Low,
        marks: vec![None],
        streams: vec![StreamName::parse("gate").unwrap()],
        before: Duration::from_secs(10),
        after: Duration::from_secs(30),
        keep: Some(Duration::from_secs(86_400)),
    }
}

/// A panel on fake lines, with its time.
struct PanelBench {
    thread: PanelThread,
    lines: Fake,
    hand: Arc<Hand>,
    panel: Panel,
    events: mpsc::Receiver<InputEvent>,
    status: Arc<Mutex<LedStatus>>,
    claims: Arc<std::sync::atomic::AtomicU32>,
    resets: Arc<std::sync::atomic::AtomicU32>,
}

impl PanelBench {
    fn new(config: Config) -> Self {
        Self::on(Fake::default(), config)
    }

    fn on(lines: Fake, config: Config) -> Self {
        let panel = Panel::on(Arc::new(lines.clone()));
        let (sender, events) = mpsc::channel(4);
        let status = Arc::new(Mutex::new(all_well()));
        let told = Arc::clone(&status);
        let claims = Arc::<std::sync::atomic::AtomicU32>::default();
        let counted = Arc::clone(&claims);
        let resets = Arc::<std::sync::atomic::AtomicU32>::default();
        let counted_resets = Arc::clone(&resets);
        let hand = Arc::new(Hand::default());
        let wanted = ThreadSetup {
            panel: panel.clone(),
            config,
            events: sender,
            begun: at(0),
            calls: PanelCalls {
                status: Arc::new(move || told.lock().unwrap().clone()),
                on_claim: Arc::new(move || {
                    counted.fetch_add(1, Relaxed);
                }),
                on_reset: Arc::new(move || {
                    counted_resets.fetch_add(1, Relaxed);
                }),
            },
        };
        let clock: Arc<Hand> = Arc::clone(&hand);
        let thread = PanelThread::open(wanted, clock);
        Self { thread, lines, hand, panel, events, status, claims, resets }
    }

    /// Lets `millis` pass in steps of 50, as the thread would.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 50 {
            self.hand.0.fetch_add(50, Relaxed);
            self.thread.work_off();
            self.thread.turn(self.hand.boot());
        }
    }
}

#[test]
fn a_button_that_is_held_claims_after_3_s_and_resets_after_20() {
    let mut bench = PanelBench::new(rgb());
    bench.pass(1_000);
    let held = [(1_000, 0, 0), (4_000, 1, 0), (12_000, 1, 0), (3_000, 2, 0), (21_000, 2, 1)];
    for (millis, claims, resets) in held {
        bench.lines.move_to("KEY", false);
        bench.pass(millis + 100);
        bench.lines.move_to("KEY", true);
        bench.pass(500);
        let seen = (bench.claims.load(Relaxed), bench.resets.load(Relaxed));
        assert_eq!(seen, (claims, resets), "held for {millis} ms");
    }
}

fn rgb() -> Config {
    let wires = Wires::Three(["R", "G", "B"].map(line));
    Config {
        led: Some(LedConfig { wires, active: Active::Low }),
        button: Some(ButtonConfig { line: line("KEY"), active: Active::Low }),
        inputs: BTreeMap::from([
            ("door".to_owned(), input("DOOR")),
            ("roof".to_owned(), input("XROOF")),
        ]),
    }
}

#[test]
fn lines_that_come_late_are_found() {
    let lines = Fake::default();
    lines.0.lock().unwrap().absent = true;
    let mut bench = PanelBench::on(lines, rgb());
    bench.pass(25_000);
    assert_eq!(bench.panel.view().gpio, Some(LineDriver::None));
    bench.lines.0.lock().unwrap().absent = false;
    bench.pass(12_000);
    let view = bench.panel.view();
    assert_eq!((view.gpio, view.led), (Some(LineDriver::Gpiocdev), None));
    assert_eq!(bench.lines.level("G"), Some(false), "it shines");
    bench.lines.move_to("DOOR", false);
    bench.pass(100);
    assert_eq!(bench.events.try_recv().unwrap().input, "door");
}

#[test]
fn the_led_follows_the_box_and_the_button() {
    let mut bench = PanelBench::new(rgb());
    let colour =
        |bench: &PanelBench| ["R", "G", "B"].map(|line| bench.lines.level(line) == Some(false));
    bench.pass(1_000);
    assert_eq!(colour(&bench), [false, true, false], "it records, and shines at low");
    bench.status.lock().unwrap().recording = 0;
    bench.pass(40_000);
    assert_eq!(colour(&bench), [true, false, false]);
    // A person holds the button until it says fast red, and changes his mind too late.
    bench.lines.move_to("KEY", false);
    bench.pass(5_000);
    assert_eq!(colour(&bench), [false, false, true], "3 s: solid blue");
    bench.lines.move_to("KEY", true);
    bench.pass(100);
    assert_eq!(colour(&bench), [true, false, false]);
    // A tap makes it show itself for a while.
    bench.lines.move_to("KEY", false);
    bench.pass(100);
    bench.lines.move_to("KEY", true);
    bench.pass(1_000);
    let white = |bench: &mut PanelBench| {
        (0..4).any(|_| {
            bench.pass(50);
            colour(bench) == [true; 3]
        })
    };
    assert!(white(&mut bench));
    bench.pass(20_000);
    assert!(!white(&mut bench));
}

#[test]
fn an_input_is_told_by_its_edge_or_found_by_looking() {
    let mut bench = PanelBench::new(rgb());
    bench.pass(2_000);
    bench.lines.move_to("DOOR", false);
    bench.pass(50);
    let event = bench.events.try_recv().unwrap();
    assert_eq!((event.input.as_str(), event.at), ("door", at(2_000)), "when the edge was told");
    bench.lines.move_to("DOOR", true);
    bench.pass(1_000);
    // An edge that got lost.
    bench.lines.put("DOOR", false);
    bench.pass(2_000);
    assert_eq!(bench.events.try_recv().unwrap().input, "door");
    assert!(bench.events.try_recv().is_err());
    let view = bench.panel.view();
    let [door, roof] = &view.inputs[..] else { panic!("{view:?}") };
    assert_eq!((door.active, door.state, door.events), (Some(true), Manner::Ok, 2));
    assert_eq!((roof.active, roof.state), (None, Manner::Unavailable));
    assert!(roof.reason.as_ref().unwrap().contains("no line XROOF"), "{roof:?}");
}

#[test]
fn a_broken_sensor_costs_a_few_events_and_the_light_goes_on() {
    let mut bench = PanelBench::new(rgb());
    let mut events = 0;
    for _ in 0..1_200 {
        for high in [false, true] {
            bench.lines.move_to("DOOR", high);
            bench.pass(50);
        }
        events += usize::from(bench.events.try_recv().is_ok());
    }
    assert_eq!(events, INPUT_EVENTS_MAX);
    bench.pass(300);
    let door = &bench.panel.view().inputs[0];
    assert_eq!((door.state, door.events), (Manner::Chattering, INPUT_EVENTS_MAX as u64));
    assert!(door.suppressed > 1_000, "{door:?}");
    assert_eq!(bench.lines.level("G"), Some(false), "green");
}

#[test]
fn edges_of_lines_that_are_not_there_change_nothing() {
    let mut bench = PanelBench::new(Config { led: None, button: None, ..rgb() });
    for of in [2, usize::MAX] {
        bench.thread.edge(LineEdge { of, high: false, at: at(1) });
    }
    bench.pass(1_000);
    assert!(bench.events.try_recv().is_err());
}

// On the disk.

#[test]
fn an_event_protects_from_before_until_after_it() {
    let moment = WallTime::from_unix_nanos(1_800_000_000_000_000_000);
    let [wish] = &ranges("door", &input("DOOR"), moment, moment)[..] else { panic!() };
    assert_eq!(wish.from, moment.offset_nanos(-10_000_000_000));
    assert_eq!(wish.until, moment.offset_nanos(30_000_000_000));
    assert_eq!(wish.expires, Some(moment.offset_nanos(86_400_000_000_000)));
    assert_eq!((wish.reason.as_str(), wish.owner.as_str()), ("Input door", "input door"));
    assert_eq!(wish.check(moment), Ok(()));
}

#[tokio::test]
async fn an_event_is_a_mark_and_a_protected_range_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let ring = dvr::RingConfig {
        data_dir: dir.path().to_owned(),
        size: dvr::RingSizing::Bytes(64 << 20),
        slot_bytes: None,
    };
    let dvr = Dvr::open(ring, Arc::new(SystemClock), None).unwrap();
    let config = InputConfig { marks: vec![StreamName::parse("gate").ok()], ..input("DOOR") };
    let notes = Notes {
        inputs: Arc::new(BTreeMap::from([("door".to_owned(), config)])),
        dvr: dvr.clone(),
        clock: Arc::new(SystemClock),
    };
    let (sender, mut events) = mpsc::channel(4);
    let now = SystemClock.boot();
    sender.send(InputEvent { input: "door".to_owned(), at: now }).await.unwrap();
    // A note from an input that a reload removed belongs to no one.
    sender.send(InputEvent { input: "gone".to_owned(), at: now }).await.unwrap();
    drop(sender);
    // The ring is being opened meanwhile: the event waits for it.
    notes.run(&mut events).await;
    let marks = dvr.facts().marks;
    assert_eq!(marks.len(), 1);
    assert_eq!(marks[0].text, "Input door");
    assert_eq!(marks[0].stream.as_ref().map(StreamName::as_str), Some("gate"));
    let pins = dvr.pins();
    assert_eq!((pins.len(), pins[0].owner.as_str()), (1, "input door"));
    assert!(pins[0].expires.is_some());
    dvr.close(Duration::from_secs(10));
}
