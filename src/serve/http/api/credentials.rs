//! `/api/v1/credentials`: the accounts of players and recorders, for administrators.
//!
//! Owns: their form, and whom one may belong to. They are sections of the configuration file, so each
//! change is one of that: checked whole, written, noted in its history, applied like a reload.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::config::{etag, precondition, refused};
use crate::access::{AccessError, Role, check_password, is_account_name};
use crate::base::limits::{ACCOUNT_STREAMS_MAX, CONFIG_CONFIRM_TIME};
use crate::base::name_pattern::NamePattern;
use crate::base::random;
use crate::base::secret::Secret;
use crate::base::time::WallTime;
use crate::serve::config_desk::{
    Change, Changer, ConfigAnswer, ConfigFault, ConfigRefusal, ConfigRequest, CredentialChange,
    Precondition,
};
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::operation::Parameter;
use crate::serve::http::origin::{Reached, host_of};
use crate::serve::http::peers::Peer;
use crate::serve::http::response::NO_STORE;
use crate::wire::rtsp::auth::Credential;

/// How a change may be refused.
const CHANGE: [u16; 4] = [409, 412, 422, 507];

/// Streams: `"*"`, or a list of names and of patterns such as `cam-*`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum StreamPatterns {
    All(String),
    Only(Vec<String>),
}

impl schemars::JsonSchema for StreamPatterns {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StreamPatterns".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [
            { "const": "*" },
            { "type": "array", "items": { "type": "string" }, "maxItems": ACCOUNT_STREAMS_MAX },
        ] })
    }
}

impl StreamPatterns {
    fn covers(&self, stream: &str) -> bool {
        match self {
            Self::All(_) => true,
            Self::Only(patterns) => {
                let mut patterns = patterns.iter().filter_map(|text| NamePattern::parse(text));
                patterns.any(|pattern| pattern.matches(stream))
            }
        }
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::Only(patterns) if patterns.is_empty())
    }
}

/// What the configuration says of one.
#[derive(Deserialize)]
struct Written {
    name: String,
    read: StreamPatterns,
    publish: StreamPatterns,
    owner: Option<String>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct CredentialReport {
    name: String,
    /// The streams that it watches.
    read: StreamPatterns,
    /// The streams that it sends.
    publish: StreamPatterns,
    /// The person whose it is: it may no more than they, and ends with them. Null: the box's own.
    owner: Option<String>,
    /// Whether it lets anybody in: not when its owner is gone.
    active: bool,
    /// When it signed in last, since the daemon began.
    last_used: Option<WallTime>,
    /// The address of one of its streams, without the password.
    url: Option<String>,
    /// Shown once: what the box chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Credentials {
    credentials: Vec<CredentialReport>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialRequest {
    name: String,
    #[serde(default = "all")]
    read: StreamPatterns,
    #[serde(default = "none")]
    publish: StreamPatterns,
    owner: Option<String>,
    /// Without one the box chooses it.
    password: Option<Secret>,
}

/// Fields left out stay unchanged.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialPatch {
    read: Option<StreamPatterns>,
    publish: Option<StreamPatterns>,
    /// Null: the box's own.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    owner: OwnerPatch,
    password: Option<Secret>,
    /// The box chooses another password.
    #[serde(default)]
    rotate: bool,
}

fn all() -> StreamPatterns {
    StreamPatterns::All("*".to_owned())
}

fn none() -> StreamPatterns {
    StreamPatterns::Only(Vec::new())
}

/// What becomes of the owner: null is something else than no field.
#[derive(Clone, Debug, Default)]
enum OwnerPatch {
    #[default]
    Kept,
    Changed(Option<String>),
}

impl<'de> Deserialize<'de> for OwnerPatch {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(value).map(Self::Changed)
    }
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    let if_match = || Parameter::if_match().optional();
    door.get("/api/v1/credentials", Access::Admin, list)
        .says("The accounts of players and recorders, without their passwords.")
        .answers::<Credentials>(200)
        .refuses(&[409])
        .post("/api/v1/credentials", Access::Admin, create)
        .says("Makes one; a password that the box chose is in this answer and nowhere else.")
        .hears(if_match())
        .takes::<CredentialRequest>()
        .answers::<CredentialReport>(201)
        .refuses(&CHANGE)
        .get("/api/v1/credentials/{name}", Access::Admin, one)
        .says("One of them.")
        .answers::<CredentialReport>(200)
        .refuses(&[409])
        .patch("/api/v1/credentials/{name}", Access::Admin, alter)
        .says("Changes one; whatever runs with a right or a password that it no longer has ends.")
        .hears(if_match())
        .takes::<CredentialPatch>()
        .answers::<CredentialReport>(200)
        .refuses(&CHANGE)
        .delete("/api/v1/credentials/{name}", Access::Admin, remove)
        .says("Deletes one; whatever runs with it ends.")
        .hears(if_match())
        .answers_empty(204)
        .refuses(&CHANGE)
}

