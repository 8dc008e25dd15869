//! What handlers take from a request's path.
//!
//! Owns: how a path names a stream or a file, and the refusal of a name that is not known.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;

use super::context::HttpContext;
use super::error::ApiError;
use crate::base::name::StreamName;
use crate::live::StreamOutputs;

/// The context, as handlers take it.
pub(super) type At = State<Arc<HttpContext>>;

/// The configured stream that the path names as `{stream}`.
pub(super) struct Named(pub(super) Arc<StreamOutputs>);

impl FromRequestParts<Arc<HttpContext>> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &Arc<HttpContext>,
    ) -> Result<Self, ApiError> {
        let name = parameter(parts, context, "stream").await?;
        context.streams.get(&name).map(Self).ok_or_else(|| ApiError::stream_unknown(&name))
    }
}

/// What the path names as `{stream}`, which need not be configured.
pub(super) struct StreamPath(pub(super) String);

impl FromRequestParts<Arc<HttpContext>> for StreamPath {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &Arc<HttpContext>,
    ) -> Result<Self, ApiError> {
        parameter(parts, context, "stream").await.map(Self)
    }
}

/// The last part of the path, named `{file}`.
pub(super) struct FileName(pub(super) String);

impl FromRequestParts<Arc<HttpContext>> for FileName {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        context: &Arc<HttpContext>,
    ) -> Result<Self, ApiError> {
        parameter(parts, context, "file").await.map(Self)
    }
}

async fn parameter(
    parts: &mut Parts,
    context: &Arc<HttpContext>,
    name: &str,
) -> Result<String, ApiError> {
    // A path that is not UTF-8 once its percent signs are decoded names nothing here.
    let params = RawPathParams::from_request_parts(parts, context).await;
    let params = params.map_err(|_| ApiError::not_found())?;
    let found = params.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).ok_or_else(ApiError::not_found)
}

/// The stream called `name`, if it is configured or anything of it is recorded.
pub(super) fn known_stream(context: &HttpContext, name: &str) -> Result<StreamName, ApiError> {
    let stream = StreamName::parse(name).map_err(|_| ApiError::stream_unknown(name))?;
    let known =
        context.streams.get(name).is_some() || context.dvr.recorded_streams().contains(&stream);
    known.then_some(stream).ok_or_else(|| ApiError::stream_unknown(name))
}
