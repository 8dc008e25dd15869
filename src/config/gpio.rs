//! The sections `[led]`, `[button]` and `[input.<name>]`.
//!
//! Owns: their keys, and that no line has two uses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::StreamConfig;
use super::reader::{KeyFault, Section};
use super::unit;
use crate::base::limits::{INPUT_DEBOUNCES, INPUT_SPAN_MAX, INPUTS_MAX};
use crate::base::name::StreamName;
use crate::board::gpio::{Bias, InputWish, LineName};
use crate::gpio::{Active, ButtonConfig, Config, InputConfig, LedConfig, Wires};

const LINE: &str = "the name of a line such as \"GPIO17\", or its place such as \"gpiochip0:3\"";
const COLOURS: [&str; 3] = ["red", "green", "blue"];
/// How long what an input protects stays so.
const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// Reads them; an input without `streams` belongs to every stream of `streams` that is recorded.
pub(super) fn check(
    root: &mut Section,
    streams: &BTreeMap<StreamName, StreamConfig>,
    faults: &mut Vec<KeyFault>,
) -> Config {
    let mut config = Config {
        led: root.section("led", faults).and_then(|section| check_led(section, faults)),
        button: root.section("button", faults).and_then(|section| check_button(section, faults)),
        inputs: BTreeMap::new(),
    };
    if let Some(mut inputs) = root.section("input", faults) {
        let names = inputs.keys();
        if names.len() > INPUTS_MAX {
            let wrong = format!("{} inputs", names.len());
            faults.push(inputs.fault(None, wrong, format!("at most {INPUTS_MAX}")));
        }
        for name in names {
            let Some(section) = inputs.section(&name, faults) else { continue };
            if let Err(error) = StreamName::parse(&name) {
                let right = "a name such as \"door\" or \"gate-2\"".to_owned();
                faults.push(section.fault(None, error.to_string(), right));
            } else if let Some(input) = check_input(section, streams, faults) {
                config.inputs.insert(name, input);
            }
        }
    }
    check_lines(&config, faults);
    config
}

fn check_led(mut section: Section, faults: &mut Vec<KeyFault>) -> Option<LedConfig> {
    let before = faults.len();
    let one = section.parsed("line", line, faults);
    let three = COLOURS.map(|colour| section.parsed(colour, line, faults));
    let active = section.parsed("active", active, faults).unwrap_or(Active::High);
    let wires = match (one, three) {
        (Some(one), [None, None, None]) => Some(Wires::One(one)),
        (None, [Some(red), Some(green), Some(blue)]) => Some(Wires::Three([red, green, blue])),
        _ if faults.len() > before => None,
        _ => {
            let right = "either `line`, or `red`, `green` and `blue`".to_owned();
            faults.push(section.fault(None, "which line is it?".to_owned(), right));
            None
        }
    };
    section.finish(faults);
    Some(LedConfig { wires: wires?, active })
}

fn check_button(mut section: Section, faults: &mut Vec<KeyFault>) -> Option<ButtonConfig> {
    let line = the_line(&mut section, faults);
    let active = section.parsed("active", active, faults).unwrap_or(Active::Low);
    section.finish(faults);
    Some(ButtonConfig { line: line?, active })
}

fn check_input(
    mut section: Section,
    streams: &BTreeMap<StreamName, StreamConfig>,
    faults: &mut Vec<KeyFault>,
) -> Option<InputConfig> {
    let line = the_line(&mut section, faults);
    let active = section.parsed("active", active, faults).unwrap_or(Active::Low);
    let bias = section.parsed("bias", bias, faults).unwrap_or(Bias::Up);
    let debounce = section.parsed("debounce", debounce, faults);
    let debounce = debounce.unwrap_or(Duration::from_millis(50));
    let before = section.parsed("before", span, faults).unwrap_or(Duration::from_secs(10));
    let after = section.parsed("after", span, faults).unwrap_or(Duration::from_secs(30));
    let keep = section.parsed("keep", keep, faults).unwrap_or(Some(KEEP));
    let named = section.parsed_list("streams", stream_name, faults);
    let recorded = |name: &StreamName| streams.get(name).is_some_and(|s| s.record.is_some());
    for name in named.iter().flatten().filter(|name| !recorded(name)) {
        let wrong = format!("\"{name}\" is not recorded here");
        let right = "streams of this file that are recorded".to_owned();
        faults.push(section.fault(Some("streams"), wrong, right));
    }
    section.finish(faults);
    let (marks, streams) = match named {
        Some(named) => (named.iter().cloned().map(Some).collect(), named),
        None => (vec![None], streams.keys().filter(|name| recorded(name)).cloned().collect()),
    };
    let wish = InputWish { line: line?, bias, debounce };
    Some(InputConfig { wish, active, marks, streams, before, after, keep })
}

/// The line under `line`, which must be there.
fn the_line(section: &mut Section, faults: &mut Vec<KeyFault>) -> Option<LineName> {
    let before = faults.len();
    let found = section.parsed("line", line, faults);
    if found.is_none() && faults.len() == before {
        faults.push(section.fault(Some("line"), "missing".to_owned(), LINE.to_owned()));
    }
    found
}

/// No line can serve two.
fn check_lines(config: &Config, faults: &mut Vec<KeyFault>) {
    let led = config.led.iter().flat_map(|led| match &led.wires {
        Wires::One(line) => vec![line],
        Wires::Three(lines) => lines.iter().collect(),
    });
    let led = led.map(|line| ("led".to_owned(), line));
    let button = config.button.iter().map(|button| ("button".to_owned(), &button.line));
    let inputs = config.inputs.iter();
    let inputs = inputs.map(|(name, input)| (format!("input.{name}"), &input.wish.line));
    let mut seen = BTreeSet::new();
    for (path, line) in led.chain(button).chain(inputs) {
        if !seen.insert(line) {
            let wrong = format!("line {line} has another use already");
            faults.push(KeyFault { path, wrong, right: "a line of its own".to_owned() });
        }
    }
}

