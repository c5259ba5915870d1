//! The engine without HTTP: executions from start to end on a real store, with real actors.

mod flows;
mod support;
