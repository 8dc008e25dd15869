//! What the journal notes, as events.
//!
//! Owns: their data.

use serde_json::json;

use crate::dvr::Noted;
use crate::event::{Audience, Kind, NewEvent, Severity};

/// The kind of the marks that alarm inputs make.
const INPUT: &str = "input";
/// The kind of marks whose own is not a word.
const MANUAL: &str = "manual";

/// The event of something that was noted.
pub(super) fn event(noted: Noted) -> NewEvent {
    match noted {
        Noted::Marked(mark) => {
            let alarm = mark.kind == INPUT;
            let kind = Kind::of_mark(&mark.kind).or_else(|| Kind::of_mark(MANUAL));
            NewEvent {
                kind: kind.unwrap_or(Kind::RANGE_PROTECTED),
                stream: mark.stream,
                severity: if alarm { Severity::Alarm } else { Severity::Info },
                audience: Audience::Past,
                data: json!({ "id": mark.id, "at": mark.at, "text": mark.text }),
            }
        }
        Noted::Protected(pin) => range(Kind::RANGE_PROTECTED, &pin),
        Noted::Released(pin) => range(Kind::RANGE_RELEASED, &pin),
        Noted::Gap { stream, from, until, cause, text } => NewEvent::of_stream(
            &stream,
            Audience::Past,
            Kind::RECORDING_GAP,
            Severity::Warn,
            json!({ "start": from, "end": until, "cause": cause, "text": text }),
        ),
    }
}

fn range(kind: Kind, pin: &crate::dvr::PinView) -> NewEvent {
    let data = json!({
        "id": pin.id, "start": pin.from, "end": pin.to, "reason": pin.reason, "expires": pin.expires,
    });
    NewEvent::of_stream(&pin.stream, Audience::Past, kind, Severity::Info, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::WallTime;
    use crate::dvr::MarkView;

    #[test]
    fn a_mark_is_an_event_of_its_kind() {
        let mark = |kind: &str| MarkView {
            id: "7".to_owned(),
            at: WallTime::from_unix_nanos(0),
            stream: None,
            kind: kind.to_owned(),
            text: "x".to_owned(),
        };
        let told = |kind: &str| {
            let event = event(Noted::Marked(mark(kind)));
            (event.kind.as_str().to_owned(), event.severity)
        };
        assert_eq!(told("input"), ("mark.input".to_owned(), Severity::Alarm));
        assert_eq!(told("motion"), ("mark.motion".to_owned(), Severity::Info));
        assert_eq!(told("from a newer version"), ("mark.manual".to_owned(), Severity::Info));
    }
}
