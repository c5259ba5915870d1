//! The HTTP API: routes, extractors, bodies, problems. A handler authorises, converts, calls once, and converts back.

mod cursor;
mod dto;
mod envelope;
mod error;
mod extract;
mod health;
mod hook;
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
    openapi::openapi_document,
    router::router,
    server::serve,
    stream::StreamSlots,
};
use crate::{
    actors::{accounts::AccountsService, executions::ExecutionsHandle, schedules::SchedulesHandle, workflows::WorkflowsHandle},
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
    pub registry: Arc<Registry>,
    pub accounts: AccountsService,
    pub blobs: Arc<dyn Blobs>,
    pub cursors: CursorKey,
    pub ready: Readiness,
    pub streams: StreamSlots,
}
