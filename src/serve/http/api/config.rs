//! `/api/v1/config`: the configuration as resources.
//!
//! Owns: how requests become calls, and answers and refusals become HTTP. Secrets are taken out
//! before anything gets here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

use crate::base::limits::{CONFIG_CONFIRM_SECS, CONFIG_CONFIRM_TIME};
use crate::base::name::StreamName;
use crate::serve::config_desk::{
    Change, Changer, ConfigAnswer, ConfigFault, ConfigRefusal, ConfigRequest, Precondition,
};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::operation::Parameter;
use crate::serve::http::peers::Peer;
use crate::serve::http::request::Query;
use crate::serve::http::response::NO_STORE;

type ApiResult = Result<Response, ApiError>;

/// What `check` takes: one of both.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    stream: Option<String>,
    section: Option<Value>,
    settings: Option<Value>,
}

/// What `restore` takes.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    id: u64,
}

/// A JSON object whose keys are those of the configuration file.
type Object = serde_json::Map<String, Value>;

/// How a change may be refused.
const CHANGE: [u16; 6] = [404, 409, 412, 422, 428, 507];

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/config", Access::Admin, status)
        .says("Whether the daemon runs with the configuration file as it is.")
        .answers::<Object>(200)
        .refuses(&[409])
        .get("/api/v1/config/settings", Access::Admin, settings)
        .says("The sections that are not streams; secrets as `{\"set\": true}`.")
        .answers::<Object>(200)
        .refuses(&[409])
        .patch("/api/v1/config/settings", Access::Admin, patch_settings)
        .says("Changes settings (RFC 7396).")
        .hears(Parameter::if_match())
        .hears(confirm_within())
        .takes::<Object>()
        .answers::<Object>(200)
        .refuses(&CHANGE)
        .get("/api/v1/config/streams/{name}", Access::Admin, stream)
        .says("The section of a stream.")
        .answers::<Object>(200)
        .refuses(&[409, 422])
        .put("/api/v1/config/streams/{name}", Access::Admin, put_stream)
        .says("Adds a stream, or replaces its section.")
        .hears(Parameter::if_match())
        .takes::<Object>()
        .answers::<Object>(200)
        .answers::<Object>(201)
        .refuses(&CHANGE)
        .patch("/api/v1/config/streams/{name}", Access::Admin, patch_stream)
        .says("Changes keys of a stream (RFC 7396).")
        .hears(Parameter::if_match())
        .takes::<Object>()
        .answers::<Object>(200)
        .refuses(&CHANGE)
        .delete("/api/v1/config/streams/{name}", Access::Admin, remove_stream)
        .says("Removes a stream.")
        .hears(Parameter::if_match())
        .answers::<Object>(200)
        .refuses(&CHANGE)
        .post("/api/v1/config/check", Access::Admin, check)
        .says("Whether a change would be accepted.")
        .takes::<Wanted>()
        .answers::<Object>(200)
        .refuses(&CHANGE)
        .get("/api/v1/config/history", Access::Admin, history)
        .says("The former texts of the configuration.")
        .answers::<Object>(200)
        .refuses(&[409])
        .post("/api/v1/config/restore", Access::Admin, restore)
        .says("Takes a former text back.")
        .hears(Parameter::if_match())
        .hears(confirm_within())
        .takes::<Restore>()
        .answers::<Object>(200)
        .refuses(&CHANGE)
        .post("/api/v1/config/confirm", Access::Admin, confirm)
        .says("Keeps a change that would be taken back: sent over another connection than the change.")
        .answers::<Object>(200)
        .refuses(&[409])
}

fn confirm_within() -> Parameter {
    let (least, most) = CONFIG_CONFIRM_SECS.into_inner();
    let text =
        "Seconds after which a change that may lock everybody out is taken back, unless confirmed.";
    Parameter::number("confirm_within", text, (least, most))
}

/// `GET /api/v1/config`.
pub(crate) async fn status(State(context): At) -> ApiResult {
    ask(&context, ConfigRequest::Status).await
}

/// `GET /api/v1/config/settings`.
pub(crate) async fn settings(State(context): At) -> ApiResult {
    ask(&context, ConfigRequest::Settings).await
}

