//! The HTTP API: routes, extractors, bodies, problems. A handler authorises, converts, calls once, and converts back.

mod cursor;
mod dto;
mod envelope;
mod error;
mod extract;
mod health;
mod hook;
mod monitor;
mod openapi;
mod problem;
mod router;
mod routes;
mod server;
mod stream;

use std::sync::Arc;

pub use self::{
    cursor::CursorKey,
    dto::{Items, NodeRunBody},
    health::{Phase, Readiness},
    monitor::Monitor,
    openapi::openapi_document,
    router::router,
    server::serve,
    stream::StreamSlots,
};
use crate::{
    actors::{
        accounts::AccountsService, executions::ExecutionsHandle, schedules::SchedulesHandle, trial::TrialsHandle,
        variables::VariablesHandle, workflows::WorkflowsHandle,
    },
    nodes::{registry::Registry, services::Blobs},
    store::Store,
};

/// What the handlers work with.
#[derive(Clone)]
pub struct AppState {
    pub store: Arc<dyn Store>,
    pub executions: ExecutionsHandle,
    pub workflows: WorkflowsHandle,
    pub schedules: SchedulesHandle,
    pub variables: VariablesHandle,
    pub registry: Arc<Registry>,
    pub trials: TrialsHandle,
    pub accounts: AccountsService,
    pub blobs: Arc<dyn Blobs>,
    pub cursors: CursorKey,
    pub ready: Readiness,
    pub monitor: Monitor,
    pub streams: StreamSlots,
}
