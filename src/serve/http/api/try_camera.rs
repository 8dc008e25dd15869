//! `POST /api/v1/streams/try`: what a camera sends, before it is added.
//!
//! Owns: whom the box may be sent to, and the words. The address is looked up once and that one is
//! connected to, so that no name can lead anywhere else a moment later; this computer, what is on its
//! links alone and doors that no camera has are refused; and nothing that the peer said is repeated.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use crate::base::limits::{TRIAL_LOOKUP_TIME_MAX, TRIAL_PICTURE_TIME_MAX, TRIAL_PICTURE_WIDTH};
use crate::base::name::StreamName;
use crate::base::network::{is_door_of_others, may_be_reached};
use crate::base::secret::Secret;
use crate::ingest::CameraError;
use crate::ingest::mjpeg::{MjpegConfig, MjpegError};
use crate::ingest::rtsp_pull::{PullConfig, PullError, PullTransport};
use crate::ingest::trial::{self, Trial, TrialCamera, TrialError};
use crate::live::thumbnail::Thumbnail;
use crate::serve::http::context::HttpContext;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::{ApiError, sentence};
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::response::NO_STORE;
use crate::serve::http::settings::Access as Openness;

/// The request.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CameraRequest {
    url: String,
    username: Option<String>,
    password: Option<Secret>,
    transport: Option<PullTransport>,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.post("/api/v1/streams/try", Access::Admin, try_camera)
        .says("What a camera sends, before it is added.")
        .takes::<CameraRequest>()
        .answers::<serde_json::Map<String, Value>>(200)
        .refuses(&[422])
}

/// `POST /api/v1/streams/try`.
pub(crate) async fn try_camera(
    State(context): At,
    JsonBody(body): JsonBody<CameraRequest>,
) -> Result<Response, ApiError> {
    let wanted = body;
    let _place = context.trials.enter().ok_or_else(|| {
        let message = "Other cameras are being tried. Try again in a few seconds.";
        ApiError::unavailable("trials_full", message)
    })?;
    let camera = checked(&context, wanted).await?;
    let name = StreamName::parse("trial").map_err(|_| ApiError::not_found())?;
    let seen = trial::watch(camera, name, &context.clock).await;
    let trial = seen.map_err(|error| words(&error))?;
    let trial = trial.ok_or_else(|| refused(NO_PICTURE.0, NO_PICTURE.1))?;
    let picture = picture(&context, &trial).await;
    Ok((NO_STORE, Json(report(&trial, picture))).into_response())
}

/// Whom to pull, at the address that was found now.
async fn checked(context: &HttpContext, wanted: CameraRequest) -> Result<TrialCamera, ApiError> {
    let wrong = || {
        let message = "The address of a camera looks like rtsp://10.0.0.7/main, or like \
                       http://10.0.0.7/video.mjpg.";
        refused("address", message)
    };
    let mut url = Url::parse(&wanted.url).map_err(|_| wrong())?;
    let is_http = matches!(url.scheme(), "http" | "https");
    let fault = if is_http {
        MjpegConfig::url_fault(&url).map(sentence)
    } else {
        PullConfig::check_url(&url).err().map(|error| sentence(&error.to_string()))
    };
    if let Some(fault) = fault {
        return Err(refused("address", &fault));
    }
    let transport = wanted.transport.unwrap_or_default();
    let port = if is_http {
        url.port_or_known_default().unwrap_or(80)
    } else {
        transport.carrier().port_of(&url)
    };
    let host = url.host_str().ok_or_else(wrong)?;
    let ip = look_up(host.trim_matches(['[', ']']), port).await?;
    let open = context.http.now().access == Openness::OpenOnLoopback;
    if is_door_of_others(port) || !may_be_reached(ip, open) {
        return Err(refused("forbidden_address", "No camera can be at this address."));
    }
    url.set_ip_host(ip).map_err(|()| wrong())?;
    let (username, password) = match (wanted.username, wanted.password) {
        (Some(username), Some(password)) => (Some(username), Some(password)),
        (None, None) => (None, None),
        _ => return Err(refused("credentials", "Give user name and password, or neither.")),
    };
    if is_http {
        return Ok(TrialCamera::Mjpeg(MjpegConfig::new(url, username.zip(password))));
    }
    let config = PullConfig::new(url, username, password, transport).map_err(|_| wrong())?;
    Ok(TrialCamera::Rtsp(config))
}

async fn look_up(host: &str, port: u16) -> Result<IpAddr, ApiError> {
    let unknown = || refused("unreachable", "There is no host of this name in this network.");
    let found = timeout(TRIAL_LOOKUP_TIME_MAX, tokio::net::lookup_host((host, port))).await;
    let mut found = found.map_err(|_| unknown())?.map_err(|_| unknown())?;
    found.next().map(|at| at.ip().to_canonical()).ok_or_else(unknown)
}