/// `PATCH /api/v1/config/settings`.
pub(crate) async fn patch_settings(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult {
    let changer = changer(&peer, query.as_deref())?;
    let change = Change::Settings(body);
    ask_as(&context, &peer, ConfigRequest::Change(changer, precondition(&headers)?, change)).await
}

/// `GET /api/v1/config/streams/{name}`.
pub(crate) async fn stream(State(context): At, path: RawPathParams) -> ApiResult {
    ask(&context, ConfigRequest::Stream(name_in(&path)?)).await
}

/// `PUT /api/v1/config/streams/{name}`.
pub(crate) async fn put_stream(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    path: RawPathParams,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult {
    change(&context, &peer, &headers, Change::Put(name_in(&path)?, body)).await
}

/// `PATCH /api/v1/config/streams/{name}`.
pub(crate) async fn patch_stream(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    path: RawPathParams,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult {
    change(&context, &peer, &headers, Change::Patch(name_in(&path)?, body)).await
}

/// `DELETE /api/v1/config/streams/{name}`.
pub(crate) async fn remove_stream(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    path: RawPathParams,
    headers: HeaderMap,
) -> ApiResult {
    change(&context, &peer, &headers, Change::Remove(name_in(&path)?)).await
}

/// `POST /api/v1/config/check`.
pub(crate) async fn check(State(context): At, JsonBody(body): JsonBody<Wanted>) -> ApiResult {
    let change = match body {
        Wanted { stream: Some(name), section: Some(section), settings: None } => {
            Change::Put(parsed(&name)?, section)
        }
        Wanted { stream: None, section: None, settings: Some(settings) } => {
            Change::Settings(settings)
        }
        _ => {
            let message = "Send `stream` with its `section`, or `settings`.";
            return Err(ApiError::bad_request(message));
        }
    };
    ask(&context, ConfigRequest::Check(change)).await
}

/// `GET /api/v1/config/history`.
pub(crate) async fn history(State(context): At) -> ApiResult {
    ask(&context, ConfigRequest::History).await
}

/// `POST /api/v1/config/restore`.
pub(crate) async fn restore(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Restore>,
) -> ApiResult {
    let (Restore { id }, changer) = (body, changer(&peer, query.as_deref())?);
    ask_as(&context, &peer, ConfigRequest::Restore(changer, precondition(&headers)?, id)).await
}

/// `POST /api/v1/config/confirm`.
pub(crate) async fn confirm(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
) -> ApiResult {
    ask(&context, ConfigRequest::Confirm(peer.address)).await
}

/// Who makes a change, and how long it waits to be confirmed.
fn changer(peer: &Peer, query: Option<&str>) -> Result<Changer, ApiError> {
    let query = Query::parse(query).only(&["confirm_within"], &[])?;
    let confirm_within = match query.get("confirm_within") {
        None => CONFIG_CONFIRM_TIME,
        Some(text) => {
            let secs = text.parse().ok().filter(|secs| CONFIG_CONFIRM_SECS.contains(secs));
            let secs = secs.filter(|_| !text.starts_with('+')).ok_or_else(|| {
                let (least, most) = CONFIG_CONFIRM_SECS.into_inner();
                let message = format!("`confirm_within` must be a number from {least} to {most}.");
                ApiError::bad_request(message)
            })?;
            Duration::from_secs(secs)
        }
    };
    Ok(Changer { from: peer.address, confirm_within })
}

async fn change(
    context: &HttpContext,
    peer: &Peer,
    headers: &HeaderMap,
    change: Change,
) -> ApiResult {
    let changer = Changer { from: peer.address, confirm_within: CONFIG_CONFIRM_TIME };
    ask_as(context, peer, ConfigRequest::Change(changer, precondition(headers)?, change)).await
}

/// As [`ask`]. Behind a change that has to be confirmed the connection ends with its answer, so that
/// the client has to connect anew.
async fn ask_as(context: &HttpContext, peer: &Peer, request: ConfigRequest) -> ApiResult {
    let answer = context.config.ask(request).await.map_err(refused)?;
    if answer.unconfirmed {
        peer.closing.cancel();
    }
    Ok(told(answer))
}

async fn ask(context: &HttpContext, request: ConfigRequest) -> ApiResult {
    match context.config.ask(request).await {
        Ok(answer) => Ok(told(answer)),
        Err(refusal) => Err(refused(refusal)),
    }
}

fn told(answer: ConfigAnswer) -> Response {
    let status = if answer.created { StatusCode::CREATED } else { StatusCode::OK };
    (status, NO_STORE, [etag(&answer.tag)], Json(answer.body)).into_response()
}

pub(super) fn etag(tag: &str) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_str(&format!("\"{tag}\""));
    (header::ETAG, value.unwrap_or(HeaderValue::from_static("\"\"")))
}

fn name_in(path: &RawPathParams) -> Result<StreamName, ApiError> {
    let name = path.iter().find(|(key, _)| *key == "name").map(|(_, value)| value);
    parsed(name.unwrap_or_default())
}

fn parsed(name: &str) -> Result<StreamName, ApiError> {
    StreamName::parse(name).map_err(|error| {
        let fault = ConfigFault {
            path: "stream".to_owned(),
            wrong: error.to_string(),
            right: "a name such as \"gate\" or \"yard-2\"".to_owned(),
        };
        refused(ConfigRefusal::Faults(vec![fault]))
    })
}

/// What `If-Match` says (RFC 9110 §13.1.1); a weak tag matches nothing.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(Precondition::Missing);
    }
    let mut tags = Vec::new();
    for value in values {
        let text = value.to_str().map_err(|_| ApiError::bad_request("If-Match is not an ETag."))?;
        for tag in text.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(Precondition::Any);
            }
            let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            tags.extend(tag.map(str::to_owned));
        }
    }
    Ok(Precondition::Tags(tags))
}

