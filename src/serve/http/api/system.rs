//! `/api/v1/system`: which box this is, and how its board does; `/api/v1/inputs`: what hangs on its
//! lines.
//!
//! Owns: the shape of the answer. What the board does not tell is null. No serial numbers: makers
//! print them on boxes as a first password, and a box is named by its device key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::base::boot;
use crate::base::time::BootTime;
use crate::board::{
    Board, BoardDisk, Cpu, MachineReport, MemoryUse, Os, Power, Temperature, WrittenTotal,
};
use crate::gpio::PanelView;
use crate::serve::http::door::{Access, Door};
use crate::serve::http::error::ApiError;
use crate::serve::http::extract::At;
use crate::serve::http::json_body::JsonBody;
use crate::serve::http::response::NO_STORE;
use crate::serve::tls::host_name;
use crate::update::UpdateError;

#[derive(Serialize, schemars::JsonSchema)]
struct System<'a> {
    version: &'static str,
    /// What the machine is called; null when that can be no name in the DNS.
    host: Option<String>,
    /// Whether it runs an image, which a factory reset makes new.
    can_reset: bool,
    device: Option<Device>,
    board: BoardView<'a>,
    os: &'a Os,
    /// 32 hexadecimal digits; another one after each boot.
    boot_id: String,
    /// Since the machine booted; the daemon's own is in `/api/v1/health`.
    uptime_secs: f64,
    /// How old the rest is; null before the first look.
    age_ms: Option<u64>,
    cpu: &'a Cpu,
    memory: &'a MemoryUse,
    temperatures: &'a [Temperature],
    power: &'a Power,
    disk: Option<DiskView<'a>>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Device {
    key_sha256: String,
    public_key: String,
}

#[derive(Serialize, schemars::JsonSchema)]
struct BoardView<'a> {
    /// As in the project's `board/` directory; null for a board that is not known there.
    id: Option<&'a str>,
    name: Option<&'a str>,
    model: Option<&'a str>,
    compatible: &'a [String],
}

#[derive(Serialize, schemars::JsonSchema)]
struct DiskView<'a> {
    #[serde(flatten)]
    disk: &'a BoardDisk,
    /// Summed over boots.
    written: Option<&'a WrittenTotal>,
}

/// What a reset takes.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    /// The box's name, as `host` of `GET /api/v1/system` says it.
    host: String,
}

/// Its routes.
pub(in crate::serve::http) fn routes(door: Door) -> Door {
    door.get("/api/v1/system", Access::Admin, system)
        .says("Which box this is, and how its board does.")
        .answers::<System<'static>>(200)
        .post("/api/v1/system/factory-reset", Access::Admin, factory_reset)
        .says("Deletes configuration, accounts, identity and recordings, and starts the box again.")
        .takes::<ResetRequest>()
        .answers_empty(202)
        .refuses(&[409, 422, 501])
        .get("/api/v1/inputs", Access::Admin, inputs)
        .says("LED, button and alarm inputs, as far as they are configured.")
        .answers::<PanelView>(200)
}

/// `GET /api/v1/system`. `device` is null until the ring was opened for the first time.
pub(crate) async fn system(State(context): At) -> impl IntoResponse {
    let device = context.export_jobs.device();
    let device =
        device.map(|key| Device { key_sha256: key.fingerprint(), public_key: key.to_pem() });
    let report = context.machine.report();
    let now = context.clock.boot();
    let age = report.at.map(|at| now.since(at).as_millis());
    let system = System {
        version: env!("CARGO_PKG_VERSION"),
        host: host_name(),
        can_reset: context.updates.can_reset(),
        device,
        board: board(context.machine.board()),
        os: context.machine.os(),
        boot_id: format!("{:032x}", u128::from_be_bytes(boot::identity())),
        uptime_secs: now.since(BootTime::default()).as_secs_f64(),
        age_ms: age.map(|age| u64::try_from(age).unwrap_or(u64::MAX)),
        cpu: &report.cpu,
        memory: &report.memory,
        temperatures: &report.temperatures,
        power: &report.power,
        disk: disk(&report),
    };
    (NO_STORE, Json(json!(system)))
}

/// `POST /api/v1/system/factory-reset`: 202 when it is asked for; the name of the box proves that
/// this one is meant.
pub(crate) async fn factory_reset(
    State(context): At,
    JsonBody(body): JsonBody<ResetRequest>,
) -> Result<impl IntoResponse, ApiError> {
    if !context.updates.can_reset() {
        return Err(UpdateError::NoReset.into());
    }
    let name = host_name().unwrap_or_else(|| "holdfast".to_owned());
    if body.host != name {
        let message = format!("To delete everything on this box, send its name: {name}.");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_name", message));
    }
    context.updates.factory_reset()?;
    Ok((StatusCode::ACCEPTED, NO_STORE))
}

/// `GET /api/v1/inputs`: LED, button and alarm inputs, as far as they are configured.
pub(crate) async fn inputs(State(context): At) -> impl IntoResponse {
    (NO_STORE, Json(context.panel.view()))
}

fn board(board: &Board) -> BoardView<'_> {
    let facts = board.facts.as_ref();
    BoardView {
        id: facts.map(|facts| facts.id.as_str()),
        name: facts.map(|facts| facts.name.as_str()),
        model: board.model.as_deref(),
        compatible: &board.compatible,
    }
}

fn disk(report: &MachineReport) -> Option<DiskView<'_>> {
    let disk = report.disk.as_ref()?;
    Some(DiskView { disk, written: report.written.as_ref() })
}