type Name = Result<Path<String>, PathRejection>;
type ApiResult = Result<Response, ApiError>;

fn name_in(name: Name) -> Result<String, ApiError> {
    let name = name.map(|Path(name)| name).ok().filter(|name| is_account_name(name));
    name.ok_or_else(|| refused(ConfigRefusal::NotFound))
}

/// `GET /api/v1/credentials`.
pub(crate) async fn list(State(context): At, Extension(reached): Extension<Reached>) -> ApiResult {
    let (written, tag) = written(&context).await?;
    let credentials = written.into_iter().map(|own| report(&context, &reached, own)).collect();
    Ok((NO_STORE, [etag(&tag)], Json(Credentials { credentials })).into_response())
}

/// `GET /api/v1/credentials/{name}`.
pub(crate) async fn one(
    State(context): At,
    Extension(reached): Extension<Reached>,
    name: Name,
) -> ApiResult {
    let name = name_in(name)?;
    let (written, tag) = written(&context).await?;
    let found = written.into_iter().find(|own| own.name == name);
    let own = found.ok_or_else(|| refused(ConfigRefusal::NotFound))?;
    Ok((NO_STORE, [etag(&tag)], Json(report(&context, &reached, own))).into_response())
}

/// `POST /api/v1/credentials`: 201 with the account, and its password if the box chose it.
pub(crate) async fn create(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(reached): Extension<Reached>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CredentialRequest>,
) -> ApiResult {
    let CredentialRequest { name, read, publish, owner, password } = body;
    if !is_account_name(&name) {
        let right = "1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'";
        return Err(fault(&name, "name", "this cannot be a name", right));
    }
    check_owner(&context, &name, owner.as_deref(), &publish)?;
    let (password, shown) = chosen(&name, password)?;
    let mut keys = Map::new();
    keys.insert("read".to_owned(), json!(read));
    keys.insert("publish".to_owned(), json!(publish));
    keys.extend(owner.map(|owner| ("owner".to_owned(), json!(owner))));
    let change = CredentialChange::Add(password, Value::Object(keys));
    let place = HeaderValue::from_str(&format!("/api/v1/credentials/{name}"));
    let answer = ask(&context, &peer, &headers, Change::Credential(name, change)).await?;
    let mut response = changed(&context, &reached, answer, StatusCode::CREATED, shown)?;
    response.headers_mut().extend(place.ok().map(|place| (header::LOCATION, place)));
    Ok(response)
}

/// `PATCH /api/v1/credentials/{name}`: 200 with the account, and its password if the box chose it.
pub(crate) async fn alter(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(reached): Extension<Reached>,
    headers: HeaderMap,
    name: Name,
    JsonBody(body): JsonBody<CredentialPatch>,
) -> ApiResult {
    let name = name_in(name)?;
    let CredentialPatch { read, publish, owner, password, rotate } = body;
    if rotate && password.is_some() {
        return Err(ApiError::bad_request("Send `password` or `rotate`, not both."));
    }
    let mut keys = Map::new();
    let (written, _) = written(&context).await?;
    let before = written.into_iter().find(|own| own.name == name);
    let before = before.ok_or_else(|| refused(ConfigRefusal::NotFound))?;
    let owner = match owner {
        OwnerPatch::Changed(owner) => {
            keys.insert("owner".to_owned(), json!(owner));
            owner
        }
        OwnerPatch::Kept => before.owner,
    };
    // One whose owner has gone may still be given less.
    if keys.contains_key("owner") || publish.is_some() {
        let publish = publish.as_ref().unwrap_or(&before.publish);
        check_owner(&context, &name, owner.as_deref(), publish)?;
    }
    let (password, shown) = match (rotate, password) {
        (false, None) => (None, None),
        (_, password) => {
            let (password, shown) = chosen(&name, password)?;
            (Some(password), shown)
        }
    };
    keys.extend(read.map(|read| ("read".to_owned(), json!(read))));
    keys.extend(publish.map(|publish| ("publish".to_owned(), json!(publish))));
    let change = CredentialChange::Alter(password, Value::Object(keys));
    let answer = ask(&context, &peer, &headers, Change::Credential(name, change)).await?;
    changed(&context, &reached, answer, StatusCode::OK, shown)
}

/// `DELETE /api/v1/credentials/{name}`: 204.
pub(crate) async fn remove(
    State(context): At,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
    name: Name,
) -> ApiResult {
    let change = Change::Credential(name_in(name)?, CredentialChange::Remove);
    ask(&context, &peer, &headers, change).await?;
    Ok((StatusCode::NO_CONTENT, NO_STORE).into_response())
}

