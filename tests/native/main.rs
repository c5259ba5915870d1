//! Native languages against the real machine: real launchers, real interpreters, which `scripts/runtimes.sh` installs.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod abuse;
mod escape;
mod limits;
mod packages;
mod probe;
mod support;
mod warm;
mod workflows;
