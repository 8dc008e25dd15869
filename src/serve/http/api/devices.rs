//! `/api/v1/devices`: the cameras of this machine, what they offer and how they are set.
//!
//! Owns: the shapes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::base::fault::chain;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::{ApiError, sentence};
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::response::NO_STORE;
use crate::v4l2::node::{self, FrameSize, NodeRole, Offer, VideoNode};
use crate::v4l2::setting::{self, Setting, Value};
use crate::v4l2::{ControlError, ControlType, VideoDevice};

#[derive(Serialize, schemars::JsonSchema)]
struct Devices {
    devices: Vec<DeviceReport>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct DeviceReport {
    id: String,
    /// What `device` is set to.
    path: String,
    node: String,
    card: String,
    driver: String,
    bus: String,
    formats: Vec<OfferReport>,
    controls: Vec<ControlReport>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct OfferReport {
    code: String,
    sizes: Vec<SizeReport>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct SizeReport {
    width: u32,
    height: u32,
    /// Where any size between is given too.
    #[serde(skip_serializing_if = "Option::is_none")]
    smallest: Option<[u32; 2]>,
    fps: Vec<f64>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Controls {
    controls: Vec<ControlReport>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct ControlReport {
    key: String,
    name: String,
    #[serde(rename = "type")]
    of: &'static str,
    value: Option<i32>,
    default: i32,
    min: i32,
    max: i32,
    step: i32,
    /// Cannot be set now.
    fixed: bool,
    /// Has no effect now, because another control rules it.
    inactive: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<ItemReport>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct ItemReport {
    value: i32,
    name: String,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/devices", Access::Admin, devices)
        .says("The cameras of this machine.")
        .answers::<Devices>(200)
        .put("/api/v1/devices/{id}/controls", Access::Admin, set_controls)
        .says("Sets controls of a camera.")
        .takes::<BTreeMap<String, Value>>()
        .answers::<Controls>(200)
        .refuses(&[409])
}

/// `GET /api/v1/devices`: the cameras there are.
pub(crate) async fn devices(State(context): At) -> Result<Response, ApiError> {
    let devices = context.drivers.run(|| node::nodes().iter().filter_map(report).collect()).await?;
    Ok((NO_STORE, Json(Devices { devices })).into_response())
}

/// `PUT /api/v1/devices/{id}/controls`: 200 with the controls as they are then. They are set one by
/// one in the order of their names; the first that is refused ends it. A camera keeps them until it
/// loses power or is reopened with others in the configuration.
pub(crate) async fn set_controls(
    State(context): At,
    id: Result<Path<String>, PathRejection>,
    JsonBody(body): JsonBody<BTreeMap<String, Value>>,
) -> Result<Response, ApiError> {
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    let wanted = body;
    let controls = context.drivers.run(move || set(&id, &wanted)).await??;
    Ok((NO_STORE, Json(Controls { controls })).into_response())
}

/// What is known of a node; `None` when it is not a camera or has just gone.
fn report(node: &VideoNode) -> Option<DeviceReport> {
    let who = node::capability(&node.path).ok()?;
    let NodeRole::Camera(_) = who.role() else { return None };
    let device = VideoDevice::open(&node.path).ok()?;
    Some(DeviceReport {
        id: node.key(),
        path: node.path.display().to_string(),
        node: node.device.display().to_string(),
        card: who.card,
        driver: who.driver,
        bus: who.bus,
        // What a driver says wrongly of its formats does not hide the camera.
        formats: node::offers(&node.path)
            .unwrap_or_default()
            .iter()
            .map(OfferReport::new)
            .collect(),
        controls: setting::list(&device).into_iter().map(ControlReport::new).collect(),
    })
}

fn set(id: &str, wanted: &BTreeMap<String, Value>) -> Result<Vec<ControlReport>, ApiError> {
    let unknown = || {
        let message = "No such camera. GET /api/v1/devices lists them.";
        ApiError::new(StatusCode::NOT_FOUND, "device_unknown", message)
    };
    let node = node::nodes().into_iter().find(|node| node.key() == id).ok_or_else(unknown)?;
    let who = node::capability(&node.path).map_err(|_| unknown())?;
    let NodeRole::Camera(_) = who.role() else { return Err(unknown()) };
    let device = VideoDevice::open(&node.path).map_err(|_| unknown())?;
    let set = wanted.iter().map(|(key, value)| {
        let set = setting::set(&device, key, value);
        set.map(ControlReport::new).map_err(|error| refused(key, &error))
    });
    set.collect()
}

fn refused(key: &str, error: &ControlError) -> ApiError {
    // Bounded, because the key is the client's.
    let key: String = key.chars().take(64).collect();
    match error {
        ControlError::Unknown => {
            let message = format!(
                "The camera has no control '{key}'. GET /api/v1/devices lists those it has."
            );
            ApiError::new(StatusCode::NOT_FOUND, "control_unknown", message)
        }
        ControlError::Range { .. } | ControlError::Item { .. } => {
            ApiError::bad_request(sentence(&chain(error)))
        }
        ControlError::Fixed { .. } | ControlError::Call { .. } => {
            ApiError::new(StatusCode::CONFLICT, "control_refused", sentence(&chain(error)))
        }
    }
}

impl OfferReport {
    fn new(offer: &Offer) -> Self {
        let sizes = offer.sizes.iter().map(SizeReport::new).collect();
        Self { code: offer.code.to_string(), sizes }
    }
}

impl SizeReport {
    fn new(size: &FrameSize) -> Self {
        let (width, height) = (size.width, size.height);
        let ranges = width.0 != width.1 || height.0 != height.1;
        let smallest = ranges.then_some([width.0, height.0]);
        Self { width: width.1, height: height.1, smallest, fps: size.fps.clone() }
    }
}

impl ControlReport {
    fn new(setting: Setting) -> Self {
        let Setting { key, info, value, items } = setting;
        let of = match info.of {
            ControlType::Boolean => "flag",
            ControlType::Menu | ControlType::IntegerMenu => "menu",
            ControlType::Button => "button",
            ControlType::Bitmask => "bits",
            ControlType::Integer | ControlType::Other => "number",
        };
        let items = items.into_iter().map(|(value, name)| ItemReport { value, name });
        Self {
            key,
            name: info.name,
            of,
            value,
            default: info.default,
            min: info.min,
            max: info.max,
            step: info.step,
            fixed: info.fixed,
            inactive: info.inactive,
            items: items.collect(),
        }
    }
}
