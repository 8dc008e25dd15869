//! The document of the API (OpenAPI 3.1), made of the table of routes.
//!
//! Owns: what all routes of a class have in common: how their callers prove themselves, and how
//! they are refused. A route cannot be left out: the door takes none without its operation.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::{Content, Operation, Parameter};
use super::route_entry::RouteEntry;

const SCHEMAS: &str = "/components/schemas";
/// What every route may answer: a request that makes no sense, one that plain HTTP or a foreign page may not
/// send, one for another host, and a box that cannot serve it now.
const COMMON: [u16; 4] = [400, 403, 421, 503];
/// What a route with a body may answer besides.
const WITH_BODY: [u16; 3] = [408, 413, 415];

/// The document for `routes`.
pub(super) fn document(routes: &[RouteEntry]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut said = settings.clone().for_serialize().into_generator();
    // Bodies stand where they are used: a type that is taken and told differs in what it demands.
    let mut heard = settings
        .with(|settings| settings.inline_subschemas = true)
        .for_deserialize()
        .into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let operation = operation(route, &mut said, &mut heard);
        let methods = paths.entry(route.path).or_default();
        methods.insert(route.method.to_ascii_lowercase(), operation);
    }
    let mut schemas = said.take_definitions(true);
    schemas.insert("Error".to_owned(), error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The API of the box. `x-access` is the least role that may use an \
                operation, `x-object` the right on the stream that it needs.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Error": refusal_answer() },
            "securitySchemes": schemes(),
        },
    })
}

fn operation(route: &RouteEntry, said: &mut SchemaGenerator, heard: &mut SchemaGenerator) -> Value {
    let Operation { summary, body, .. } = &route.operation;
    let mut told = json!({
        "operationId": identity(route),
        "summary": summary,
        "x-access": route.access,
        "security": security(route),
        "parameters": parameters(route),
        "responses": responses(route, said),
    });
    if let Some(told) = told.as_object_mut() {
        if let Some(right) = route.object {
            told.insert("x-object".to_owned(), json!(right));
        }
        if let Some(body) = body {
            let content = content(body, heard);
            told.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
        }
    }
    told
}

/// `get_api_v1_accounts_name` of `GET /api/v1/accounts/{name}`.
fn identity(route: &RouteEntry) -> String {
    let words = route.path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty() && !matches!(*word, "api" | "v1"));
    let method = route.method.to_ascii_lowercase();
    let parts: Vec<_> = std::iter::once(method.as_str()).chain(words).collect();
    parts.join("_")
}

fn parameters(route: &RouteEntry) -> Vec<Value> {
    let names = route.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let in_path = names.map(|(name, _)| {
        let schema = json!({ "type": "string", "minLength": 1 });
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let others = route.operation.parameters.iter().map(|parameter| {
        let Parameter { name, place, required, text, schema } = parameter;
        json!({
            "name": name, "in": place, "required": required, "description": text, "schema": schema,
        })
    });
    in_path.chain(others).collect()
}

fn responses(route: &RouteEntry, said: &mut SchemaGenerator) -> Map<String, Value> {
    let operation = &route.operation;
    let mut told = Map::new();
    for status in refusals(route) {
        let reference = json!({ "$ref": "#/components/responses/Error" });
        told.insert(status.to_string(), reference);
    }
    for (status, of) in &operation.answers {
        let mut answer = json!({ "description": status.canonical_reason().unwrap_or("Answer") });
        let content = content(of, said);
        if let (Some(content), Some(answer)) = (content, answer.as_object_mut()) {
            answer.insert("content".to_owned(), content);
        }
        told.insert(status.as_str().to_owned(), answer);
    }
    told
}

/// What a body or an answer consists of, by media type.
fn content(content: &Content, generator: &mut SchemaGenerator) -> Option<Value> {
    match content {
        Content::Empty => None,
        Content::Json(describe) => {
            Some(json!({ "application/json": { "schema": describe(generator).to_value() } }))
        }
        Content::Media(kinds) => {
            Some(kinds.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect())
        }
    }
}

/// The statuses of all refusals, each once.
fn refusals(route: &RouteEntry) -> Vec<u16> {
    let operation = &route.operation;
    let mut statuses = COMMON.to_vec();
    if route.access != "public" {
        statuses.push(401);
    }
    if route.path.contains('{') {
        statuses.push(404);
    }
    if route.is_media {
        // A peer that guesses passwords of stream accounts has to wait.
        statuses.push(429);
    }
    if matches!(operation.body, Some(Content::Json(_))) {
        statuses.extend(WITH_BODY);
    }
    statuses.extend(operation.refusals.iter().map(StatusCode::as_u16));
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn security(route: &RouteEntry) -> Vec<Value> {
    let mut ways = match route.access {
        "public" => return Vec::new(),
        "metrics" => vec!["token"],
        _ => vec!["session", "secureSession", "token"],
    };
    if route.is_media {
        ways.extend(["digest", "basic"]);
    }
    ways.iter().map(|way| json!({ *way: [] })).collect()
}

fn schemes() -> Value {
    let cookie = |name: &str, text: &str| json!({ "type": "apiKey", "in": "cookie", "name": name, "description": text });
    json!({
        "session": cookie("hf-plain", "A session over http; POST /api/v1/session opens one."),
        "secureSession": cookie("__Host-hf", "A session over https; below the path of a proxy \
            the name is `__Secure-hf`."),
        "token": { "type": "http", "scheme": "bearer", "description": "An API token." },
        "digest": { "type": "http", "scheme": "digest", "description": "A stream account." },
        "basic": { "type": "http", "scheme": "basic", "description": "A stream account, over https." },
    })
}

fn refusal_answer() -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Error" });
    json!({
        "description": "Refused.",
        "content": { "application/json": { "schema": schema } },
    })
}

/// The form of every answer that is not a success.
fn error() -> Value {
    let fault = json!({
        "type": "object",
        "required": ["path", "wrong", "right"],
        "properties": {
            "path": { "type": "string" },
            "wrong": { "type": "string" },
            "right": { "type": "string" },
        },
    });
    json!({
        "type": "object",
        "required": ["error"],
        "additionalProperties": false,
        "properties": { "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "string", "description": "For programs; never changes." },
                "message": { "type": "string", "description": "For people." },
                "retry_after": { "type": "integer", "description": "Seconds." },
                "faults": { "type": "array", "items": fault },
            },
        } },
    })
}
