//! The handlers, by resource. Each says its path; `router.rs` lists them.

pub(super) mod audit;
pub(super) mod auth;
pub(super) mod batch;
pub(super) mod credential_use;
pub(super) mod credentials;
pub(super) mod docs;
pub(super) mod execution_events;
pub(super) mod executions;
pub(super) mod hooks;
pub(super) mod logs;
pub(super) mod meta;
pub(super) mod monitor;
pub(super) mod node_types;
pub(super) mod retry;
pub(super) mod runtimes;
pub(super) mod schedules;
pub(super) mod secrets;
pub(super) mod start;
pub(super) mod variables;
pub(super) mod workflows;
