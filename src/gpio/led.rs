//! Which light says what.
//!
//! Owns: the order of what is worth saying, and the rhythm of each. Pure: a condition and a moment
//! in, a colour and the moment of the next change out.

use std::time::Duration;

use super::button::PressStage;

/// How long nothing may be recorded after a start before that is red.
const START_TIME: Duration = Duration::from_secs(30);
/// How long the box shows itself after a tap.
pub(super) const IDENTIFY_TIME: Duration = Duration::from_secs(15);

/// How the box does, as far as the LED tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedStatus {
    /// Streams that shall be recorded.
    pub recorded: usize,
    /// Those that are.
    pub recording: usize,
    /// What is wrong.
    pub troubles: Vec<LedTrouble>,
}

/// What can be wrong while recording continues; what is worth more is said first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LedTrouble {
    /// The ring or its disk.
    Storage,
    /// A camera.
    Camera,
    /// Heat or a weak supply hold the board back.
    Board,
    /// The date is not trusted.
    Time,
}

impl LedTrouble {
    /// How often the LED blinks for it.
    fn blinks(self) -> u8 {
        match self {
            Self::Camera => 1,
            Self::Storage => 2,
            Self::Time => 3,
            Self::Board => 4,
        }
    }
}

/// An LED of one line, or of one for each colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wires<T> {
    /// One colour.
    One(T),
    /// Red, green, blue.
    Three([T; 3]),
}

/// What the LED says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lamp {
    /// The box starts, or has nothing to record.
    Starting,
    /// All that shall be recorded is.
    Recording,
    /// Recording continues; the number says what is wrong.
    Trouble(u8),
    /// Nothing is recorded.
    NotRecording,
    /// This is the box.
    Here,
    /// The button is held.
    Held(PressStage),
}

/// Red, green and blue.
pub(super) type Colour = [bool; 3];
const OFF: Colour = [false; 3];
const RED: Colour = [true, false, false];
const GREEN: Colour = [false, true, false];
const BLUE: Colour = [false, false, true];
const AMBER: Colour = [true, true, false];
const WHITE: Colour = [true; 3];

/// One after the other, each for so many milliseconds, and again.
type Rhythm = Vec<(Colour, u64)>;

/// What is worth saying of `condition`, `age` after the daemon began.
pub(super) fn lamp(condition: &LedStatus, age: Duration) -> Lamp {
    let (recorded, recording) = (condition.recorded, condition.recording);
    if recorded == 0 || (recording == 0 && age < START_TIME) {
        return Lamp::Starting;
    }
    if recording == 0 {
        return Lamp::NotRecording;
    }
    let silent = (recording < recorded).then_some(LedTrouble::Camera);
    let worst = condition.troubles.iter().copied().chain(silent).min();
    worst.map_or(Lamp::Recording, |trouble| Lamp::Trouble(trouble.blinks()))
}

/// The colour `age` after `lamp` began to be said, and how long until it changes.
pub(super) fn shown(lamp: Lamp, age: Duration, has_colours: bool) -> (Colour, Duration) {
    let rhythm = rhythm(lamp, has_colours);
    let whole: u64 = rhythm.iter().map(|(_, millis)| millis).sum();
    let mut at = u64::try_from(age.as_millis()).unwrap_or(u64::MAX) % whole.max(1);
    for (colour, millis) in rhythm {
        if at < millis {
            return (colour, Duration::from_millis(millis - at));
        }
        at -= millis;
    }
    (OFF, Duration::from_secs(1))
}

fn rhythm(lamp: Lamp, has_colours: bool) -> Rhythm {
    let fast = |colour| vec![(colour, 100), (OFF, 100)];
    match lamp {
        Lamp::Starting => vec![(WHITE, 1_000), (OFF, 1_000)],
        Lamp::Recording => vec![(GREEN, 9_900), (OFF, 100)],
        Lamp::Trouble(times) => {
            let blink = [(AMBER, 200), (OFF, 300)];
            let blinks = std::iter::repeat_n(blink, usize::from(times)).flatten();
            blinks.chain([(OFF, 1_200)]).collect()
        }
        Lamp::NotRecording if has_colours => vec![(RED, 1_000)],
        // On one line steady light means that all is well.
        Lamp::NotRecording => vec![(RED, 300), (OFF, 300)],
        Lamp::Here => fast(WHITE),
        Lamp::Held(PressStage::Tap) => vec![(WHITE, 1_000)],
        Lamp::Held(PressStage::Claim) => vec![(BLUE, 1_000)],
        Lamp::Held(PressStage::Network) => fast(BLUE),
        Lamp::Held(PressStage::Reset) => fast(RED),
    }
}