/// Deletes what belonged to `person`, whose account is gone. Where the file cannot be changed the sections
/// stay, and let nobody in.
pub(super) async fn remove_owned(context: &HttpContext, peer: &Peer, person: String) {
    let names = context.rtsp.owned_by(&person);
    if names.is_empty() {
        return;
    }
    let request = ConfigRequest::Change(
        changer(peer),
        Precondition::Any,
        Change::RemoveOwned(person.clone()),
    );
    if context.config.ask(request).await.is_err() {
        tracing::warn!(
            part = "access",
            owner = person,
            "stream accounts of a deleted account stay"
        );
    }
}

/// Refuses to make an account for `person` while stream accounts of a former one of this name are there:
/// they would be the new person's.
pub(super) fn refuse_heirs(context: &HttpContext, person: &str) -> Result<(), ApiError> {
    let names = context.rtsp.owned_by(person);
    if names.is_empty() || context.access.accounts().iter().any(|own| own.name == person) {
        return Ok(());
    }
    let message = format!(
        "Accounts of players that belonged to a former {person} are still there ({}). Delete them first.",
        names.join(", ")
    );
    Err(ApiError::new(StatusCode::CONFLICT, "credentials_remain", message))
}

fn changer(peer: &Peer) -> Changer {
    Changer { from: peer.address, confirm_within: CONFIG_CONFIRM_TIME }
}

async fn ask(
    context: &HttpContext,
    peer: &Peer,
    headers: &HeaderMap,
    change: Change,
) -> Result<ConfigAnswer, ApiError> {
    let condition = match precondition(headers)? {
        // Each change names one account: that two of them cross does no harm.
        Precondition::Missing => Precondition::Any,
        named => named,
    };
    let request = ConfigRequest::Change(changer(peer), condition, change);
    context.config.ask(request).await.map_err(refused)
}

/// What the configuration file says, and its tag.
async fn written(context: &HttpContext) -> Result<(Vec<Written>, String), ApiError> {
    let answer = context.config.ask(ConfigRequest::Credentials).await.map_err(refused)?;
    let list = answer.body.get("credentials").cloned().unwrap_or_default();
    Ok((read(list)?, answer.tag))
}

fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value).map_err(|_| refused(ConfigRefusal::Form))
}

fn changed(
    context: &HttpContext,
    reached: &Reached,
    answer: ConfigAnswer,
    status: StatusCode,
    shown: Option<Secret>,
) -> ApiResult {
    let own = read(answer.body.get("credential").cloned().unwrap_or_default())?;
    let password = shown.map(|password| password.reveal().to_owned());
    let report = CredentialReport { password, ..report(context, reached, own) };
    Ok((status, NO_STORE, [etag(&answer.tag)], Json(report)).into_response())
}

fn report(context: &HttpContext, reached: &Reached, own: Written) -> CredentialReport {
    let Written { name, read, publish, owner } = own;
    let streams = context.streams.all();
    let stream = streams.keys().find(|stream| read.covers(stream.as_str()));
    let stream = stream.or_else(|| streams.keys().find(|stream| publish.covers(stream.as_str())));
    let (host, port) = (host_of(&reached.authority), context.rtsp.port());
    let url = stream.filter(|_| port != 0);
    let url = url.map(|stream| format!("rtsp://{name}@{host}:{port}/{stream}"));
    let people = context.access.accounts();
    let active = owner.as_ref().is_none_or(|own| people.iter().any(|person| person.name == *own));
    let last_used = context.rtsp.last_used(&name);
    CredentialReport { name, read, publish, owner, active, last_used, url, password: None }
}

/// The password, and what of it is shown: one that was sent is known already.
fn chosen(name: &str, sent: Option<Secret>) -> Result<(Secret, Option<Secret>), ApiError> {
    if let Some(password) = sent {
        check_password(name, &password).map_err(AccessError::from)?;
        return Ok((password, None));
    }
    let random = random::bytes().map_err(AccessError::Random)?;
    let password = Credential::generate(name, &random).password;
    Ok((password.clone(), Some(password)))
}

/// Refuses an owner who is not there, and to send for one who may not.
fn check_owner(
    context: &HttpContext,
    name: &str,
    owner: Option<&str>,
    publish: &StreamPatterns,
) -> Result<(), ApiError> {
    let Some(owner) = owner else { return Ok(()) };
    let people = context.access.accounts();
    let Some(person) = people.iter().find(|person| person.name == owner) else {
        let right = "the name of a person's account, or null";
        return Err(fault(name, "owner", "there is no such account", right));
    };
    if person.role == Role::Admin || publish.is_none() {
        return Ok(());
    }
    let right = "[], or an administrator as its owner";
    Err(fault(name, "publish", "what belongs to a viewer or operator sends nothing", right))
}

fn fault(name: &str, key: &str, wrong: &str, right: &str) -> ApiError {
    let path = if key == "name" { "name".to_owned() } else { format!("account.{name}.{key}") };
    let (wrong, right) = (wrong.to_owned(), right.to_owned());
    refused(ConfigRefusal::Faults(vec![ConfigFault { path, wrong, right }]))
}
