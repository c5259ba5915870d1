//! Citadel: a self-hosted backend for workflow automation, AI agents and code in many languages, built as an actor system.
//! `ARCHITECTURE.md` is the map.

pub mod actors;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod http;
pub mod model;
pub mod nodes;
pub mod runtimes;
pub mod store;
pub mod telemetry;
