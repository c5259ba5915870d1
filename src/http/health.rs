//! Whether the process lives, has started, and can be given work: three different questions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AppState, extract::Query};

/// Longest wait for the store's answer.
const PING_MAX: Duration = Duration::from_secs(2);

/// The phase of the process, shared by whoever changes it and whoever reports it.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// What a process is doing, in the order in which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Starting,
    Serving,
    Draining,
}

impl Readiness {
    /// Start-up is over.
    pub fn set_serving(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// The process is about to stop: it is not to be given new work.
    pub fn set_draining(&self) {
        self.0.store(2, Ordering::Release);
    }

    /// What the process is doing.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }
}

/// The query of `/readyz`: its mere presence asks for the checks.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadyQuery {
    /// Lists the checks; any value will do.
    verbose: Option<String>,
}

/// An answer. **Shape**: `{ status, checks?: [{ name, ok, detail }] }`.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

/// Says that the process lives. Never looks at the database.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()), responses((status = 200, description = "It lives.", body = Health)),
)]
pub(super) async fn healthz() -> impl IntoResponse {
    Json(Health { status: "ok", checks: Vec::new() })
}

/// Says whether the start-up is over.
#[utoipa::path(
    get, path = "/startupz", tag = "health", security(()),
    responses(
        (status = 200, description = "It is.", body = Health),
        (status = 503, description = "It is not yet.", body = Health),
    ),
)]
pub(super) async fn startupz(State(app): State<AppState>) -> Response {
    match app.ready.phase() {
        Phase::Starting => answer(false, Vec::new()),
        Phase::Serving | Phase::Draining => answer(true, Vec::new()),
    }
}

/// Says whether requests are welcome.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()), params(ReadyQuery),
    responses(
        (status = 200, description = "They are.", body = Health),
        (status = 503, description = "They are not: the process starts, stops, or cannot reach its database.", body = Health),
    ),
)]
pub(super) async fn readyz(State(app): State<AppState>, Query(query): Query<ReadyQuery>) -> Response {
    let phase = app.ready.phase();
    let phase_name = match phase {
        Phase::Starting => "starting",
        Phase::Serving => "serving",
        Phase::Draining => "draining",
    };
    let phase_check = Check { name: "phase", ok: phase == Phase::Serving, detail: phase_name.to_owned() };
    let checks = vec![phase_check, check_store(&app).await];
    let ready = checks.iter().all(|check| check.ok);
    answer(ready, if query.verbose.is_some() { checks } else { Vec::new() })
}

async fn check_store(app: &AppState) -> Check {
    let kind = app.store.kind();
    let detail = match tokio::time::timeout(PING_MAX, app.store.ping()).await {
        Ok(Ok(())) => return Check { name: "store", ok: true, detail: kind.to_owned() },
        Ok(Err(error)) => {
            tracing::warn!(cause = %error, "the store does not answer the readiness check");
            format!("{kind} cannot be reached")
        }
        Err(_) => format!("{kind} does not answer"),
    };
    Check { name: "store", ok: false, detail }
}

/// A 503 here is an answer, not a problem: orchestrators read the status only, people the checks.
fn answer(ok: bool, checks: Vec<Check>) -> Response {
    let (code, status) = if ok { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    (code, axum::Extension(super::envelope::AsItIs), Json(Health { status, checks })).into_response()
}
