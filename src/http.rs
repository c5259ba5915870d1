//! The HTTP API: routes, extractors, bodies, problems. A handler authorises, converts, calls once, and converts back.

mod compression;
mod cookies;
mod cursor;
mod dto;
mod envelope;
mod error;
mod extract;
mod finish;
mod forwarded;
mod guard;
mod health;
mod hook;
mod monitor;
mod openapi;
mod problem;
mod rates;
mod router;
mod routes;
mod server;
mod stall;
mod stream;
mod tls;

use std::{sync::Arc, time::Duration};

pub use self::{
    cursor::CursorKey,
    dto::{Items, NodeRunBody},
    forwarded::Proxies,
    guard::Origins,
    health::{Phase, Readiness},
    monitor::Monitor,
    openapi::openapi_document,
    rates::Rates,
    router::router,
    server::{Listener, serve},
    stream::StreamSlots,
    tls::{Tls, TlsError},
};
use crate::{
    actors::{
        accounts::{AccountsService, LoginProviders},
        audit::AuditHandle,
        code_runs::CodeRunsHandle,
        credentials::CredentialsHandle,
        executions::ExecutionsHandle,
        schedules::SchedulesHandle,
        trial::TrialsHandle,
        variables::VariablesHandle,
        workflows::WorkflowsHandle,
    },
    nodes::{registry::Registry, services::Blobs},
    store::Store,
};

/// How long requests may take.
#[derive(Debug, Clone, Copy)]
pub struct RequestTimes {
    /// The arrival of a body.
    pub body: Duration,
    /// A request that does not wait for an execution.
    pub request: Duration,
}

/// What the handlers work with. One count for all of it: every layer and every handler of a request takes a clone.
#[derive(Clone)]
pub struct AppState(Arc<AppParts>);

/// The parts of [`AppState`].
pub struct AppParts {
    pub store: Arc<dyn Store>,
    pub executions: ExecutionsHandle,
    pub workflows: WorkflowsHandle,
    pub schedules: SchedulesHandle,
    pub variables: VariablesHandle,
    pub credentials: CredentialsHandle,
    pub audit: AuditHandle,
    pub registry: Arc<Registry>,
    pub trials: TrialsHandle,
    pub code_runs: CodeRunsHandle,
    pub accounts: AccountsService,
    pub login_providers: LoginProviders,
    pub blobs: Arc<dyn Blobs>,
    pub cursors: CursorKey,
    pub ready: Readiness,
    pub monitor: Monitor,
    pub streams: StreamSlots,
    pub rates: Rates,
    pub origins: Origins,
    pub times: RequestTimes,
    /// The address of this server as browsers see it, if the settings name it.
    pub public_url: Option<String>,
}

impl From<AppParts> for AppState {
    fn from(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for AppState {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}
