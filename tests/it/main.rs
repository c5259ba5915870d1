//! The integration tests: one binary, so that the crate is linked once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod accounts;
mod batches;
mod bench;
mod business_keys;
mod client_actors;
mod client_commands;
mod client_executions;
mod client_schedules;
mod client_workflows;
mod code;
mod code_runs;
mod commands;
mod contexts;
mod conventions;
mod events;
mod executions;
mod hooks;
mod logs;
mod monitoring;
mod node_types;
mod openapi;
mod operators;
mod overload;
mod packaging;
mod problem_codes;
mod problems;
mod retry;
mod runtimes;
mod schedules;
mod server;
mod support;
mod variables;
mod workflow_schema;
mod workflows;
