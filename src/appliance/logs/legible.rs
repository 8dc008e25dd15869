//! Events whose message also names their fields, for the journal: `journalctl` shows the message alone.
//!
//! Owns: the message as people read it. The fields stay fields of their own, to search for
//! (`journalctl -u holdfast PART=gate/source`).

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber, Value};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Fields that one event may have besides its message; tracing allows 32 in all.
const FIELDS_MAX: usize = 31;

/// A layer that is shown legible messages.
pub(super) struct Legible<L>(pub(super) L);

impl<S, L> Layer<S> for Legible<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, span: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(span, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let Some(message) = metadata.fields().field("message") else {
            return self.0.on_event(event, context);
        };
        let mut line = Line::default();
        event.record(&mut line);
        let Line { text, fields } = line;
        let text = tracing::field::display(text + &told(&fields));
        let mut fields = fields.iter();
        // As many as an event can have; what it has not is left out by `None`.
        let others: [_; FIELDS_MAX] = std::array::from_fn(|_| match fields.next() {
            Some((field, value)) => (field, Some(value.as_value())),
            None => (&message, None),
        });
        let mut values = [(&message, Some(&text as &dyn Value)); FIELDS_MAX + 1];
        values[1..].copy_from_slice(&others);
        self.0.on_event(&Event::new(metadata, &metadata.fields().value_set(&values)), context);
    }
}

/// What an event says.
#[derive(Default)]
struct Line {
    text: String,
    fields: Vec<(Field, FieldValue)>,
}

/// The value of a field.
enum FieldValue {
    Text(String),
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl FieldValue {
    fn as_value(&self) -> &dyn Value {
        match self {
            Self::Text(value) => value,
            Self::Bool(value) => value,
            Self::Signed(value) => value,
            Self::Unsigned(value) => value,
            Self::Float(value) => value,
        }
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Quoted where it would not be seen to be one value.
            Self::Text(value) if value.contains([' ', '"', '=']) => write!(f, "{value:?}"),
            Self::Text(value) => f.write_str(value),
            Self::Bool(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// ` key=value` of each; the fields that `log` adds are not the event's own.
fn told(fields: &[(Field, FieldValue)]) -> String {
    let mut text = String::new();
    for (field, value) in fields.iter().filter(|(field, _)| !field.name().starts_with("log.")) {
        // A string takes everything.
        let _ = write!(text, " {field}={value}");
    }
    text
}

impl Line {
    fn put(&mut self, field: &Field, value: FieldValue) {
        match (field.name(), value) {
            ("message", value) => self.text = value.to_string(),
            (_, value) if self.fields.len() < FIELDS_MAX => {
                self.fields.push((field.clone(), value));
            }
            _ => {}
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.text = format!("{value:?}");
        } else {
            self.put(field, FieldValue::Text(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.text);
        } else {
            self.put(field, FieldValue::Text(value.to_owned()));
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, FieldValue::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, FieldValue::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, FieldValue::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, FieldValue::Float(value));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Keeps what it is shown.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

    struct Fields<'a>(&'a mut BTreeMap<String, String>);

    impl Visit for Fields<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0.insert(field.name().to_owned(), format!("{value:?}"));
        }
    }

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut fields = BTreeMap::new();
            event.record(&mut Fields(&mut fields));
            self.0.lock().unwrap().push(fields);
        }
    }

    fn shown(tell: impl FnOnce()) -> BTreeMap<String, String> {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry().with(Legible(kept.clone()));
        tracing::subscriber::with_default(subscriber, tell);
        let mut kept = kept.0.lock().unwrap();
        assert_eq!(kept.len(), 1);
        kept.remove(0)
    }

    #[test]
    fn a_message_names_its_fields_and_they_stay_fields() {
        let error = "The camera went away. Check its plug.";
        let shown = shown(|| {
            tracing::warn!(part = "gate/source", attempt = 3_u64, late = -2, error, "part failed");
        });
        assert_eq!(
            shown["message"],
            "part failed part=gate/source attempt=3 late=-2 \
             error=\"The camera went away. Check its plug.\""
        );
        let fields = ["part", "attempt", "late", "error"].map(|name| shown[name].as_str());
        assert_eq!(fields, ["\"gate/source\"", "3", "-2", &format!("{error:?}")]);
    }

    #[test]
    fn values_of_every_kind_and_none_are_told() {
        let peer: std::net::SocketAddr = "127.0.0.1:554".parse().unwrap();
        let shown_all = shown(|| tracing::info!(%peer, known = true, ratio = 0.5, "connected"));
        assert_eq!(shown_all["message"], "connected peer=127.0.0.1:554 known=true ratio=0.5");
        assert_eq!(shown(|| tracing::info!("ready"))["message"], "ready");
        assert_eq!(shown(|| tracing::info!(part = "x"))["part"], "\"x\"");
        let odd = shown(|| tracing::info!(error = "a \"b\"\nc=d", "odd"));
        assert_eq!(odd["message"], r#"odd error="a \"b\"\nc=d""#);
    }
}
