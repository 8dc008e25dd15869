//! What a route takes and answers, for the document of the API.
//!
//! Owns: how a row of the table of routes says it. Bodies are described by the types that serde
//! reads and writes, so that no description can differ from what goes over the wire.

use axum::http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Makes the schema of a type.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What a route takes and answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Operation {
    /// One line for people.
    pub(super) summary: &'static str,
    /// Of the query, and headers of its own.
    pub(super) parameters: Vec<Parameter>,
    /// The body that it needs.
    pub(super) body: Option<Content>,
    /// Successes, and other answers that are not of the form of an error.
    pub(super) answers: Vec<(StatusCode, Content)>,
    /// Statuses of refusals besides those that every route of its class has.
    pub(super) refusals: Vec<StatusCode>,
}

/// What an answer consists of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// The status alone.
    Empty,
    /// JSON.
    Json(Describe),
    /// Anything of these types.
    Media(&'static [&'static str]),
}

/// A parameter of the query, or a header.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// `query` or `header`.
    pub(super) place: &'static str,
    pub(super) required: bool,
    pub(super) text: &'static str,
    pub(super) schema: Value,
}

impl Operation {
    /// Adds an answer.
    pub(super) fn answer(&mut self, status: u16, content: Content) {
        self.answers.push((code(status), content));
    }

    /// Adds statuses of refusals.
    pub(super) fn refuse(&mut self, statuses: &[u16]) {
        self.refusals.extend(statuses.iter().map(|status| code(*status)));
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT)
}

/// How `T` is described.
pub(super) fn describe<T: JsonSchema>() -> Describe {
    |generator| generator.subschema_for::<T>()
}

impl Parameter {
    /// A date of the query.
    pub(super) fn date(name: &'static str, text: &'static str) -> Self {
        let schema =
            json!({ "type": "string", "examples": ["2026-11-22T14:05:00Z", "1795356300"] });
        Self { name, place: "query", required: false, text, schema }
    }

    /// A number of the query.
    pub(super) fn number(
        name: &'static str,
        text: &'static str,
        (least, most): (u64, u64),
    ) -> Self {
        let schema = json!({ "type": "integer", "minimum": least, "maximum": most });
        Self { name, place: "query", required: false, text, schema }
    }

    /// Text of the query.
    pub(super) fn text(name: &'static str, text: &'static str) -> Self {
        Self { name, place: "query", required: false, text, schema: json!({ "type": "string" }) }
    }

    /// The tag of the configuration that a change is meant for.
    pub(super) fn if_match() -> Self {
        let text = "The ETag of the configuration that is changed, or `*`.";
        let schema = json!({ "type": "string" });
        Self { name: "If-Match", place: "header", required: true, text, schema }
    }

    /// The same, which need not be there.
    pub(super) fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// The same, which has to be there.
    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }
}