/// A picture of it as a data URL; `None` where none can be made.
async fn picture(context: &HttpContext, trial: &Trial) -> Option<String> {
    let (stream, clock) = (Arc::clone(&trial.stream), Arc::clone(&context.clock));
    let thumbnail = Thumbnail::new(stream, clock, context.decoder.clone());
    let picture = timeout(TRIAL_PICTURE_TIME_MAX, thumbnail.picture(Some(TRIAL_PICTURE_WIDTH)));
    let jpeg = picture.await.ok()?.ok()?.jpeg;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

fn report(trial: &Trial, picture: Option<String>) -> Value {
    let mut warnings = trial.warnings.clone();
    if picture.is_none() {
        warnings.push("No picture could be made of what it sends.".to_owned());
    }
    json!({
        "codec": trial.codec,
        "width": trial.size.0,
        "height": trial.size.1,
        "fps": trial.fps,
        "gop": trial.gop.as_ref().map(Duration::as_secs_f64),
        "bitrate": trial.bitrate_bps,
        "audio": trial.audio,
        "clock_offset_secs": trial.clock_offset_secs,
        "picture": picture,
        "warnings": warnings,
    })
}

/// What went wrong, without a word of what the peer said.
fn words(error: &TrialError) -> ApiError {
    let (code, message) = match error {
        TrialError::Rtsp(error) => rtsp_words(error),
        TrialError::Mjpeg(Some(error)) => mjpeg_words(error),
        TrialError::Mjpeg(None) => NOT_ENCODED,
    };
    refused(code, message)
}

const NOT_ENCODED: (&str, &str) =
    ("no_picture", "The camera's JPEG pictures cannot be encoded here.");
const UNREACHABLE: (&str, &str) = ("unreachable", "Nothing answers at this address.");
const NOT_TRUSTED: (&str, &str) =
    ("certificate", "The camera's certificate is not trusted. See `tls` of its source.");
const FLOODED: (&str, &str) = ("flooded", "The camera sends too much data. Lower its bit rate.");
const NO_PICTURE: (&str, &str) =
    ("no_picture", "The camera answers, but sends no picture that can be shown.");

fn camera_words(error: &CameraError) -> (&'static str, &'static str) {
    match error {
        CameraError::Refused { .. } => {
            ("credentials", "The camera refuses the user name or password.")
        }
        CameraError::CredentialsMissing { .. } => {
            ("credentials", "The camera asks for a user name and password.")
        }
        CameraError::Unreachable { .. } => UNREACHABLE,
        CameraError::Certificate { .. } | CameraError::Authority { .. } => NOT_TRUSTED,
        CameraError::NoTls { plain: "rtsp", .. } => {
            ("no_tls", "The camera speaks no known version of TLS. Try its rtsp:// address.")
        }
        CameraError::NoTls { .. } => {
            ("no_tls", "The camera speaks no known version of TLS. Try its http:// address.")
        }
    }
}

fn mjpeg_words(error: &MjpegError) -> (&'static str, &'static str) {
    match error {
        MjpegError::Camera(error) => camera_words(error),
        MjpegError::Status { .. } => {
            ("no_such_stream", "The camera has no such stream. Check the path of the address.")
        }
        MjpegError::Redirected { .. } => {
            ("moved", "The camera says that the stream is elsewhere. Ask it for the right address.")
        }
        MjpegError::NoPictures { .. } => {
            ("not_a_camera", "What answers at this address sends no JPEG pictures.")
        }
        MjpegError::OnePicture { .. } => (
            "no_picture",
            "The address gives one picture and ends. Use that of the camera's MJPEG stream.",
        ),
        MjpegError::Stalled { .. } | MjpegError::Closed | MjpegError::Broken => NO_PICTURE,
        MjpegError::Flooded { .. } => FLOODED,
        MjpegError::Jpeg(_) => NOT_ENCODED,
    }
}

fn rtsp_words(error: &PullError) -> (&'static str, &'static str) {
    match error {
        PullError::Camera(error) => camera_words(error),
        PullError::Forbidden { .. } => {
            ("credentials", "The camera does not let this user see the stream.")
        }
        PullError::NotFound { .. } => {
            ("no_such_stream", "The camera has no such stream. Check the path of the address.")
        }
        PullError::Redirected { .. } => {
            ("moved", "The camera says that the stream is elsewhere. Ask it for the right address.")
        }
        PullError::UnknownAuthentication => (
            "credentials",
            "The camera asks for an unknown kind of log-in. Set it to Digest or Basic.",
        ),
        PullError::NoTransport { .. } | PullError::NoGroup { .. } => (
            "no_transport",
            "The camera offers no transport that reaches this box. Allow RTP over TCP.",
        ),
        PullError::NoTunnel { .. } => (
            "no_transport",
            "The device at this address does not carry RTSP over HTTP. Choose another transport, \
             or name the port of its HTTP server.",
        ),
        PullError::NothingCarried { .. } => (
            "unsupported",
            "The camera offers none of H.264, H.265, JPEG, AAC, G.711 and Opus. Set it to H.264.",
        ),
        PullError::NoMedia { .. } | PullError::NoFirstFrame { .. } | PullError::Stalled { .. } => {
            NO_PICTURE
        }
        PullError::Silent { .. } => UNREACHABLE,
        PullError::Jpeg(_) => NOT_ENCODED,
        PullError::Flooded { .. } => FLOODED,
        PullError::Status { .. }
        | PullError::NotRtsp { .. }
        | PullError::BadDescription { .. }
        | PullError::Closed
        | PullError::Broken
        | PullError::TornDown
        | PullError::Stopped => {
            ("not_a_camera", "The device at this address does not behave like a camera.")
        }
    }
}

fn refused(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}
