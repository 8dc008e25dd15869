//! The JSON body of a request as what its handler asks for.
//!
//! Owns: the words where a body does not fit. They are our own, because those of the parser name
//! types of the program; and they never repeat a value, which may be a password.

use std::fmt::{self, Display};

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::Deserializer;
use serde::de::value::{SeqDeserializer, StringDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected};
use serde_json::Value;

use super::error::ApiError;

/// Bytes of a client's own text that an error repeats.
const SHOWN_CHARS: usize = 64;

/// A body that was read whole and fits `T`.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(&request) {
            let message = "The request must say `Content-Type: application/json`.";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
        }
        let unread = |_| ApiError::bad_request("The request body could not be read.");
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        parse(&bytes).map(Self)
    }
}

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind.len() > 5 && kind.to_ascii_lowercase().ends_with("+json")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(ApiError::bad_request("The request has no body. Send JSON."));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::bad_request(format!("The body is not JSON: see line {line}, column {column}."))
    })?;
    T::deserialize(Node(value)).map_err(|fault| ApiError::bad_request(fault.sentence()))
}

/// What does not fit, and where.
#[derive(Debug)]
struct FormFault {
    /// The keys on the way there, the last first.
    path: Vec<String>,
    what: String,
}

impl FormFault {
    fn new(what: impl Into<String>) -> Self {
        Self { path: Vec::new(), what: what.into() }
    }

    fn below(mut self, key: impl Display) -> Self {
        self.path.push(key.to_string());
        self
    }

    fn sentence(&self) -> String {
        let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
        match path.as_slice() {
            [] => format!("The body {}.", self.what),
            path => format!("`{}` {}.", shown(&path.join(".")), self.what),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

fn listed(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl Display for FormFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for FormFault {}

impl de::Error for FormFault {
    fn custom<T: Display>(message: T) -> Self {
        let message = message.to_string();
        // What serde says of an enum that has no names.
        if message.starts_with("data did not match") {
            return Self::new("has another form than the one that is taken here");
        }
        Self::new(format!("makes no sense: {}", message.trim_end_matches('.')))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}", kind(&expected.to_string())))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("is out of bounds: it must be {}", kind(&expected.to_string())))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("has another length: it must be {}", kind(&expected.to_string())))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("must be one of {}", listed(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let field = shown(field);
        if expected.is_empty() {
            return Self::new(format!("has a key `{field}`, which is unknown here"));
        }
        Self::new(format!(
            "has a key `{field}`, which is unknown here; known: {}",
            listed(expected)
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("is missing").below(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new("is there twice").below(field)
    }
}

/// What serde expects, as people call it.
fn kind(expected: &str) -> String {
    let told = match expected {
        "a map" => "an object",
        "a sequence" => "a list",
        "unit" => "null",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        own if own.starts_with("struct ") => "an object",
        own if own.starts_with("enum ") => "a string",
        other => other,
    };
    told.to_owned()
}

/// A value, read with faults of our own.
struct Node(Value);

impl IntoDeserializer<'_, FormFault> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = FormFault;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(list) => {
                let items = list.into_iter().map(Node);
                visitor.visit_seq(SeqDeserializer::<_, FormFault>::new(items))
            }
            Value::Object(object) => {
                visitor.visit_map(Fields { left: object.into_iter(), value: None })
            }
        }
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(name.into_deserializer()),
            _ => Err(FormFault::new(format!("must be one of {}", listed(variants)))),
        }
    }

    fn deserialize_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        match self.0 {
            // A list would do for serde, one field after the other.
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(FormFault::new("must be an object")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// The fields of an object, which lead the way in a fault.
struct Fields {
    left: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> de::MapAccess<'de> for Fields {
    type Error = FormFault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, FormFault> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some((key.clone(), value));
        seed.deserialize(StringDeserializer::<FormFault>::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FormFault> {
        let (key, value) = self.value.take().ok_or_else(|| FormFault::new("ends too early"))?;
        seed.deserialize(Node(value)).map_err(|fault| fault.below(key))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::access::{Role, StreamAccess};
    use crate::base::secret::Secret;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)] // only its form counts
    struct Form {
        name: String,
        password: Option<Secret>,
        #[serde(default)]
        role: Role,
        #[serde(default)]
        streams: StreamAccess,
        step: Option<u32>,
        inner: Option<Box<Form>>,
    }

    fn told(text: &str) -> String {
        parse::<Form>(text.as_bytes()).unwrap_err().message
    }

    #[test]
    fn what_fits_is_read() {
        let form: Form = parse(
            br#"{"name":"anna","role":"admin","streams":["gate"],"step":7,"inner":{"name":""}}"#,
        )
        .unwrap();
        assert_eq!((form.name.as_str(), form.role, form.step), ("anna", Role::Admin, Some(7)));
        assert!(form.streams.covers("gate") && !form.streams.covers("yard"));
        let value: Value = parse(br#"{"a":[1,-2,0.5,null,{"b":true}]}"#).unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, -2, 0.5, null, {"b": true}]}));
    }

    #[test]
    fn what_does_not_fit_is_told_in_plain_words() {
        let cases = [
            ("", "The request has no body. Send JSON."),
            ("{", "The body is not JSON: see line 1, column 1."),
            ("[\"anna\"]", "The body must be an object."),
            ("{}", "`name` is missing."),
            (r#"{"name":5}"#, "`name` must be a string."),
            (
                r#"{"name":"","role":"boss"}"#,
                "`role` must be one of `viewer`, `operator`, `admin`.",
            ),
            (r#"{"name":"","role":[]}"#, "`role` must be one of `viewer`, `operator`, `admin`."),
            (
                r#"{"name":"","step":-1}"#,
                "`step` is out of bounds: it must be a whole number that is not negative.",
            ),
            (r#"{"name":"","step":"x"}"#, "`step` must be a whole number that is not negative."),
            (r#"{"name":"","inner":{"name":[]}}"#, "`inner.name` must be a string."),
            (r#"{"name":"","inner":{}}"#, "`inner.name` is missing."),
            (
                r#"{"name":"","hue":1}"#,
                "The body has a key `hue`, which is unknown here; known: `name`, `password`, `role`, `streams`, `step`, `inner`.",
            ),
            (
                r#"{"name":"","streams":{}}"#,
                "`streams` has another form than the one that is taken here.",
            ),
        ];
        for (text, words) in cases {
            assert_eq!(told(text), words, "{text}");
        }
    }

    #[test]
    fn no_value_is_repeated() {
        for text in [r#"{"name":"","password":5551212}"#, r#"{"name":"","role":"hunter2"}"#] {
            let told = told(text);
            assert!(!told.contains("5551212") && !told.contains("hunter2"), "{told}");
        }
    }
}