type Parsed<T> = Result<T, (String, &'static str)>;

fn line(text: &str) -> Parsed<LineName> {
    LineName::parse(text).ok_or_else(|| (format!("{text:?} is not a line"), LINE))
}

fn active(text: &str) -> Parsed<Active> {
    match text {
        "low" => Ok(Active::Low),
        "high" => Ok(Active::High),
        _ => Err((format!("{text:?} is not a level"), "\"low\" or \"high\"")),
    }
}

fn bias(text: &str) -> Parsed<Bias> {
    match text {
        "up" => Ok(Bias::Up),
        "down" => Ok(Bias::Down),
        "off" => Ok(Bias::Off),
        _ => Err((format!("{text:?} is not a bias"), "\"up\", \"down\" or \"off\"")),
    }
}

fn debounce(text: &str) -> Parsed<Duration> {
    within(text, INPUT_DEBOUNCES, "a duration from \"1ms\" to \"5s\"")
}

fn span(text: &str) -> Parsed<Duration> {
    within(text, Duration::ZERO..=INPUT_SPAN_MAX, "a duration from \"0s\" to \"10m\"")
}

/// How long a range stays protected; `None`: until a person ends it.
fn keep(text: &str) -> Parsed<Option<Duration>> {
    let right = "a duration from \"1h\" to \"3650d\", or \"forever\"";
    if text == "forever" {
        return Ok(None);
    }
    let spans = Duration::from_secs(3_600)..=Duration::from_secs(3_650 * 86_400);
    within(text, spans, right).map(Some)
}

fn within(
    text: &str,
    range: std::ops::RangeInclusive<Duration>,
    right: &'static str,
) -> Parsed<Duration> {
    let span = unit::duration(text).map_err(|(wrong, _)| (wrong, right))?;
    let wrong = || (format!("{text:?} is out of range"), right);
    range.contains(&span).then_some(span).ok_or_else(wrong)
}

fn stream_name(text: &str) -> Parsed<StreamName> {
    let right = "the name of a stream, such as \"gate\"";
    StreamName::parse(text).map_err(|error| (error.to_string(), right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const STREAMS: &str = "[stream.gate]\nsource = { kind = \"pattern\" }\n\
        [stream.live]\nsource = { kind = \"pattern\" }\nrecord = false\n";

    fn panel(text: &str) -> Config {
        parse(&format!("{STREAMS}{text}")).unwrap().panel
    }

    fn faults(text: &str) -> Vec<String> {
        super::super::tests::faults(&format!("{STREAMS}{text}"))
    }

    #[test]
    fn an_input_is_of_every_recorded_stream_unless_told_otherwise() {
        let gate = StreamName::parse("gate").unwrap();
        let config = panel("[input.door]\nline = \"GPIO27\"\n");
        let door = &config.inputs["door"];
        assert_eq!((&door.marks[..], &door.streams[..]), (&[None][..], &[gate.clone()][..]));
        assert_eq!((door.active, door.wish.bias), (Active::Low, Bias::Up));
        assert_eq!((door.before.as_secs(), door.after.as_secs()), (10, 30));
        assert_eq!((door.wish.debounce.as_millis(), door.keep), (50, Some(KEEP)));
        let config = panel(
            "[input.door]\nline = \"gpiochip0:3\"\nactive = \"high\"\nbias = \"off\"\n\
             streams = [\"gate\"]\nkeep = \"forever\"\nbefore = \"0s\"\ndebounce = \"1ms\"\n",
        );
        let door = &config.inputs["door"];
        assert_eq!((&door.marks[..], &door.streams[..]), (&[Some(gate.clone())][..], &[gate][..]));
        assert_eq!((door.wish.bias, door.keep, door.before), (Bias::Off, None, Duration::ZERO));
    }

    #[test]
    fn an_led_has_one_line_or_three() {
        let led = |text: &str| panel(text).led.unwrap();
        assert!(matches!(led("[led]\nline = \"GPIO17\"\n").wires, Wires::One(_)));
        let three = "[led]\nred = \"GPIO17\"\ngreen = \"GPIO22\"\nblue = \"GPIO23\"\n";
        assert!(matches!(led(three).wires, Wires::Three(_)));
        for text in ["[led]\n", "[led]\nred = \"GPIO17\"\n", "[led]\nline = \"A\"\nred = \"B\"\n"] {
            assert!(faults(text)[0].starts_with("led: "), "{text}");
        }
    }

    #[test]
    fn every_fault_of_the_lines_is_told_with_its_key() {
        let told = faults(
            "[led]\nline = \"GPIO17\"\n[button]\nactive = \"up\"\n\
             [input.door]\nline = \"GPIO17\"\n\
             [input.gate]\nline = \"GPIO 4\"\ndebounce = \"10s\"\nafter = \"1d\"\nkeep = \"1s\"\n\
             streams = [\"live\", \"none\"]\nlinie = \"x\"\n[input.\"Tür\"]\nline = \"GPIO5\"\n",
        );
        let paths: Vec<_> = told.iter().map(|t| t.split(": ").next().unwrap()).collect();
        let expected = [
            "button.line",
            "button.active",
            "input.\"Tür\"",
            "input.gate.line",
            "input.gate.debounce",
            "input.gate.after",
            "input.gate.keep",
            "input.gate.streams",
            "input.gate.streams",
            "input.gate.linie",
            "input.door",
        ];
        let mut sorted = (paths.clone(), expected.to_vec());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1, "{told:#?}");
    }
}