pub(super) fn refused(refusal: ConfigRefusal) -> ApiError {
    let (status, code, message) = words(&refusal);
    let error = ApiError::new(status, code, message);
    match refusal {
        ConfigRefusal::Faults(faults) | ConfigRefusal::FileFaulty(faults) => {
            error.with("faults", serde_json::json!(faults))
        }
        ConfigRefusal::ReadOnly { paste, .. } => error.with("paste", serde_json::json!(paste)),
        _ => error,
    }
}

fn words(refusal: &ConfigRefusal) -> (StatusCode, &'static str, String) {
    let conflict = |code, message| (StatusCode::CONFLICT, code, message);
    let (status, code, message) = match refusal {
        ConfigRefusal::NoPrecondition => (
            StatusCode::PRECONDITION_REQUIRED,
            "if_match_missing",
            "Send If-Match with the ETag of the configuration that you change.",
        ),
        ConfigRefusal::Outdated { .. } => (
            StatusCode::PRECONDITION_FAILED,
            "config_changed",
            "The configuration was changed meanwhile. Read it again.",
        ),
        ConfigRefusal::NotFound => {
            (StatusCode::NOT_FOUND, "not_found", "The configuration has no entry of this name.")
        }
        ConfigRefusal::Exists => conflict("exists", "There is one of this name already."),
        ConfigRefusal::FileFaulty(_) => {
            conflict("config_faulty", "The configuration file has faults. Fix it on the box first.")
        }
        ConfigRefusal::Faults(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "config_refused",
            "The configuration would have faults.",
        ),
        ConfigRefusal::Form => conflict(
            "config_form",
            "The configuration file is written in a form that can only be changed by hand.",
        ),
        ConfigRefusal::SeveralFiles(files) => {
            let message = format!(
                "The change concerns several files ({}). Change what each holds by itself.",
                files.join(", ")
            );
            return (StatusCode::CONFLICT, "config_several_files", message);
        }
        ConfigRefusal::Unusable(why) => {
            return (StatusCode::CONFLICT, "config_unusable", why.clone());
        }
        ConfigRefusal::Unconfirmed => conflict(
            "config_unconfirmed",
            "The last change waits for its confirmation: POST /api/v1/config/confirm, or wait until it is taken back.",
        ),
        ConfigRefusal::NothingToConfirm => {
            (StatusCode::CONFLICT, "nothing_to_confirm", "No change waits for a confirmation.")
        }
        ConfigRefusal::SameConnection => conflict(
            "same_connection",
            "Connect anew to confirm: that shows that the box can still be reached.",
        ),
        ConfigRefusal::ReadOnly { file, .. } => {
            let message = format!("{file} cannot be changed from here. Add `paste` to it by hand.");
            return (StatusCode::CONFLICT, "config_read_only", message);
        }
        ConfigRefusal::DiskFull => (
            StatusCode::INSUFFICIENT_STORAGE,
            "disk_full",
            "The disk with the configuration is full.",
        ),
        ConfigRefusal::DiskFails => (
            StatusCode::SERVICE_UNAVAILABLE,
            "disk_failing",
            "The configuration file cannot be written; the log says why.",
        ),
        ConfigRefusal::Away => {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The box is stopping.")
        }
    };
    (status, code, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[&'static str]) -> Precondition {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        precondition(&headers).unwrap()
    }

    #[test]
    fn a_change_is_meant_for_the_text_that_it_names() {
        assert_eq!(said(&[]), Precondition::Missing);
        assert_eq!(said(&["*"]), Precondition::Any);
        let both = said(&["\"a\", W/\"c\"", "\"b\""]);
        assert_eq!(both, Precondition::Tags(vec!["a".to_owned(), "b".to_owned()]));
        assert!(both.holds("a").is_ok() && both.holds("c").is_err());
        assert_eq!(said(&["nonsense"]), Precondition::Tags(Vec::new()));
        assert!(said(&["nonsense"]).holds("").is_err());
        assert_eq!(Precondition::Missing.holds("a"), Err(ConfigRefusal::NoPrecondition));
    }
}
