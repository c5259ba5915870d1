//! The examples, run as their README says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod fake;
mod runs;
mod server;
